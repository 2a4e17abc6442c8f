//! More requests than connections: the excess is sent to the next proxy at once, nobody is blamed, and it passes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use substratum::config::ByteSize;

use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page};
use crate::support::proxy::{Proxy, site};

const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

/// Requests beyond the connections.
const CROWD: usize = 60;

/// How long a request may wait for a connection.
const WAIT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_crowd_before_one_connection_is_sent_on_at_once_and_later_served() {
    let objects: Vec<_> = (0..=CROWD as u64).map(|seed| Object::generate(seed, 3_000)).collect();
    let origin = objects.iter().fold(Origin::new(), Origin::object);
    let origin = origin.page(DOCUMENT, Page::new("text").field("Cache-Control", "no-store"));
    let stratum = origin.fault(Fault::HoldHead.on(objects[0].path())).run();
    let setup = site(&[&stratum]).with(|config| {
        config.listen.workers = 1;
        config.upstream.connect_timeout = WAIT;
        config.upstream.max_connections = 1;
        config.upstream.idle_connections = 1;
    });
    let proxy = Proxy::start(setup).await;
    let served = proxy.get_n(1, stratum.url(&objects[0].path()));
    stratum.until_requests(1).await;

    let mut paths: Vec<_> = objects[1..].iter().map(Object::path).collect();
    paths.push(DOCUMENT.to_owned());
    let start = Instant::now();
    let refused = join_all(paths.iter().map(|path| proxy.get(stratum.url(path)))).await;
    let waited = start.elapsed();
    for (path, answer) in paths.iter().zip(&refused) {
        assert_eq!(answer.status(), 421, "{path}: a 5xx would make the client leave a healthy stratum");
    }
    assert!(waited < WAIT + Duration::from_secs(2), "{waited:?}");
    assert_eq!(stratum.requests(), 1);
    let healthy = metric("substratum_upstream_healthy").label("upstream", &stratum.base());
    proxy.until(healthy.eq(1)).await;

    stratum.release();
    assert_eq!(served.all().await.remove(0).unwrap().body, objects[0].bytes);
    for object in &objects {
        assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
    }
    assert_eq!(proxy.get(stratum.url(DOCUMENT)).await.body, "text");
    assert_eq!(stratum.connections(), 1);
}

#[tokio::test]
async fn downloads_take_no_more_memory_together_than_they_may() {
    const SIZE: usize = 1 << 20;
    let objects: Vec<_> = (0..4).map(|seed| Object::generate(90 + seed, SIZE)).collect();
    // Heads come, bodies are held back.
    let stratum = objects.iter().fold(Origin::new(), Origin::object).fault(Fault::Hold(10_000)).run();
    let setup = site(&[&stratum]).with(|config| {
        config.objects.window = ByteSize::mib(1);
        config.objects.fill_memory = ByteSize::mib(2);
        config.objects.verify_first = ByteSize(0);
        config.upstream = substratum::config::Upstream {
            stall_timeout: Duration::from_secs(60),
            ..config.upstream.clone()
        };
    });
    let proxy = Proxy::start(setup).await;
    let full: Vec<_> =
        objects[..2].iter().map(|object| proxy.get_n(1, stratum.url(&object.path()))).collect();
    proxy.until(metric("substratum_fill_memory_bytes").eq(2 * SIZE as u64)).await;
    let refused = proxy.get(stratum.url(&objects[2].path())).await;
    assert_eq!(refused.status(), 421);
    let why = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(why.contains("fill_memory"), "{why}");
    stratum.release();
    for (answers, object) in full.into_iter().zip(&objects) {
        assert!(answers.all().await.remove(0).unwrap().body == object.bytes);
    }
    proxy.until(metric("substratum_fill_memory_bytes").eq(0)).await;
    for object in &objects[2..] {
        assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes);
    }
}
