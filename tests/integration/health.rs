//! Servers in trouble: asked last while they are, and again when they have recovered, without an operator.

use std::time::{Duration, Instant};

use substratum::config::Upstream;

use crate::support::PATIENCE;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, Setup, site};

const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

/// Two mirrors with the same object and a proxy that keeps nothing, so that every request goes to one of them.
fn forgetful(strata: &[&Stratum]) -> Setup {
    site(strata).hasty().no_memory()
}

/// Asks for `object` until `stratum` is asked again, and answers.
async fn until_recovered(proxy: &Proxy, stratum: &Stratum, object: &Object) {
    let start = Instant::now();
    while !metric("substratum_upstream_requests_total")
        .label("upstream", &stratum.base())
        .label("outcome", "ok")
        .at_least(1)
        .holds(&proxy.metrics())
    {
        assert!(start.elapsed() < PATIENCE, "{}", proxy.metrics());
        assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
    }
}

#[tokio::test]
async fn a_dead_mirror_is_left_alone_and_comes_back_by_itself() {
    let faults = [Fault::CloseUnanswered, Fault::Status(503), Fault::Truncate(100), Fault::NeverAnswer];
    for fault in faults {
        let object = Object::generate(1, 3_000);
        let dead = Origin::new().object(&object).fault(fault.clone()).run();
        let good = Origin::new().object(&object).run();
        let proxy = Proxy::start(forgetful(&[&dead, &good])).await;
        for _ in 0..50 {
            assert_eq!(proxy.get(dead.url(&object.path())).await.body, object.bytes, "{fault:?}");
        }
        // Three until it is known, and one for every second or more that a slow machine takes for the fifty.
        assert!(dead.requests() <= 6, "{fault:?}: asked {} times", dead.requests());
        let opened = metric("substratum_upstream_circuit_opened_total").label("upstream", &dead.base());
        proxy.until(opened.at_least(1)).await;
        dead.heal();
        until_recovered(&proxy, &dead, &object).await;
        proxy.until(metric("substratum_upstream_healthy").label("upstream", &dead.base()).eq(1)).await;
    }
}

#[tokio::test]
async fn a_corrupt_mirror_is_avoided_after_its_first_wrong_byte() {
    let objects: Vec<_> = (0..20).map(|seed| Object::generate(seed, 3_000)).collect();
    let fill = |origin: Origin| objects.iter().fold(origin, Origin::object).run();
    let (corrupt, good) = (fill(Origin::new().fault(Fault::Flip(7))), fill(Origin::new()));
    let proxy = Proxy::start(site(&[&corrupt, &good])).await;
    for object in &objects {
        assert_eq!(proxy.get(corrupt.url(&object.path())).await.body, object.bytes);
    }
    assert_eq!((corrupt.requests(), good.requests()), (1, 20));
    proxy.until(metric("substratum_upstream_healthy").label("upstream", &corrupt.base()).eq(0)).await;
}

#[tokio::test]
async fn when_all_are_in_trouble_all_are_still_asked() {
    let object = Object::generate(1, 3_000);
    let fill = || Origin::new().object(&object).fault(Fault::Status(500)).run();
    let (one, two) = (fill(), fill());
    let proxy = Proxy::start(forgetful(&[&one, &two])).await;
    for _ in 0..10 {
        assert_eq!(proxy.get(one.url(&object.path())).await.status(), 502);
    }
    assert_eq!((one.requests(), two.requests()), (10, 10));
    two.heal();
    assert_eq!(proxy.get(one.url(&object.path())).await.body, object.bytes, "at once");
}

#[tokio::test]
async fn a_document_comes_from_another_mirror_while_the_named_one_is_in_trouble() {
    let page = |text: &str| Page::new(text.to_owned()).field("Cache-Control", "no-store");
    let named = Origin::new().page(DOCUMENT, page("named")).fault(Fault::NeverAnswer).run();
    let other = Origin::new().page(DOCUMENT, page("other")).run();
    let proxy = Proxy::start(site(&[&named, &other]).hasty()).await;
    for _ in 0..20 {
        assert_eq!(proxy.get(named.url(DOCUMENT)).await.body, "other");
    }
    assert!(named.requests() <= 6, "asked {} times", named.requests());
    named.heal();
    let start = Instant::now();
    while proxy.get(named.url(DOCUMENT)).await.body != "named" {
        assert!(start.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn a_mirror_without_an_object_is_not_asked_first_again_at_once() {
    let (here, nowhere) = (Object::generate(1, 3_000), Object::generate(2, 3_000));
    let behind = Origin::new().run();
    let ahead = Origin::new().object(&here).run();
    let proxy = Proxy::start(forgetful(&[&behind, &ahead])).await;
    for _ in 0..10 {
        assert_eq!(proxy.get(behind.url(&here.path())).await.body, here.bytes);
    }
    // Once for every five seconds that a slow machine takes for the ten.
    assert!(behind.requests() <= 3, "asked {} times", behind.requests());
    assert_eq!(proxy.get(behind.url(&nowhere.path())).await.status(), 404);
    assert_eq!(proxy.get(behind.url(&nowhere.path())).await.status(), 404);
    ahead.set_object(&nowhere);
    assert_eq!(proxy.get(behind.url(&nowhere.path())).await.body, nowhere.bytes, "as soon as it is there");
}

#[tokio::test]
async fn too_few_connections_are_our_trouble_and_pass_by_themselves() {
    let (first, second) = (Object::generate(1, 3_000), Object::generate(2, 3_000));
    let stratum = Origin::new().object(&first).object(&second).fault(Fault::HoldHead.on(first.path())).run();
    let setup = site(&[&stratum]).with(|config| {
        config.listen.workers = 1;
        config.upstream.connect_timeout = Duration::from_millis(300);
        config.upstream.max_connections = 1;
        config.upstream.idle_connections = 1;
    });
    let proxy = Proxy::start(setup).await;
    let waiting = proxy.get_n(1, stratum.url(&first.path()));
    stratum.until_requests(1).await;
    let start = Instant::now();
    let refused = proxy.get(stratum.url(&second.path())).await;
    assert_eq!(refused.status(), 421, "the client goes to its next proxy");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "long before it would by itself: {:?}",
        start.elapsed()
    );
    let busy = metric("substratum_upstream_requests_total").label("outcome", "busy");
    proxy.until(busy.eq(1)).await;
    proxy.until(metric("substratum_upstream_healthy").label("upstream", &stratum.base()).eq(1)).await;

    stratum.release();
    for answer in waiting.all().await {
        assert_eq!(answer.unwrap().body, first.bytes);
    }
    assert_eq!(proxy.get(stratum.url(&second.path())).await.body, second.bytes);
}

#[tokio::test]
async fn of_mirrors_in_trouble_those_that_answer_are_asked_before_those_that_do_not() {
    let objects: Vec<_> = (0..20).map(|seed| Object::generate(seed, 3_000)).collect();
    let fill = |origin: Origin| objects.iter().fold(origin, Origin::object).run();
    // Both have sent wrong bytes and are asked last, for a long time; one of them is dead since.
    let once_corrupt = || Origin::new().fault(Fault::Flip(7).times(1));
    let (dead, good) = (fill(once_corrupt().fault(Fault::Status(500))), fill(once_corrupt()));
    let proxy = Proxy::start(site(&[&dead, &good])).await;
    for object in &objects {
        assert_eq!(proxy.get(dead.url(&object.path())).await.body, object.bytes);
    }
    assert!(dead.requests() <= 4, "asked {} times", dead.requests());
}

#[tokio::test]
async fn two_mirrors_that_stop_after_the_head_cost_less_than_a_client_s_patience() {
    let object = Object::generate(1, 30_000);
    let fill = |origin: Origin| origin.object(&object).run();
    let stalls = || fill(Origin::new().fault(Fault::Stall(0)));
    let strata = [stalls(), stalls(), fill(Origin::new())];
    let setup = site(&[&strata[0], &strata[1], &strata[2]]);
    let proxy = Proxy::start(setup.with(|config| config.upstream = Upstream::default())).await;
    let start = Instant::now();
    assert_eq!(proxy.get(strata[0].url(&object.path())).await.status(), 200);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
