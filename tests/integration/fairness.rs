//! One client's excess is its own: what it may hold is bounded, and nobody waits behind it.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::join_all;

use crate::support::client::{Ask, Client, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page};
use crate::support::proxy::{Proxy, Setup, site};

const MIB: usize = 1 << 20;
const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

/// Two machines of one site.
const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const MODEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn with_turns(setup: Setup, most: usize) -> Setup {
    setup.with(|config| {
        config.listen.workers = 1;
        config.objects.max_client_fills = most;
        // The plays end as soon as they can, whatever else the machine does.
        config.upstream.head_deadline = Duration::from_secs(60);
        config.upstream.first_byte_timeout = Duration::from_secs(60);
    })
}

#[tokio::test]
async fn whoever_asks_for_everything_at_once_waits_for_itself_alone() {
    let objects: Vec<_> = (0..8).map(|seed| Object::generate(seed, 3_000)).collect();
    let (wanted, held) = objects.split_last().unwrap();
    let origin = objects.iter().fold(Origin::new(), Origin::object);
    let origin = origin.page(DOCUMENT, Page::new("text").field("Cache-Control", "no-store"));
    let origin = held.iter().fold(origin, |origin, object| origin.fault(Fault::HoldHead.on(object.path())));
    let stratum = origin.run();
    let setup = with_turns(site(&[&stratum]), 2).with(|config| config.upstream.max_connections = 4);
    let proxy = Proxy::start(setup).await;
    let greedy: Vec<_> = held
        .iter()
        .map(|object| {
            let (mut client, ask) =
                (Client::from(GREEDY, proxy.address()), Ask::get(stratum.url(&object.path())));
            tokio::spawn(async move { client.ask(ask).await })
        })
        .collect();
    proxy.until(metric("substratum_fills_waiting").eq(5)).await;
    stratum.until_requests(2).await;

    let mut modest = Client::from(MODEST, proxy.address());
    assert_eq!(modest.ask(stratum.url(&wanted.path())).await.unwrap().body, wanted.bytes);
    assert_eq!(modest.ask(stratum.url(DOCUMENT)).await.unwrap().body, "text");
    assert!(metric("substratum_fills_waiting").eq(5).holds(&proxy.metrics()), "they still do");

    stratum.release();
    for (answer, object) in join_all(greedy).await.into_iter().zip(held) {
        assert_eq!(answer.unwrap().unwrap().body, object.bytes);
    }
    proxy.until(metric("substratum_fills_waiting").eq(0)).await;
}

#[tokio::test]
async fn more_than_may_wait_is_sent_to_the_next_proxy_at_once() {
    let objects: Vec<_> = (0..6).map(|seed| Object::generate(seed, 3_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).fault(Fault::HoldHead).run();
    let proxy = Proxy::start(with_turns(site(&[&stratum]), 1)).await;
    let patient: Vec<_> =
        objects[..5].iter().map(|object| proxy.get_n(1, stratum.url(&object.path()))).collect();
    proxy.until(metric("substratum_fills_waiting").eq(4)).await;
    let refused = proxy.get(stratum.url(&objects[5].path())).await;
    assert_eq!(refused.status(), 421);
    let why = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(why.contains("max_client_fills"), "{why}");
    stratum.release();
    for (answers, object) in patient.into_iter().zip(&objects) {
        assert_eq!(answers.all().await.remove(0).unwrap().body, object.bytes);
    }
}

#[tokio::test]
async fn one_client_cannot_have_all_connections() {
    let object = Object::generate(1, 3_000);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).with(|config| config.listen.max_client_connections = 2);
    let proxy = Proxy::start(setup).await;
    let mut first = [Client::from(GREEDY, proxy.address()), Client::from(GREEDY, proxy.address())];
    for client in &mut first {
        assert_eq!(client.ask(stratum.url(&object.path())).await.unwrap().body, object.bytes);
        // Without anything on its way, it would give way in time.
        client.send_raw(b"GET ").await.unwrap();
    }
    let third = Client::from(GREEDY, proxy.address()).ask(stratum.url(&object.path())).await;
    assert!(matches!(third, Err(ClientError::Closed | ClientError::Io(_))), "{third:?}");
    proxy.until(metric("substratum_connections_refused_total").label("reason", "client_limit").eq(1)).await;
    let other = Client::from(MODEST, proxy.address()).ask(stratum.url(&object.path())).await;
    assert_eq!(other.unwrap().body, object.bytes);
    first[0].leave();
    proxy.until(metric("substratum_connections").eq(1)).await;
    assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
}

/// `bench/crowd.py` does it with thousands, and measures.
#[tokio::test]
async fn a_crowd_that_idles_or_dawdles_keeps_nobody_waiting() {
    const IDLE: usize = 200;
    const SLOW: usize = 40;
    let (object, large) = (Object::generate(4, 3_000), Object::generate(5, 4 * MIB));
    let stratum = Origin::new().object(&object).object(&large).run();
    let proxy = Proxy::start(site(&[&stratum]).with(|config| config.listen.workers = 1)).await;
    assert!(proxy.get(stratum.url(&large.path())).await.body == large.bytes);
    let mut crowd = Vec::new();
    for _ in 0..IDLE {
        let mut client = proxy.client();
        client.ask(stratum.url(&object.path())).await.unwrap();
        crowd.push(client);
    }
    for _ in 0..SLOW {
        let mut slow = proxy.client();
        slow.send_raw(b"GET /cvmfs/").await.unwrap();
        let mut full = Client::with_small_buffer(proxy.address());
        full.send(&Ask::get(stratum.url(&large.path()))).await.unwrap();
        full.head().await.unwrap();
        crowd.extend([slow, full]);
    }
    let mut active = proxy.client();
    for _ in 0..100 {
        assert_eq!(active.ask(stratum.url(&object.path())).await.unwrap().body, object.bytes);
    }
    let open = metric("substratum_connections").eq((IDLE + 2 * SLOW + 1) as u64);
    assert!(open.holds(&proxy.metrics()), "all of them are still there");
    proxy.until(metric("substratum_requests_in_flight").eq(SLOW as u64)).await;
    drop(crowd);
    proxy.until(metric("substratum_connections").eq(1)).await;
    proxy.until(metric("substratum_requests_in_flight").eq(0)).await;
}

#[tokio::test]
async fn who_does_not_come_to_the_end_of_a_request_is_cut() {
    let object = Object::generate(2, 3_000);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).with(|config| config.listen.head_timeout = Duration::from_secs(1));
    let proxy = Proxy::start(setup).await;
    let mut idle = proxy.client();
    idle.ask(stratum.url(&object.path())).await.unwrap();
    let mut slow = proxy.client();
    slow.send_raw(b"GET /cvmfs/").await.unwrap();
    let closed = metric("substratum_connections_closed_total");
    proxy.until(closed.label("reason", "slow_head").eq(1)).await;
    assert!(slow.until_closed().await.is_err(), "a reset");
    assert!(idle.ask(stratum.url(&object.path())).await.is_ok(), "to say nothing is no offence");
    assert!(metric("substratum_connections").eq(1).holds(&proxy.metrics()));
}

#[tokio::test]
async fn who_takes_little_at_a_time_is_not_taken_for_one_who_takes_nothing() {
    let object = Object::generate(3, 12 * MIB);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).with(|config| config.listen.idle_timeout = Duration::from_secs(2));
    let proxy = Proxy::start(setup).await;
    assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes);
    let mut slow = Client::with_small_buffer(proxy.address());
    slow.send(&Ask::get(stratum.url(&object.path()))).await.unwrap();
    slow.head().await.unwrap();
    // More than twice its time for one piece of the body that is handed to the connection.
    let mut turn = tokio::time::interval(Duration::from_millis(150));
    let (slowly, rest) = object.bytes.split_at(40 * (16 << 10));
    for piece in slowly.chunks(16 << 10) {
        turn.tick().await;
        let taken = slow.take(piece.len()).await.unwrap_or_else(|_| panic!("cut"));
        assert!(taken == piece);
    }
    slow.compare(rest).await.unwrap();
}
