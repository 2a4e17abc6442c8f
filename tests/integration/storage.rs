//! A disk tier too small for what passes through: bounded at every moment, right at every byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use substratum::config::ByteSize;

use crate::support::binary::{Binary, config_text};
use crate::support::client::{Ask, Client};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, site};
use crate::support::storage::bytes_in;

const CAPACITY: ByteSize = ByteSize::mib(16);

/// Three times what the tier holds, in objects of mixed sizes.
fn too_much(seed: u64) -> Vec<Object> {
    let sizes = [3_000, 20_000, 150_000, 700_000, 1_500_000];
    (0..100).map(|n| Object::generate(1_000 * seed + n, sizes[n as usize % sizes.len()])).collect()
}

#[tokio::test]
async fn the_folder_stays_within_its_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let objects = too_much(1);
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let proxy = Proxy::start(site(&[&stratum]).no_memory().disk_at(folder.path(), CAPACITY)).await;
    let mut client = proxy.client();
    for _ in 0..2 {
        for object in &objects {
            assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
            let used = bytes_in(folder.path());
            assert!(used <= CAPACITY.bytes(), "{used} bytes on disk");
        }
    }
    proxy.flush();
    assert!(bytes_in(folder.path()) <= CAPACITY.bytes());
    assert!(stratum.requests() < 2 * objects.len(), "something was kept");
}

#[tokio::test]
async fn what_is_evicted_stays_whole_for_those_who_read_it() {
    let objects = too_much(2);
    let read_slowly = Object::generate(7, 3_000_000);
    let stratum = objects.iter().fold(Origin::new(), Origin::object).object(&read_slowly).run();
    let proxy = Proxy::start(site(&[&stratum]).no_memory().disk(CAPACITY)).await;
    let ask = Ask::get(stratum.url(&read_slowly.path()));
    assert!(proxy.get(&ask).await.body == read_slowly.bytes);
    proxy.flush();
    let mut slow = Client::with_small_buffer(proxy.address());
    slow.send(&ask).await.unwrap();
    let head = slow.head().await.unwrap();
    assert!(head.get("X-Cache").is_some_and(|value| value.starts_with("HIT")), "{head:?}");
    let mut client = proxy.client();
    for _ in 0..2 {
        for object in &objects {
            assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
        }
    }
    let body = slow.body(&head, &ask).await.unwrap();
    assert!(body == read_slowly.bytes);
}

#[tokio::test]
async fn what_is_asked_for_again_and_again_survives_a_scan() {
    let objects = too_much(3);
    let hot: Vec<_> = (0..20).map(|seed| Object::generate(900_000 + seed, 50_000)).collect();
    let stratum = objects.iter().chain(&hot).fold(Origin::new(), Origin::object).run();
    let proxy = Proxy::start(site(&[&stratum]).no_memory().disk(CAPACITY)).await;
    let mut client = proxy.client();
    for scanned in objects.chunks(5) {
        for object in hot.iter().chain(scanned) {
            assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
        }
    }
    let fetched: usize = hot.iter().map(|object| stratum.requests_for(&object.path())).sum();
    assert!(fetched <= 2 * hot.len(), "{fetched} requests for {} hot objects", hot.len());
}

#[tokio::test]
async fn sudden_death_at_any_moment_leaves_no_wrong_byte() {
    let folder = tempfile::tempdir().unwrap();
    let objects = too_much(4);
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let config = config_text(&[&stratum], Some(folder.path()))
        .replace("capacity = \"64 MiB\"", "capacity = \"16 MiB\"")
        .replace("capacity = \"16 MiB\"\n[[mirrors]]", "capacity = \"1 MiB\"\n[[mirrors]]");
    for round in 1..=4 {
        let binary = Binary::serve(&config).await;
        let dying = Arc::new(AtomicBool::new(false));
        let mut readers = Vec::new();
        for part in 0..4 {
            let dying = dying.clone();
            let mut client = binary.client();
            let mut asks: Vec<_> = objects
                .iter()
                .map(|object| (Ask::get(stratum.url(&object.path())), object.bytes.clone()))
                .collect();
            asks.rotate_left(part * objects.len() / 4);
            readers.push(tokio::spawn(async move {
                for (ask, bytes) in asks.into_iter().cycle() {
                    match client.ask(&ask).await {
                        Ok(answer) => assert!(answer.status() == 200 && answer.body == bytes),
                        Err(_) if dying.load(Ordering::Relaxed) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        binary.until(metric("substratum_requests_total").at_least(60 * round)).await;
        dying.store(true, Ordering::Relaxed);
        binary.kill().await;
        for reader in readers {
            reader.await.unwrap();
        }
        assert!(bytes_in(folder.path()) <= CAPACITY.bytes());
    }
    let binary = Binary::serve(&config).await;
    let mut client = binary.client();
    for object in &objects {
        assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
}
