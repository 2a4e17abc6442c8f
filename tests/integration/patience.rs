//! Whatever one server does, a client is answered before it would leave: within 5 s, with the usual time limits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use substratum::config::Upstream;

use crate::support::client::Ask;
use crate::support::hole::Hole;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page};
use crate::support::proxy::{Proxy, site, site_of};

/// A CernVM-FS client leaves a proxy that says nothing for this long.
const CLIENT_LEAVES: Duration = Duration::from_secs(5);

const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

const SMALL: usize = 30_000;
const LARGE: usize = 400_000;

/// Faults that let nothing useful through.
fn faults() -> Vec<Fault> {
    vec![
        Fault::NeverAnswer,
        Fault::StallInHead,
        Fault::InterimFlood,
        Fault::HugeHead(1 << 20),
        Fault::GarbageHead,
        Fault::CloseUnanswered,
        Fault::Stall(0),
        Fault::Stall(2),
        Fault::Truncate(2),
        Fault::Reset(2),
        Fault::WrongLength(1),
        Fault::BadChunk(2),
        Fault::Drip { bytes: 1, every: Duration::from_millis(100) },
        Fault::Status(404),
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
    ]
}

/// The usual time limits, whatever the plays' own are.
async fn usual(strata: &[SocketAddr]) -> Proxy {
    Proxy::start(site_of(strata).with(|config| config.upstream = Upstream::default())).await
}

/// Status and body of an answer whose first byte came before the client would have left.
async fn in_time(proxy: &Proxy, url: String, what: &str) -> (u16, bytes::Bytes) {
    let ask = Ask::get(url);
    let mut client = proxy.client();
    let start = Instant::now();
    client.send(&ask).await.unwrap();
    let head = client.head().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(start.elapsed() < CLIENT_LEAVES, "{what}: {:?}", start.elapsed());
    let body = client.body(&head, &ask).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    (head.status, body)
}

/// Of two mirrors filled alike, the one that is asked first fails.
async fn the_other_s_answer_comes_in_time(fault: &Fault, object: &Object, fill: impl Fn(Origin) -> Origin) {
    let bad = fill(Origin::new().fault(fault.clone())).run();
    let good = fill(Origin::new()).run();
    let proxy = usual(&[bad.address(), good.address()]).await;
    let what = format!("{fault:?}");
    let (status, body) = in_time(&proxy, bad.url(&object.path()), &what).await;
    assert!(status == 200 && body == object.bytes, "{what}: {status}");
    assert!(good.requests() > 0, "{what}");
}

#[tokio::test]
async fn whatever_one_mirror_does_the_other_s_answer_comes_in_time() {
    join_all(faults().into_iter().map(|fault| async move {
        let object = Object::generate(1, SMALL);
        let page = Page::new("text").field("Cache-Control", "no-store");
        let fill = |origin: Origin| origin.object(&object).page(DOCUMENT, page.clone());
        the_other_s_answer_comes_in_time(&fault, &object, fill).await;
    }))
    .await;
}

#[tokio::test]
async fn a_large_object_that_is_on_its_way_is_brought_to_its_end_by_the_other_mirror() {
    let at = LARGE - 10_000;
    let under_way = [
        Fault::Stall(at),
        Fault::Truncate(at),
        Fault::Reset(at),
        Fault::BadChunk(at),
        Fault::Drip { bytes: 1_000, every: Duration::from_secs(1) },
    ];
    // The length of one that is passed on as it comes is the first source's word.
    let faults = faults().into_iter().filter(|fault| !matches!(fault, Fault::WrongLength(_)));
    join_all(faults.chain(under_way).map(|fault| async move {
        let object = Object::generate(4, LARGE);
        the_other_s_answer_comes_in_time(&fault, &object, |origin| origin.object(&object)).await;
    }))
    .await;
}

#[tokio::test]
async fn whatever_the_only_stratum_does_a_small_object_is_refused_in_time() {
    join_all(faults().into_iter().map(|fault| async move {
        let object = Object::generate(2, SMALL);
        let stratum = Origin::new().object(&object).fault(fault.clone()).run();
        let proxy = usual(&[stratum.address()]).await;
        let what = format!("{fault:?}");
        let ask = Ask::get(stratum.url(&object.path()));
        let mut client = proxy.client();
        let start = Instant::now();
        client.send(&ask).await.unwrap();
        let head = client.head().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(start.elapsed() < CLIENT_LEAVES, "{what}: {:?}", start.elapsed());
        match fault {
            Fault::Status(404) => assert_eq!(head.status, 404),
            // What comes too slowly to be verified first is shown as it comes, and cut: the client leaves the stratum.
            Fault::Stall(_) | Fault::Drip { .. } if head.status == 200 => {
                assert!(client.body(&head, &ask).await.is_err(), "{what}");
            }
            _ => assert!(matches!(head.status, 502 | 504), "{what}: {}", head.status),
        }
    }))
    .await;
}

#[tokio::test]
async fn a_host_that_accepts_no_connection_is_passed_over() {
    let (hole, object) = (Hole::open(), Object::generate(3, LARGE));
    let good = Origin::new().object(&object).run();
    let proxy = usual(&[hole.address(), good.address()]).await;
    let (status, body) = in_time(&proxy, good.url(&object.path()), "a hole").await;
    assert!(status == 200 && body == object.bytes);
    proxy.until(metric("substratum_upstream_requests_total").label("outcome", "ok").eq(1)).await;

    let lone = usual(&[hole.address()]).await;
    let url = format!("http://{}{}", hole.address(), object.path());
    assert_eq!(in_time(&lone, url, "a lone hole").await.0, 504);
}

/// Its host lost its power and is back: it knows nothing of the connections that were kept to it.
#[tokio::test]
async fn a_mirror_that_is_back_is_asked_on_new_connections() {
    const KEPT: usize = 4;
    let objects: Vec<_> = (30..36).map(|seed| Object::generate(seed, SMALL)).collect();
    let held = |origin: Origin, object: &Object| origin.fault(Fault::HoldHead.on(object.path()));
    let origin = objects[..KEPT].iter().fold(Origin::new(), held).fault(Fault::Vanish);
    let stratum = objects.iter().fold(origin, Origin::object).run();
    let setup = site(&[&stratum]).with(|config| {
        config.upstream = Upstream { head_deadline: Duration::from_millis(1500), ..Upstream::default() };
        config.listen.workers = 1;
    });
    let proxy = Proxy::start(setup).await;
    let asked = objects[..KEPT].iter().map(|object| proxy.ask(stratum.url(&object.path())));
    let release = async {
        stratum.until_requests(KEPT).await;
        stratum.release();
    };
    for answer in tokio::join!(join_all(asked), release).0 {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(stratum.connections(), KEPT);
    let [.., lost, found] = &objects[..] else { unreachable!("there are more") };
    assert_eq!(proxy.get(stratum.url(&lost.path())).await.status(), 504);
    assert!(proxy.get(stratum.url(&found.path())).await.body == found.bytes, "the next one is answered");
}

#[tokio::test]
async fn a_mirror_that_vanished_behind_a_kept_connection_is_not_waited_for() {
    let objects: Vec<_> = (0..2).map(|seed| Object::generate(10 + seed, SMALL)).collect();
    let fill = |origin: Origin| objects.iter().fold(origin, Origin::object).run();
    let (vanishing, other) = (fill(Origin::new().fault(Fault::Vanish)), fill(Origin::new()));
    let setup = site(&[&vanishing, &other]).with(|config| {
        config.upstream = Upstream::default();
        config.listen.workers = 1;
    });
    let proxy = Proxy::start(setup).await;
    for object in &objects {
        let (status, body) = in_time(&proxy, vanishing.url(&object.path()), "vanished").await;
        assert!(status == 200 && body == object.bytes);
    }
    assert_eq!((vanishing.requests(), vanishing.connections(), other.requests()), (2, 1, 1));
}
