//! The way to the strata: connections used again, silence given up in time, the next one asked.

use std::time::{Duration, Instant};

use substratum::config::Upstream;

use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Form, Origin, Page};
use crate::support::proxy::{Proxy, node, site};

const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

/// A CernVM-FS client leaves a proxy that says nothing for this long.
const CLIENT_LEAVES: Duration = Duration::from_secs(5);

#[tokio::test]
async fn connections_are_used_again() {
    let objects: Vec<_> = (0..20).map(|seed| Object::generate(seed, 3_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let proxy = Proxy::start(site(&[&stratum]).with(|config| config.listen.workers = 1)).await;
    let mut client = proxy.client();
    for object in &objects {
        assert_eq!(client.ask(stratum.url(&object.path())).await.unwrap().body, object.bytes);
    }
    let seen = stratum.seen();
    assert_eq!(seen.len(), objects.len());
    assert!(seen.iter().all(|seen| seen.connection == 0), "{} connections", stratum.connections());
}

#[tokio::test]
async fn a_connection_that_died_idle_is_replaced_unnoticed() {
    let objects: Vec<_> = (0..10).map(|seed| Object::generate(seed, 3_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).fault(Fault::CloseAfter).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let mut client = proxy.client();
    for object in &objects {
        assert_eq!(client.ask(stratum.url(&object.path())).await.unwrap().body, object.bytes);
    }
}

#[tokio::test]
async fn a_silent_mirror_costs_less_than_a_client_s_patience() {
    let object = Object::generate(1, 30_000);
    let page = Page::new("text").field("Cache-Control", "max-age=60");
    let silent = Origin::new().fault(Fault::NeverAnswer).run();
    let good = Origin::new().object(&object).page(DOCUMENT, page).run();
    let defaults = site(&[&silent, &good]).with(|config| config.upstream = Upstream::default());
    let proxy = Proxy::start(defaults).await;
    for path in [object.path(), DOCUMENT.to_owned()] {
        let start = Instant::now();
        assert_eq!(proxy.get(silent.url(&path)).await.status(), 200, "{path}");
        assert!(start.elapsed() < CLIENT_LEAVES, "{path}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_lone_silent_stratum_is_given_up_before_the_client_gives_us_up() {
    let object = Object::generate(2, 30_000);
    let stratum = Origin::new().object(&object).fault(Fault::NeverAnswer.on("/data/")).run();
    let proxy = Proxy::start(site(&[&stratum]).with(|config| config.upstream = Upstream::default())).await;
    let start = Instant::now();
    assert_eq!(proxy.get(stratum.url(&object.path())).await.status(), 504);
    assert!(start.elapsed() < CLIENT_LEAVES, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_document_that_breaks_off_is_asked_of_the_next_mirror() {
    let page = Page::new("text".repeat(500)).field("Cache-Control", "max-age=60");
    for fault in [Fault::Stall(10), Fault::Truncate(10), Fault::Reset(10)] {
        let broken = Origin::new().page(DOCUMENT, page.clone()).fault(fault.clone()).run();
        let good = Origin::new().page(DOCUMENT, page.clone()).run();
        let defaults = site(&[&broken, &good]).with(|config| config.upstream = Upstream::default());
        let proxy = Proxy::start(defaults).await;
        let start = Instant::now();
        let answer = proxy.get(broken.url(DOCUMENT)).await;
        assert_eq!((answer.status(), answer.body.len()), (200, 2000), "{fault:?}");
        assert!(start.elapsed() < CLIENT_LEAVES, "{fault:?}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn redirects_of_objects_are_followed_where_that_is_configured_and_allowed() {
    let object = Object::generate(9, 30_000);
    let store = Origin::new().page("/store/9?signed", Page::new(object.bytes.clone())).run();
    let location = store.url("/store/9?signed");
    let page = |location: &str| Page::new("").status(302).field("Location", location);
    let stratum = Origin::new().page(&object.path(), page(&location)).run();
    let followed = |n: usize| site(&[&stratum]).with(|config| config.upstream.redirects = n);

    let proxy = Proxy::start(followed(0)).await;
    assert_eq!(proxy.get(stratum.url(&object.path())).await.status(), 502);
    assert_eq!(store.requests(), 0);

    let proxy = Proxy::start(followed(1)).await;
    assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
    assert_eq!(store.last_seen().target, "/store/9?signed");
    assert!(metric("substratum_upstream_redirects_followed_total").eq(1).holds(&proxy.metrics()));

    // The store is on this machine, which the rules must allow as if the client had named it.
    let asked = store.requests();
    let closed = followed(1).with(|config| config.access.internal_hosts.clear());
    let proxy = Proxy::start(closed).await;
    assert_eq!(proxy.get(stratum.url(&object.path())).await.status(), 403);
    assert_eq!(store.requests(), asked);

    let circle = Origin::new().page(&object.path(), page(&object.path())).run();
    let proxy = Proxy::start(site(&[&circle]).with(|config| config.upstream.redirects = 3)).await;
    assert_eq!(proxy.get(circle.url(&object.path())).await.status(), 502);
    // Once more, with no-cache, is owed to nobody who only redirects.
    assert_eq!(circle.requests(), 4);
}

#[tokio::test]
async fn parents_are_asked_in_absolute_form_and_before_the_strata() {
    let object = Object::generate(3, 30_000);
    let (parent, stratum) = (Origin::new().object(&object).run(), Origin::new().object(&object).run());
    let setup = crate::support::proxy::node_of(parent.address(), &[stratum.address()]);
    let proxy = Proxy::start(setup.with(|config| config.upstream.direct = true)).await;
    assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
    assert_eq!((parent.requests(), stratum.requests()), (1, 0));
    let seen = parent.last_seen();
    assert_eq!((seen.form(), seen.target.clone()), (Form::Absolute, stratum.url(&object.path())));
}

#[tokio::test]
async fn without_the_parent_the_stratum_is_asked_where_allowed() {
    let object = Object::generate(4, 30_000);
    let stratum = Origin::new().object(&object).run();
    let parent = Proxy::start(site(&[&stratum])).await;
    let may = Proxy::start(node(&parent, &[&stratum]).hasty().with(|c| c.upstream.direct = true)).await;
    let may_not = Proxy::start(node(&parent, &[&stratum]).hasty()).await;
    parent.stop().await;
    assert_eq!(may.get(stratum.url(&object.path())).await.body, object.bytes);
    let refused = may_not.get(stratum.url(&object.path())).await;
    assert!(matches!(refused.status(), 502 | 504), "{}", refused.status());
    assert_eq!(stratum.requests(), 1);
}
