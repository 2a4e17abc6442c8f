//! Requests that may change documents: passed on, and what is stored of what they changed is forgotten.

use super::*;
use crate::config::{Scheme, ServerUrl};

impl Play {
    async fn change(&self, target: &str, answer: Upstream) -> Got {
        let server = ServerUrl::from_authority(Scheme::Http, "stratum.example").unwrap();
        let key = DocumentKey::at(Some(&server), target);
        let request = DocumentRequest { method: Method::POST, key, ..Self::request(target, &[]) };
        let fetch = |request: UpstreamRequest| {
            self.asked.lock().push(request);
            std::future::ready(answer)
        };
        got(self.documents.change(request, Some(&server), fetch, at(1)).await).await.unwrap()
    }

    /// Whether `target` is still answered from the store.
    async fn has(&self, target: &str) -> bool {
        let only_if_cached = [cc("only-if-cached")];
        let server = ServerUrl::from_authority(Scheme::Http, "stratum.example").unwrap();
        let key = DocumentKey::at(Some(&server), target);
        self.ask(DocumentRequest { key, ..Self::request(target, &only_if_cached) }, 1).await.is_ok()
    }

    async fn stored(targets: &[&str]) -> Self {
        let play = Self::new();
        let server = ServerUrl::from_authority(Scheme::Http, "stratum.example").unwrap();
        for target in targets {
            play.then(says(200, &[cc("max-age=61")], "one"));
            let key = DocumentKey::at(Some(&server), target);
            play.ask(DocumentRequest { key, ..Self::request(target, &[]) }, 0).await.unwrap();
        }
        play
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_is_forgotten() {
    let all = ["/a/x", "/a/y", "/a/z", "/a/x?q", "/other"];
    let play = Play::stored(&all).await;
    let fields = [("location", "http://stratum.example/a/y"), ("content-location", "z"), ("x-kept", "1")];
    let answer = play.change("/a/x", says(201, &fields, "made")).await;
    assert_eq!((answer.status, answer.text(), answer.field("x-kept")), (201, "made", Some("1")));
    assert_eq!(answer.outcome, Outcome::DocumentChange);
    assert_eq!(answer.cache_status, "fwd=method; fwd-status=201; detail=invalidated");
    assert_eq!(play.last_request().method, Method::POST);
    for (target, kept) in all.into_iter().zip([false, false, false, true, true]) {
        assert_eq!(play.has(target).await, kept, "{target}");
    }
    assert_eq!(play.metrics.document.invalidations.get(), 1);
    // Nothing there to be forgotten.
    assert_eq!(
        play.change("/a/x", says(204, &[], "")).await.cache_status,
        "fwd=method; fwd-status=204; detail=change"
    );
}

#[tokio::test(start_paused = true)]
async fn errors_and_other_origins_change_nothing() {
    let play = Play::stored(&["/a/x", "/a/y"]).await;
    for status in [400, 404, 500] {
        play.change("/a/x", says(status, &[("location", "/a/y")], "")).await;
    }
    play.change(
        "/b",
        says(200, &[("location", "http://elsewhere.example/a/y"), ("content-location", "//x/a/x")], ""),
    )
    .await;
    assert!(play.has("/a/x").await && play.has("/a/y").await);
    play.change("/b", says(303, &[("location", "/a/y")], "")).await;
    assert!(play.has("/a/x").await && !play.has("/a/y").await);
}
