//! What is said on every answer and what must not be; and which status tells a client what.

use crate::support::client::{Answer, Ask, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Form, Origin, Page};
use crate::support::proxy::{Proxy, node, site};

const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

fn document() -> Page {
    Page::new("text").field("Cache-Control", "max-age=60").field("Content-Type", "application/x-cvmfs")
}

#[tokio::test]
async fn hits_and_misses_say_so() {
    let object = Object::generate(1, 30_000);
    let stratum = Origin::new().object(&object).page(DOCUMENT, document()).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for path in [object.path(), DOCUMENT.to_owned()] {
        let miss = proxy.get(stratum.url(&path)).await;
        let hit = proxy.get(stratum.url(&path)).await;
        assert_eq!(miss.get("X-Cache"), "MISS from site", "{path}");
        assert_eq!(hit.get("X-Cache"), "HIT from site", "{path}");
        assert!(miss.get("Cache-Status").contains("site; fwd=uri-miss"), "{:?}", miss.head);
        assert!(hit.get("Cache-Status").contains("site; hit"), "{:?}", hit.head);
        for answer in [&miss, &hit] {
            assert!(answer.get("Via").contains("site"), "{:?}", answer.head);
            assert!(!answer.get("Date").is_empty(), "{:?}", answer.head);
            assert_eq!(answer.head.content_length(), Some(answer.body.len() as u64));
            assert_eq!(answer.head.get("Transfer-Encoding"), None);
        }
    }
}

#[tokio::test]
async fn a_chain_names_every_link() {
    let object = Object::generate(2, 30_000);
    let stratum = Origin::new().object(&object).page(DOCUMENT, document()).run();
    let site = Proxy::start(site(&[&stratum])).await;
    let node = Proxy::start(node(&site, &[&stratum])).await;
    let answer = node.get(stratum.url(DOCUMENT)).await;
    let via = answer.head.all("Via").collect::<Vec<_>>().join(", ");
    assert!(via.contains("site") && via.contains("node"), "{via}");
    let asked = stratum.last_seen();
    let via = asked.all("Via").collect::<Vec<_>>().join(", ");
    assert!(via.contains("site") && via.contains("node"), "towards the stratum: {via}");
    assert_eq!(asked.form(), Form::Origin);
}

#[tokio::test]
async fn objects_are_immutable_and_their_name_is_their_validator() {
    let object = Object::generate(3, 30_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for _ in 0..2 {
        let answer = proxy.get(stratum.url(&object.path())).await;
        assert_eq!(answer.get("ETag"), format!("\"{}\"", object.name));
        let control = answer.get("Cache-Control");
        assert!(["public", "max-age=", "immutable"].iter().all(|word| control.contains(word)), "{control}");
    }
    let ask = Ask::get(stratum.url(&object.path())).field("If-None-Match", format!("\"{}\"", object.name));
    assert_eq!(proxy.get(ask).await.status(), 304);
    assert_eq!(stratum.requests(), 1);
}

/// The fields of an answer without those that tell time and way.
fn lasting(answer: &Answer) -> Vec<(String, String)> {
    let passing = ["date", "age", "x-cache", "cache-status", "connection", "keep-alive"];
    let mut fields: Vec<_> =
        answer.head.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    fields.retain(|(name, _)| !passing.contains(&name.as_str()));
    fields.sort();
    fields
}

#[tokio::test]
async fn a_head_is_a_get_without_the_body() {
    let object = Object::generate(4, 30_000);
    let stratum = Origin::new().object(&object).page(DOCUMENT, document()).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for path in [object.path(), DOCUMENT.to_owned()] {
        let mut client = proxy.client();
        let get = client.ask(stratum.url(&path)).await.unwrap();
        let head = client.ask(Ask::head(stratum.url(&path))).await.unwrap();
        let again = client.ask(stratum.url(&path)).await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(lasting(&head), lasting(&again), "{path}");
        assert_eq!(get.body, again.body);
    }
    assert_eq!(stratum.requests(), 2);
}

#[tokio::test]
async fn ranges_of_objects() {
    let object = Object::generate(5, 30_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let table = [
        ("bytes=0-99", 206, 0..100, "bytes 0-99/30000"),
        ("bytes=29990-", 206, 29_990..30_000, "bytes 29990-29999/30000"),
        ("bytes=-10", 206, 29_990..30_000, "bytes 29990-29999/30000"),
        ("bytes=100-99999", 206, 100..30_000, "bytes 100-29999/30000"),
        ("bytes=30000-", 416, 0..0, "bytes */30000"),
        ("bytes=5-4", 200, 0..30_000, ""),
        ("lines=1-2", 200, 0..30_000, ""),
    ];
    for (range, status, bytes, told) in table {
        let answer = proxy.get(Ask::get(stratum.url(&object.path())).field("Range", range)).await;
        assert_eq!((answer.status(), answer.get("Content-Range")), (status, told), "{range}");
        if status != 416 {
            assert!(answer.body == object.bytes[bytes], "{range}");
        }
    }
    let head = proxy.get(Ask::head(stratum.url(&object.path())).field("Range", "bytes=0-9")).await;
    assert_eq!((head.status(), head.get("Content-Length")), (200, "30000"), "ranges are for GET");
    assert_eq!(stratum.requests(), 1, "the first range brought the whole object");
    assert_eq!(stratum.last_seen().get("Range"), None);
}

#[tokio::test]
async fn connection_fields_go_no_further() {
    let page = document()
        .field("Connection", "X-Between-Us")
        .field("X-Between-Us", "stratum")
        .field("Keep-Alive", "timeout=5")
        .field("X-For-Everyone", "stratum");
    let stratum = Origin::new().page(DOCUMENT, page).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(DOCUMENT))
        .field("Connection", "X-Hop")
        .field("X-Hop", "client")
        .field("Keep-Alive", "timeout=5")
        .field("TE", "trailers")
        .field("Upgrade", "h2c")
        .field("Proxy-Authorization", "Basic c2VjcmV0")
        .field("X-End-To-End", "client");
    for _ in 0..2 {
        let answer = proxy.get(&ask).await;
        assert_eq!(answer.head.get("X-Between-Us"), None);
        assert_eq!(answer.get("X-For-Everyone"), "stratum");
        assert!(!answer.get("Keep-Alive").contains("timeout=5"));
    }
    let seen = stratum.last_seen();
    let hop_by_hop = [
        "X-Hop",
        "Keep-Alive",
        "TE",
        "Upgrade",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Transfer-Encoding",
    ];
    for name in hop_by_hop {
        assert_eq!(seen.get(name), None, "{name} was passed on");
    }
    assert_eq!(seen.get("X-End-To-End"), Some("client"));
    assert_eq!(seen.get("Host"), Some(stratum.address().to_string().as_str()));
}

#[tokio::test]
async fn a_dead_stratum_is_a_host_error() {
    let object = Object::generate(6, 30_000);
    let mut stratum = Origin::new().run();
    let urls = [stratum.url(&object.path()), stratum.url(DOCUMENT)];
    let proxy = Proxy::start(site(&[&stratum]).hasty()).await;
    stratum.refuse();
    for url in &urls {
        let answer = proxy.get(url).await;
        assert!(matches!(answer.status(), 502 | 504), "{url}: {}", answer.status());
        assert!(answer.get("Proxy-Status").contains("site"), "{:?}", answer.head);
        assert!(!answer.get("Cache-Control").contains("max-age"), "errors are not for keeping");
    }
}

#[tokio::test]
async fn a_missing_object_is_a_404_that_nobody_keeps() {
    let object = Object::generate(7, 30_000);
    let (first, second) = (Origin::new().run(), Origin::new().run());
    let proxy = Proxy::start(site(&[&first, &second])).await;
    assert_eq!(proxy.get(first.url(&object.path())).await.status(), 404);
    assert_eq!((first.requests(), second.requests()), (1, 1), "the other mirror was asked too");
    second.set_page(&object.path(), Page::new(object.bytes.clone()));
    assert_eq!(proxy.get(first.url(&object.path())).await.body, object.bytes);
}

#[tokio::test]
async fn redirects_of_objects_are_not_passed_off_as_objects() {
    let object = Object::generate(8, 30_000);
    let page = Page::new("").status(302).field("Location", "http://elsewhere.example.org/");
    let stratum = Origin::new().page(&object.path(), page).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let answer = proxy.get(stratum.url(&object.path())).await;
    assert!(matches!(answer.status(), 302 | 502), "{}", answer.status());
}

#[tokio::test]
async fn overload_sends_clients_to_the_next_proxy_not_to_the_next_stratum() {
    let object = Object::generate(9, 30_000);
    let stratum = Origin::new().object(&object).fault(Fault::HoldHead).run();
    let proxy = Proxy::start(site(&[&stratum]).with(|config| config.listen.max_connections = 4)).await;
    let crowd = proxy.get_n(4, stratum.url(&object.path()));
    stratum.until_requests(1).await;
    proxy.until(metric("substratum_connections").eq(4)).await;
    let refused =
        tokio::time::timeout(std::time::Duration::from_secs(1), proxy.ask(stratum.url(&object.path())));
    match refused.await {
        Ok(Ok(answer)) => assert!(matches!(answer.status(), 401..=403 | 405..=428), "{}", answer.status()),
        Ok(Err(ClientError::Closed | ClientError::Io(_))) => {}
        Ok(Err(error)) => panic!("{error}"),
        // Not accepted at all: the client's own time-out for connections sends it on.
        Err(_) => {}
    }
    proxy.until(metric("substratum_connections_refused_total").label("reason", "limit").at_least(1)).await;
    stratum.release();
    for answer in crowd.all().await {
        assert_eq!(answer.unwrap().body, object.bytes);
    }
}
