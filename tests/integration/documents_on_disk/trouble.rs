//! Documents on disks that are small, damaged or failing, and what is told about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use substratum::cache::disk::faults::{Interference, Operation, Verdict};
use substratum::config::ByteSize;

use super::{ask, files, path, until_loaded, until_written};
use crate::support::binary::{Binary, command, config_text};
use crate::support::client::Ask;
use crate::support::metric::metric;
use crate::support::origin::{Origin, Page};
use crate::support::proxy::{Proxy, site};

fn size(folder: &Path) -> u64 {
    let length = |file: &PathBuf| fs::metadata(file).map_or(0, |file| file.len().next_multiple_of(4096));
    files(folder).iter().map(length).sum()
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

/// Which operations fail.
type Fails = fn(Operation) -> bool;

/// A disk whose operations fail when they are among those named.
#[derive(Default)]
struct Failing(Mutex<Option<(Fails, Errno)>>);

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
    let table: [(Fails, Errno, &str); 4] = [
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
