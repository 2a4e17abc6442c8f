//! What an operator's `[[documents]]` change, and what they do not.

use super::*;

/// `key=value` pairs beside the pattern, in seconds.
fn rule(pattern: &str, times: &[(&str, u64)]) -> DocumentRule {
    let time = |name| times.iter().find(|(key, _)| *key == name).map(|(_, time)| Duration::from_secs(*time));
    DocumentRule {
        pattern: pattern.parse().unwrap(),
        ttl: time("ttl"),
        negative_ttl: time("negative_ttl"),
        stale_if_error: time("stale_if_error"),
        stale_while_revalidate: time("stale_while_revalidate"),
    }
}

/// Whether the second of two requests, `second` s after the first, is answered without asking.
async fn reused(
    rules: &[DocumentRule],
    status: u16,
    headers: Fields<'_>,
    asked: Fields<'_>,
    second: u64,
) -> bool {
    let play = Play::with_rules(rules);
    play.then(says(status, headers, "one")).then(says(status, headers, "two"));
    play.get("/crl.pem", asked, 0).await.unwrap();
    play.get("/crl.pem", asked, second).await.unwrap();
    play.requests() == 1
}

#[tokio::test(start_paused = true)]
async fn lifetimes() {
    let rules = [rule("*/*.pem", &[("ttl", 100), ("negative_ttl", 10)])];
    let expires = [("expires", "0")];
    let table: [(u16, Fields<'_>, Fields<'_>, u64, bool); 17] = [
        (200, &[], &[], 99, true),
        (200, &[], &[], 100, false),
        (200, &[cc("max-age=1")], &[], 99, true),
        (200, &[cc("max-age=1000")], &[], 101, false),
        (200, &expires, &[], 99, true),
        (301, &[], &[], 99, true),
        (302, &[], &[], 1, false),
        (404, &[], &[], 9, true),
        (404, &[], &[], 10, false),
        (404, &[cc("max-age=2")], &[], 3, false),
        (410, &[], &[], 9, true),
        (503, &[], &[], 1, false),
        // Never against the answer's or the request's own word.
        (200, &[cc("no-store")], &[], 1, false),
        (200, &[cc("private")], &[], 1, false),
        (200, &[cc("no-cache")], &[], 1, false),
        (200, &[], &[("authorization", "Basic eDp5")], 1, false),
        (200, &[], &[cc("no-cache")], 1, false),
    ];
    for (status, headers, asked, second, expected) in table {
        let got = reused(&rules, status, headers, asked, second).await;
        assert_eq!(got, expected, "{status} {headers:?} {asked:?} at {second} s");
    }
    // Others are not meant.
    assert!(!reused(&[rule("b.example/*", &[("ttl", 100)])], 200, &[], &[], 1).await);
}

#[tokio::test(start_paused = true)]
async fn the_stale_bound() {
    let whitelist = "/cvmfs/r.example/.cvmfswhitelist";
    let check = async |rules: &[DocumentRule], directives: &str, second, expected: bool| {
        let play = Play::with_rules(rules);
        play.then(says(200, &[cc(directives)], "one")).then(Err(Gone("down")));
        play.get(whitelist, &[], 0).await.unwrap();
        let stale = play.get(whitelist, &[], second).await.is_ok();
        assert_eq!(stale, expected, "{rules:?} {directives} at {second} s");
    };
    let rules = [rule("whitelists", &[("stale_if_error", 10)]), rule("cvmfs", &[("stale_if_error", 1000)])];
    check(&rules, "max-age=61", 71, true).await;
    check(&rules, "max-age=61", 72, false).await;
    check(&rules, "max-age=61, must-revalidate", 62, false).await;
    check(&rules, "max-age=61, stale-if-error=100", 161, true).await;
    check(&rules[1..], "max-age=61", 1061, true).await;
    check(&rules[1..], "max-age=61", 1062, false).await;
}

#[tokio::test(start_paused = true)]
async fn the_old_one_is_sent_while_a_new_one_is_fetched() {
    let play = Play::with_rules(&[rule("*/*", &[("stale_while_revalidate", 30)])]);
    play.then(says(200, &[cc("max-age=10")], "one"));
    play.get("/x", &[], 0).await.unwrap();
    let held = play.ask_held(Play::request("/x", &[]), 12);
    let got = held.client.await.unwrap().unwrap();
    assert_eq!((got.text(), got.outcome), ("one", Outcome::DocumentStale));
    assert_eq!(got.cache_status, "hit; ttl=-2; detail=stale_while_revalidate");
    held.arrival.await.unwrap();
    // One refresh at a time, and nobody waits for it.
    assert_eq!(play.get("/x", &[], 13).await.unwrap().text(), "one");
    assert_eq!(play.requests(), 2);
    held.release.send(says(200, &[cc("max-age=10")], "two")).unwrap();
    while play.documents.flights.start(&Play::request("/x", &[]).key).is_none() {
        tokio::task::yield_now().await;
    }
    let got = play.get("/x", &[], 13).await.unwrap();
    assert_eq!((got.text(), got.outcome), ("two", Outcome::DocumentHit));
    // Beyond the bound it is waited for.
    play.then(says(200, &[cc("max-age=10")], "three"));
    assert_eq!(play.get("/x", &[], 60).await.unwrap().text(), "three");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_behind_leaves_the_upstream_alone_for_a_while() {
    let play = Play::with_rules(&[rule("*/*", &[("stale_while_revalidate", 30)])]);
    play.then(says(200, &[cc("max-age=10")], "one")).then(Err(Gone("down")));
    play.get("/x", &[], 0).await.unwrap();
    for second in [11, 12, 15] {
        assert_eq!(play.get("/x", &[], second).await.unwrap().text(), "one");
        while play.documents.flights.start(&Play::request("/x", &[]).key).is_none() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(play.requests(), 2);
    play.then(says(200, &[cc("max-age=10")], "two"));
    assert_eq!(play.get("/x", &[], 17).await.unwrap().text(), "one");
}
