//! Documents over restarts: warm at once, never older than what was served, never what may not be kept.

mod trouble;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::binary::{Binary, config_text};
use crate::support::client::{Answer, Ask};
use crate::support::metric::metric;
use crate::support::origin::{Origin, Page};

const MANIFEST: &str = "/cvmfs/images.test.local/.cvmfspublished";
const REPOSITORY: &str = "images.test.local";

/// The two ways in which a process ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Sigterm,
    SuddenDeath,
}

const ENDS: [End; 2] = [End::Sigterm, End::SuddenDeath];

impl End {
    async fn of(self, mut binary: Binary) {
        match self {
            Self::SuddenDeath => binary.kill().await,
            Self::Sigterm => {
                binary.terminate();
                assert_eq!(binary.exit().await.code(), Some(0), "{}", binary.said());
            }
        }
    }
}

fn path(name: &str) -> String {
    format!("/cvmfs/a.test.local/.cvmfs_{name}")
}

async fn until_written(binary: &Binary, documents: u64) {
    binary.until(metric("substratum_document_disk_writes_total").at_least(documents)).await;
}

async fn until_loaded(binary: &Binary) {
    binary.until(metric("substratum_document_disk_loaded").eq(1)).await;
}

async fn ask(binary: &Binary, ask: impl Into<Ask>) -> Answer {
    binary.client().ask(ask).await.unwrap()
}

fn revision(answer: &Answer) -> String {
    assert_eq!(answer.status(), 200, "{:?}", answer.head);
    let text = String::from_utf8_lossy(&answer.body);
    text.lines().find(|line| line.starts_with('S')).unwrap().to_owned()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    // A file may be gone, or have another name, by the time it is looked at.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all
}

#[tokio::test]
async fn after_a_restart_fresh_documents_are_hits() {
    for end in ENDS {
        let folder = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3600);
        let page = |text: &str| Page::new(text.to_owned()).field("Cache-Control", "max-age=3600");
        let stratum = Origin::new()
            .fixtures()
            .document_lifetime(hour)
            .revision(REPOSITORY, 2)
            .page(&path("plain"), page("plain").field("ETag", "\"v1\"").field("Age", "100"))
            .page(&path("empty"), page(""))
            .page(&path("varied"), page("varied").field("Vary", "X-Which"))
            .page(&path("gone"), page("gone").status(410))
            .run();
        let config = config_text(&[&stratum], Some(folder.path()));
        let asks: Vec<Ask> = [MANIFEST.to_owned(), path("plain"), path("empty"), path("gone")]
            .iter()
            .map(|path| Ask::get(stratum.url(path)))
            .chain(["one", "two"].map(|which| Ask::get(stratum.url(&path("varied"))).field("X-Which", which)))
            .collect();
        let binary = Binary::serve(&config).await;
        let mut first = Vec::new();
        for one in &asks {
            first.push(ask(&binary, one).await);
        }
        until_written(&binary, asks.len() as u64).await;
        end.of(binary).await;
        for _ in 0..2 {
            stratum.forget();
            let binary = Binary::serve(&config).await;
            until_loaded(&binary).await;
            for (one, first) in asks.iter().zip(&first) {
                let answer = ask(&binary, one).await;
                assert_eq!((answer.status(), &answer.body), (first.status(), &first.body), "{end:?} {one:?}");
                assert!(answer.get("X-Cache").starts_with("HIT"), "{:?}", answer.head);
                for name in ["Date", "ETag", "Vary", "Content-Type", "Expires"] {
                    assert_eq!(answer.head.get(name), first.head.get(name), "{name}");
                }
            }
            let aged = ask(&binary, &asks[1]).await;
            assert!((100..200).contains(&aged.get("Age").parse::<u64>().unwrap()), "{:?}", aged.head);
            let conditional = Ask::get(stratum.url(&path("plain"))).field("If-None-Match", "\"v1\"");
            assert_eq!(ask(&binary, conditional).await.status(), 304);
            assert_eq!(stratum.requests(), 0, "{end:?} {:?}", stratum.requests_by_path());
            end.of(binary).await;
        }
    }
}

#[tokio::test]
async fn with_all_strata_down_after_a_restart_stale_documents_stand_in_as_far_as_they_may() {
    for end in ENDS {
        let folder = tempfile::tempdir().unwrap();
        let page = |control: &str| Page::new(control.to_owned()).field("Cache-Control", control);
        let table = [
            ("allowed", "max-age=0", 200),
            ("bounded", "max-age=0, stale-if-error=600", 200),
            ("not-at-all", "max-age=0, stale-if-error=0", 504),
            ("forbidden", "max-age=0, must-revalidate", 504),
        ];
        let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO).revision(REPOSITORY, 2);
        let origin = table.iter().fold(origin, |origin, (name, control, _)| {
            // With a validator each is worth keeping.
            origin.page(&path(name), page(control).field("ETag", "\"v1\""))
        });
        let mut stratum = origin.run();
        let config = config_text(&[&stratum], Some(folder.path()));
        let binary = Binary::serve(&config).await;
        assert_eq!(revision(&ask(&binary, stratum.url(MANIFEST)).await), "S2");
        for (name, ..) in table {
            assert_eq!(ask(&binary, stratum.url(&path(name))).await.status(), 200);
        }
        until_written(&binary, 5).await;
        end.of(binary).await;

        stratum.refuse();
        let binary = Binary::serve(&config).await;
        until_loaded(&binary).await;
        let manifest = ask(&binary, stratum.url(MANIFEST)).await;
        assert_eq!(revision(&manifest), "S2", "{end:?}");
        assert!(manifest.get("Cache-Status").ends_with("detail=stale_if_error"), "{:?}", manifest.head);
        for (name, control, status) in table {
            let answer = ask(&binary, stratum.url(&path(name))).await;
            match status {
                200 => assert_eq!((answer.status(), &answer.body[..]), (200, control.as_bytes()), "{name}"),
                _ => assert!(matches!(answer.status(), 502 | 504), "{name}: {:?}", answer.head),
            }
        }
        end.of(binary).await;
    }
}

#[tokio::test]
async fn no_restart_takes_a_client_back_in_time() {
    for end in ENDS {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO);
        let stratum = origin.revision(REPOSITORY, 2).run();
        let config = config_text(&[&stratum], Some(folder.path()));
        let url = stratum.url(MANIFEST);
        let binary = Binary::serve(&config).await;
        assert_eq!(revision(&ask(&binary, &url).await), "S2");
        until_written(&binary, 1).await;
        end.of(binary).await;

        stratum.set_revision(REPOSITORY, 1);
        for _ in 0..3 {
            // At once: what is not loaded yet must not matter.
            let binary = Binary::serve(&config).await;
            assert_eq!(revision(&ask(&binary, &url).await), "S2", "{end:?}");
            until_loaded(&binary).await;
            assert_eq!(revision(&ask(&binary, Ask::get(&url).no_cache()).await), "S2", "{end:?}");
            end.of(binary).await;
        }
        // Reverse requests, which name no host, are measured by the same mark.
        let binary = Binary::serve(&config).await;
        assert_eq!(revision(&ask(&binary, Ask::get(MANIFEST)).await), "S2", "{end:?}");

        stratum.set_revision(REPOSITORY, 3);
        assert_eq!(revision(&ask(&binary, &url).await), "S3");
        binary.until(metric("substratum_document_disk_writes_total").at_least(2)).await;
        end.of(binary).await;
        stratum.set_revision(REPOSITORY, 2);
        let binary = Binary::serve(&config).await;
        assert_eq!(revision(&ask(&binary, &url).await), "S3", "{end:?}");
    }
}

#[tokio::test]
async fn either_of_manifest_and_mark_keeps_the_other_from_being_needed() {
    for remaining in ["the mark", "the document"] {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO);
        let stratum = origin.revision(REPOSITORY, 2).run();
        let config = config_text(&[&stratum], Some(folder.path()));
        let url = stratum.url(MANIFEST);
        let binary = Binary::serve(&config).await;
        assert_eq!(revision(&ask(&binary, &url).await), "S2");
        until_written(&binary, 1).await;
        binary.kill().await;
        let all = files(&folder.path().join("documents"));
        assert_eq!(all.len(), 2, "{all:?}");
        for file in all {
            if file.ends_with("manifests") != (remaining == "the mark") {
                fs::remove_file(file).unwrap();
            }
        }
        stratum.set_revision(REPOSITORY, 1);
        let binary = Binary::serve(&config).await;
        until_loaded(&binary).await;
        for _ in 0..2 {
            assert_eq!(revision(&ask(&binary, &url).await), "S2", "{remaining}");
        }
    }
}

#[tokio::test]
async fn what_may_not_be_kept_is_never_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let cc = "Cache-Control";
    let stratum = Origin::new()
        .page(&path("kept"), Page::new("token-kept").field(cc, "max-age=60"))
        .page(&path("no-store"), Page::new("token-no-store").field(cc, "no-store"))
        .page(&path("private"), Page::new("token-private").field(cc, "private, max-age=60"))
        .page(&path("asked"), Page::new("token-asked").field(cc, "max-age=60"))
        .page(&path("login"), Page::new("token-login").field(cc, "max-age=60"))
        .page(
            &path("by-login"),
            Page::new("token-by-login").field(cc, "public, max-age=60").field("Vary", "Authorization"),
        )
        .page(
            &path("by-cookie"),
            Page::new("token-by-cookie").field(cc, "max-age=60").field("Vary", "Cookie"),
        )
        .page(&path("star"), Page::new("token-star").field(cc, "max-age=60").field("Vary", "*"))
        .run();
    let config = config_text(&[&stratum], Some(folder.path()));
    let binary = Binary::serve(&config).await;
    let get = |name: &str| Ask::get(stratum.url(&path(name)));
    for round in 0..2 {
        for one in [
            get("no-store"),
            get("private"),
            get("asked").field(cc, "no-store"),
            get("login").field("Authorization", "Basic token-of-a-user"),
            get("by-login").field("Authorization", "Basic token-of-a-user"),
            get("by-cookie").field("Cookie", "session=token-of-a-user"),
            get("star"),
            get("kept").field("Cookie", "session=token-of-a-user"),
        ] {
            assert_eq!(ask(&binary, &one).await.status(), 200, "{round}: {one:?}");
        }
    }
    until_written(&binary, 1).await;
    End::Sigterm.of(binary).await;
    let mut found = Vec::new();
    for file in files(folder.path()) {
        let bytes = fs::read(&file).unwrap();
        found
            .extend(String::from_utf8_lossy(&bytes).split("token-").skip(1).map(|rest| rest[..4].to_owned()));
    }
    assert_eq!(found, ["kept"]);
}

#[tokio::test]
async fn what_must_not_be_kept_any_longer_does_not_come_back() {
    for end in ENDS {
        let folder = tempfile::tempdir().unwrap();
        let page = |control: &str| Page::new(control.to_owned()).field("Cache-Control", control);
        let stratum = Origin::new().page(&path("x"), page("max-age=600")).run();
        let config = config_text(&[&stratum], Some(folder.path()));
        let url = stratum.url(&path("x"));
        let binary = Binary::serve(&config).await;
        assert_eq!(ask(&binary, &url).await.body, "max-age=600");
        until_written(&binary, 1).await;
        stratum.set_page(&path("x"), page("no-store"));
        assert_eq!(ask(&binary, Ask::get(&url).no_cache()).await.body, "no-store");
        binary.until(metric("substratum_document_disk_documents").eq(0)).await;
        end.of(binary).await;
        let binary = Binary::serve(&config).await;
        until_loaded(&binary).await;
        assert_eq!(ask(&binary, &url).await.body, "no-store", "{end:?}");
    }
}
