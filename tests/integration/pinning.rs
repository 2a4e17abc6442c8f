//! Large objects that are sent as pages of the page cache: right in every way they can be asked for, and when their files are
//! cut off below them.

use std::fs::OpenOptions;
use std::path::Path;

use substratum::config::ByteSize;

use crate::ranges;
use crate::support::client::{Ask, Client};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::peer;
use crate::support::proxy::{Proxy, site};
use crate::tls::{curl, over_tls, renew};

/// Asks for an object until its pages are pinned.
pub async fn pin(proxy: &Proxy, url: &str, bytes: &[u8]) {
    let pinned = metric("substratum_memory_pinned_bytes");
    let before = pinned.read(&proxy.metrics());
    let mut client = proxy.client();
    for _ in 0..5_000 {
        assert!(client.ask(url).await.unwrap().body == *bytes);
        proxy.flush();
        if pinned.read(&proxy.metrics()) > before {
            return;
        }
    }
    panic!("not pinned: {}", proxy.metrics());
}

pub fn cut_off_segments(folder: &Path) {
    for file in std::fs::read_dir(folder.join("segments")).unwrap() {
        OpenOptions::new().write(true).open(file.unwrap().path()).unwrap().set_len(100).unwrap();
    }
}

#[tokio::test]
async fn a_pinned_object_is_right_in_every_way() {
    let objects =
        [Object::generate(1, ranges::LEN), Object::generate(2, 3_000_000), Object::generate(3, 2 << 20)];
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let proxy = Proxy::start(site(&[&stratum]).disk(ByteSize::mib(64))).await;
    for object in &objects {
        pin(&proxy, &stratum.url(&object.path()), &object.bytes).await;
    }
    let all: usize = objects.iter().map(|object| object.bytes.len()).sum();
    proxy.until(metric("substratum_memory_pinned_bytes").eq(all as u64)).await;
    let url = |object: &Object| stratum.url(&object.path());
    let tag = proxy.get(url(&objects[0])).await.get("ETag").to_owned();
    ranges::check(&proxy, &url(&objects[0]), &objects[0].bytes, &tag).await;
    for object in &objects {
        let head = proxy.get(Ask::head(url(object))).await;
        assert_eq!(head.get("Content-Length"), object.bytes.len().to_string());
        // One that takes little at a time, and one that asks for several at once.
        let mut slow = Client::with_small_buffer(proxy.address());
        assert!(slow.ask(url(object)).await.unwrap().body == object.bytes);
    }
    let mut client = proxy.client();
    let asks = [0, 1, 0, 2].map(|n| (Ask::get(url(&objects[n])), &objects[n].bytes));
    for (ask, _) in &asks {
        client.send(ask).await.unwrap();
    }
    for (ask, bytes) in &asks {
        let head = client.head().await.unwrap();
        assert!(head.get("X-Cache").is_some_and(|value| value.starts_with("HIT")), "{head:?}");
        assert!(client.body(&head, ask).await.unwrap() == **bytes);
    }
    assert_eq!(stratum.requests(), objects.len());
}

#[tokio::test]
async fn readers_keep_a_pinned_object_when_the_memory_tier_goes() {
    let object = Object::generate(1, 3_000_000);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).disk(ByteSize::mib(64));
    let mut config = setup.config.clone();
    let proxy = Proxy::start(setup).await;
    pin(&proxy, &stratum.url(&object.path()), &object.bytes).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut slow = Client::with_small_buffer(proxy.address());
    slow.send(&ask).await.unwrap();
    let head = slow.head().await.unwrap();
    config.memory.capacity = ByteSize(0);
    assert_eq!(proxy.reload(config), Ok(vec![]));
    assert!(slow.body(&head, &ask).await.unwrap() == object.bytes);
}

#[tokio::test]
async fn files_that_are_cut_off_end_one_answer_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let keys = tempfile::tempdir().unwrap();
    renew(keys.path());
    let objects = [Object::generate(1, 3_000_000), Object::generate(2, 700_000)];
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let setup = site(&[&stratum]).disk_at(folder.path(), ByteSize::mib(64)).with(over_tls(keys.path()));
    let proxy = Proxy::start(setup).await;
    for object in &objects {
        pin(&proxy, &stratum.url(&object.path()), &object.bytes).await;
    }
    let over_tls = |object: &Object| {
        let url = format!("https://localhost:{}{}", proxy.tls_address().port(), object.path());
        ["--cacert", &keys.path().join("certificate").to_string_lossy(), &url].map(str::to_owned).to_vec()
    };
    let has_curl = peer::find("curl").is_some();
    for object in &objects {
        if has_curl {
            assert!(curl(over_tls(object)).await.unwrap() == object.bytes);
        }
    }
    cut_off_segments(folder.path());
    for (object, range) in objects.iter().zip(["bytes=0-", "bytes=600000-600009"]) {
        let answer = proxy.ask(Ask::get(stratum.url(&object.path())).field("Range", range)).await;
        assert!(answer.is_err(), "the bytes are gone, and the answer had begun");
        if has_curl {
            assert!(curl(over_tls(object)).await.unwrap() == object.bytes, "fetched once more");
        }
        assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes);
    }
    assert_eq!(stratum.requests(), 2 * objects.len());
}
