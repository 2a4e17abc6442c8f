//! Caches below caches: what is lost when one of them is, and what is not.

use futures_util::future::join_all;
use substratum::config::{Parent, ParentsChoice, Scheme, ServerUrl};

use std::time::{Duration, Instant};

use crate::support::client::Ask;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, Setup, lone, node, node_of, site};

const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

/// A server of the configuration.
fn url(proxy: &Proxy) -> ServerUrl {
    let address = proxy.address();
    ServerUrl { scheme: Scheme::Http, host: address.ip().to_string().into(), port: address.port() }
}

/// How often `proxy` asked `upstream` with success.
fn asked(proxy: &Proxy, upstream: &ServerUrl) -> usize {
    let requests = metric("substratum_upstream_requests_total").label("upstream", &upstream.to_string());
    requests.label("outcome", "ok").read(&proxy.metrics()) as usize
}

/// A node that keeps nothing below parents that share the names out.
fn below(parents: &[Proxy], stratum: &Stratum) -> Setup {
    site(&[stratum]).no_memory().with(|config| {
        config.listen.name = "node".to_owned();
        config.parents = parents.iter().map(|parent| Parent { url: url(parent), login: None }).collect();
        config.upstream.parents_choice = ParentsChoice::Rendezvous;
        config.upstream.direct = false;
    })
}

#[tokio::test]
async fn a_tier_of_four_that_loses_one_loses_its_share_only() {
    let objects: Vec<_> = (0..40).map(|seed| Object::generate(seed, 3_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let mut parents = Vec::new();
    for _ in 0..4 {
        parents.push(Proxy::start(site(&[&stratum])).await);
    }
    let nodes =
        [Proxy::start(below(&parents, &stratum)).await, Proxy::start(below(&parents, &stratum)).await];
    for node in &nodes {
        for object in &objects {
            assert_eq!(node.get(stratum.url(&object.path())).await.body, object.bytes);
        }
    }
    assert_eq!(stratum.requests(), 40, "each object is in one parent, whichever node asks");

    let lost = parents.remove(0);
    let share = asked(&nodes[0], &url(&lost));
    assert!((1..40).contains(&share), "{share}");
    lost.stop().await;
    for object in &objects {
        assert_eq!(nodes[0].get(stratum.url(&object.path())).await.body, object.bytes);
    }
    assert_eq!(stratum.requests(), 40 + share, "the others still have theirs");
}

#[tokio::test]
async fn a_chain_whose_middle_is_dead_falls_back_to_the_stratum() {
    let objects: Vec<_> = (0..20).map(|seed| Object::generate(seed, 3_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let region = Proxy::start(site(&[&stratum])).await;
    let middle = Proxy::start(node(&region, &[&stratum])).await;
    let last = Proxy::start(node(&middle, &[&stratum]).with(|config| config.upstream.direct = true)).await;
    for object in &objects[..10] {
        assert_eq!(last.get(stratum.url(&object.path())).await.body, object.bytes);
    }
    let middle_url = url(&middle);
    assert_eq!(asked(&last, &middle_url), 10);
    middle.stop().await;
    for object in &objects[10..] {
        assert_eq!(last.get(stratum.url(&object.path())).await.body, object.bytes);
    }
    assert_eq!(stratum.requests(), 20);
    last.until(metric("substratum_upstream_healthy").label("upstream", &middle_url.to_string()).eq(0)).await;
}

#[tokio::test]
async fn a_parent_is_not_left_alone_for_the_trouble_behind_it() {
    let object = Object::generate(1, 3_000);
    let dead = Origin::new().fault(Fault::Status(500)).run();
    let good = Origin::new().object(&object).run();
    let parent = Proxy::start(site(&[&dead])).await;
    let setup = node(&parent, &[&dead, &good]).no_memory();
    let node = Proxy::start(setup.with(|config| config.upstream.direct = true)).await;
    for _ in 0..10 {
        assert_eq!(node.get(dead.url(&object.path())).await.body, object.bytes);
    }
    let parent_url = url(&parent).to_string();
    let requests = metric("substratum_upstream_requests_total").label("upstream", &parent_url);
    node.until(requests.label("outcome", "behind").eq(10)).await;
    node.until(metric("substratum_upstream_healthy").label("upstream", &parent_url).eq(1)).await;
}

#[tokio::test]
async fn a_parent_that_cannot_serve_is_passed_over() {
    let page = Page::new("text").field("Cache-Control", "no-store");
    for status in [403, 407, 408, 421] {
        let object = Object::generate(1, 3_000);
        let parent = Origin::new().fault(Fault::Status(status)).run();
        let stratum = Origin::new().object(&object).page(DOCUMENT, page.clone()).run();
        let setup = || node_of(parent.address(), &[stratum.address()]).no_memory();
        let may = Proxy::start(setup().with(|config| config.upstream.direct = true)).await;
        for _ in 0..10 {
            assert_eq!(may.get(stratum.url(&object.path())).await.body, object.bytes, "{status}");
            assert_eq!(may.get(stratum.url(DOCUMENT)).await.body, "text", "{status}");
        }
        assert!(parent.requests() <= 6, "{status}: asked {} times", parent.requests());
        let may_not = Proxy::start(setup()).await;
        let refused = may_not.get(stratum.url(&object.path())).await;
        assert_eq!(refused.status(), 421, "the client goes to its next proxy");
    }
}

/// How the cache in the middle of a chain may be lost.
fn losses() -> Vec<(&'static str, Fault)> {
    vec![
        ("dead", Fault::CloseUnanswered),
        ("stalling before the head", Fault::NeverAnswer),
        ("stalling after the head", Fault::Stall(0)),
        ("stalling in the body", Fault::Stall(1_000)),
        ("refusing", Fault::Status(403)),
        ("overloaded", Fault::Status(421)),
        ("failing", Fault::Status(503)),
    ]
}

#[tokio::test]
async fn a_chain_of_three_survives_whatever_happens_to_its_middle() {
    join_all(losses().into_iter().map(|(loss, fault)| async move {
        let object = Object::generate(1, 30_000);
        let text = "text".repeat(1_000);
        let page = Page::new(text.clone()).field("Cache-Control", "no-store");
        let holding = || Origin::new().object(&object).page(DOCUMENT, page.clone());
        let (stratum, region) = (holding().run(), holding().fault(fault).run());
        // The site falls back to the stratum, or its own child does where the site may not.
        for direct in [true, false] {
            let below = node_of(region.address(), &[stratum.address()]).hasty();
            let site = Proxy::start(below.with(|config| config.upstream.direct = direct)).await;
            let node = Proxy::start(node(&site, &[&stratum]).with(|c| c.upstream.direct = !direct)).await;
            let start = Instant::now();
            let what = format!("{loss}, the site goes direct: {direct}");
            assert!(node.get(stratum.url(&object.path())).await.body == object.bytes, "{what}");
            assert_eq!(node.get(stratum.url(DOCUMENT)).await.body, text, "{what}");
            assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", start.elapsed());
        }
    }))
    .await;
}

#[tokio::test]
async fn without_a_last_resort_a_lost_parent_is_told_as_what_it_is() {
    for (loss, fault) in losses() {
        let object = Object::generate(2, 30_000);
        let stratum = Origin::new().object(&object).run();
        let region = Origin::new().object(&object).fault(fault.clone()).run();
        let site = Proxy::start(node_of(region.address(), &[stratum.address()]).hasty()).await;
        let node = Proxy::start(node(&site, &[&stratum])).await;
        let status = node.get(stratum.url(&object.path())).await.status();
        match fault {
            // It sends us away, and so do we: the client's next proxy may have another way.
            Fault::Status(403 | 421) => assert_eq!(status, 421, "{loss}"),
            _ => assert!(matches!(status, 502 | 504), "{loss}: {status}"),
        }
        assert_eq!(stratum.requests(), 0, "{loss}: nobody may go direct");
        region.heal();
        let start = Instant::now();
        while node.get(stratum.url(&object.path())).await.body != object.bytes {
            assert!(start.elapsed() < crate::support::PATIENCE, "{loss}");
        }
    }
}

#[tokio::test]
async fn names_that_move_when_one_of_four_is_lost_come_home_when_it_is_back() {
    const NAMES: usize = 400;
    let objects: Vec<_> = (0..NAMES as u64).map(|seed| Object::generate(seed, 500)).collect();
    let tier: [Stratum; 4] =
        std::array::from_fn(|_| objects.iter().fold(Origin::new(), Origin::object).run());
    let setup = lone("node").no_memory().hasty().with(|config| {
        config.parents = tier.iter().map(|parent| Parent { url: server(parent), login: None }).collect();
        config.upstream.parents_choice = ParentsChoice::Rendezvous;
        config.upstream.direct = false;
    });
    let node = Proxy::start(setup).await;
    let homes = homes(&node, &tier, &objects).await;
    tier[0].inject(Fault::CloseUnanswered);
    let away = self::homes(&node, &tier, &objects).await;
    let moved = homes.iter().zip(&away).filter(|(home, away)| home != away).count();
    let share = homes.iter().filter(|home| **home == 0).count();
    assert_eq!(moved, share, "only the names of the lost one move");
    assert!(moved <= NAMES * 30 / 100, "{moved} of {NAMES}");
    assert!((1..4).all(|parent| away.iter().filter(|home| **home == parent).count() < NAMES * 45 / 100));

    tier[0].heal();
    let healthy = metric("substratum_upstream_healthy").label("upstream", &tier[0].base());
    let start = Instant::now();
    while !healthy.clone().eq(1).holds(&node.metrics()) {
        assert!(start.elapsed() < crate::support::PATIENCE, "it does not come back");
        for object in &objects {
            node.get(Ask::get(format!("http://127.0.0.1:1{}", object.path()))).await;
        }
    }
    assert_eq!(self::homes(&node, &tier, &objects).await, homes);
}

fn server(stratum: &Stratum) -> ServerUrl {
    let address = stratum.address();
    ServerUrl { scheme: Scheme::Http, host: address.ip().to_string().into(), port: address.port() }
}

/// Which of the tier each object came from: the last one that was asked.
async fn homes(node: &Proxy, tier: &[Stratum], objects: &[Object]) -> Vec<usize> {
    let mut client = node.client();
    let mut homes = Vec::new();
    for object in objects {
        tier.iter().for_each(Stratum::forget);
        let answer = client.ask(format!("http://127.0.0.1:1{}", object.path())).await.unwrap();
        assert_eq!(answer.body, object.bytes);
        let asked = tier.iter().enumerate().filter(|(_, parent)| parent.requests() > 0);
        let asked: Vec<usize> = asked.map(|(place, _)| place).collect();
        // The lost one may have been asked in vain before.
        homes.push(*asked.last().unwrap());
    }
    homes
}

#[tokio::test]
async fn two_caches_that_are_each_other_s_parent_end_the_circle() {
    let object = Object::generate(3, 30_000);
    let stratum = Origin::new().object(&object).run();
    // One must be told where the other one will be. Whoever closes the circle refuses, and the other goes direct.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let round = node_of(address, &[stratum.address()]).no_memory();
    let one = Proxy::start(round.with(|config| config.upstream.direct = true)).await;
    let other = node_of(one.address(), &[stratum.address()]).no_memory();
    let other = Proxy::start(other.with(|config| {
        config.listen.proxy = vec![address];
        config.upstream.direct = true;
    }))
    .await;
    for cache in [&one, &other] {
        for _ in 0..5 {
            assert!(cache.get(stratum.url(&object.path())).await.body == object.bytes);
        }
    }
    assert!((10..=20).contains(&stratum.requests()), "{}", stratum.requests());
}
