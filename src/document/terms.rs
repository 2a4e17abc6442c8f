//! Which times hold for a document: the operator's `[[documents]]`, else our own. Pure.
//!
//! Terms give lifetimes and accept staleness. What a response or request forbids (`no-store`, `private`, `no-cache`,
//! `must-revalidate`, credentials) they never touch: `storable` and `reuse` look at that first.

use std::time::Duration;

use super::key::{DocumentKey, Kind};
use super::policy::Policy;
use crate::config::{DocumentPattern, DocumentRule};
use crate::layout::cvmfs;
use crate::layout::frontier;

/// Times of one document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Lifetime of successes and permanent redirects, whatever they say.
    pub ttl: Option<Duration>,
    /// Lifetime of a 404 or 410 that gives none.
    pub negative_ttl: Option<Duration>,
    /// Staleness accepted while upstreams fail, unless the response gives its own.
    pub stale_if_error: Duration,
    /// Staleness accepted while a new response is fetched, unless the response gives its own.
    pub stale_while_revalidate: Duration,
}

impl Terms {
    /// The terms for `key`. What the first rule that matches does not mention is as without it.
    pub fn of(key: &DocumentKey, rules: &[DocumentRule], policy: &Policy) -> Self {
        let usual = match key.kind() {
            Kind::Manifest { .. } | Kind::Whitelist | Kind::Cvmfs => policy.stale_if_error,
            Kind::Other => Duration::ZERO,
        };
        let Some(rule) = rules.iter().find(|rule| matches(&rule.pattern, key)) else {
            return Self { stale_if_error: usual, ..Self::default() };
        };
        Self {
            ttl: rule.ttl,
            negative_ttl: rule.negative_ttl,
            stale_if_error: rule.stale_if_error.unwrap_or(usual),
            stale_while_revalidate: rule.stale_while_revalidate.unwrap_or_default(),
        }
    }

    /// Whether a response without freshness and validators may still be of use.
    pub fn accept_stale(&self) -> bool {
        !self.stale_if_error.is_zero() || !self.stale_while_revalidate.is_zero()
    }
}

fn matches(pattern: &DocumentPattern, key: &DocumentKey) -> bool {
    match pattern {
        DocumentPattern::Manifests => matches!(key.kind(), Kind::Manifest { .. }),
        DocumentPattern::Cvmfs => !matches!(key.kind(), Kind::Other),
        DocumentPattern::Whitelists => is_whitelist(key.target()),
        DocumentPattern::Frontier => frontier::is_query(key.target()),
        DocumentPattern::Place(place) => place.matches(key.host(), key.target()),
    }
}

fn is_whitelist(target: &str) -> bool {
    let file = target.rsplit('/').next().unwrap_or_default();
    matches!(cvmfs::mutable(target), Some(cvmfs::Mutable::Meta { .. }))
        && matches!(file, ".cvmfswhitelist" | ".cvmfswhitelist.pkcs7")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, ttl: u64) -> DocumentRule {
        DocumentRule {
            pattern: pattern.parse().unwrap(),
            ttl: Some(Duration::from_secs(ttl)),
            negative_ttl: None,
            stale_if_error: None,
            stale_while_revalidate: None,
        }
    }

    #[test]
    fn the_first_that_matches() {
        let rules = [
            rule("manifests", 1),
            rule("whitelists", 2),
            rule("frontier", 3),
            rule("cvmfs", 4),
            rule("*.cern.ch/crl/*", 5),
            rule("::1/*", 6),
            rule("*/*.pem", 7),
        ];
        let table = [
            ("s1:8000", "/cvmfs/r.example/.cvmfspublished", Some(1)),
            ("s1", "/cvmfs/r.example/.cvmfswhitelist", Some(2)),
            ("s1", "/cvmfs/r.example/.cvmfswhitelist.pkcs7", Some(2)),
            ("", "/cvmfs/r.example/.cvmfsreflog", Some(4)),
            ("s1", "/cvmfs/r.example/api/v1.0/geo/x/a,b", Some(4)),
            ("f:8000", "/atlr/Frontier/type=frontier_request:1:DEFAULT&p1=x", Some(3)),
            ("ca.cern.ch", "/crl/a.crl", Some(5)),
            ("https:ca.cern.ch:8443", "/crl/a.crl", Some(5)),
            ("ca.cern.ch", "/CRL/a.crl", None),
            ("[::1]:8000", "/x", Some(6)),
            ("a", "/crl/a.pem", Some(7)),
            ("a", "/crl/a.pem?x", None),
            ("a", "/.cvmfswhitelist", None),
        ];
        for (authority, target, expected) in table {
            let terms = Terms::of(&DocumentKey::new(authority, target), &rules, &Policy::default());
            assert_eq!(terms.ttl.map(|ttl| ttl.as_secs()), expected, "{authority}{target}");
        }
    }

    #[test]
    fn what_is_not_mentioned_stays_as_it_was() {
        let day = Duration::from_secs(24 * 3600);
        let of = |target: &str, rules: &[DocumentRule]| {
            Terms::of(&DocumentKey::new("a", target), rules, &Policy::default())
        };
        let manifest = "/cvmfs/r.example/.cvmfspublished";
        assert_eq!(of(manifest, &[]).stale_if_error, day);
        assert_eq!(of(manifest, &[rule("cvmfs", 1)]).stale_if_error, day);
        assert_eq!(of("/x", &[]), Terms::default());
        let bounded = DocumentRule { stale_if_error: Some(Duration::ZERO), ..rule("cvmfs", 1) };
        assert!(!of(manifest, &[bounded]).accept_stale());
    }
}
