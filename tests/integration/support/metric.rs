//! Metrics in the Prometheus text form, and claims about them to wait for.

use std::fmt;

/// A metric, or the sum of those of its family that carry the given labels.
#[derive(Clone, Debug)]
pub struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

/// The metric `name` over all its labels.
pub fn metric(name: &str) -> Selector {
    Selector { name: name.to_owned(), labels: Vec::new() }
}

impl Selector {
    /// Only the members whose label `key` is `value`.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The claim that the value is `n`.
    pub fn eq(self, n: u64) -> Claim {
        Claim { selector: self, relation: Relation::Equal, bound: n as f64 }
    }

    /// The claim that the value is `n` or more.
    pub fn at_least(self, n: u64) -> Claim {
        Claim { selector: self, relation: Relation::AtLeast, bound: n as f64 }
    }

    /// The claim that the value is `n` or less.
    pub fn at_most(self, n: u64) -> Claim {
        Claim { selector: self, relation: Relation::AtMost, bound: n as f64 }
    }

    /// The value in a text of `/metrics`; 0 when there is no such line.
    pub fn read(&self, text: &str) -> f64 {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| self.value(line)).sum()
    }

    fn value(&self, line: &str) -> Option<f64> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let carried = |(key, value): &(String, String)| labels.contains(&format!("{key}=\"{value}\""));
        (name == self.name && self.labels.iter().all(carried)).then(|| value.parse().ok())?
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.labels)
    }
}

/// What a metric is to become.
#[derive(Clone, Debug)]
pub struct Claim {
    selector: Selector,
    relation: Relation,
    bound: f64,
}

#[derive(Clone, Copy, Debug)]
enum Relation {
    Equal,
    AtLeast,
    AtMost,
}

impl Claim {
    /// Whether it is true in a text of `/metrics`.
    pub fn holds(&self, text: &str) -> bool {
        let value = self.selector.read(text);
        match self.relation {
            Relation::Equal => value == self.bound,
            Relation::AtLeast => value >= self.bound,
            Relation::AtMost => value <= self.bound,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.relation {
            Relation::Equal => "=",
            Relation::AtLeast => ">=",
            Relation::AtMost => "<=",
        };
        write!(f, "{} {sign} {}", self.selector, self.bound)
    }
}
