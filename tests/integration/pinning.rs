//! Large objects that are sent as pages of the page cache: right in every way they can be asked for, and when their files are
//! cut off or changed below them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use substratum::config::ByteSize;

use crate::ranges;
use crate::support::client::{Ask, Client};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Origin, Stratum};
use crate::support::peer;
use crate::support::proxy::{Proxy, Setup, site};
use crate::tls::{curl, over_tls, renew};

/// A proxy on `folder` that has these pinned. They came there with an earlier one, a while ago.
pub async fn pinned(setup: impl Fn() -> Setup, folder: &Path, objects: &[(String, &[u8])]) -> Proxy {
    let earlier = Proxy::start(setup()).await;
    for (url, bytes) in objects {
        assert!(earlier.get(url.as_str()).await.body == **bytes);
    }
    earlier.flush();
    earlier.stop().await;
    for file in segments(folder) {
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }
    let proxy = Proxy::start(setup()).await;
    for (url, bytes) in objects {
        pin(&proxy, url, bytes).await;
    }
    proxy
}

/// Asks for an object until its pages are pinned.
async fn pin(proxy: &Proxy, url: &str, bytes: &[u8]) {
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

fn segments(folder: &Path) -> impl Iterator<Item = File> {
    let files = std::fs::read_dir(folder.join("segments")).unwrap();
    files.map(|file| OpenOptions::new().read(true).write(true).open(file.unwrap().path()).unwrap())
}

pub fn cut_off_segments(folder: &Path) {
    segments(folder).for_each(|file| file.set_len(100).unwrap());
}

/// One bit of `bytes`, wherever they are.
fn flip_one_bit(folder: &Path, bytes: &[u8]) {
    let found = segments(folder).find_map(|file| {
        let mut all = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut all, 0).unwrap();
        let at = all.windows(64).position(|window| *window == bytes[..64])?;
        Some((file, at + bytes.len() / 2))
    });
    let (file, at) = found.expect("it is on disk");
    file.write_all_at(&[bytes[bytes.len() / 2] ^ 1], at as u64).unwrap();
}

fn places<'a>(stratum: &Stratum, objects: &'a [Object]) -> Vec<(String, &'a [u8])> {
    objects.iter().map(|object| (stratum.url(&object.path()), &*object.bytes)).collect()
}

#[tokio::test]
async fn a_pinned_object_is_right_in_every_way() {
    let objects =
        [Object::generate(1, ranges::LEN), Object::generate(2, 3_000_000), Object::generate(3, 2 << 20)];
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let folder = tempfile::tempdir().unwrap();
    let setup = || site(&[&stratum]).disk_at(folder.path(), ByteSize::mib(64));
    let proxy = pinned(setup, folder.path(), &places(&stratum, &objects)).await;
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
    let folder = tempfile::tempdir().unwrap();
    let setup = || site(&[&stratum]).disk_at(folder.path(), ByteSize::mib(64));
    let mut config = setup().config;
    let proxy = pinned(setup, folder.path(), &places(&stratum, std::slice::from_ref(&object))).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut slow = Client::with_small_buffer(proxy.address());
    slow.send(&ask).await.unwrap();
    let head = slow.head().await.unwrap();
    config.memory.capacity = ByteSize(0);
    assert_eq!(proxy.reload(config), Ok(vec![]));
    assert!(slow.body(&head, &ask).await.unwrap() == object.bytes);
}

#[tokio::test]
async fn files_that_are_cut_off_are_noticed_before_the_answer_begins() {
    let folder = tempfile::tempdir().unwrap();
    let keys = tempfile::tempdir().unwrap();
    renew(keys.path());
    let objects = [Object::generate(1, 3_000_000), Object::generate(2, 700_000)];
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let setup = || site(&[&stratum]).disk_at(folder.path(), ByteSize::mib(64)).with(over_tls(keys.path()));
    let proxy = pinned(setup, folder.path(), &places(&stratum, &objects)).await;
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
    for (object, range) in objects.iter().zip([0..3_000_000, 600_000..600_010]) {
        let field = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = proxy.get(Ask::get(stratum.url(&object.path())).field("Range", &field)).await;
        assert!(answer.body == object.bytes[range]);
        if has_curl {
            assert!(curl(over_tls(object)).await.unwrap() == object.bytes, "fetched once more");
        }
        assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes);
    }
    assert_eq!(stratum.requests(), 2 * objects.len());
}

#[tokio::test]
async fn a_bit_that_somebody_flips_in_a_file_reaches_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let keys = tempfile::tempdir().unwrap();
    renew(keys.path());
    let objects = [1, 2, 3].map(|seed| Object::generate(seed, 3_000_000));
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let setup = || site(&[&stratum]).disk_at(folder.path(), ByteSize::mib(64)).with(over_tls(keys.path()));
    let proxy = pinned(setup, folder.path(), &places(&stratum, &objects)).await;
    let [at_rest, on_its_way, over_tls] = &objects;

    let ask = Ask::get(stratum.url(&on_its_way.path()));
    let mut slow = Client::with_small_buffer(proxy.address());
    slow.send(&ask).await.unwrap();
    let head = slow.head().await.unwrap();
    objects.iter().for_each(|object| flip_one_bit(folder.path(), &object.bytes));
    assert!(slow.body(&head, &ask).await.is_err(), "cut, for it cannot be right any more");

    for object in [at_rest, on_its_way] {
        let answer = proxy.get(stratum.url(&object.path())).await;
        assert!(
            answer.body == object.bytes,
            "what follows on the block that is wrong comes from the stratum"
        );
    }
    let url = format!("https://localhost:{}{}", proxy.tls_address().port(), over_tls.path());
    let certificate = keys.path().join("certificate").to_string_lossy().into_owned();
    if peer::find("curl").is_some() {
        assert!(curl(vec!["--cacert".to_owned(), certificate, url]).await.unwrap() == over_tls.bytes);
    } else {
        proxy.get(stratum.url(&over_tls.path())).await;
    }
    let bad = metric("substratum_bad_at_rest_total");
    assert_eq!(bad.read(&proxy.metrics()), 3.0, "those whose bits were flipped, and no others");
}
