//! Ranges of documents that are not stored: which parts are kept, and what they come to.

use super::*;

const WHOLE: &str = "0123456789";

/// The answer to a range of [`WHOLE`], of the version that `tag` names.
fn part(range: std::ops::Range<usize>, tag: &str) -> Upstream {
    part_of(WHOLE, range, &[cc("max-age=61"), ("etag", tag), ("x-note", "kept")])
}

fn part_of(whole: &str, range: std::ops::Range<usize>, more: Fields<'_>) -> Upstream {
    let told = format!("bytes {}-{}/{}", range.start, range.end - 1, whole.len());
    let length = range.len().to_string();
    let mut headers = vec![("content-range", told.as_str()), ("content-length", length.as_str())];
    headers.extend_from_slice(more);
    says(206, &headers, &whole[range])
}

fn range(text: &str) -> [(&str, &str); 1] {
    [("range", text)]
}

impl Play {
    /// Asks for a range twice, the second time a second later: whether that was answered from here.
    async fn is_kept(&self, answer: Upstream, headers: Fields<'_>) -> bool {
        self.then(answer);
        self.get("/x", headers, 0).await.unwrap();
        let before = self.requests();
        self.then(says(416, &[], ""));
        self.get("/x", headers, 1).await.unwrap();
        self.requests() == before
    }
}

#[tokio::test(start_paused = true)]
async fn parts_answer_what_they_have_and_become_the_whole() {
    let play = Play::new();
    play.then(part(0..4, "\"a\""));
    let passed = play.get("/x", &range("bytes=0-3"), 0).await.unwrap();
    assert_eq!(
        (passed.status, passed.text(), &*passed.cache_status),
        (206, "0123", "fwd=uri-miss; fwd-status=206; detail=part")
    );
    let hit = play.get("/x", &range("bytes=1-2"), 10).await.unwrap();
    assert_eq!((hit.status, hit.text(), hit.field("content-range")), (206, "12", Some("bytes 1-2/10")));
    assert_eq!(
        (hit.field("age"), hit.field("x-note"), hit.outcome),
        (Some("10"), Some("kept"), Outcome::DocumentHit)
    );
    assert_eq!(hit.cache_status, "hit; ttl=51; detail=parts");
    let beyond = play.get("/x", &range("bytes=10-"), 10).await.unwrap();
    assert_eq!((beyond.status, beyond.field("content-range")), (416, Some("bytes */10")));
    let same = play.get("/x", &[("range", "bytes=0-0"), ("if-none-match", "\"a\"")], 10).await.unwrap();
    assert_eq!(same.status, 304);
    assert_eq!(play.requests(), 1);

    play.then(part(3..10, "\"a\""));
    let rest = play.get("/x", &range("bytes=3-"), 20).await.unwrap();
    assert_eq!((rest.text(), &*rest.cache_status), ("3456789", "fwd=partial; fwd-status=206; detail=part"));
    let whole = play.get("/x", &[], 30).await.unwrap();
    assert_eq!((whole.status, whole.text(), whole.field("content-range")), (200, WHOLE, None));
    // As fresh as the last part that was confirmed.
    assert_eq!((whole.field("age"), whole.outcome, play.requests()), (Some("10"), Outcome::DocumentHit, 2));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_kept_or_combined_is_not() {
    let asked = range("bytes=0-3");
    let fields = |more: &[(&'static str, &'static str)]| {
        let mut all = vec![cc("max-age=61"), ("etag", "\"a\"")];
        all.extend_from_slice(more);
        all
    };
    let of = |more: &[(&'static str, &'static str)]| part_of(WHOLE, 0..4, &fields(more));
    assert!(Play::new().is_kept(of(&[]), &asked).await);
    assert!(!Play::new().is_kept(of(&[cc("no-store")]), &asked).await);
    assert!(!Play::new().is_kept(of(&[cc("private")]), &asked).await);
    assert!(!Play::new().is_kept(of(&[("vary", "*")]), &asked).await);
    assert!(!Play::new().is_kept(part(0..4, "W/\"a\""), &asked).await);
    assert!(!Play::new().is_kept(part_of(WHOLE, 0..4, &[cc("max-age=61")]), &asked).await);
    assert!(
        !Play::new().is_kept(part_of(&"x".repeat(MAX_SIZE as usize + 1), 0..4, &fields(&[])), &asked).await
    );
    assert!(!Play::new().is_kept(of(&[]), &[asked[0], ("authorization", "x")]).await);
    assert!(!Play::new().is_kept(of(&[]), &[asked[0], cc("no-store")]).await);
    // Lacks what whoever asked has already.
    assert!(!Play::new().is_kept(of(&[]), &[asked[0], ("if-range", "\"a\"")]).await);
    let manifest =
        [("content-range", "bytes 0-3/10"), ("content-length", "4"), ("etag", "\"a\""), cc("max-age=61")];
    let play = Play::new();
    play.then(says(206, &manifest, "0123")).then(says(206, &manifest, "0123"));
    for _ in 0..2 {
        play.get("/cvmfs/a.b/.cvmfspublished", &asked, 0).await.unwrap();
    }
    assert_eq!(play.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_version_takes_the_place_of_what_was_here() {
    let play = Play::new();
    play.then(part(0..5, "\"a\"")).then(part_of("ABCDEFGHIJ", 5..10, &[cc("max-age=61"), ("etag", "\"b\"")]));
    play.get("/x", &range("bytes=0-4"), 0).await.unwrap();
    assert_eq!(play.get("/x", &range("bytes=5-9"), 0).await.unwrap().text(), "FGHIJ");
    play.then(part_of("ABCDEFGHIJ", 0..5, &[cc("max-age=61"), ("etag", "\"b\"")]));
    assert_eq!(play.get("/x", &range("bytes=0-4"), 0).await.unwrap().text(), "ABCDE");
    assert_eq!(play.get("/x", &[], 0).await.unwrap().text(), "ABCDEFGHIJ");
    assert_eq!(play.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn stale_parts_are_asked_for_again_and_what_others_hold_too() {
    let play = Play::new();
    play.then(part(0..4, "\"a\"")).then(part(0..4, "\"a\"")).then(part(0..4, "\"a\""));
    play.get("/x", &range("bytes=0-3"), 0).await.unwrap();
    let again = play.get("/x", &range("bytes=0-3"), 61).await.unwrap();
    assert_eq!(again.cache_status, "fwd=stale; fwd-status=206; detail=part");
    let reloaded = [("range", "bytes=0-3"), cc("no-cache")];
    assert_eq!(
        play.get("/x", &reloaded, 62).await.unwrap().cache_status,
        "fwd=request; fwd-status=206; detail=part"
    );
    assert_eq!(play.get("/x", &range("bytes=0-3"), 63).await.unwrap().outcome, Outcome::DocumentHit);
    let nothing = play.get("/x", &[("range", "bytes=4-"), cc("only-if-cached")], 63).await;
    assert_eq!(nothing, Err(Failure::OnlyIfCached));
    assert_eq!(play.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn all_of_it_at_once_is_the_whole() {
    for answer in [
        part_of(WHOLE, 0..10, &[cc("max-age=61")]),
        says(200, &[cc("max-age=61"), ("content-length", "10")], WHOLE),
    ] {
        let play = Play::new();
        play.then(answer);
        play.get("/x", &range("bytes=0-"), 0).await.unwrap();
        let whole = play.get("/x", &[], 1).await.unwrap();
        assert_eq!((whole.status, whole.text(), whole.outcome), (200, WHOLE, Outcome::DocumentHit));
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_breaks_off_is_no_part() {
    let play = Play::new();
    let fields =
        [("content-range", "bytes 0-3/10"), ("content-length", "4"), ("etag", "\"a\""), cc("max-age=61")];
    play.then(ends(206, &fields, &[b"012"], End::Broken)).then(part(0..4, "\"a\""));
    assert!(play.get("/x", &range("bytes=0-3"), 0).await.unwrap().body.is_err());
    assert_eq!(play.get("/x", &range("bytes=0-1"), 0).await.unwrap().text(), "0123");
    assert_eq!(play.requests(), 2);
}
