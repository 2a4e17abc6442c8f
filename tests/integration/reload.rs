//! Another configuration while requests go on: SIGHUP, and what it may change.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use substratum::config::{
    AccessLogFormat, ByteSize, Config, DocumentRule, Glob, Log, Memory, MirrorGroup, TargetShape,
};

use crate::support::binary::{Binary, config_text};
use crate::support::client::{Ask, Client};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, node, site};
use crate::support::{LOOK_AGAIN, PATIENCE};

const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfs_document";

/// The configuration of `site` with a change.
fn changed(strata: &[&Stratum], change: impl FnOnce(&mut Config)) -> Config {
    site(strata).with(change).config
}

/// Clients that ask on and on, each on one connection, and compare what they get.
struct Crowd {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Crowd {
    fn of(n: usize, proxy: &Proxy, asks: &[(String, Bytes)]) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..n).map(|first| {
            let (mut client, asks) = (proxy.client(), asks.to_vec());
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                for (url, body) in asks.iter().cycle().skip(first) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match client.ask(url).await {
                        Ok(answer) if answer.status() == 200 && answer.body == body => {}
                        Ok(answer) => failures.push(format!("{url}: {:?}", answer.head)),
                        Err(error) => failures.push(format!("{url}: {error}")),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                failures
            })
        });
        let clients = clients.collect();
        Self { stop, answered, clients }
    }

    /// Waits for `n` more answers.
    async fn more(&self, n: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + n;
        let came = tokio::time::timeout(PATIENCE, async {
            while self.answered.load(Ordering::Relaxed) < wanted {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        assert!(came.await.is_ok(), "the clients stand still");
    }

    /// How many answers there were, all of them good.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            assert_eq!(client.await.unwrap(), Vec::<String>::new());
        }
        self.answered.load(Ordering::Relaxed)
    }
}

/// Two configurations that differ in everything a reload can change, taken on twenty times under load.
#[tokio::test]
async fn nobody_notices() {
    let objects: Vec<_> =
        (0..24).map(|seed| Object::generate(seed, if seed % 6 == 0 { 700_000 } else { 9_000 })).collect();
    let origin = || {
        let page = Page::new("text").field("Cache-Control", "max-age=0").field("ETag", "\"1\"");
        objects.iter().fold(Origin::new().page(DOCUMENT, page), Origin::object).run()
    };
    let (one, other) = (origin(), origin());
    let folder = tempfile::tempdir().unwrap();
    let (json, squid) = (folder.path().join("json"), folder.path().join("squid"));
    let log = |access, path| Log { access, path: Some(path), ..Log::default() };
    let first = site(&[&one, &other]).disk(ByteSize::mib(64)).with(|config| {
        config.memory = Memory::with_capacity(ByteSize::mib(32));
        config.log = log(AccessLogFormat::Json, json.clone());
    });
    let mut second = first.config.clone();
    second.listen.name = "other".to_owned();
    second.listen.max_connections = 500;
    second.access.hosts = vec![Glob::new("127.*")];
    second.access.targets = vec![TargetShape::Any];
    second.memory = Memory::with_capacity(ByteSize::mib(1));
    second.disk.as_mut().unwrap().capacity = ByteSize::mib(128);
    second.disk.as_mut().unwrap().segment = first.config.disk.as_ref().unwrap().segment;
    second.objects.verify_first = ByteSize(0);
    second.documents = vec![DocumentRule {
        pattern: "cvmfs".parse().unwrap(),
        ttl: Some(Duration::from_secs(60)),
        ..unset()
    }];
    second.mirrors[0].urls.reverse();
    second.upstream.max_connections = 7;
    second.upstream.hedge_percent = 50;
    second.log = log(AccessLogFormat::Squid, squid.clone());
    let configs = [second, first.config.clone()];

    let proxy = Proxy::start(first).await;
    let mut asks: Vec<_> =
        objects.iter().map(|object| (one.url(&object.path()), object.bytes.clone())).collect();
    asks.push((one.url(DOCUMENT), Bytes::from_static(b"text")));
    let crowd = Crowd::of(8, &proxy, &asks);
    for config in configs.iter().cycle().take(20) {
        crowd.more(40).await;
        assert_eq!(proxy.reload(config.clone()), Ok(vec![]));
    }
    crowd.more(40).await;
    let answered = crowd.end().await;
    assert!(answered >= 840);
    assert_eq!(
        metric("substratum_config_reloads_total").label("result", "applied").read(&proxy.metrics()),
        20.0
    );
    assert_eq!(metric("substratum_connections_refused_total").read(&proxy.metrics()), 0.0);
    proxy.until(metric("substratum_connections").eq(0)).await;
    proxy.stop().await;
    let lines = |path| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(lines(json) + lines(squid), answered, "one line a request, in one log or the other");
}

fn unset() -> DocumentRule {
    DocumentRule {
        pattern: "cvmfs".parse().unwrap(),
        ttl: None,
        negative_ttl: None,
        stale_if_error: None,
        stale_while_revalidate: None,
    }
}

#[tokio::test]
async fn rules_hold_for_connections_that_are_open() {
    let object = Object::generate(1, 3_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let mut client = proxy.client();
    let url = stratum.url(&object.path());
    assert_eq!(client.ask(&url).await.unwrap().status(), 200);
    let nobody = changed(&[&stratum], |config| config.access.clients = vec!["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(proxy.reload(nobody), Ok(vec![]));
    assert_eq!(client.ask(&url).await.unwrap().status(), 403);
    let frontier = changed(&[&stratum], |config| config.access.targets = vec![TargetShape::Frontier]);
    assert_eq!(proxy.reload(frontier), Ok(vec![]));
    assert_eq!(client.ask(&url).await.unwrap().status(), 403);
    let renamed = changed(&[&stratum], |config| config.listen.name = "renamed".to_owned());
    assert_eq!(proxy.reload(renamed), Ok(vec![]));
    let answer = client.ask(&url).await.unwrap();
    assert_eq!(
        (answer.status(), answer.get("X-Cache")),
        (200, "HIT from renamed"),
        "and the object is still there"
    );
    let one = changed(&[&stratum], |config| config.listen.max_connections = 1);
    assert_eq!(proxy.reload(one), Ok(vec![]));
    assert!(proxy.ask(&url).await.is_err(), "the second connection");
    assert_eq!(client.ask(&url).await.unwrap().status(), 200, "the first one stays");
}

#[tokio::test]
async fn other_servers_are_asked() {
    let objects: Vec<_> = (0..4).map(|seed| Object::generate(seed, 3_000)).collect();
    let origin = || objects.iter().fold(Origin::new(), Origin::object).run();
    let (one, other) = (origin(), origin());
    let parent = Proxy::start(site(&[&other])).await;
    let proxy = Proxy::start(site(&[&one])).await;
    let get = async |object: &Object| {
        // As from a client that uses it as its server: the configuration alone decides who is asked.
        assert_eq!(proxy.get(object.path()).await.body, object.bytes);
        (one.requests(), other.requests())
    };
    assert_eq!(get(&objects[0]).await, (1, 0));
    assert_eq!(proxy.reload(site(&[&other]).config), Ok(vec![]));
    assert_eq!(get(&objects[1]).await, (1, 1));
    assert!(
        !proxy.metrics().contains(&format!("substratum_upstream_healthy{{upstream=\"{}\"}}", one.base()))
    );
    let below = node(&parent, &[&other]).config;
    assert_eq!(proxy.reload(below), Ok(vec![]));
    assert_eq!(get(&objects[2]).await, (1, 2));
    parent.until(metric("substratum_requests_total").label("outcome", "miss").eq(1)).await;
    assert_eq!(proxy.reload(site(&[&one]).config), Ok(vec![]));
    assert_eq!(get(&objects[3]).await, (2, 2));
}

#[tokio::test]
async fn time_limits_and_lifetimes_change() {
    let object = Object::generate(1, 3_000);
    let page = Page::new("text").field("Cache-Control", "max-age=0");
    let stratum =
        Origin::new().object(&object).page(DOCUMENT, page).fault(Fault::NeverAnswer.on(object.path())).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for _ in 0..2 {
        assert!(proxy.get(stratum.url(DOCUMENT)).await.get("X-Cache").starts_with("MISS"));
    }
    let config = changed(&[&stratum], |config| {
        config.documents = vec![DocumentRule { ttl: Some(Duration::from_secs(60)), ..unset() }];
        config.upstream.first_byte_timeout = Duration::from_millis(100);
        config.upstream.head_deadline = Duration::from_millis(200);
    });
    assert_eq!(proxy.reload(config), Ok(vec![]));
    proxy.get(stratum.url(DOCUMENT)).await;
    assert!(proxy.get(stratum.url(DOCUMENT)).await.get("X-Cache").starts_with("HIT"));
    // Twenty seconds before.
    assert_eq!(proxy.get(stratum.url(&object.path())).await.status(), 504);
}

#[tokio::test]
async fn capacities_change_and_keep_what_fits() {
    let objects: Vec<_> = (0..40).map(|seed| Object::generate(seed, 100_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    // All of it is for objects.
    let setup = site(&[&stratum]).disk(ByteSize::mib(64)).with(|config| {
        config.disk.as_mut().unwrap().documents = ByteSize(0);
    });
    let config = setup.config.clone();
    let proxy = Proxy::start(setup).await;
    let all = async || {
        for object in &objects {
            assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
        }
        stratum.requests()
    };
    assert_eq!(all().await, 40);
    proxy.flush();
    let with = |memory, disk| {
        let mut config = config.clone();
        config.memory = Memory::with_capacity(memory);
        config.disk.as_mut().unwrap().capacity = disk;
        config
    };
    let hits = || metric("substratum_requests_total").label("outcome", "memory_hit").read(&proxy.metrics());
    assert_eq!(proxy.reload(with(ByteSize::mib(256), ByteSize::mib(256))), Ok(vec![]));
    proxy.until(metric("substratum_disk_limit_bytes").eq(256 << 20)).await;
    let before = hits();
    assert_eq!(all().await, 40);
    proxy
        .until(metric("substratum_requests_total").label("outcome", "memory_hit").eq(before as u64 + 40))
        .await;
    assert_eq!(proxy.reload(with(ByteSize(0), ByteSize::mib(64))), Ok(vec![]));
    assert_eq!(all().await, 40, "the disk has them all");
    proxy.until(metric("substratum_requests_total").label("outcome", "disk_hit").eq(40)).await;
    // Fewer than sixteen segments.
    let waiting = proxy.reload(with(ByteSize::mib(128), ByteSize::mib(12))).unwrap();
    assert_eq!(waiting, ["[disk] capacity"]);
    assert_eq!(metric("substratum_disk_capacity_bytes").read(&proxy.metrics()), f64::from(64 << 20));
    assert_eq!(metric("substratum_config_keys_waiting").read(&proxy.metrics()), 1.0);
}

#[tokio::test]
async fn what_has_begun_and_what_is_known_survives() {
    let (object, late) = (Object::generate(1, 3_000), Object::generate(2, 1_500_000));
    let dead = Origin::new().fault(Fault::CloseUnanswered).run();
    let good =
        Origin::new().object(&object).object(&late).fault(Fault::Hold(1_000_000).on(late.path())).run();
    let proxy = Proxy::start(site(&[&dead, &good]).hasty().no_memory()).await;
    for _ in 0..4 {
        assert_eq!(proxy.get(dead.url(&object.path())).await.body, object.bytes);
    }
    proxy.until(metric("substratum_upstream_healthy").label("upstream", &dead.base()).eq(0)).await;
    let opened = metric("substratum_upstream_circuit_opened_total").label("upstream", &dead.base());
    let rounds = opened.clone().read(&proxy.metrics());
    // A download on its way from a server that is about to go from the configuration.
    let ask = Ask::get(good.url(&late.path()));
    let mut client = proxy.client();
    client.send(&ask).await.unwrap();
    client.head().await.unwrap();
    let third = Origin::new().object(&object).run();
    assert_eq!(proxy.reload(site(&[&dead, &third]).hasty().no_memory().config), Ok(vec![]));
    let standing = metric("substratum_upstream_healthy").label("upstream", &dead.base());
    assert_eq!(standing.read(&proxy.metrics()), 0.0, "still in trouble, after {rounds}");
    assert_eq!(proxy.get(dead.url(&object.path())).await.body, object.bytes);
    good.release();
    assert!(client.take(late.bytes.len()).await.unwrap() == late.bytes);
}

#[tokio::test]
async fn a_certificate_authority_or_log_that_cannot_be_read_refuses_all() {
    let object = Object::generate(1, 3_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let broken: [fn(&mut Config); 2] = [
        |config| {
            config.upstream.ca_files = vec!["/nonexistent/ca.pem".into()];
            config.mirrors.push(MirrorGroup {
                name: "tls".to_owned(),
                urls: vec!["https://127.0.0.1:1".parse().unwrap()],
                serves: MirrorGroup::serves_all(),
            });
        },
        |config| {
            config.log.access = AccessLogFormat::Json;
            config.log.path = Some("/nonexistent/log".into());
        },
    ];
    for broken in broken {
        let config = changed(&[&stratum], |config| {
            config.access.clients = vec!["192.0.2.0/24".parse().unwrap()];
            broken(config);
        });
        let error = proxy.reload(config).unwrap_err();
        assert!(error.contains("/nonexistent/"), "{error}");
        assert_eq!(proxy.get(stratum.url(&object.path())).await.status(), 200, "the old rules hold");
        assert_eq!(metric("substratum_config_last_reload_successful").read(&proxy.metrics()), 0.0);
    }
}

/// What `/status` says of the last reload.
async fn last_reload(admin: &mut Client) -> serde_json::Value {
    let status = admin.ask("/status").await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    status["last_reload"].clone()
}

#[tokio::test]
async fn a_signal_reads_the_file_and_a_broken_one_changes_nothing() {
    let object = Object::generate(1, 3_000);
    let stratum = Origin::new().object(&object).run();
    let config = config_text(&[&stratum], None);
    let binary = Binary::serve(&config).await;
    let (mut client, mut admin) = (binary.client(), binary.admin().await);
    let url = stratum.url(&object.path());
    assert_eq!(last_reload(&mut admin).await, serde_json::Value::Null);
    let result = |word| metric("substratum_config_reloads_total").label("result", word);

    binary.configure(&format!("{config}[access]\nclients = [\"192.0.2.0/24\"]\nhosts = 7\n"));
    binary.hang_up();
    binary.until(result("refused").eq(1)).await;
    binary.until_said("the configuration was not reloaded, the old one stays in force").await;
    binary.until_said("[access] hosts: 7 is a number; expected").await;
    let last = last_reload(&mut admin).await;
    assert_eq!(last["result"], "refused");
    assert!(last["reason"].as_str().unwrap().contains("[access] hosts"), "{last}");
    assert_eq!(client.ask(&url).await.unwrap().status(), 200);

    let moved = config.replace("workers = 2", "workers = 3\nmax_target = \"1 KiB\"");
    binary.configure(&format!("{moved}[access]\nclients = [\"192.0.2.0/24\"]\n"));
    binary.hang_up();
    binary.until(result("applied").eq(1)).await;
    binary.until_said("[listen] workers was changed, but holds only after a restart").await;
    binary.until(metric("substratum_config_last_reload_successful").eq(1)).await;
    let last = last_reload(&mut admin).await;
    assert_eq!(
        (&last["result"], &last["waiting_for_restart"][0]),
        (&"applied".into(), &"[listen] workers".into())
    );
    assert_eq!(client.ask(&url).await.unwrap().status(), 403);
}
