//! Clients that close their sending half behind a request, as `nc -N` and scripts do: each gets all of its answers, and the
//! connection then ends in good order. Who ends after a silence has lost its patience, and is not worked for.

use std::time::Duration;

use substratum::config::ByteSize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::PATIENCE;
use crate::support::client::{Ask, Client, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page};
use crate::support::proxy::{Proxy, site};
use crate::tls::{over_tls, renew, trusting};

const MIB: usize = 1 << 20;
const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

/// Asks, and says that this was all.
async fn last(client: &mut Client, url: &str) {
    client.send(&Ask::get(url)).await.unwrap();
    client.finish().await.unwrap();
}

/// All of the answer, then the end.
async fn whole(client: &mut Client, expected: &[u8]) {
    let head = client.head().await.unwrap();
    assert_eq!((head.status, head.content_length()), (200, Some(expected.len() as u64)));
    client.compare(expected).await.unwrap();
    assert!(client.until_closed().await.unwrap().is_empty());
}

#[tokio::test]
async fn hits_and_misses_are_answered_to_their_end() {
    let objects = [Object::generate(1, 3_000), Object::generate(2, 12 * MIB)];
    let stratum =
        Origin::new().object(&objects[0]).object(&objects[1]).page(DOCUMENT, Page::new("text")).run();
    for memory in [true, false] {
        let setup = site(&[&stratum]).disk(ByteSize::mib(64));
        let proxy = Proxy::start(if memory { setup } else { setup.no_memory() }).await;
        for object in &objects {
            for _ in ["miss", "hit"] {
                let mut client = Client::with_small_buffer(proxy.address());
                last(&mut client, &stratum.url(&object.path())).await;
                whole(&mut client, &object.bytes).await;
                proxy.flush();
            }
        }
        let mut client = proxy.client();
        last(&mut client, &stratum.url(DOCUMENT)).await;
        whole(&mut client, b"text").await;
        proxy.until(metric("substratum_connections").eq(0)).await;
    }
}

#[tokio::test]
async fn a_miss_that_takes_a_while_is_waited_for() {
    let (small, large) = (Object::generate(3, 3_000), Object::generate(4, 4 * MIB));
    let held = Fault::HoldHead.on(small.path());
    let stratum = Origin::new().object(&small).object(&large).fault(held).hold_after(MIB).run();
    let setup = site(&[&stratum]).with(|config| config.listen.head_timeout = Duration::from_secs(1));
    let proxy = Proxy::start(setup).await;
    let mut clients = [proxy.client(), proxy.client()];
    for (client, object) in clients.iter_mut().zip([&small, &large]) {
        last(client, &stratum.url(&object.path())).await;
    }
    // Longer than anybody may take for a head.
    let mut slow = proxy.client();
    slow.send_raw(b"GET").await.unwrap();
    proxy.until(metric("substratum_connections_closed_total").label("reason", "slow_head").eq(1)).await;
    stratum.release();
    for (client, object) in clients.iter_mut().zip([&small, &large]) {
        whole(client, &object.bytes).await;
    }
}

#[tokio::test]
async fn everything_that_was_asked_before_the_end_is_answered() {
    let objects = [Object::generate(5, 3_000), Object::generate(6, 2 * MIB)];
    let stratum = Origin::new().object(&objects[0]).object(&objects[1]).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let host = stratum.address();
    let get = |object: &Object| format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", object.path());
    let asked = [&objects[0], &objects[1], &objects[0], &objects[1], &objects[0]];
    let mut client = Client::with_small_buffer(proxy.address());
    client.send_raw(asked.map(get).concat().as_bytes()).await.unwrap();
    // A head that never comes to its end.
    client.send_raw(b"GET /cvmfs/").await.unwrap();
    client.finish().await.unwrap();
    for object in asked {
        assert_eq!(client.head().await.unwrap().status, 200);
        client.compare(&object.bytes).await.unwrap();
    }
    let _ = client.until_closed().await;
    proxy.until(metric("substratum_connections").eq(0)).await;
    // Without a request, the end is the end.
    let mut client = proxy.client();
    client.send_raw(b"").await.unwrap();
    client.finish().await.unwrap();
    assert!(client.until_closed().await.unwrap().is_empty());
}

#[tokio::test]
async fn over_tls_as_well() {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    let object = Object::generate(9, 2 * MIB);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum]).with(over_tls(folder.path()))).await;
    for _ in ["miss", "hit"] {
        let tcp = tokio::net::TcpStream::connect(proxy.tls_address()).await.unwrap();
        let trusting = tokio_rustls::TlsConnector::from(trusting(folder.path()));
        let mut client = trusting.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", object.path(), stratum.address());
        client.write_all(request.as_bytes()).await.unwrap();
        // Its close_notify, and the end of its sending half.
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(&object.bytes));
    }
    proxy.until(metric("substratum_connections").eq(0)).await;
}

/// Whether anybody still reads cannot be known before something is written; then it is.
#[tokio::test]
async fn who_left_is_noticed_by_what_it_does_not_take() {
    let object = Object::generate(7, 64 * MIB);
    let stratum = Origin::new().object(&object).hold_after(MIB).run();
    let setup = site(&[&stratum]).with(|config| config.objects.finish_abandoned = ByteSize::mib(1));
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client();
    client.send(&Ask::get(stratum.url(&object.path()))).await.unwrap();
    stratum.until_requests(1).await;
    client.leave();
    stratum.release();
    proxy.until(metric("substratum_connections").eq(0)).await;
    proxy.until(metric("substratum_fill_failures_total").label("reason", "abandoned").eq(1)).await;
    assert!(stratum.sent() < object.bytes.len());
}

#[tokio::test]
async fn who_ends_after_a_silence_is_gone() {
    let object = Object::generate(8, 3_000);
    let stratum = Origin::new().object(&object).fault(Fault::HoldHead).run();
    let setup = site(&[&stratum]).with(|config| config.listen.head_timeout = Duration::from_secs(1));
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client();
    client.send(&Ask::get(stratum.url(&object.path()))).await.unwrap();
    stratum.until_requests(1).await;
    let mut slow = proxy.client();
    slow.send_raw(b"GET").await.unwrap();
    proxy.until(metric("substratum_connections_closed_total").label("reason", "slow_head").eq(1)).await;
    client.finish().await.unwrap();
    assert!(matches!(client.until_closed().await, Err(ClientError::Io(_))), "a reset");
    proxy.until(metric("substratum_connections").eq(0)).await;
    proxy.until(metric("substratum_requests_in_flight").eq(0)).await;
}
