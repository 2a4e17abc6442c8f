//! Connections of clients: kept, closed in time, and never answered in a way that a CernVM-FS client misreads.

use std::time::Duration;

use substratum::config::{ByteSize, Config};

use crate::support::client::{Ask, Client, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, site};

const MIB: usize = 1 << 20;

const PUBLISHED: &str = "/cvmfs/a.test.local/.cvmfspublished";

async fn serving(object: &Object) -> (Stratum, Proxy) {
    serving_idlers_for(Duration::from_secs(60), object).await
}

async fn serving_idlers_for(timeout: Duration, object: &Object) -> (Stratum, Proxy) {
    let stratum = Origin::new().object(object).run();
    let setup = site(&[&stratum]).with(|config| config.listen.idle_timeout = timeout);
    let proxy = Proxy::start(setup).await;
    (stratum, proxy)
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let object = Object::generate(1, 10_000);
    let (stratum, proxy) = serving(&object).await;
    let mut client = proxy.client();
    for _ in 0..100 {
        client.ask(stratum.url(&object.path())).await.unwrap();
        client.ask(Ask::head(stratum.url(&object.path()))).await.unwrap();
        client.ask(stratum.url("/forbidden")).await.unwrap();
        client.ask(stratum.url("/cvmfs/a.test.local/.cvmfs_missing")).await.unwrap();
    }
    assert!(proxy.metrics().contains("substratum_connections_accepted_total 1"), "{}", proxy.metrics());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (first, second) = (Object::generate(2, 10_000), Object::generate(3, 20_000));
    let stratum = Origin::new().object(&first).object(&second).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let get =
        |object: &Object| format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", object.path(), stratum.address());
    let mut client = proxy.client();
    client.send_raw((get(&first) + &get(&second) + &get(&first)).as_bytes()).await.unwrap();
    for object in [&first, &second, &first] {
        let head = client.head().await.unwrap();
        assert_eq!(client.body(&head, &Ask::get("/")).await.unwrap(), object.bytes);
    }
}

#[tokio::test]
async fn old_clients_get_the_end_of_the_connection() {
    let object = Object::generate(4, 10_000);
    let (stratum, proxy) = serving(&object).await;
    for request in [
        format!("GET {} HTTP/1.0\r\n\r\n", stratum.url(&object.path())),
        format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", object.path(), stratum.address()),
    ] {
        let mut client = proxy.client();
        client.send_raw(request.as_bytes()).await.unwrap();
        let answer = client.until_closed().await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..200]).into_owned() + &answer.len().to_string();
        assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
}

/// HTTP/1.0 has no chunks: only the end of the connection tells that a body of unknown length is complete.
#[tokio::test]
async fn an_old_client_never_takes_a_broken_body_for_a_whole_one() {
    const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";
    let bytes = Object::generate(8, 4 * MIB).bytes;
    // Sent on as it arrives: too large to be kept, and of unknown length.
    let good = Origin::new().page(DOCUMENT, Page::new(bytes.clone())).fault(Fault::Chunked).run();
    let bad = Origin::new().page(DOCUMENT, Page::new(bytes.clone())).fault(Fault::BadChunk(3 * MIB)).run();
    let small = |config: &mut Config| config.memory.max_document = ByteSize::kib(64);
    let proxy = Proxy::start(site(&[&good]).with(small)).await;
    let request = |stratum: &Stratum| format!("GET {} HTTP/1.0\r\n\r\n", stratum.url(DOCUMENT));
    let mut client = proxy.client();
    client.send_raw(request(&good).as_bytes()).await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!((head.status, head.content_length(), head.get("Transfer-Encoding")), (200, None, None));
    assert!(client.until_closed().await.unwrap() == bytes);
    let proxy = Proxy::start(site(&[&bad]).with(small)).await;
    let mut client = proxy.client();
    client.send_raw(request(&bad).as_bytes()).await.unwrap();
    assert_eq!(client.head().await.unwrap().status, 200);
    assert!(matches!(client.until_closed().await, Err(ClientError::Io(_))), "a reset, not an end");
}

#[tokio::test]
async fn the_bounds_on_heads_are_those_of_the_configuration() {
    let page = Page::new("manifest").field("Cache-Control", "max-age=60");
    let stratum = Origin::new().page(PUBLISHED, page).run();
    let url = stratum.url(PUBLISHED);
    for (head, target) in [(2 << 10, 1 << 10), (8 << 10, 2 << 10), (128 << 10, 60 << 10)] {
        let setup = site(&[&stratum]).with(|config| {
            config.listen.max_head = ByteSize(head as u64);
            config.listen.max_target = ByteSize(target as u64);
        });
        let proxy = Proxy::start(setup).await;
        let long_target = |n: usize| format!("{url}?{}", "x".repeat(n - url.len() - 1));
        let ask = |n: usize, ask: Ask| ask.field("X-Long", "y".repeat(n));
        // A line has some bytes beside the target, and a head some beside the long field.
        let table = [
            (Ask::get(long_target(target - 100)), 404),
            (Ask::get(long_target(target + 100)), 414),
            (ask(head - target / 2 - 500, Ask::get(&url)), 200),
            (ask(head + 1, Ask::get(&url)), 431),
        ];
        for (ask, status) in table {
            match proxy.ask(&ask).await {
                Ok(answer) => assert_eq!(answer.status(), status, "max_head {head}, max_target {target}"),
                // The reset of a connection that still sends may overtake the refusal.
                Err(error) => assert!(status > 404, "{error}"),
            }
        }
        let refused = metric("substratum_requests_total").label("outcome", "bad_request").eq(2);
        proxy.until(refused).await;
    }
}

#[tokio::test]
async fn the_bound_on_bodies_is_that_of_the_configuration() {
    let object = Object::generate(9, 200_000);
    let page = |n: usize| Page::new(vec![b'x'; n]).field("Cache-Control", "max-age=60");
    let stratum = Origin::new().object(&object).page(PUBLISHED, page(100_000)).run();
    let limit = |config: &mut Config| config.upstream.max_body = ByteSize(150_000);
    let proxy = Proxy::start(site(&[&stratum]).with(limit)).await;
    assert_eq!(proxy.get(stratum.url(&object.path())).await.status(), 502);
    let other = PUBLISHED.replace("published", "_document");
    for fault in [None, Some(Fault::Chunked)] {
        stratum.heal();
        fault.into_iter().for_each(|fault| stratum.inject(fault));
        stratum.set_page(&other, page(150_000).field("Cache-Control", "no-store"));
        assert_eq!(proxy.get(stratum.url(&other)).await.body.len(), 150_000);
        stratum.set_page(&other, page(150_001).field("Cache-Control", "no-store"));
        match proxy.ask(stratum.url(&other)).await {
            Ok(answer) => assert!(answer.status() >= 500, "{}", answer.status()),
            Err(ClientError::Short { .. } | ClientError::Io(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn nothing_interim_is_ever_sent() {
    let object = Object::generate(5, 10_000);
    let (stratum, proxy) = serving(&object).await;
    for ask in [
        Ask::get(stratum.url(&object.path())).field("Expect", "100-continue"),
        Ask::get(stratum.url(&object.path()))
            .method("POST")
            .field("Expect", "100-continue")
            .field("Content-Length", "5"),
        Ask::get(stratum.url(&object.path())).field("Connection", "Upgrade").field("Upgrade", "websocket"),
    ] {
        let mut client = proxy.client();
        client.send(&ask).await.unwrap();
        // An interim answer would be an error value.
        assert!(client.head().await.unwrap().status >= 200);
    }
}

#[tokio::test]
async fn who_says_nothing_is_sent_away() {
    let object = Object::generate(6, 10_000);
    let (stratum, proxy) = serving_idlers_for(Duration::from_secs(1), &object).await;
    let mut silent = proxy.client();
    silent.send_raw(b"").await.unwrap();
    let mut hesitant = proxy.client();
    hesitant.send_raw(format!("GET {} HTT", stratum.url(&object.path())).as_bytes()).await.unwrap();
    let mut idle = proxy.client();
    idle.ask(stratum.url(&object.path())).await.unwrap();
    for client in [&mut silent, &mut hesitant, &mut idle] {
        match client.until_closed().await {
            Ok(_) | Err(ClientError::Io(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn who_takes_nothing_is_sent_away() {
    let object = Object::generate(7, 12 * MIB);
    let (stratum, proxy) = serving_idlers_for(Duration::from_secs(1), &object).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut others = proxy.client();
    assert!(others.ask(&ask).await.unwrap().body == object.bytes);
    let mut stalling = Client::with_small_buffer(proxy.address());
    stalling.send(&ask).await.unwrap();
    let head = stalling.head().await.unwrap();
    proxy.until(metric("substratum_connections").eq(0)).await;
    let taken = stalling.body(&head, &ask).await;
    assert!(matches!(taken, Err(ClientError::Short { .. } | ClientError::Io(_))), "cut, not ended");
}

#[tokio::test]
async fn a_connection_ends_after_so_many_requests() {
    let object = Object::generate(7, 20_000);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).with(|config| config.listen.max_requests = 3);
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client();
    for round in 0..2 {
        // Fetched, from memory, refused: whatever the last one is, it comes whole, and says so.
        for (n, path) in [(1, object.path()), (2, object.path()), (3, "/refused".to_owned())] {
            let ask = Ask::get(&path);
            client.send(&ask).await.unwrap();
            let head = client.head().await.unwrap();
            assert_eq!(head.closes(), n == 3, "request {n} of round {round}");
            assert!(client.body(&head, &ask).await.is_ok());
        }
        assert!(client.until_closed().await.unwrap().is_empty());
        let closed = metric("substratum_connections_closed_total").label("reason", "max_requests");
        proxy.until(closed.eq(round + 1)).await;
    }
}
