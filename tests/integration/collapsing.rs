//! Many readers of one cold object: one transfer, each at its own pace, nobody harmed by another.

use substratum::config::{ByteSize, Memory};

use crate::support::client::{Ask, Client, ClientError, ask_and_compare};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin};
use crate::support::proxy::{Proxy, lone, site};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn two_hundred_readers_cost_one_request() {
    let object = Object::generate(1, 10 * MIB);
    let stratum = Origin::new().object(&object).hold_after(2 * MIB).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let readers: Vec<_> = std::iter::repeat_with(|| {
        tokio::spawn(ask_and_compare(proxy.client(), ask.clone(), object.bytes.clone()))
    })
    .take(200)
    .collect();
    proxy.until(metric("substratum_fill_joins_total").at_least(199)).await;
    stratum.release();
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn bytes_flow_while_the_rest_is_still_to_come() {
    let object = Object::generate(2, 4 * MIB);
    let stratum = Origin::new().object(&object).hold_after(3 * MIB).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let (mut first, mut second) = (proxy.client(), proxy.client());
    for client in [&mut first, &mut second] {
        client.send(&ask).await.unwrap();
        assert_eq!(client.head().await.unwrap().status, 200);
        assert!(client.take(2 * MIB).await.unwrap() == object.bytes[..2 * MIB]);
    }
    stratum.release();
    for client in [&mut first, &mut second] {
        client.compare(&object.bytes[2 * MIB..]).await.unwrap();
    }
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn a_reader_that_stalls_delays_nobody_and_loses_nothing() {
    let object = Object::generate(3, 10 * MIB);
    let stratum = Origin::new().object(&object).hold_after(MIB).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut stalling = Client::with_small_buffer(proxy.address());
    stalling.send(&ask).await.unwrap();
    stalling.head().await.unwrap();
    let others = proxy.get_n(10, &ask);
    proxy.until(metric("substratum_fill_joins_total").at_least(10)).await;
    stratum.release();
    for answer in others.all().await {
        assert!(answer.unwrap().body == object.bytes);
    }
    stalling.compare(&object.bytes).await.unwrap();
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn the_first_reader_may_leave() {
    let object = Object::generate(4, 4 * MIB);
    let stratum = Origin::new().object(&object).hold_after(MIB).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut first = proxy.client();
    first.send(&ask).await.unwrap();
    stratum.until_requests(1).await;
    let others = proxy.get_n(5, &ask);
    proxy.until(metric("substratum_fill_joins_total").at_least(5)).await;
    first.head().await.unwrap();
    first.take(1_000).await.unwrap();
    first.leave();
    stratum.release();
    for answer in others.all().await {
        assert!(answer.unwrap().body == object.bytes);
    }
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn what_everybody_left_is_finished_and_kept() {
    let object = Object::generate(5, 4 * MIB);
    let stratum = Origin::new().object(&object).hold_after(MIB).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut only = proxy.client();
    only.send(&ask).await.unwrap();
    only.head().await.unwrap();
    only.leave();
    stratum.release();
    proxy.until(metric("substratum_verified_objects_total").eq(1)).await;
    assert!(proxy.get(&ask).await.body == object.bytes);
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn many_readers_of_many_small_objects() {
    let objects: Vec<_> = (0..40).map(|seed| Object::generate(100 + seed, 2_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let crowds: Vec<_> =
        objects.iter().map(|object| (object, proxy.get_n(10, stratum.url(&object.path())))).collect();
    for (object, crowd) in crowds {
        for answer in crowd.all().await {
            assert_eq!(answer.unwrap().body, object.bytes);
        }
    }
    assert_eq!(stratum.requests(), objects.len());
}

#[tokio::test]
async fn what_exceeds_the_window_is_read_back_from_disk() {
    let object = Object::generate(6, 6 * MIB);
    let stratum = Origin::new().object(&object).hold_after(2 * MIB).run();
    let setup = site(&[&stratum]).disk(ByteSize::mib(64)).no_memory();
    let proxy = Proxy::start(setup.with(|config| config.objects.window = ByteSize::mib(1))).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut stalling = Client::with_small_buffer(proxy.address());
    stalling.send(&ask).await.unwrap();
    stalling.head().await.unwrap();
    let early = proxy.get_n(3, &ask);
    proxy.until(metric("substratum_fill_joins_total").at_least(3)).await;
    stratum.release();
    for answer in early.all().await {
        assert!(answer.unwrap().body == object.bytes);
    }
    let part = proxy.get(Ask::get(stratum.url(&object.path())).range(5_000_000, 5_000_099)).await;
    assert!(part.body == object.bytes[5_000_000..5_000_100]);
    stalling.compare(&object.bytes).await.unwrap();
    assert!(proxy.get(&ask).await.body == object.bytes);
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn where_nothing_is_kept_a_stalled_reader_is_left_behind() {
    let object = Object::generate(7, 12 * MIB);
    let stratum = Origin::new().object(&object).hold_after(MIB / 2).run();
    let proxy = Proxy::start(site(&[&stratum]).with(|config| {
        config.memory = Memory::with_capacity(ByteSize::mib(8));
        config.objects.window = ByteSize::mib(1);
    }))
    .await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut stalling = Client::with_small_buffer(proxy.address());
    stalling.send(&ask).await.unwrap();
    stalling.head().await.unwrap();
    let others = proxy.get_n(3, &ask);
    proxy.until(metric("substratum_fill_joins_total").at_least(3)).await;
    stratum.release();
    for answer in others.all().await {
        assert!(answer.unwrap().body == object.bytes);
    }
    match stalling.compare(&object.bytes).await {
        Ok(()) | Err(ClientError::Short { .. } | ClientError::Io(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn nobody_answers_for_the_host_that_another_client_named() {
    let object = Object::generate(21, 50_000);
    let wrong = Object { name: object.name, bytes: vec![7; 50_000].into() };
    let bad = Origin::new().object(&wrong).fault(Fault::HoldHead).run();
    let good = Origin::new().object(&object).run();
    let proxy = Proxy::start(lone("cache")).await;
    let first = proxy.get_n(1, bad.url(&object.path()));
    proxy.until(metric("substratum_upstream_connections_opened_total").at_least(1)).await;
    // The second does not wait for the first one's host.
    assert!(proxy.get(good.url(&object.path())).await.body == object.bytes);
    bad.release();
    assert_eq!(first.all().await.remove(0).unwrap().status(), 502);
    proxy.until(metric("substratum_fill_joins_total").eq(0)).await;
}
