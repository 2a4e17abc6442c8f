//! Manifests from several mirrors, some of which lag, lie or break.

use super::super::manifest::tests::manifest;
use super::*;

const PATH: &str = "/cvmfs/r.example/.cvmfspublished";

fn at_host(authority: &str, scope: &str) -> DocumentRequest {
    DocumentRequest {
        key: DocumentKey::new(authority, PATH),
        scope: scope.into(),
        ..Play::request(PATH, &[])
    }
}

fn revision_in(got: &Got) -> &str {
    got.text().lines().find_map(|line| line.strip_prefix('S')).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_older_one_is_replaced_by_the_newest_known() {
    let play = Play::new();
    let (old, new) = (manifest(START - 20, 1), manifest(START - 10, 2));
    play.then(says(200, &[cc("max-age=61"), ("x-mirror", "a")], &new));
    play.then(says(200, &[cc("max-age=30"), ("x-mirror", "b"), ("age", "4")], &old));
    play.get(PATH, &[], 0).await.unwrap();
    let got = play.get(PATH, &[], 61).await.unwrap();
    assert_eq!(
        (revision_in(&got), got.field("cache-control"), got.field("age")),
        ("2", Some("max-age=30"), Some("4"))
    );
    assert_eq!(got.cache_status, "fwd=stale; fwd-status=200; stored; ttl=26; detail=older_manifest");
    assert_eq!(play.metrics.document.manifest_rollbacks.get(), 1);
    // It is as fresh as the older one was.
    assert_eq!(revision_in(&play.get(PATH, &[], 86).await.unwrap()), "2");
    play.then(says(200, &[cc("max-age=61")], manifest(START, 3)));
    assert_eq!(revision_in(&play.get(PATH, &[], 87).await.unwrap()), "3");
}

#[tokio::test(start_paused = true)]
async fn mirrors_of_one_group_speak_with_one_voice() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61")], manifest(START - 20, 1)));
    play.then(says(200, &[cc("max-age=61")], manifest(START - 10, 2)));
    play.then(says(200, &[cc("max-age=61")], manifest(START - 20, 1)));
    assert_eq!(revision_in(&play.ask(at_host("a", "group"), 0).await.unwrap()), "1");
    assert_eq!(revision_in(&play.ask(at_host("b", "group"), 1).await.unwrap()), "2");
    // Fresh under the first host's name, but a client may have seen the second's.
    let hit = play.ask(at_host("a", "group"), 2).await.unwrap();
    assert_eq!((revision_in(&hit), hit.field("age"), hit.outcome), ("2", Some("2"), Outcome::DocumentHit));
    // Hosts outside the group neither profit nor harm.
    assert_eq!(revision_in(&play.ask(at_host("c", "c"), 3).await.unwrap()), "1");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_lapses() {
    let play = Play::new();
    let hold = Policy::default().manifest_hold.as_secs();
    let old = || says(200, &[cc("max-age=1")], manifest(START - 20, 1));
    play.then(says(200, &[cc("max-age=1")], manifest(START - 10, u64::MAX))).then(old()).then(old());
    play.get(PATH, &[], 0).await.unwrap();
    assert_eq!(revision_in(&play.get(PATH, &[], hold - 1).await.unwrap()), u64::MAX.to_string());
    assert_eq!(revision_in(&play.get(PATH, &[], hold).await.unwrap()), "1");
}

#[tokio::test(start_paused = true)]
async fn damaged_ones() {
    let play = Play::new();
    let mut damaged = manifest(START - 5, 3);
    damaged[3] ^= 1;
    // With nothing better: passed on, for the client to judge; never stored.
    play.then(says(200, &[cc("max-age=61")], &damaged));
    let got = play.get(PATH, &[], 0).await.unwrap();
    assert_eq!(
        (got.status, got.cache_status.as_str()),
        (200, "fwd=uri-miss; fwd-status=200; ttl=61; detail=bad_manifest")
    );
    // Never over a good one, which stands in.
    play.then(says(200, &[cc("max-age=61")], manifest(START - 10, 2)));
    play.get(PATH, &[], 1).await.unwrap();
    play.then(says(200, &[cc("max-age=61")], "<html>maintenance</html>"));
    let got = play.get(PATH, &[], 62).await.unwrap();
    assert_eq!((revision_in(&got), got.outcome), ("2", Outcome::DocumentStale));
    assert_eq!(play.metrics.document.manifest_damages.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn damaged_whitelists() {
    const WHITELIST: &str = "/cvmfs/r.example/.cvmfswhitelist";
    let play = Play::new();
    let good = manifest(START, 1);
    let mut damaged = good.clone();
    damaged[3] ^= 1;
    play.then(says(200, &[cc("max-age=61")], &damaged));
    let got = play.get(WHITELIST, &[], 0).await.unwrap();
    assert_eq!(got.cache_status, "fwd=uri-miss; fwd-status=200; ttl=61; detail=bad_manifest");
    play.then(says(200, &[cc("max-age=61")], &good));
    play.get(WHITELIST, &[], 1).await.unwrap();
    play.then(says(200, &[cc("max-age=61")], &damaged));
    let got = play.get(WHITELIST, &[], 62).await.unwrap();
    assert!(
        got.outcome == Outcome::DocumentStale && got.text().starts_with("C000"),
        "the good one stands in"
    );
    // Of a form nobody knows: like any document.
    play.then(says(200, &[cc("max-age=61")], "another form"));
    play.get(WHITELIST, &[], 100).await.unwrap();
    assert_eq!(play.get(WHITELIST, &[], 101).await.unwrap().text(), "another form");
    assert_eq!(play.metrics.document.manifest_damages.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_304_confirms_and_keeps_the_revision() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61"), ("etag", "\"2\"")], manifest(START - 10, 2)));
    play.then(says(304, &[cc("max-age=61")], ""));
    play.then(says(200, &[cc("max-age=61"), ("etag", "\"1\"")], manifest(START - 20, 1)));
    for second in [0, 61, 122] {
        let got = play.get(PATH, &[], second).await.unwrap();
        assert_eq!((revision_in(&got), got.field("etag")), ("2", Some("\"2\"")), "at {second} s");
    }
    assert_eq!(play.requests(), 3);
}
