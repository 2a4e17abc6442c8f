//! Stored answers: when they are reused, validated, updated.

use super::*;

const X: &str = "/x?a=1&b=%20";

/// Two GETs of one URL, `gap` seconds apart: does the second reach the origin?
async fn check(
    first: Fields<'_>,
    status: u16,
    response: Fields<'_>,
    second: Fields<'_>,
    gap: u64,
    reused: bool,
) {
    let play = Play::new();
    play.then(says(status, response, "one")).then(says(200, &[], "two"));
    play.get(X, first, 0).await.unwrap();
    let got = play.get(X, second, gap).await.unwrap();
    let label = format!("{first:?} -> {status} {response:?}, then {second:?} after {gap} s");
    assert_eq!(got.text(), if reused { "one" } else { "two" }, "{label}");
    assert_eq!(play.requests(), if reused { 1 } else { 2 }, "{label}");
}

#[tokio::test(start_paused = true)]
async fn freshness() {
    check(&[], 200, &[cc("max-age=61")], &[], 60, true).await;
    check(&[], 200, &[cc("max-age=61")], &[], 61, false).await;
    check(&[], 200, &[cc("max-age=61"), ("age", "30")], &[], 30, true).await;
    check(&[], 200, &[cc("max-age=61"), ("age", "30")], &[], 31, false).await;
    check(&[], 200, &[cc("max-age=61"), ("age", "61")], &[], 0, false).await;
    check(&[], 200, &[cc("max-age=61, s-maxage=5")], &[], 5, false).await;
    check(&[], 200, &[cc("max-age=61"), ("date", "Fri, 15 Jan 2027 07:59:00 GMT")], &[], 0, true).await;
    check(&[], 200, &[cc("max-age=59"), ("date", "Fri, 15 Jan 2027 07:59:00 GMT")], &[], 0, false).await;
    check(&[], 200, &[("expires", "Fri, 15 Jan 2027 08:01:00 GMT")], &[], 59, true).await;
    check(&[], 200, &[("expires", "Fri, 15 Jan 2027 08:01:00 GMT")], &[], 60, false).await;
    check(&[], 200, &[("expires", "0")], &[], 0, false).await;
    check(&[], 200, &[], &[], 0, false).await;
    check(&[], 200, &[("last-modified", "Fri, 15 Jan 2027 07:00:00 GMT")], &[], 300, true).await;
    check(&[], 200, &[("last-modified", "Fri, 15 Jan 2027 07:00:00 GMT")], &[], 400, false).await;
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_reused() {
    for directive in ["no-store", "NO-STORE", "private", "Private", "no-cache", "No-Cache", "no-cache=\"a\""]
    {
        check(&[], 200, &[cc(&format!("max-age=61, {directive}"))], &[], 0, false).await;
    }
    let auth = ("authorization", "Basic x");
    check(&[auth], 200, &[cc("max-age=61")], &[auth], 0, false).await;
    check(&[auth], 200, &[cc("max-age=61")], &[], 0, false).await;
    check(&[auth], 200, &[cc("max-age=61, public")], &[], 0, true).await;
    check(&[], 200, &[cc("max-age=61")], &[auth], 0, true).await;
    check(&[cc("no-store")], 200, &[cc("max-age=61")], &[], 0, false).await;
    check(&[], 200, &[cc("max-age=61"), ("vary", "*")], &[], 0, false).await;
    check(&[], 200, &[cc("max-age=61")], &[("pragma", "no-cache")], 0, false).await;
    check(&[], 200, &[cc("max-age=61")], &[cc("no-cache")], 0, false).await;
    check(&[], 200, &[cc("max-age=61")], &[cc("max-age=0")], 0, false).await;
    check(&[], 200, &[cc("max-age=61")], &[cc("max-age=9")], 9, true).await;
    check(&[], 200, &[cc("max-age=61")], &[cc("min-fresh=9")], 53, false).await;
    check(&[], 200, &[cc("max-age=61")], &[cc("max-stale=9")], 70, true).await;
    check(&[], 200, &[cc("max-age=61, must-revalidate")], &[cc("max-stale=9")], 70, false).await;
}

#[tokio::test(start_paused = true)]
async fn statuses() {
    for status in [200, 203, 204, 301, 302, 307, 308, 400, 403, 404, 410, 503] {
        check(&[], status, &[cc("max-age=61")], &[], 60, true).await;
    }
    for status in [302, 307, 400, 403, 404, 500, 502, 503, 504] {
        check(&[], status, &[("last-modified", "Fri, 15 Jan 2027 07:00:00 GMT")], &[], 0, status == 404)
            .await;
        check(&[], status, &[], &[], 0, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_whole_url_is_the_key() {
    let play = Play::new();
    for target in ["/x", "/x?", "/x?a", "/x?a=1&b", "/x?b&a=1", "/X", "/x?%41"] {
        play.then(says(200, &[cc("max-age=61")], target));
        play.get(target, &[], 0).await.unwrap();
    }
    for target in ["/x", "/x?", "/x?a", "/x?a=1&b", "/x?b&a=1", "/X", "/x?%41"] {
        assert_eq!(play.get(target, &[], 0).await.unwrap().text(), target);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_says() {
    let play = Play::new();
    let date = ("date", "Fri, 15 Jan 2027 07:59:59 GMT");
    let hop = [("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=5")];
    let response = [
        cc("max-age=61"),
        date,
        ("age", "7"),
        ("x-unknown", "a"),
        ("x-unknown", "b"),
        hop[0],
        hop[1],
        hop[2],
    ];
    play.then(says(200, &response, "one"));
    let miss = play
        .get(X, &[("host", "h"), ("connection", "x-own"), ("x-own", "1"), ("x-end", "2")], 0)
        .await
        .unwrap();
    assert_eq!(miss.outcome, Outcome::DocumentMiss);
    assert_eq!(miss.cache_status, "fwd=uri-miss; fwd-status=200; stored; ttl=54");
    assert_eq!(play.last_request().headers, fields(&[("x-end", "2")]));
    let hit = play.get(X, &[], 10).await.unwrap();
    assert_eq!((hit.outcome, hit.cache_status.as_str()), (Outcome::DocumentHit, "hit; ttl=44"));
    assert_eq!((miss.field("age"), hit.field("age")), (Some("7"), Some("17")));
    assert_eq!((hit.field("date"), hit.field("content-length")), (Some(date.1), Some("3")));
    assert_eq!(hit.headers.get_all("x-unknown").iter().count(), 2);
    for name in ["connection", "x-hop", "keep-alive"] {
        assert_eq!((miss.field(name), hit.field(name)), (None, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_renews_the_stored_answer() {
    let play = Play::new();
    let first = [
        cc("max-age=10"),
        ("etag", "\"a\""),
        ("x-old", "1"),
        ("x-both", "1"),
        ("content-type", "text/plain"),
    ];
    play.then(says(200, &first, "one"));
    play.then(says(
        304,
        &[cc("max-age=20"), ("etag", "\"a\""), ("x-both", "2"), ("age", "3"), ("content-length", "0")],
        "",
    ));
    play.get(X, &[], 0).await.unwrap();
    let renewed = play.get(X, &[("if-none-match", "\"own\""), ("range", "bytes=0-0")], 10).await.unwrap();
    assert_eq!(play.last_request().headers, fields(&[("if-none-match", "\"a\"")]));
    assert_eq!((renewed.status, renewed.text()), (206, "o"));
    assert_eq!(renewed.outcome, Outcome::DocumentRevalidated);
    assert_eq!(renewed.cache_status, "fwd=stale; fwd-status=304; stored; ttl=17");
    let hit = play.get(X, &[], 26).await.unwrap();
    assert_eq!((hit.text(), hit.field("age"), hit.field("content-length")), ("one", Some("19"), Some("3")));
    assert_eq!(
        (hit.field("x-old"), hit.field("x-both"), hit.field("content-type")),
        (Some("1"), Some("2"), Some("text/plain"))
    );
    assert_eq!(play.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_304_that_withdraws_the_answer() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=10"), ("etag", "\"a\"")], "one"));
    play.then(says(304, &[cc("no-store")], ""));
    play.then(says(200, &[], "two"));
    play.get(X, &[], 0).await.unwrap();
    let confirmed = play.get(X, &[], 10).await.unwrap();
    assert_eq!(
        (confirmed.text(), confirmed.cache_status.as_str()),
        ("one", "fwd=stale; fwd-status=304; ttl=0; detail=no_store")
    );
    assert_eq!(play.get(X, &[], 10).await.unwrap().text(), "two");
    assert!(!play.last_request().headers.contains_key("if-none-match"));
}

#[tokio::test(start_paused = true)]
async fn a_304_about_something_else() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=10"), ("etag", "\"a\"")], "one"));
    play.then(says(304, &[("etag", "\"b\"")], "")).then(says(200, &[], "two")).then(says(304, &[], ""));
    play.get(X, &[], 0).await.unwrap();
    assert_eq!(play.get(X, &[], 10).await, Err(Failure::ForeignNotModified));
    assert_eq!(play.get(X, &[], 10).await.unwrap().text(), "two");
    assert_eq!(play.get("/never-stored", &[], 10).await, Err(Failure::ForeignNotModified));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_validates() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61"), ("etag", "\"a\"")], "one"));
    let miss = play.get(X, &[("if-none-match", "\"a\"")], 0).await.unwrap();
    assert_eq!((miss.status, miss.text(), miss.field("content-length")), (304, "", None));
    assert!(play.last_request().headers.is_empty());
    for list in ["W/\"a\"", "\"x\", \"a\"", "*"] {
        assert_eq!(play.get(X, &[("if-none-match", list)], 1).await.unwrap().status, 304, "{list}");
    }
    assert_eq!(play.get(X, &[("if-none-match", "\"b\"")], 1).await.unwrap().status, 200);
    assert_eq!(play.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn variants() {
    let play = Play::new();
    let response = [cc("max-age=61"), ("vary", "F")];
    play.then(says(200, &response, "one")).then(says(200, &response, "two"));
    play.get(X, &[("f", "1")], 0).await.unwrap();
    let other = play.get(X, &[("f", "2")], 0).await.unwrap();
    assert_eq!(other.cache_status, "fwd=vary-miss; fwd-status=200; stored; ttl=61");
    assert_eq!(play.get(X, &[("f", "1")], 1).await.unwrap().text(), "one");
    assert_eq!(play.get(X, &[("f", "2")], 1).await.unwrap().text(), "two");
}

#[tokio::test(start_paused = true)]
async fn only_if_cached() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61")], "one"));
    let only = [cc("only-if-cached")];
    assert_eq!(play.get(X, &only, 0).await, Err(Failure::OnlyIfCached));
    play.get(X, &[], 0).await.unwrap();
    assert_eq!(play.get(X, &only, 1).await.unwrap().text(), "one");
    assert_eq!(play.get(X, &only, 61).await, Err(Failure::OnlyIfCached));
    assert_eq!(play.requests(), 1);
}
