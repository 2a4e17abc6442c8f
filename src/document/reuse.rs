//! Whether a stored response may answer a request now (RFC 9111 §4, §4.2.4, §5.2.1; RFC 5861 §4). Pure.

use std::time::{Duration, SystemTime};

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::freshness::{Freshness, Remaining};
use crate::response::cache_status::Forward;

/// The verdict on a stored response that matches the request's URL and `Vary` fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It is fresh, by its own and the request's standards.
    Fresh,
    /// It is stale, within what the request's `max-stale` accepts.
    AcceptedStale,
    /// The upstream must be asked.
    Ask(Forward),
}

/// What a verdict rests upon.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The stored response's freshness.
    pub freshness: &'a Freshness,
    /// Its directives.
    pub directives: &'a ResponseDirectives,
    /// The request's directives.
    pub asked: &'a RequestDirectives,
    /// The time of the decision.
    pub now: SystemTime,
}

/// Decides about ordinary reuse.
pub fn decide(facts: Facts<'_>) -> Reuse {
    let Facts { freshness, directives, asked, now } = facts;
    if directives.no_cache {
        return Reuse::Ask(Forward::Stale);
    }
    let too_old = asked.max_age.is_some_and(|limit| freshness.age(now) > limit);
    if asked.demands_reload() || too_old {
        return Reuse::Ask(Forward::Request);
    }
    match freshness.remaining(now) {
        Remaining::Fresh(left) if asked.min_fresh.is_none_or(|wanted| left >= wanted) => Reuse::Fresh,
        Remaining::Fresh(_) => Reuse::Ask(Forward::Request),
        Remaining::Stale(past) => {
            let accepted = asked.max_stale.is_some_and(|limit| past <= limit) && asked.min_fresh.is_none();
            if accepted && !directives.forbids_stale() {
                Reuse::AcceptedStale
            } else {
                Reuse::Ask(Forward::Stale)
            }
        }
    }
}

/// Whether a response may be used although it cannot be validated, because the upstream fails.
///
/// `bound` is the staleness that our own policy accepts; an explicit `stale-if-error` of the response comes before
/// it, and the request's may extend it. Never against the response's directives, nor for a request that sets
/// bounds of its own.
pub fn may_stand_in(facts: Facts<'_>, bound: Duration) -> bool {
    let Facts { freshness, directives, asked, now } = facts;
    if directives.forbids_stale() || asked.bounds_age() {
        return false;
    }
    let bound =
        directives.stale_if_error.or_zero().unwrap_or(bound).max(asked.stale_if_error.unwrap_or_default());
    match freshness.remaining(now) {
        Remaining::Fresh(_) => true,
        Remaining::Stale(past) => !bound.is_zero() && past <= bound,
    }
}

/// Whether a stale response may be sent at once while a new one is fetched behind it (RFC 5861 §3).
///
/// `bound` is the staleness that our own policy accepts; an explicit `stale-while-revalidate` comes before it.
pub fn may_serve_meanwhile(facts: Facts<'_>, bound: Duration) -> bool {
    let Facts { freshness, directives, asked, now } = facts;
    if directives.forbids_stale() || asked.bounds_age() {
        return false;
    }
    let bound = directives.stale_while_revalidate.or_zero().unwrap_or(bound);
    match freshness.remaining(now) {
        Remaining::Fresh(_) => false,
        Remaining::Stale(past) => past < bound,
    }
}

/// Whether a response fetched for one request may answer another that was waiting for it.
///
/// Beyond [`decide`]: what is stale on arrival, but not by a directive that demands validation, is as new to those
/// who waited as anything they could have fetched themselves.
pub fn may_share(facts: Facts<'_>) -> bool {
    match decide(facts) {
        Reuse::Fresh | Reuse::AcceptedStale => true,
        Reuse::Ask(_) => !facts.directives.forbids_stale() && !facts.asked.bounds_age(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::StatusCode;
    use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};

    use super::super::freshness::Exchange;
    use super::super::terms::Terms;
    use super::*;

    /// Runs `judge` on a response and a request with these `Cache-Control` values, `age` seconds after arrival.
    fn judge<T>(
        response: &'static str,
        request: &'static str,
        age: u64,
        judge: impl Fn(Facts<'_>) -> T,
    ) -> T {
        let headers = |value| HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
        let (response, request) = (headers(response), headers(request));
        let directives = ResponseDirectives::read(&response);
        let received = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let exchange = Exchange { requested: received, received };
        let freshness = Freshness::of(StatusCode::OK, &response, &directives, &Terms::default(), exchange);
        let asked = RequestDirectives::read(&request);
        let now = received + Duration::from_secs(age);
        judge(Facts { freshness: &freshness, directives: &directives, asked: &asked, now })
    }

    #[test]
    fn ordinary_reuse() {
        use Reuse::{AcceptedStale, Ask, Fresh};
        let table = [
            ("max-age=60", "", 59, Fresh),
            ("max-age=60", "", 60, Ask(Forward::Stale)),
            ("max-age=60, no-cache", "", 0, Ask(Forward::Stale)),
            ("max-age=60, must-revalidate", "", 59, Fresh),
            ("max-age=60", "no-cache", 0, Ask(Forward::Request)),
            ("max-age=60", "max-age=0", 0, Ask(Forward::Request)),
            ("max-age=60", "max-age=30", 30, Fresh),
            ("max-age=60", "max-age=30", 31, Ask(Forward::Request)),
            ("max-age=60", "max-age=x", 0, Ask(Forward::Request)),
            ("max-age=60", "max-age=999", 60, Ask(Forward::Stale)),
            ("max-age=60", "min-fresh=30", 30, Fresh),
            ("max-age=60", "min-fresh=30", 31, Ask(Forward::Request)),
            ("max-age=60", "max-stale", 999, AcceptedStale),
            ("max-age=60", "max-stale=10", 70, AcceptedStale),
            ("max-age=60", "max-stale=10", 71, Ask(Forward::Stale)),
            ("max-age=60", "max-stale=10, max-age=65", 66, Ask(Forward::Request)),
            ("max-age=60, must-revalidate", "max-stale", 70, Ask(Forward::Stale)),
            ("max-age=60, proxy-revalidate", "max-stale", 70, Ask(Forward::Stale)),
            ("s-maxage=60", "max-stale", 70, Ask(Forward::Stale)),
            ("no-cache, max-age=60", "max-stale", 0, Ask(Forward::Stale)),
            ("", "", 0, Ask(Forward::Stale)),
        ];
        for (response, request, age, expected) in table {
            assert_eq!(judge(response, request, age, decide), expected, "{response} / {request} at {age} s");
        }
    }

    #[test]
    fn standing_in_for_a_failed_upstream() {
        let table = [
            ("max-age=60", "", 160, 100, true),
            ("max-age=60", "", 161, 100, false),
            ("max-age=60", "", 60, 0, false),
            ("max-age=60, must-revalidate", "", 61, 100, false),
            ("max-age=60, proxy-revalidate", "", 61, 100, false),
            ("max-age=60, s-maxage=60", "", 61, 100, false),
            ("max-age=60, no-cache", "", 61, 100, false),
            ("max-age=60, stale-if-error=10", "", 70, 0, true),
            ("max-age=60, stale-if-error=10", "", 71, 100, false),
            ("max-age=60, stale-if-error=0", "", 61, 100, false),
            ("max-age=60, stale-if-error=x", "", 61, 100, false),
            ("max-age=60", "stale-if-error=50", 110, 0, true),
            ("max-age=60", "no-cache", 61, 100, false),
            ("max-age=60", "max-age=0", 61, 100, false),
            ("max-age=60", "min-fresh=1", 61, 100, false),
        ];
        for (response, request, age, bound, expected) in table {
            let verdict =
                judge(response, request, age, |facts| may_stand_in(facts, Duration::from_secs(bound)));
            assert_eq!(verdict, expected, "{response} / {request} at {age} s, bound {bound} s");
        }
    }

    #[test]
    fn serving_while_a_new_one_is_fetched() {
        let table = [
            ("max-age=60, stale-while-revalidate=10", "", 59, 0, false),
            ("max-age=60, stale-while-revalidate=10", "", 60, 0, true),
            ("max-age=60, stale-while-revalidate=10", "", 69, 0, true),
            ("max-age=60, stale-while-revalidate=10", "", 70, 99, false),
            ("max-age=60, stale-while-revalidate=x", "", 61, 99, false),
            ("max-age=60", "", 61, 0, false),
            ("max-age=60", "", 69, 10, true),
            ("max-age=60", "", 70, 10, false),
            ("max-age=60, must-revalidate", "", 61, 99, false),
            ("max-age=60, proxy-revalidate", "", 61, 99, false),
            ("s-maxage=60, stale-while-revalidate=10", "", 61, 99, false),
            ("no-cache, stale-while-revalidate=10", "", 61, 99, false),
            ("max-age=60", "no-cache", 61, 99, false),
            ("max-age=60", "max-age=99", 61, 99, false),
            ("max-age=60", "min-fresh=1", 61, 99, false),
        ];
        for (response, request, age, bound, expected) in table {
            let verdict =
                judge(response, request, age, |facts| may_serve_meanwhile(facts, Duration::from_secs(bound)));
            assert_eq!(verdict, expected, "{response} / {request} at {age} s, bound {bound} s");
        }
    }

    #[test]
    fn sharing_with_those_who_waited() {
        let table = [
            ("max-age=60", "", true),
            ("max-age=0", "", true),
            ("", "", true),
            ("no-cache", "", false),
            ("max-age=0, must-revalidate", "", false),
            ("s-maxage=0", "", false),
            ("max-age=60", "no-cache", false),
            ("max-age=60", "min-fresh=61", false),
        ];
        for (response, request, expected) in table {
            assert_eq!(judge(response, request, 0, may_share), expected, "{response} / {request}");
        }
    }
}
