//! Caches below caches: what is lost when one of them is, and what is not.

use substratum::config::{Parent, ParentsChoice, Scheme, ServerUrl};

use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, Setup, node, node_of, site};

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
        config.parents = parents.iter().map(|parent| Parent { url: url(parent) }).collect();
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
