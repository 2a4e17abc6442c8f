//! Whether a stored response answers a request, by itself or in an emergency (RFC 9111 §4.2.4, §5.2; RFC 5861).

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;

use super::{SECONDS, fields, rows};
use crate::document::cache_control::{RequestDirectives, ResponseDirectives};
use crate::document::freshness::{Exchange, Freshness};
use crate::document::reuse::{Facts, Reuse, decide, may_serve_meanwhile, may_stand_in};
use crate::document::terms::Terms;

pub const TABLES: &[&str] = &[REUSE, STANDING_IN, MEANWHILE];

/// section | response's directives | request | seconds later | `fresh`, `accepted`, `stale` or `request`
const REUSE: &str = "
9111 §4.2 | max-age=60 | | 0 | fresh
9111 §4.2 | max-age=60 | | 59 | fresh
9111 §4.2 | max-age=60 | | 60 | stale
9111 §4.2 | s-maxage=60 | | 59 | fresh
9111 §4.2 | s-maxage=60 | | 60 | stale
9111 §4.2 | max-age=0 | | 0 | stale
9111 §4.2 | public | | 0 | stale
9111 §5.2.2.4 | max-age=60, no-cache | | 0 | stale
9111 §5.2.2.4 | max-age=60, NO-CACHE | | 0 | stale
9111 §5.2.2.4 | max-age=60, no-cache=\"x-a\" | | 0 | stale
9111 §5.2.2.4 | max-age=60, no-cache | cache-control: max-stale | 0 | stale
9111 §5.2.2.2 | max-age=60, must-revalidate | | 59 | fresh
9111 §5.2.2.2 | max-age=60, must-revalidate | | 60 | stale
9111 §5.2.2.2 | max-age=60, must-revalidate | cache-control: max-stale | 60 | stale
9111 §5.2.2.8 | max-age=60, proxy-revalidate | | 59 | fresh
9111 §5.2.2.8 | max-age=60, proxy-revalidate | cache-control: max-stale | 60 | stale
9111 §5.2.2.10 | s-maxage=60 | cache-control: max-stale | 60 | stale
9111 §5.2.1.4 | max-age=60 | cache-control: no-cache | 0 | request
9111 §5.2.1.4 | max-age=60 | cache-control: NO-CACHE | 0 | request
9111 §5.4 | max-age=60 | pragma: no-cache | 0 | request
9111 §5.4 | max-age=60 | pragma: No-Cache | 0 | request
9111 §5.4 | max-age=60 | pragma: no-cache ; cache-control: max-age=99 | 0 | fresh
9111 §5.4 | max-age=60 | pragma: other | 0 | fresh
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=0 | 0 | request
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=30 | 30 | fresh
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=30 | 31 | request
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=x | 0 | request
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=99 | 59 | fresh
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=99 | 60 | stale
9111 §5.2.1.3 | max-age=60 | cache-control: min-fresh=30 | 30 | fresh
9111 §5.2.1.3 | max-age=60 | cache-control: min-fresh=30 | 31 | request
9111 §5.2.1.3 | max-age=60 | cache-control: min-fresh=61 | 0 | request
9111 §5.2.1.3 | max-age=60 | cache-control: min-fresh=x | 59 | fresh
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale | 9999 | accepted
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale=10 | 70 | accepted
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale=10 | 71 | stale
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale=0 | 60 | accepted
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale=x | 61 | stale
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale, min-fresh=1 | 60 | stale
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale, max-age=65 | 66 | request
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale, max-age=65 | 65 | accepted
9111 §5.2.1 | max-age=60 | cache-control: something-new | 0 | fresh
9111 §5.2.1.6 | max-age=60 | cache-control: no-transform | 0 | fresh
9111 §5.2.1.7 | max-age=60 | cache-control: only-if-cached | 0 | fresh
";

/// section | response's directives | request | seconds later | our bound | may it stand in for a failed upstream
const STANDING_IN: &str = "
5861 §4 | max-age=60, stale-if-error=10 | | 70 | 0 | yes
5861 §4 | max-age=60, stale-if-error=10 | | 71 | 0 | no
5861 §4 | max-age=60, stale-if-error=10 | | 71 | 99 | no
5861 §4 | max-age=60, stale-if-error=0 | | 61 | 99 | no
5861 §4 | max-age=60, stale-if-error=x | | 61 | 99 | no
5861 §4 | max-age=60, stale-if-error | | 61 | 99 | no
5861 §4 | max-age=60 | cache-control: stale-if-error=50 | 110 | 0 | yes
5861 §4 | max-age=60 | cache-control: stale-if-error=50 | 111 | 0 | no
5861 §4 | max-age=60, stale-if-error=10 | cache-control: stale-if-error=50 | 110 | 0 | yes
9111 §4.2.4 | max-age=60 | | 160 | 100 | yes
9111 §4.2.4 | max-age=60 | | 161 | 100 | no
9111 §4.2.4 | max-age=60 | | 61 | 0 | no
9111 §4.2.4 | max-age=60 | | 59 | 0 | yes
9111 §4.2.4 | max-age=60, no-cache | | 61 | 99 | no
9111 §4.2.4 | max-age=60, no-cache, stale-if-error=99 | | 1 | 99 | no
9111 §5.2.2.2 | max-age=60, must-revalidate | | 61 | 99 | no
9111 §5.2.2.2 | max-age=60, must-revalidate, stale-if-error=99 | | 61 | 99 | no
9111 §5.2.2.2 | max-age=60, Must-Revalidate | | 61 | 99 | no
9111 §5.2.2.2 | max-age=60, must-revalidate | cache-control: stale-if-error=99 | 61 | 99 | no
9111 §5.2.2.8 | max-age=60, proxy-revalidate | | 61 | 99 | no
9111 §5.2.2.10 | s-maxage=60 | | 61 | 99 | no
9111 §5.2.2.10 | max-age=60, s-maxage=x | | 61 | 99 | no
9111 §5.2.1.4 | max-age=60 | cache-control: no-cache | 61 | 99 | no
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=0 | 61 | 99 | no
9111 §5.2.1.1 | max-age=60 | cache-control: max-age=999 | 61 | 99 | no
9111 §5.2.1.3 | max-age=60 | cache-control: min-fresh=1 | 61 | 99 | no
9111 §5.2.1.2 | max-age=60 | cache-control: max-stale=1 | 61 | 99 | yes
";

/// section | response's directives | request | seconds later | our bound | is it sent while a new one is fetched
const MEANWHILE: &str = "
5861 §3 | max-age=60, stale-while-revalidate=10 | | 59 | 0 | no
5861 §3 | max-age=60, stale-while-revalidate=10 | | 60 | 0 | yes
5861 §3 | max-age=60, stale-while-revalidate=10 | | 69 | 0 | yes
5861 §3 | max-age=60, stale-while-revalidate=10 | | 70 | 0 | no
5861 §3 | max-age=60, stale-while-revalidate=10 | | 70 | 99 | no
5861 §3 | max-age=60, stale-while-revalidate=0 | | 60 | 99 | no
5861 §3 | max-age=60, stale-while-revalidate=x | | 60 | 99 | no
5861 §3 | max-age=60 | | 69 | 10 | yes
5861 §3 | max-age=60 | | 70 | 10 | no
5861 §3 | max-age=60 | | 60 | 0 | no
9111 §5.2.2.2 | max-age=60, must-revalidate, stale-while-revalidate=99 | | 61 | 99 | no
9111 §5.2.2.8 | max-age=60, proxy-revalidate, stale-while-revalidate=99 | | 61 | 99 | no
9111 §5.2.2.10 | s-maxage=60, stale-while-revalidate=99 | | 61 | 99 | no
9111 §5.2.2.4 | no-cache, stale-while-revalidate=99 | | 1 | 99 | no
9111 §5.2.1.4 | max-age=60, stale-while-revalidate=99 | cache-control: no-cache | 61 | 0 | no
9111 §5.2.1.1 | max-age=60, stale-while-revalidate=99 | cache-control: max-age=99 | 61 | 0 | no
9111 §5.2.1.3 | max-age=60, stale-while-revalidate=99 | cache-control: min-fresh=1 | 61 | 0 | no
";

fn judge<T>(row: &[&str], judge: impl Fn(Facts<'_>) -> T) -> T {
    let (response, request) = (fields(&format!("cache-control: {}", row[1])), fields(row[2]));
    let directives = ResponseDirectives::read(&response);
    let received = UNIX_EPOCH + Duration::from_secs(SECONDS);
    let exchange = Exchange { requested: received, received };
    let freshness = Freshness::of(StatusCode::OK, &response, &directives, &Terms::default(), exchange);
    let asked = RequestDirectives::read(&request);
    let now = received + Duration::from_secs(row[3].parse().unwrap());
    judge(Facts { freshness: &freshness, directives: &directives, asked: &asked, now })
}

#[test]
fn reusing() {
    for row in rows(REUSE) {
        let verdict = match judge(&row, decide) {
            Reuse::Fresh => "fresh",
            Reuse::AcceptedStale => "accepted",
            Reuse::Ask(reason) => reason.as_str(),
        };
        assert_eq!(verdict, row[4], "{row:?}");
    }
}

#[test]
fn emergencies() {
    for row in rows(STANDING_IN) {
        let bound = Duration::from_secs(row[4].parse().unwrap());
        assert_eq!(judge(&row, |facts| may_stand_in(facts, bound)), row[5] == "yes", "{row:?}");
    }
    for row in rows(MEANWHILE) {
        let bound = Duration::from_secs(row[4].parse().unwrap());
        assert_eq!(judge(&row, |facts| may_serve_meanwhile(facts, bound)), row[5] == "yes", "{row:?}");
    }
}
