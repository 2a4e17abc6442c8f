//! Documents over restarts: warm at once, never older than what was served, never what may not be kept, on any disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use substratum::cache::disk::faults::{Interference, Operation, Verdict};
use substratum::config::ByteSize;

use crate::support::binary::{Binary, command, config_text};
use crate::support::client::{Answer, Ask};
use crate::support::metric::metric;
use crate::support::origin::{Origin, Page};
use crate::support::proxy::{Proxy, site};

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

fn size(folder: &Path) -> u64 {
    let length = |file: &PathBuf| fs::metadata(file).map_or(0, |file| file.len().next_multiple_of(4096));
    files(folder).iter().map(length).sum()
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
        assert!(manifest.get("Cache-Status").ends_with("detail=stale-if-error"), "{:?}", manifest.head);
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

#[tokio::test]
async fn the_bound_holds_at_every_moment() {
    let folder = tempfile::tempdir().unwrap();
    let bound = 512 << 10;
    let body = |n: usize| vec![b'x'; n * 3571 % 20_000];
    let origin = (0..400).fold(Origin::new(), |origin, n| {
        origin.page(&path(&n.to_string()), Page::new(body(n)).field("Cache-Control", "max-age=60"))
    });
    let stratum = origin.run();
    let config = config_text(&[&stratum], Some(folder.path())) + "documents = \"512 KiB\"\n";
    let done = Arc::new(AtomicBool::new(false));
    let watched = (folder.path().join("documents"), Arc::clone(&done));
    let watcher = tokio::task::spawn_blocking(move || {
        let (mut most, mut looks) = (0, 0);
        while !watched.1.load(Ordering::Relaxed) || looks == 0 {
            most = most.max(size(&watched.0));
            looks += 1;
            std::thread::yield_now();
        }
        most
    });
    for _ in 0..2 {
        let binary = Binary::serve(&config).await;
        let mut client = binary.client();
        for n in 0..400 {
            assert!(client.ask(stratum.url(&path(&n.to_string()))).await.unwrap().body == body(n));
        }
        binary
            .until(metric("substratum_document_disk_dropped_total").label("reason", "space").at_least(100))
            .await;
        binary.kill().await;
    }
    done.store(true, Ordering::Relaxed);
    let most = watcher.await.unwrap();
    assert!((bound / 2..=bound).contains(&most), "{most}");
    // Whoever gives documents less, or nothing, is obeyed before anything else happens.
    let lower = config.replace("512 KiB", "128 KiB");
    let binary = Binary::serve(&lower).await;
    until_loaded(&binary).await;
    assert!((1..=128 << 10).contains(&size(&folder.path().join("documents"))));
    binary.kill().await;
    let binary = Binary::serve(&config.replace("512 KiB", "0")).await;
    until_loaded(&binary).await;
    assert_eq!(size(&folder.path().join("documents")), 0);
}

/// Inverts a bit in every 97th byte.
fn damage(folder: &Path) -> usize {
    let mut damaged = 0;
    for file in files(folder) {
        let mut bytes = fs::read(&file).unwrap();
        bytes.iter_mut().skip(50).step_by(97).for_each(|byte| *byte ^= 4);
        fs::write(&file, bytes).unwrap();
        damaged += 1;
    }
    damaged
}

#[tokio::test]
async fn damage_never_reaches_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let page = |n: u64| Page::new(format!("text {n}")).field("Cache-Control", "max-age=600");
    let origin = (0..20).fold(Origin::new(), |origin, n| origin.page(&path(&n.to_string()), page(n)));
    let stratum = origin.run();
    let config = config_text(&[&stratum], Some(folder.path()));
    for round in 0..2 {
        let binary = Binary::serve(&config).await;
        until_loaded(&binary).await;
        stratum.forget();
        for n in 0..20 {
            let answer = ask(&binary, stratum.url(&path(&n.to_string()))).await;
            assert_eq!(answer.body, format!("text {n}"));
        }
        assert_eq!(stratum.requests(), 20);
        if round == 1 {
            binary
                .until(metric("substratum_document_disk_dropped_total").label("reason", "corrupt").eq(20))
                .await;
        }
        until_written(&binary, 20).await;
        binary.kill().await;
        assert_eq!(damage(&folder.path().join("documents")), 20);
    }
    // The command finds the same, once.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &config).unwrap();
    for (code, words) in
        [(3, "20 documents and newest manifests: 20 bad"), (0, "0 documents and newest manifests: 0 bad")]
    {
        let output = command(&["scrub", "--config"]).arg(file.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

/// A disk whose operations fail when they are among those named.
#[derive(Default)]
struct Failing(Mutex<Option<(fn(Operation) -> bool, Errno)>>);

impl Interference for Failing {
    fn judge(&self, operation: Operation) -> Verdict {
        match *self.0.lock() {
            Some((fails, errno)) if fails(operation) => Verdict::Fail(errno),
            _ => Verdict::Go,
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_costs_no_answer_and_is_told() {
    let changes = |operation: Operation| {
        !matches!(operation, Operation::Read | Operation::ReadCached | Operation::Open | Operation::List)
    };
    let reads = |operation: Operation| matches!(operation, Operation::Read | Operation::List);
    let all = |_: Operation| true;
    let table: [(fn(Operation) -> bool, Errno, &str); 4] = [
        (|operation| matches!(operation, Operation::Write(_)), Errno::NOSPC, "read_only"),
        (changes, Errno::ROFS, "read_only"),
        (reads, Errno::IO, "memory_only"),
        (all, Errno::IO, "memory_only"),
    ];
    for (fails, errno, condition) in table {
        let folder = tempfile::tempdir().unwrap();
        let page = |n: u64| Page::new(format!("text {n}")).field("Cache-Control", "max-age=600");
        let origin = (0..20).fold(Origin::new(), |origin, n| origin.page(&path(&n.to_string()), page(n)));
        let stratum = origin.run();
        let disk = Arc::new(Failing::default());
        let setup = || site(&[&stratum]).disk_at(folder.path(), ByteSize::mib(64)).on(disk.clone());
        let get = |n: u64| stratum.url(&path(&n.to_string()));
        let proxy = Proxy::start(setup()).await;
        for n in 0..10 {
            assert_eq!(proxy.get(get(n)).await.body, format!("text {n}"));
        }
        proxy.stop().await;

        *disk.0.lock() = Some((fails, errno));
        let proxy = Proxy::start(setup()).await;
        for n in (0..20).chain(0..20) {
            assert_eq!(proxy.get(get(n)).await.body, format!("text {n}"), "{errno}");
        }
        proxy.until(metric("substratum_document_disk_condition").label("state", condition).eq(1)).await;
        *disk.0.lock() = None;
        let tried_again = async {
            // A pause has to pass, then something has to be there to try with.
            while !metric("substratum_document_disk_condition")
                .label("state", "working")
                .eq(1)
                .holds(&proxy.metrics())
            {
                proxy.get(Ask::get(get(1)).no_cache()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), tried_again).await.expect("it is tried again");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn the_status_tells_what_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let stratum = Origin::new().page(&path("x"), Page::new("x").field("Cache-Control", "max-age=60")).run();
    let binary = Binary::serve(&config_text(&[&stratum], Some(folder.path()))).await;
    ask(&binary, stratum.url(&path("x"))).await;
    until_written(&binary, 1).await;
    until_loaded(&binary).await;
    let status = binary.admin().await.ask("/status").await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    let documents = &status["disk"]["documents"];
    assert_eq!(documents["documents"], 1, "{status}");
    assert_eq!((&documents["condition"], &documents["complete"]), (&"working".into(), &true.into()));
    assert_eq!(documents["limit_bytes"], (64 << 20) / 100);
}
