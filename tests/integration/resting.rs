//! Connections without requests: they rest, wake up, give way, and end in good order.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::client::{Ask, Client, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Origin, Stratum};
use crate::support::proxy::{Proxy, site};
use crate::tls;

const MIB: usize = 1 << 20;

fn resting(connections: u64) -> crate::support::metric::Claim {
    metric("substratum_connections_resting").eq(connections)
}

fn gave_way(connections: u64) -> crate::support::metric::Claim {
    metric("substratum_connections_closed_total").label("reason", "gave_way").eq(connections)
}

/// An object, who has it, and a client that has had it.
async fn stage(change: impl FnOnce(&mut substratum::config::Config)) -> (Object, Stratum, Proxy, Client) {
    let object = Object::generate(1, 3_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum]).with(|config| config.listen.workers = 1).with(change)).await;
    let mut client = proxy.client();
    assert_eq!(client.ask(stratum.url(&object.path())).await.unwrap().body, object.bytes);
    (object, stratum, proxy, client)
}

#[tokio::test]
async fn who_has_rested_is_answered_on_the_same_connection() {
    let (object, stratum, proxy, mut client) = stage(|_| {}).await;
    let mut silent = proxy.client();
    silent.send_raw(b"").await.unwrap();
    for _ in 0..2 {
        proxy.until(resting(2)).await;
        let several = [Ask::get(stratum.url(&object.path())), Ask::get(stratum.url(&object.path()))];
        for ask in &several {
            client.send(ask).await.unwrap();
        }
        for ask in &several {
            let head = client.head().await.unwrap();
            assert_eq!(client.body(&head, ask).await.unwrap(), object.bytes);
        }
        assert!(resting(1).holds(&proxy.metrics()));
    }
    assert_eq!(silent.ask(stratum.url(&object.path())).await.unwrap().body, object.bytes);
    assert!(metric("substratum_connections_accepted_total").eq(2).holds(&proxy.metrics()));
}

#[tokio::test]
async fn who_is_in_the_middle_of_something_does_not_rest() {
    let (object, stratum, proxy, client) = stage(|_| {}).await;
    let large = Object::generate(2, 8 * MIB);
    stratum.set_object(&large);
    let request = Ask::get(stratum.url(&object.path())).render(proxy.address());
    let mut asking = proxy.client();
    asking.send_raw(&request.as_bytes()[..20]).await.unwrap();
    let mut taking = Client::with_small_buffer(proxy.address());
    let ask = Ask::get(stratum.url(&large.path()));
    taking.send(&ask).await.unwrap();
    let head = taking.head().await.unwrap();
    // When a later one rests, the others would.
    let mut later = proxy.client();
    later.ask(stratum.url(&object.path())).await.unwrap();
    proxy.until(resting(2)).await;
    asking.send_raw(&request.as_bytes()[20..]).await.unwrap();
    assert_eq!(asking.head().await.unwrap().status, 200);
    assert_eq!(asking.take(object.bytes.len()).await.unwrap(), object.bytes);
    assert!(taking.body(&head, &ask).await.unwrap() == large.bytes);
    drop((client, later));
}

#[tokio::test]
async fn rest_ends_with_the_client_the_process_or_the_time() {
    let (_, _, proxy, mut client) = stage(|_| {}).await;
    proxy.until(resting(1)).await;
    client.leave();
    proxy.until(metric("substratum_connections").eq(0)).await;
    assert!(resting(0).holds(&proxy.metrics()));

    let (_, _, proxy, mut client) = stage(|_| {}).await;
    proxy.until(resting(1)).await;
    proxy.stop().await;
    assert_eq!(client.until_closed().await.unwrap(), "", "in good order");

    let (_, _, proxy, mut client) = stage(|config| config.listen.idle_timeout = Duration::from_secs(4)).await;
    proxy.until(resting(1)).await;
    proxy.until(metric("substratum_connections_closed_total").label("reason", "idle").eq(1)).await;
    proxy.until(resting(0)).await;
    assert!(client.until_closed().await.is_err(), "a reset");
}

#[tokio::test]
async fn who_has_rested_longest_gives_way_at_a_limit() {
    let (object, stratum, proxy, mut oldest) = stage(|config| {
        config.listen.max_connections = 3;
        config.listen.max_client_connections = 2;
    })
    .await;
    let get = || stratum.url(&object.path());
    let of = |last| Client::from(Ipv4Addr::new(127, 0, 0, last), proxy.address());
    proxy.until(resting(1)).await;
    let mut other = of(7);
    other.ask(get()).await.unwrap();
    proxy.until(resting(2)).await;
    let mut second = proxy.client();
    second.ask(get()).await.unwrap();
    // This client has as many as it may: its own gives way, although there is no room for others either.
    let mut third = proxy.client();
    third.ask(get()).await.unwrap();
    assert!(oldest.until_closed().await.is_err());
    proxy.until(gave_way(1)).await;
    // All have as many as they may: the one that rests gives way.
    let mut fourth = of(8);
    fourth.ask(get()).await.unwrap();
    assert!(other.until_closed().await.is_err());
    assert!(gave_way(2).holds(&proxy.metrics()));
    // Nobody rests: those in the middle of a request do not give way however long they take.
    for client in [&mut second, &mut third, &mut fourth] {
        client.send_raw(b"GET /").await.unwrap();
    }
    let fifth = of(9).ask(get()).await;
    assert!(matches!(fifth, Err(ClientError::Closed | ClientError::Io(_))), "{fifth:?}");
    assert!(
        metric("substratum_connections_refused_total").label("reason", "limit").eq(1).holds(&proxy.metrics())
    );
}

#[tokio::test]
async fn over_tls_as_in_the_clear() {
    let Some(_) = crate::support::peer::find("curl") else { return };
    let folder = tempfile::tempdir().unwrap();
    tls::renew(folder.path());
    let (object, _stratum, proxy, mut client) = stage(tls::over_tls(folder.path())).await;
    client.leave();
    let url = format!("https://localhost:{}{}", proxy.tls_address().port(), object.path());
    let certificate = folder.path().join("certificate").display().to_string();
    // 4 s from one to the next.
    let arguments = ["--cacert", &certificate, "--rate", "15/m", &url, &url].map(str::to_owned);
    let both = tokio::spawn(tls::curl(arguments.to_vec()));
    proxy.until(resting(1)).await;
    let bodies = both.await.unwrap().unwrap();
    assert!(bodies == [&object.bytes[..], &object.bytes[..]].concat());
    assert!(metric("substratum_connections_accepted_total").eq(2).holds(&proxy.metrics()));
}
