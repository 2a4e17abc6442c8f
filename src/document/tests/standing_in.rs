//! Stale answers while the upstream fails.

use super::*;

const WHITELIST: &str = "/cvmfs/r.example/.cvmfswhitelist";
const DAY: u64 = 24 * 3600;

/// An answer is stored; `second` seconds later the upstream fails. Is the stored one sent?
async fn check(
    target: &str,
    stored: &str,
    failure: Upstream,
    request: Fields<'_>,
    second: u64,
    expected: bool,
) {
    let play = Play::new();
    let failed_with = failure.as_ref().map(Response::status).map_err(|error| *error);
    play.then(says(200, &[cc(stored)], "one")).then(failure);
    play.get(target, &[], 0).await.unwrap();
    let got = play.get(target, request, second).await;
    let stale = got.as_ref().is_ok_and(|got| got.outcome == Outcome::DocumentStale && got.text() == "one");
    assert_eq!(stale, expected, "{target} {stored}, {failed_with:?} to {request:?} at {second} s: {got:?}");
    assert_eq!(play.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn within_the_bounds() {
    let down = || Err(Gone("down"));
    check(WHITELIST, "max-age=61", down(), &[], 61, true).await;
    check(WHITELIST, "max-age=61", down(), &[], 61 + DAY, true).await;
    check(WHITELIST, "max-age=61", down(), &[], 62 + DAY, false).await;
    for status in [500, 502, 503, 504] {
        check(WHITELIST, "max-age=61", says(status, &[], "busy"), &[], 61, true).await;
    }
    check(WHITELIST, "max-age=61", says(404, &[], "none"), &[], 61, false).await;
    check(WHITELIST, "max-age=61", says(304, &[], ""), &[], 61, true).await;
    check(WHITELIST, "max-age=61", ends(200, &[], &[b"o"], End::Broken), &[], 61, true).await;
    check(WHITELIST, "max-age=61", ends(200, &[("content-length", "3")], &[b"o"], End::Clean), &[], 61, true)
        .await;
    check(WHITELIST, "max-age=61, stale-if-error=9", down(), &[], 71, false).await;
    check("/crl.pem", "max-age=61", down(), &[], 61, false).await;
    check("/crl.pem", "max-age=61, stale-if-error=9", down(), &[], 70, true).await;
    check("/crl.pem", "max-age=61", down(), &[cc("stale-if-error=9")], 70, true).await;
}

#[tokio::test(start_paused = true)]
async fn never_against_what_either_side_says() {
    for directive in ["must-revalidate", "proxy-revalidate", "s-maxage=61", "no-cache"] {
        let stored = format!("max-age=61, stale-if-error=99, {directive}");
        check(WHITELIST, &stored, Err(Gone("down")), &[], 61, false).await;
        check(WHITELIST, &stored, says(503, &[], "busy"), &[], 61, false).await;
    }
    for demand in ["no-cache", "max-age=0", "max-age=30", "min-fresh=1"] {
        check(WHITELIST, "max-age=61", Err(Gone("down")), &[cc(demand)], 61, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_upstream_is_left_alone_for_a_while() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61")], "one")).then(Err(Gone("down")));
    play.get(WHITELIST, &[], 0).await.unwrap();
    for second in [100, 101, 104] {
        let got = play.get(WHITELIST, &[], second).await.unwrap();
        assert_eq!((got.text(), got.outcome), ("one", Outcome::DocumentStale));
        assert_eq!(got.cache_status, format!("hit; ttl=-{}; detail=stale_if_error", second - 61));
    }
    assert_eq!(play.requests(), 2);
    play.then(says(200, &[cc("max-age=61")], "two"));
    assert_eq!(play.get(WHITELIST, &[], 105).await.unwrap().text(), "two");
    assert_eq!(play.metrics.document.stale.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_displace_the_good_copy() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61")], "one")).then(says(404, &[], "gone")).then(Err(Gone("down")));
    play.get(WHITELIST, &[], 0).await.unwrap();
    assert_eq!(play.get(WHITELIST, &[], 61).await.unwrap().status, 404);
    assert_eq!(play.get(WHITELIST, &[], 62).await.unwrap().text(), "one");
}
