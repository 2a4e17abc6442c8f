//! What goes through without being stored, and bodies that do not end well.

use super::*;

fn head(target: &str) -> DocumentRequest {
    DocumentRequest { method: Method::HEAD, ..Play::request(target, &[]) }
}

#[tokio::test(start_paused = true)]
async fn head_is_answered_from_a_get_and_never_stored() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61"), ("content-length", "3")], ""));
    let miss = play.ask(head("/x"), 0).await.unwrap();
    assert_eq!((miss.outcome, miss.field("content-length"), miss.text()), (Outcome::Pass, Some("3"), ""));
    assert_eq!(play.last_request().method, Method::HEAD);

    play.then(says(200, &[cc("max-age=61")], "one"));
    assert_eq!(play.get("/x", &[], 0).await.unwrap().outcome, Outcome::DocumentMiss);
    let hit = play.ask(head("/x"), 1).await.unwrap();
    assert_eq!((hit.outcome, hit.field("content-length"), hit.text()), (Outcome::DocumentHit, Some("3"), ""));

    // A stale GET is refreshed by a GET.
    play.then(says(200, &[cc("max-age=61")], "two!"));
    let refreshed = play.ask(head("/x"), 61).await.unwrap();
    assert_eq!((refreshed.field("content-length"), refreshed.text()), (Some("4"), ""));
    assert_eq!(play.last_request().method, Method::GET);
    assert_eq!(play.get("/x", &[], 62).await.unwrap().text(), "two!");
}

#[tokio::test(start_paused = true)]
async fn ranges() {
    let play = Play::new();
    let range = [("range", "bytes=1-1"), ("if-range", "\"a\"")];
    play.then(says(206, &[cc("max-age=61"), ("content-range", "bytes 1-1/3"), ("etag", "\"a\"")], "n"));
    let passed = play.get("/x", &range, 0).await.unwrap();
    assert_eq!((passed.status, passed.text(), passed.outcome), (206, "n", Outcome::Pass));
    assert_eq!(play.last_request().headers, fields(&range));

    play.then(says(200, &[cc("max-age=61"), ("etag", "\"a\"")], "one"));
    assert_eq!(play.get("/x", &[], 0).await.unwrap().text(), "one");
    let part = play.get("/x", &range, 1).await.unwrap();
    assert_eq!((part.status, part.text(), part.field("content-range")), (206, "n", Some("bytes 1-1/3")));
    let none = play.get("/x", &[("range", "bytes=9-")], 1).await.unwrap();
    assert_eq!((none.status, none.field("content-range")), (416, Some("bytes */3")));
    assert_eq!(play.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn conditions_for_the_origin() {
    let play = Play::new();
    play.then(says(200, &[cc("max-age=61")], "one")).then(says(412, &[], ""));
    play.get("/x", &[], 0).await.unwrap();
    let condition = [("if-match", "\"z\"")];
    assert_eq!(play.get("/x", &condition, 1).await.unwrap().status, 412);
    assert_eq!(play.last_request().headers, fields(&condition));
}

#[tokio::test(start_paused = true)]
async fn too_large() {
    let play = Play::new();
    let big = "x".repeat(MAX_SIZE as usize + 1);
    let length = big.len().to_string();
    for headers in [&[cc("max-age=61"), ("content-length", length.as_str())][..], &[cc("max-age=61")]] {
        play.then(says(200, headers, &big));
        let got = play.get("/x", &[], 0).await.unwrap();
        assert_eq!(got.text().len(), big.len());
        assert_eq!(got.cache_status, "fwd=uri-miss; fwd-status=200; detail=too_large");
    }
    let exact = "x".repeat(MAX_SIZE as usize);
    play.then(says(200, &[cc("max-age=61")], &exact));
    play.get("/x", &[], 0).await.unwrap();
    assert_eq!(play.get("/x", &[], 1).await.unwrap().outcome, Outcome::DocumentHit);
}

#[tokio::test(start_paused = true)]
async fn something_new_that_may_not_be_kept_displaces_what_was() {
    let play = Play::new();
    let target = "/cvmfs/r.example/.cvmfswhitelist";
    play.then(says(200, &[cc("max-age=61")], "one"))
        .then(says(200, &[cc("no-store")], "two"))
        .then(Err(Gone("down")));
    play.get(target, &[], 0).await.unwrap();
    assert_eq!(play.get(target, &[], 61).await.unwrap().text(), "two");
    assert_eq!(play.get(target, &[], 62).await, Err(Failure::Upstream(Gone("down"))));
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_not_whole_are_never_stored() {
    let play = Play::new();
    play.then(ends(200, &[cc("max-age=61")], &[b"on"], End::Broken));
    assert_eq!(play.get("/x", &[], 0).await, Err(Failure::Upstream(Gone("broken"))));
    play.then(ends(200, &[cc("max-age=61"), ("content-length", "3")], &[b"on"], End::Clean));
    assert_eq!(play.get("/x", &[], 0).await, Err(Failure::Length { expected: 3, received: 2 }));
    play.then(ends(200, &[cc("private")], &[b"on"], End::Broken));
    assert_eq!(play.get("/x", &[], 0).await.unwrap().body, Err(Failure::Upstream(Gone("broken"))));
    play.then(says(200, &[cc("max-age=61")], "one"));
    assert_eq!(play.get("/x", &[], 0).await.unwrap().text(), "one");
}
