//! Regular expressions about host names -> patterns with `*`.
//!
//! Not every expression can be said with `*` alone, so there are two answers: patterns that match *nothing but* what the
//! expression matches (to allow by), and patterns that match *at least* that (to refuse by). Where both are the same, the
//! translation is exact. Alternatives, groups, small classes, `?`, `.*` and anchors are understood.

use std::iter::Peekable;
use std::str::Chars;

use crate::config::Glob;

/// Most patterns from one expression.
const MAX_PATTERNS: usize = 256;

/// Longest pattern, in characters.
const MAX_LENGTH: usize = 256;

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 16;

/// Characters of a class that are written out.
const MAX_CLASS: usize = 40;

/// What `^`, `$` and `.+` are while the parts are put together; no host name has them.
const START: char = '\u{2}';
const END: char = '\u{3}';
const SOME: char = '\u{1}';

/// On which side of the truth a translation may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// It matches nothing that the expression does not match.
    Inner,
    /// It matches everything that the expression matches.
    Outer,
}

/// Hosts as far as patterns can say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Certainly among them.
    pub inner: Vec<Glob>,
    /// Nothing beyond these is.
    pub outer: Vec<Glob>,
}

impl Hosts {
    /// Of squid's `dstdomain`: a name, or with a dot in front everything below it as well.
    pub fn of_domain(domain: &str) -> Self {
        let exact = match domain.strip_prefix('.') {
            Some(parent) => vec![Glob::new(parent), Glob::new(&format!("*{domain}"))],
            None => vec![Glob::new(domain)],
        };
        // A `*` is an ordinary character to squid, which no host name has.
        if domain.contains('*') { Self::default() } else { Self { inner: exact.clone(), outer: exact } }
    }

    /// Of squid's `dstdom_regex`.
    pub fn of_regex(regex: &str) -> Self {
        let globs = |side| expand(regex, side).map(|all| all.iter().map(|text| Glob::new(text)).collect());
        Self {
            inner: globs(Side::Inner).unwrap_or_default(),
            outer: globs(Side::Outer).unwrap_or_else(|| vec![Glob::new("*")]),
        }
    }
}

/// Whether a text can match both. Exact for two patterns; quadratic in their length.
pub fn meet(a: &Glob, b: &Glob) -> bool {
    let (a, b) = (a.as_str().as_bytes(), b.as_str().as_bytes());
    // `reached[j]`: the first `i` of `a` and the first `j` of `b` can stand for the same text.
    let mut reached = vec![false; b.len() + 1];
    for i in 0..=a.len() {
        let before = std::mem::replace(&mut reached, vec![false; b.len() + 1]);
        for j in 0..=b.len() {
            let star = |text: &[u8], end: usize| end > 0 && text[end - 1] == b'*';
            let same = i > 0 && j > 0 && before[j - 1] && a[i - 1] == b[j - 1];
            let left = i > 0 && (before[j] && star(a, i));
            let right = j > 0 && (reached[j - 1] && (star(b, j) || star(a, i)));
            let along = i > 0 && before[j] && star(b, j);
            reached[j] = i == 0 && j == 0 || same || left || right || along;
        }
    }
    reached[b.len()]
}

fn expand(regex: &str, side: Side) -> Option<Vec<String>> {
    let mut parser = Parser { rest: regex.chars().peekable(), side };
    let all = parser.alternatives(0)?;
    if parser.rest.peek().is_some() {
        return None;
    }
    Some(all.into_iter().filter_map(|text| anchored(&text, side)).collect())
}

/// One alternative as a pattern; `None` if it matches nothing, or nothing that can be said.
fn anchored(text: &str, side: Side) -> Option<String> {
    let (open, rest) = text.strip_prefix(START).map_or(("*", text), |rest| ("", rest));
    let (close, rest) = rest.strip_suffix(END).map_or(("*", rest), |rest| ("", rest));
    if rest.contains([START, END]) {
        return None;
    }
    let whole = format!("{open}{rest}{close}");
    let chars: Vec<char> = whole.chars().collect();
    // No host name begins with a dot or has two in a row: there `.+` and `.*` are the same.
    let never_empty = |i: usize| (i == 0 || chars[i - 1] == '.') && chars.get(i + 1) == Some(&'.');
    let sayable = |(i, c): (usize, &char)| match c {
        &SOME => side == Side::Outer || never_empty(i),
        c => side == Side::Outer || c.is_ascii_alphanumeric() || "-._*".contains(*c),
    };
    let mut pattern: String = chars.iter().enumerate().all(sayable).then(|| whole.replace(SOME, "*"))?;
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    Some(pattern)
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    side: Side,
}

/// What stands for itself in a sequence.
enum Atom {
    /// One of these.
    Texts(Vec<String>),
    /// Any character.
    Dot,
    /// Any character but some.
    Other {
        /// Whether a host name may have one of those.
        in_names: bool,
    },
}

impl Parser<'_> {
    fn alternatives(&mut self, depth: usize) -> Option<Vec<String>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut all = self.sequence(depth)?;
        while self.rest.next_if_eq(&'|').is_some() {
            all.extend(self.sequence(depth)?);
            if all.len() > MAX_PATTERNS {
                return None;
            }
        }
        Some(all)
    }

    fn sequence(&mut self, depth: usize) -> Option<Vec<String>> {
        let mut all = vec![String::new()];
        while self.rest.peek().is_some_and(|c| !matches!(c, '|' | ')')) {
            let atom = self.atom(depth)?;
            let quantifier = self.rest.next_if(|c| "*+?".contains(*c));
            let next = self.repeated(atom, quantifier);
            if self.rest.peek().is_some_and(|c| "*+?{".contains(*c)) || all.len() * next.len() > MAX_PATTERNS
            {
                return None;
            }
            all = all.iter().flat_map(|head| next.iter().map(move |tail| format!("{head}{tail}"))).collect();
            if all.iter().any(|text| text.len() > MAX_LENGTH) {
                return None;
            }
        }
        Some(all)
    }

    fn atom(&mut self, depth: usize) -> Option<Atom> {
        let text = match self.rest.next()? {
            '(' => {
                let inside = self.alternatives(depth + 1)?;
                self.rest.next_if_eq(&')')?;
                return Some(Atom::Texts(inside));
            }
            '[' => return self.class(),
            '.' => return Some(Atom::Dot),
            // `\w`, `\b`, `\1` and their like.
            '\\' => self.rest.next_if(|c| !c.is_ascii_alphanumeric())?,
            '^' => START,
            '$' => END,
            '*' | '+' | '?' | '{' => return None,
            c => c.to_ascii_lowercase(),
        };
        // A `*` that was meant literally would become a wildcard.
        (text != '*').then(|| Atom::Texts(vec![text.to_string()]))
    }

    fn class(&mut self) -> Option<Atom> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut members = Vec::new();
        while let Some(c) = self.rest.next() {
            match c {
                ']' if !members.is_empty() => {
                    members.sort_unstable();
                    members.dedup();
                    let in_name = |c: &char| c.is_ascii_alphanumeric() || "-._".contains(*c);
                    return match negated {
                        true => Some(Atom::Other { in_names: members.iter().any(in_name) }),
                        false => Some(Atom::Texts(members.iter().map(char::to_string).collect())),
                    };
                }
                '[' | '\\' | '*' => return None,
                '-' if !members.is_empty() && self.rest.peek().is_some_and(|c| *c != ']') => {
                    let (first, last) = (*members.last()?, self.rest.next()?);
                    members.extend((first..=last).take(MAX_CLASS + 1).map(|c| c.to_ascii_lowercase()));
                }
                c => members.push(c.to_ascii_lowercase()),
            }
            if members.len() > 2 * MAX_CLASS {
                return None;
            }
        }
        None
    }

    /// The texts that an atom with its quantifier can be, as far as this side may say.
    fn repeated(&self, atom: Atom, quantifier: Option<char>) -> Vec<String> {
        let any = || vec!["*".to_owned()];
        let (inner, once) = (self.side == Side::Inner, |texts: Vec<String>| texts);
        match (atom, quantifier) {
            (Atom::Dot | Atom::Other { in_names: false }, Some('*')) => any(),
            (Atom::Dot | Atom::Other { in_names: false }, Some('+')) => vec![SOME.to_string()],
            (Atom::Dot | Atom::Other { in_names: false }, None) if inner => vec![".".to_owned()],
            (Atom::Dot | Atom::Other { .. }, Some('*' | '?')) if inner => vec![String::new()],
            (Atom::Other { .. }, _) if inner => Vec::new(),
            (Atom::Dot | Atom::Other { .. }, _) => any(),
            (Atom::Texts(texts), None) => once(texts),
            (Atom::Texts(texts), Some('+')) if inner => once(texts),
            (Atom::Texts(texts), Some('?')) => texts.into_iter().chain([String::new()]).collect(),
            (Atom::Texts(texts), Some('*')) if inner => texts.into_iter().chain([String::new()]).collect(),
            (Atom::Texts(_), _) => any(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(globs: &[Glob]) -> Vec<&str> {
        globs.iter().map(Glob::as_str).collect()
    }

    #[test]
    fn expressions() {
        let table: [(&str, &[&str], &[&str]); 12] = [
            (r"^cvmfs\.fnal\.gov$", &["cvmfs.fnal.gov"], &["cvmfs.fnal.gov"]),
            (r"^.*\.cern\.ch$", &["*.cern.ch"], &["*.cern.ch"]),
            (r"^(a\.b|c\.d)$", &["a.b", "c.d"], &["a.b", "c.d"]),
            (r"^(.+\.)?cern\.ch$", &["*.cern.ch", "cern.ch"], &["*.cern.ch", "cern.ch"]),
            (r"\.cern\.ch$", &["*.cern.ch"], &["*.cern.ch"]),
            ("cern", &["*cern*"], &["*cern*"]),
            (r"^s[12]\.x$", &["s1.x", "s2.x"], &["s1.x", "s2.x"]),
            ("^a.b$", &["a.b"], &["a*b"]),
            (
                r"^s[0-9]+\.x$",
                &["s0.x", "s1.x", "s2.x", "s3.x", "s4.x", "s5.x", "s6.x", "s7.x", "s8.x", "s9.x"],
                &["s*.x"],
            ),
            (r"^[^.]+\.x$", &[], &["*.x"]),
            (r"^a{2}$", &[], &["*"]),
            (r"^\w+$", &[], &["*"]),
        ];
        for (regex, inner, outer) in table {
            let hosts = Hosts::of_regex(regex);
            assert_eq!(
                (texts(&hosts.inner), texts(&hosts.outer)),
                (inner.to_vec(), outer.to_vec()),
                "{regex}"
            );
        }
    }

    #[test]
    fn meetings() {
        let table = [
            ("*", "a.b", true),
            ("*.cern.ch", "a.*", true),
            ("*.cern.ch", "*.fnal.gov", false),
            ("a*c", "ab*", true),
            ("a*c", "b*", false),
            ("abc", "abd", false),
            ("*", "*", true),
            ("a*b*c", "*x*", true),
        ];
        for (a, b, expected) in table {
            let (a, b) = (Glob::new(a), Glob::new(b));
            assert_eq!((meet(&a, &b), meet(&b, &a)), (expected, expected), "{a:?} {b:?}");
        }
    }

    proptest! {
        #[test]
        fn patterns_that_match_the_same_text_meet(a in "[ab*]{0,6}", b in "[ab*]{0,6}", text in "[ab]{0,6}") {
            let (a, b) = (Glob::new(&a), Glob::new(&b));
            prop_assert!(!(a.matches(&text) && b.matches(&text)) || meet(&a, &b));
        }

        #[test]
        fn inner_is_within_outer(regex in r"[\^]?([ab.]|\\\.|\(a\|b\)|[*+?]|\[ab\]|\[\^a\]){0,8}[$]?", host in "[ab]{1,3}(\\.[ab]{1,3}){0,2}") {
            let hosts = Hosts::of_regex(&regex);
            let matches = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(&host));
            prop_assert!(!matches(&hosts.inner) || matches(&hosts.outer), "{:?}", hosts);
        }

        #[test]
        fn any_text_is_read_without_panic(regex: String) {
            Hosts::of_regex(&regex);
        }
    }
}
