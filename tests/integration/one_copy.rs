//! The name is the key: whatever URL leads to an object, there is one copy, and its checksum is its only validator.

use substratum::config::ByteSize;

use crate::support::client::Ask;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Origin, Page};
use crate::support::proxy::{Proxy, lone, site};

#[tokio::test]
async fn hosts_ports_repositories_and_suffixes_share_one_copy() {
    let object = Object::generate(1, 20_000);
    let elsewhere = object.path_in("another.test.local");
    let everywhere = || Origin::new().object(&object).page(&elsewhere, Page::new(object.bytes.clone()));
    let (first, second) = (everywhere().run(), everywhere().run());
    let proxy = Proxy::start(lone("proxy")).await;
    let urls = [
        first.url(&object.path()),
        second.url(&object.path()),
        first.url(&elsewhere),
        second.url(&elsewhere),
        format!("http://localhost:{}{elsewhere}", second.address().port()),
        second.url(&format!("{}C", object.path())),
    ];
    let mut client = proxy.client();
    for url in &urls {
        assert_eq!(client.ask(url).await.unwrap().body, object.bytes, "{url}");
    }
    assert_eq!((first.requests(), second.requests()), (1, 0));
}

#[tokio::test]
async fn a_stratum_s_opinion_on_freshness_does_not_matter() {
    for freshness in ["max-age=0", "no-cache", "no-store", "private", "max-age=0, must-revalidate"] {
        let object = Object::generate(2, 20_000);
        let page = Page::new(object.bytes.clone())
            .field("Cache-Control", freshness)
            .field("Expires", "0")
            .field("Vary", "*");
        let stratum = Origin::new().page(&object.path(), page).run();
        let proxy = Proxy::start(site(&[&stratum])).await;
        for _ in 0..3 {
            assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
        }
        assert_eq!(stratum.requests(), 1, "{freshness}");
    }
}

#[tokio::test]
async fn no_cache_on_a_good_copy_asks_nobody() {
    let object = Object::generate(3, 20_000);
    let stratum = Origin::new().object(&object).run();
    let memory = site(&[&stratum]);
    let disk = site(&[&stratum]).no_memory().disk(ByteSize::mib(32));
    for setup in [memory, disk] {
        let proxy = Proxy::start(setup).await;
        stratum.forget();
        let ask = Ask::get(stratum.url(&object.path()));
        proxy.get(&ask).await;
        proxy.flush();
        let answer = proxy.get(ask.no_cache()).await;
        assert_eq!(answer.body, object.bytes);
        assert!(answer.get("X-Cache").starts_with("HIT"), "{:?}", answer.head);
        assert_eq!(stratum.requests(), 1, "the copy was hashed anew and found good");
        proxy.until(metric("substratum_requests_total").label("outcome", "reload").eq(1)).await;
    }
}

#[tokio::test]
async fn headers_that_differ_by_client_do_not_split_the_copy() {
    let object = Object::generate(4, 20_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for n in 0..4 {
        let ask = Ask::get(stratum.url(&object.path()))
            .field("X-CVMFS-PID", n.to_string())
            .field("cvmfs-info", format!("/some/path/{n}"))
            .field("Accept-Encoding", if n % 2 == 0 { "gzip" } else { "identity" });
        assert_eq!(proxy.get(ask).await.body, object.bytes);
    }
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn an_object_can_be_found_while_it_waits_for_the_disk() {
    let objects: Vec<_> = (10..14).map(|seed| Object::generate(seed, 8_000_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let proxy = Proxy::start(site(&[&stratum]).no_memory().disk(ByteSize::mib(64))).await;
    for object in &objects {
        for _ in 0..3 {
            assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes);
        }
        assert_eq!(stratum.requests_for(&object.path()), 1);
    }
}
