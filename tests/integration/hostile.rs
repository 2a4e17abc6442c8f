//! Clients that mean harm: floods, resets, lies about lengths, content that never comes. Each ends within a bound, is counted, and
//! changes nothing for the others. What is malformed in itself has its plays in `malformed.rs`, greed in `fairness.rs`.

use std::time::Duration;

use substratum::config::{ByteSize, WriteMethod};

use crate::access::THIS_MACHINE;
use crate::support::client::{Ask, Client, ClientError};
use crate::support::metric::{Selector, metric};
use crate::support::object::Object;
use crate::support::origin::{Origin, Page, Stratum};
use crate::support::proxy::{Proxy, Setup, site};

const MIB: usize = 1 << 20;
const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

fn posting(stratum: &Stratum) -> Setup {
    site(&[stratum]).with(|config| {
        config.access.methods = vec![WriteMethod::Post];
        config.listen.max_content = ByteSize::mib(8);
    })
}

fn post(stratum: &Stratum, fields: &str) -> String {
    format!("POST {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", stratum.url(DOCUMENT), stratum.address())
}

fn stratum() -> Stratum {
    Origin::new().page(DOCUMENT, Page::new("text").field("Cache-Control", "no-store")).run()
}

fn closed(reason: &str) -> Selector {
    metric("substratum_connections_closed_total").label("reason", reason)
}

fn asked(stratum: &Stratum, outcome: &str) -> Selector {
    metric("substratum_upstream_requests_total").label("upstream", &stratum.base()).label("outcome", outcome)
}

/// Chunks are refused by the head that announces them: what they would do to a parser is never tried.
#[tokio::test]
async fn a_flood_of_chunks_is_refused_before_the_first() {
    let stratum = stratum();
    let proxy = Proxy::start(posting(&stratum)).await;
    let floods = [
        "1\r\nx\r\n".repeat(200_000),
        format!("1;{}\r\nx\r\n", "e".repeat(MIB)),
        format!("{}1\r\nx\r\n", "0".repeat(MIB)),
        "ffffffffffffffffff\r\n".to_owned(),
        format!("0\r\n{}", "T: x\r\n".repeat(200_000)),
        format!("{:x}\r\n{}\r\n0\r\n{}", 65536, "x".repeat(65536), "T: x\r\n".repeat(20_000)),
    ];
    for (n, flood) in (1..).zip(&floods) {
        let head = post(&stratum, "Transfer-Encoding: chunked\r\n");
        let mut client = proxy.client();
        client.send_raw(head.as_bytes()).await.unwrap();
        // It may be over before all of it is written.
        let _ = client.send_raw(flood.as_bytes()).await;
        match client.head().await {
            Ok(head) => assert_eq!(head.status, 411),
            Err(ClientError::Io(_)) => {}
            Err(error) => panic!("{error}"),
        }
        proxy.until(metric("substratum_requests_total").label("outcome", "bad_request").eq(n)).await;
    }
    proxy.until(metric("substratum_connections").eq(0)).await;
    assert_eq!(stratum.requests(), 0);
}

#[tokio::test]
async fn content_that_is_not_as_long_as_announced_changes_nothing() {
    let stratum = stratum();
    let proxy = Proxy::start(posting(&stratum)).await;
    let mut client = proxy.client();
    let longer = post(&stratum, "Content-Length: 5\r\n") + "hello, and more\r\n\r\n";
    client.send_raw(longer.as_bytes()).await.unwrap();
    assert_eq!(client.head().await.unwrap().status, 200);
    assert_eq!(client.take(4).await.unwrap(), "text");
    assert_eq!(client.head().await.unwrap().status, 400, "what goes beyond it is no request");
    let _ = client.until_closed().await;
    assert_eq!(stratum.last_seen().content, b"hello");
    stratum.forget();
    for half_closing in [true, false] {
        let mut client = proxy.client();
        let shorter = post(&stratum, "Content-Length: 500\r\n") + "hello";
        client.send_raw(shorter.as_bytes()).await.unwrap();
        proxy.until(metric("substratum_requests_in_flight").eq(1)).await;
        if half_closing {
            client.finish().await.unwrap();
            assert_eq!(client.head().await.unwrap().status, 504, "there is nothing to wait for");
        }
        client.leave();
        proxy.until(metric("substratum_requests_in_flight").eq(0)).await;
        proxy.until(metric("substratum_connections").eq(0)).await;
    }
    assert_eq!(stratum.requests(), 0, "nothing whole came");
    for outcome in ["reset", "protocol", "first_byte_timeout"] {
        assert!(asked(&stratum, outcome).eq(0).holds(&proxy.metrics()), "{outcome}: not its fault");
    }
    assert_eq!(proxy.get(stratum.url(DOCUMENT)).await.body, "text");
}

#[tokio::test]
async fn content_that_trickles_has_one_idle_timeout_in_all() {
    let stratum = stratum();
    let setup = posting(&stratum).with(|config| config.listen.idle_timeout = Duration::from_secs(1));
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client();
    client.send_raw(post(&stratum, "Content-Length: 1000000\r\n").as_bytes()).await.unwrap();
    let trickle = async {
        let mut turn = tokio::time::interval(Duration::from_millis(20));
        while client.send_raw(b"x").await.is_ok() {
            turn.tick().await;
        }
    };
    let ((), ()) = tokio::join!(trickle, proxy.until(closed("idle").eq(1)));
    proxy.until(metric("substratum_connections").eq(0)).await;
    assert_eq!(stratum.requests(), 0);
    proxy.until(metric("substratum_requests_in_flight").eq(0)).await;
}

/// Longer than `idle_timeout` in all, but a MiB within each.
#[tokio::test]
async fn long_content_has_the_time_it_needs() {
    let stratum = stratum();
    let setup = posting(&stratum).with(|config| config.listen.idle_timeout = Duration::from_secs(2));
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client();
    let content = vec![b'x'; 8 * MIB];
    let head = post(&stratum, &format!("Content-Length: {}\r\n", content.len()));
    client.send_raw(head.as_bytes()).await.unwrap();
    let mut turn = tokio::time::interval(Duration::from_millis(60));
    for piece in content.chunks(100_000) {
        turn.tick().await;
        client.send_raw(piece).await.unwrap();
    }
    assert_eq!(client.head().await.unwrap().status, 200);
    assert_eq!(stratum.last_seen().content.len(), content.len());
}

/// Else anybody could take a stratum from everybody else.
#[tokio::test]
async fn a_client_that_stops_in_its_content_is_not_the_stratum_s_fault() {
    let stratum = stratum();
    let setup = posting(&stratum).with(|config| config.upstream.head_deadline = Duration::from_millis(300));
    let proxy = Proxy::start(setup).await;
    for n in 1..=4 {
        let mut client = proxy.client();
        let stopped = post(&stratum, "Content-Length: 1000\r\n") + "hello";
        client.send_raw(stopped.as_bytes()).await.unwrap();
        assert_eq!(client.head().await.unwrap().status, 504);
        proxy.until(asked(&stratum, "cancelled").eq(n)).await;
    }
    assert!(asked(&stratum, "first_byte_timeout").eq(0).holds(&proxy.metrics()));
    proxy.until(metric("substratum_connections").eq(0)).await;
    assert_eq!(stratum.requests(), 0);
    assert_eq!(proxy.get(stratum.url(DOCUMENT)).await.body, "text");
}

#[tokio::test]
async fn a_thousand_requests_at_once_and_no_answer_taken() {
    let object = Object::generate(1, 4 * MIB);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).with(|config| config.listen.idle_timeout = Duration::from_secs(1));
    let proxy = Proxy::start(setup).await;
    assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes);
    let requests = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", object.path()).repeat(1_000);
    let mut greedy = Client::with_small_buffer(proxy.address());
    // Not all of it may find room.
    let writing = tokio::spawn(async move {
        let _ = greedy.send_raw(requests.as_bytes()).await;
        greedy
    });
    proxy.until(metric("substratum_requests_in_flight").eq(1)).await;
    assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes, "others are answered");
    proxy.until(closed("idle").at_least(1)).await;
    proxy.until(metric("substratum_connections").eq(0)).await;
    drop(writing.await.unwrap());
    // Two others' and the one that nobody took.
    assert!(metric("substratum_requests_total").at_most(3).holds(&proxy.metrics()), "one at a time");
}

#[tokio::test]
async fn a_flood_of_resets_leaves_nothing_behind() {
    const FLOOD: u64 = 600;
    let object = Object::generate(2, 3_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let url = stratum.url(&object.path());
    let mut other = proxy.client();
    other.ask(&url).await.unwrap();
    for n in 0..FLOOD {
        let mut client = proxy.client();
        let said = match n % 3 {
            0 => String::new(),
            1 => format!("GET {url} HTT"),
            _ => format!("GET {url} HTTP/1.1\r\nHost: {}\r\n\r\n", stratum.address()),
        };
        client.send_raw(said.as_bytes()).await.unwrap();
        client.reset().unwrap();
        if n % 100 == 0 {
            assert_eq!(other.ask(&url).await.unwrap().body, object.bytes);
        }
    }
    // What is reset before it is accepted is not a connection.
    proxy.until(metric("substratum_connections").eq(1)).await;
    proxy.until(metric("substratum_requests_in_flight").eq(0)).await;
    assert_eq!(other.ask(&url).await.unwrap().body, object.bytes);
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn lines_without_end_are_cut_at_the_bound() {
    let stratum = stratum();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let url = stratum.url(DOCUMENT);
    let endless = "y".repeat(MIB);
    let table = [
        (format!("GET {url}?{endless} HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "target_too_long"),
        (format!("GET {url} HTTP/1.1\r\nHost: x\r\nX: {endless}\r\n\r\n"), 431, "head_too_long"),
        (format!("GET {url} HTTP/1.1\r\nHost: x\r\n{endless}: y\r\n\r\n"), 431, "head_too_long"),
        (format!("{endless} {url} HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "target_too_long"),
    ];
    for (request, status, _) in &table {
        let mut client = proxy.client();
        let _ = client.send_raw(request.as_bytes()).await;
        match client.head().await {
            Ok(head) => assert_eq!(head.status, *status),
            Err(ClientError::Io(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    for reason in ["target_too_long", "head_too_long"] {
        proxy.until(metric("substratum_request_reasons_total").label("reason", reason).eq(2)).await;
    }
    proxy.until(metric("substratum_connections").eq(0)).await;
    assert_eq!(stratum.requests(), 0);
}

/// Rules that let clients name this machine do not let them name us, however they write it.
#[tokio::test]
async fn nobody_gets_to_our_own_ports_through_us() {
    let stratum = stratum();
    let setup = site(&[&stratum]).any_target().with(|config| {
        config.listen.admin = Some(([127, 0, 0, 1], 0).into());
        config.access.internal_hosts = vec![substratum::config::Glob::new("*")];
    });
    let proxy = Proxy::start(setup).await;
    for port in [proxy.admin_address().port(), proxy.address().port()] {
        for host in THIS_MACHINE.into_iter().chain(["user@127.0.0.1"]) {
            for port in [port.to_string(), format!("0{port}")] {
                let answer = proxy.get(Ask::get(format!("http://{host}:{port}/metrics"))).await;
                let shown = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(answer.status() >= 400, "{host}:{port}: {}", answer.status());
                assert!(!shown.contains("# HELP"), "{host}:{port}");
            }
        }
    }
    assert_eq!(proxy.get(stratum.url(DOCUMENT)).await.body, "text");
}
