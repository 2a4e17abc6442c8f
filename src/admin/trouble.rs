//! What needs attention, in words, with what to do: from the last hour of the metrics. Pure.
//!
//! The same conditions as the alerts, without their patience: a person looks now. The words of an alert are in
//! `docs/operate.md`, under its name.

use serde::Serialize;

use super::history::View;

/// What happened so many seconds ago or less still needs attention.
const FRESH: f64 = 600.0;
/// Some of many requests always fail at a stratum that is being updated: attention from one in this many.
const ONE_IN: f64 = 100.0;

/// Something that went wrong.
#[derive(Debug, Serialize)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) action: &'static str,
    /// The alert's name, and the heading in `docs/operate.md`.
    pub(super) alert: &'static str,
    /// How often in the last hour.
    pub(super) times: u64,
    pub(super) age_seconds: u64,
}

impl Trouble {
    /// Whether it still needs attention.
    pub(super) fn is_fresh(&self) -> bool {
        self.age_seconds as f64 <= FRESH
    }
}

struct Rule {
    /// Counters whose rise it is: a family and the beginnings of the labels behind its name.
    family: &'static str,
    labels: &'static [&'static str],
    what: &'static str,
    action: &'static str,
    alert: &'static str,
}

const RULES: [Rule; 11] = [
    Rule {
        family: "substratum_config_reloads_total",
        labels: &["refused"],
        what: "reloads of the configuration were refused",
        action: "It goes on with the old one. The log says what is wrong; mend the file and reload again.",
        alert: "SubstratumReloadRefused",
    },
    Rule {
        family: "substratum_requests_total",
        labels: &["upstream_error"],
        what: "requests found no upstream that works",
        action: "Look at the upstreams below: which fails, and how? Then at the network on the way to them.",
        alert: "SubstratumUpstreamsFail",
    },
    Rule {
        family: "substratum_requests_total",
        labels: &["overload"],
        what: "requests were turned away because too much was asked at once",
        action: "Look whether upstreams are slow; else raise max_fills, the limit on open files or the number of caches.",
        alert: "SubstratumOverloaded",
    },
    Rule {
        family: "substratum_connections_refused_total",
        labels: &[""],
        what: "connections of clients were refused",
        action: "Raise max_connections, the limit on open files or the number of caches.",
        alert: "SubstratumOverloaded",
    },
    Rule {
        family: "substratum_upstream_requests_total",
        labels: &["bad_digest ", "bad_length "],
        what: "answers of upstreams had wrong bytes",
        action: "Clients were not given them. The log names server and path: tell its operators.",
        alert: "SubstratumCorruptUpstream",
    },
    Rule {
        family: "substratum_bad_at_rest_total",
        labels: &[],
        what: "stored objects had gone bad",
        action: "Clients were not given them. Check the disk (SMART), the file system and the memory.",
        alert: "SubstratumBadAtRest",
    },
    Rule {
        family: "substratum_disk_write_errors_total",
        labels: &[],
        what: "writes to the disk cache failed",
        action: "It goes on serving what it has. Look for a full file system or a failing disk.",
        alert: "SubstratumDiskTrouble",
    },
    Rule {
        family: "substratum_disk_read_errors_total",
        labels: &[],
        what: "reads of the disk cache failed",
        action: "What cannot be read is fetched again. Look for a disk that is not mounted, is read-only or fails; the log says which.",
        alert: "SubstratumDiskTrouble",
    },
    Rule {
        family: "substratum_document_stale_total",
        labels: &[],
        what: "stale documents were sent because no stratum answered",
        action: "Jobs go on with the last revision for up to a day. Look at the strata and the way to them.",
        alert: "SubstratumStaleDocuments",
    },
    Rule {
        family: "substratum_document_manifest_damages_total",
        labels: &[],
        what: "manifests did not match their own checksum",
        action: "A stratum, or a cache further up, is broken: the log names it. Tell its operators.",
        alert: "SubstratumDamagedManifests",
    },
    Rule {
        family: "substratum_log_dropped_lines_total",
        labels: &[""],
        what: "lines of the access log were lost",
        action: "Serving goes on. Look for a full or slow disk under the log.",
        alert: "SubstratumLogLosesLines",
    },
];

/// What went wrong within the hour, the newest first.
pub(super) fn find(view: &View) -> Vec<Trouble> {
    let mut found: Vec<Trouble> = RULES.iter().filter_map(|rule| rule.judge(view)).collect();
    found.extend(out(view));
    found.sort_by_key(|trouble| trouble.age_seconds);
    found
}

impl Rule {
    fn judge(&self, view: &View) -> Option<Trouble> {
        let keys: Vec<String> = match self.labels {
            [] => vec![self.family.to_owned()],
            starts => {
                let labels = view.labels(self.family).into_iter();
                let meant = labels.filter(|label| starts.iter().any(|start| label.starts_with(start)));
                meant.map(|label| format!("{} {label}", self.family)).collect()
            }
        };
        let rises = view.sum(keys.iter().map(String::as_str));
        let all = match self.alert {
            "SubstratumUpstreamsFail" => requests(view),
            _ => vec![None; rises.len()],
        };
        // The newest interval in which it happened, often enough.
        let counts = |rise: Option<f64>, all: Option<f64>| {
            rise.is_some_and(|rise| rise > 0.0 && all.is_none_or(|all| rise * ONE_IN >= all))
        };
        let newest = rises.iter().zip(&all).rposition(|(rise, all)| counts(*rise, *all))?;
        let times = rises.iter().flatten().sum::<f64>() as u64;
        let what = format!("{times} {}", self.what);
        Some(Trouble { what, action: self.action, alert: self.alert, times, age_seconds: age(view, newest) })
    }
}

fn requests(view: &View) -> Vec<Option<f64>> {
    let family = "substratum_requests_total";
    let keys: Vec<_> = view.labels(family).into_iter().map(|label| format!("{family} {label}")).collect();
    view.sum(keys.iter().map(String::as_str))
}

/// Servers that are asked last now.
fn out<'v>(view: &'v View) -> impl Iterator<Item = Trouble> + 'v {
    let family = "substratum_upstream_healthy";
    view.labels(family).into_iter().filter_map(move |url| {
        let column = view.columns.get(&format!("{family} {url}"))?;
        (column.last() == Some(&0.0)).then(|| Trouble {
            what: format!("{url} is in trouble and asked last"),
            action: "Others are asked instead. Its last failure stands among the upstreams; take it out if it is gone.",
            alert: "SubstratumUpstreamInTrouble",
            times: column.iter().filter(|value| **value == 0.0).count() as u64,
            age_seconds: 0,
        })
    })
}

/// Seconds from the end of an interval to the newest look.
fn age(view: &View, interval: usize) -> u64 {
    let end = view.times.get(interval + 1).copied().unwrap_or(0.0);
    (view.times.last().copied().unwrap_or(end) - end).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admin::history::History;
    use crate::metrics::{Metrics, Refusal};
    use crate::outcome::Outcome;

    fn alerts(history: &History) -> Vec<(&'static str, u64, bool)> {
        let found = find(&history.view());
        found.iter().map(|trouble| (trouble.alert, trouble.times, trouble.is_fresh())).collect()
    }

    #[test]
    fn what_rose_is_told_and_grows_old() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        let look = |at: f64| history.note(at, &metrics.registry.gather());
        metrics.cache.bad_at_rest.inc_by(3);
        look(0.0);
        assert_eq!(alerts(&history), [], "what was before the first look is not news");
        metrics.cache.bad_at_rest.inc();
        metrics.server.refuse(Refusal::Limit);
        look(10.0);
        assert_eq!(alerts(&history), [("SubstratumOverloaded", 1, true), ("SubstratumBadAtRest", 1, true)]);
        metrics.upstream.requests.with_label_values(&["http://b", "bad_digest"]);
        look(500.0);
        metrics.upstream.requests.with_label_values(&["http://b", "bad_digest"]).inc();
        look(700.0);
        let found = alerts(&history);
        assert_eq!(found[0], ("SubstratumCorruptUpstream", 1, true));
        assert_eq!(found[2], ("SubstratumBadAtRest", 1, false));
    }

    #[test]
    fn one_failure_among_many_is_nothing() {
        for (failures, expected) in [(1, 0), (5, 1)] {
            let (history, metrics) = (History::default(), Metrics::new().unwrap());
            history.note(0.0, &metrics.registry.gather());
            let zero = Duration::ZERO;
            for _ in 0..400 {
                metrics.request.finished(Outcome::MemoryHit, 200, 1, zero, zero);
            }
            for _ in 0..failures {
                metrics.request.finished(Outcome::UpstreamError, 502, 1, zero, zero);
            }
            history.note(10.0, &metrics.registry.gather());
            assert_eq!(alerts(&history).len(), expected, "{failures}");
        }
    }

    #[test]
    fn a_server_that_is_out_is_named_until_it_is_back() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        let healthy = metrics.upstream.healthy.with_label_values(&["http://a:8000"]);
        history.note(0.0, &metrics.registry.gather());
        let found = find(&history.view());
        assert!(found[0].what.starts_with("http://a:8000 is in trouble"), "{found:?}");
        healthy.set(1);
        history.note(10.0, &metrics.registry.gather());
        assert!(find(&history.view()).is_empty());
    }
}
