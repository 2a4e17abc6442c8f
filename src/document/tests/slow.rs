//! Bodies that come too slowly to be waited for.

use super::super::manifest::tests::manifest;
use super::*;

const X: &str = "/x";

/// An answer of six bytes, of which two are there; the rest when it is sent.
fn slow(headers: Fields<'_>) -> (mpsc::UnboundedSender<&'static str>, Upstream) {
    let (more, later) = mpsc::unbounded_channel();
    (more, ends(200, headers, &[b"ab"], End::Later(later)))
}

/// The answer's head, which must come although the body has not ended.
async fn answered(
    play: &Play,
    request: DocumentRequest,
    upstream: Upstream,
) -> Result<Answer<Pieces, Gone>, Failure<Gone>> {
    play.documents.answer(request, move |_| async move { upstream }, at(0)).await
}

const SIX: Fields<'_> = &[("cache-control", "max-age=61"), ("content-length", "6"), ("etag", "\"a\"")];

#[tokio::test(start_paused = true)]
async fn all_read_along_and_it_is_stored() {
    let play = Play::new();
    let (more, upstream) = slow(SIX);
    let mut leader = play.ask_held(Play::request(X, &[]), 0);
    (&mut leader.arrival).await.unwrap();
    let waiter = play.ask_held(Play::request(X, &[]), 0);
    play.until_waiting(1).await;
    leader.release.send(upstream).unwrap();
    // The waiter has its answer while the body still arrives; one that comes later reads along from the start.
    tokio::task::yield_now().await;
    tokio::time::advance(Policy::default().patience).await;
    play.until_waiting(0).await;
    let late = answered(&play, Play::request(X, &[]), Err(Gone("asked again"))).await.unwrap();
    assert_eq!(late.response.headers()["content-length"], "6");
    more.send("cd").unwrap();
    more.send("ef").unwrap();
    drop(more);
    let late = got(Ok(late)).await.unwrap();
    assert_eq!(late.cache_status, "fwd=uri-miss; fwd-status=200; collapsed; ttl=61; detail=slow_body");
    for (got, outcome) in [
        (leader.client.await.unwrap().unwrap(), Outcome::DocumentMiss),
        (waiter.client.await.unwrap().unwrap(), Outcome::DocumentCollapsed),
        (late, Outcome::DocumentCollapsed),
        (play.get(X, &[], 2).await.unwrap(), Outcome::DocumentHit),
    ] {
        assert_eq!((got.text(), got.outcome), ("abcdef", outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_stored_although_nobody_reads_it() {
    let play = Play::new();
    let (more, upstream) = slow(SIX);
    drop(answered(&play, Play::request(X, &[]), upstream).await.unwrap());
    more.send("cdef").unwrap();
    drop(more);
    while play.metrics.document.refreshing.get() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(play.get(X, &[], 2).await.unwrap().text(), "abcdef");
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_short_cuts_all_off() {
    let play = Play::new();
    let (more, upstream) = slow(SIX);
    let answer = answered(&play, Play::request(X, &[]), upstream).await;
    drop(more);
    assert_eq!(got(answer).await.unwrap().body, Err(Failure::Length { expected: 6, received: 2 }));
    play.then(says(200, &[], "again"));
    assert_eq!(play.get(X, &[], 2).await.unwrap().text(), "again");
}

#[tokio::test(start_paused = true)]
async fn one_that_never_ends_is_given_up() {
    let play = Play::new();
    let (_more, upstream) = slow(SIX);
    let answer = answered(&play, Play::request(X, &[]), upstream).await;
    assert_eq!(got(answer).await.unwrap().body, Err(Failure::TooSlow));
}

#[tokio::test(start_paused = true)]
async fn conditions_and_heads_need_not_wait() {
    let play = Play::new();
    let (_more, upstream) = slow(SIX);
    let request = Play::request(X, &[("if-none-match", "\"a\"")]);
    let not_modified = got(answered(&play, request, upstream).await).await.unwrap();
    assert_eq!(
        (not_modified.status, not_modified.text(), not_modified.field("content-length")),
        (304, "", None)
    );
}

#[tokio::test(start_paused = true)]
async fn without_length_it_passes() {
    let play = Play::new();
    let (more, upstream) = slow(&[cc("max-age=61")]);
    let answer = answered(&play, Play::request(X, &[]), upstream).await;
    more.send("cdef").unwrap();
    drop(more);
    let got = got(answer).await.unwrap();
    assert_eq!(
        (got.text(), got.cache_status.as_str()),
        ("abcdef", "fwd=uri-miss; fwd-status=200; detail=slow_body")
    );
}

#[tokio::test(start_paused = true)]
async fn a_manifest_is_judged_whole_or_not_sent() {
    let play = Play::new();
    let path = "/cvmfs/r.example/.cvmfspublished";
    let (_more, upstream) = slow(SIX);
    assert!(matches!(answered(&play, Play::request(path, &[]), upstream).await, Err(Failure::TooSlow)));
    play.then(says(200, &[cc("max-age=61")], manifest(START - 10, 2)));
    play.get(path, &[], 0).await.unwrap();
    play.then(slow(SIX).1).then(slow(&[]).1);
    assert_eq!(play.get(path, &[], 61).await.unwrap().outcome, Outcome::DocumentStale);
}
