//! The way to the strata: connections used again, silence given up in time, the next one asked.

use std::time::{Duration, Instant};

use substratum::config::Upstream;

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
