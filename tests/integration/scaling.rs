//! A site tier that grows from three to five and shrinks again, behind one name of a name server: real processes on addresses
//! of their own, nodes that follow the name through the system's resolver.
//!
//! The play runs itself once more in a network and a file system view of its own (user namespaces), where a name server can
//! have port 53 and `/etc/resolv.conf` names it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::binary::{Binary, config_text};
use crate::support::client::Client;
use crate::support::dns::NameServer;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Origin, Stratum};
use crate::support::{LOOK_AGAIN, PATIENCE};

/// Set where the play is inside.
const INSIDE: &str = "SUBSTRATUM_PLAY_INSIDE";

/// What a headless service is called.
const NAME: &str = "site.substratum.test";

const OBJECTS: u64 = 300;

/// On a crowded machine every site may be late; a second one that is asked meanwhile would say nothing about whose a name is.
const PATIENT: &str = "hedge_percent = 0\nfirst_byte_timeout = \"20 s\"\nhead_deadline = \"25 s\"\n";

/// From outside: opens the stage.
const STAGE: &str = r#"
    ip link set lo up &&
    echo 'nameserver 127.0.0.1' > "$0/resolv.conf" && echo 'hosts: files dns' > "$0/nsswitch.conf" &&
    mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf &&
    exec "$@"
"#;

fn unshared(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c", STAGE]).arg(folder);
    command
}

#[test]
fn a_site_that_grows_and_shrinks_loses_no_request_and_moves_its_share_of_names() {
    if std::env::var_os(INSIDE).is_some() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    if !unshared(folder.path()).arg("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("not played: this user may not have a network of its own (user namespaces, ip, mount)");
        return;
    }
    let output = unshared(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "scaling::a_site_that_grows_and_shrinks_loses_no_request_and_moves_its_share_of_names",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    print!("{said}");
}

/// The n-th pod.
fn pod(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, 0, n)
}

struct Site {
    binary: Binary,
    log: tempfile::NamedTempFile,
}

impl Site {
    async fn start(n: u8, port: u16, stratum: &Stratum) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let text = config_text(&[stratum], None);
        let proxy = text.lines().find(|line| line.starts_with("proxy = ")).unwrap().to_owned();
        let text = text.replace(&proxy, &format!("proxy = [\"{}:{port}\"]", pod(n)));
        let text = format!("{text}\n[log]\naccess = \"squid\"\npath = {:?}\n", log.path());
        Self { binary: Binary::serve(&text).await, log }
    }

    /// Which of these paths it was asked for since the last look.
    fn asked(&self, paths: &HashMap<String, usize>) -> Vec<usize> {
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        let urls = text.lines().filter_map(|line| line.split_whitespace().nth(6));
        urls.filter_map(|url| paths.get(url.find("/cvmfs/").map(|at| &url[at..])?).copied()).collect()
    }
}

/// Asks `node` for everything, and tells which site each object came from.
async fn homes(node: &Binary, sites: &[&Site], stratum: &Stratum, objects: &[Object]) -> Vec<u8> {
    let paths: HashMap<_, _> = objects.iter().enumerate().map(|(n, object)| (object.path(), n)).collect();
    let before: Vec<_> = sites.iter().map(|site| site.asked(&paths).len()).collect();
    let mut client = node.client();
    for object in objects {
        let answer = client.ask(stratum.url(&object.path())).await.unwrap();
        assert!(answer.body == object.bytes);
    }
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            let asked: Vec<_> = sites
                .iter()
                .zip(&before)
                .map(|(site, &before)| site.asked(&paths).split_off(before))
                .collect();
            if asked.iter().map(Vec::len).sum::<usize>() >= objects.len() {
                return asked;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    let mut homes = vec![0; objects.len()];
    for (site, asked) in (1..).zip(told.await.expect("every request is in some site's log")) {
        for object in asked {
            assert_eq!(homes[object], 0, "each object was asked for once");
            homes[object] = site;
        }
    }
    homes
}

/// Clients that never stop asking, until told.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn begin(nodes: &[SocketAddr], stratum: &Stratum, objects: &[Object]) -> Self {
        let (stop, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let requests: Arc<[_]> =
            objects.iter().map(|object| (stratum.url(&object.path()), object.bytes.clone())).collect();
        let client = |&node: &SocketAddr| {
            let (stop, asked, requests) = (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&requests));
            tokio::spawn(async move {
                let (mut client, mut lost) = (Client::of(node), Vec::new());
                for (url, bytes) in requests.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match client.ask(url.as_str()).await {
                        Ok(answer) if answer.body == *bytes => {}
                        Ok(answer) => lost.push(format!("{url}: {}", answer.status())),
                        Err(error) => lost.push(format!("{url}: {error}")),
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                lost
            })
        };
        let clients = nodes.iter().map(client).collect();
        Self { stop, asked, clients }
    }

    async fn more(&self, requests: usize) {
        let enough = self.asked.load(Ordering::Relaxed) + requests;
        let came = tokio::time::timeout(PATIENCE, async {
            while self.asked.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        assert!(came.await.is_ok(), "the load stands still");
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut lost = Vec::new();
        for client in self.clients {
            lost.extend(client.await.unwrap());
        }
        (self.asked.load(Ordering::Relaxed), lost)
    }
}

async fn play() {
    let names = NameServer::start(([127, 0, 0, 1], 53).into(), NAME);
    let objects: Vec<_> = (0..OBJECTS).map(|seed| Object::generate(seed, 500)).collect();
    let others: Vec<_> = (OBJECTS..OBJECTS + 200).map(|seed| Object::generate(seed, 5_000)).collect();
    let stratum = objects.iter().chain(&others).fold(Origin::new(), Origin::object).run();
    // All pods have one port; this network is the play's alone.
    let port = std::net::TcpListener::bind((pod(1), 0)).unwrap().local_addr().unwrap().port();
    let mut sites = Vec::new();
    for n in 1..=3 {
        sites.push(Site::start(n, port, &stratum).await);
    }
    names.set(&[pod(1), pod(2), pod(3)]);
    let text = format!(
        "{}\n[[parents]]\nurl = \"http://{NAME}:{port}\"\n[upstream]\ndirect = false\nparents_choice = \"addresses\"\n{PATIENT}",
        config_text(&[&stratum], None)
    );
    let text = text.replace("capacity = \"16 MiB\"", "capacity = \"0 B\"");
    assert!(text.contains("0 B"), "{text}");
    let nodes = [Binary::serve(&text).await, Binary::serve(&text).await];
    let known = async |number: u64| {
        for node in &nodes {
            node.until(metric("substratum_upstream_parents").eq(number)).await;
        }
    };
    known(3).await;
    let addresses = [nodes[0].address(), nodes[1].address(), nodes[0].address(), nodes[1].address()];
    let load = Load::begin(&addresses, &stratum, &others);
    load.more(200).await;
    let three: Vec<_> = sites.iter().collect();
    let before = homes(&nodes[0], &three, &stratum, &objects).await;
    assert_eq!(homes(&nodes[1], &three, &stratum, &objects).await, before, "all nodes agree");

    for n in 4..=5 {
        sites.push(Site::start(n, port, &stratum).await);
    }
    names.set(&[pod(4), pod(1), pod(5), pod(2), pod(3)]);
    known(5).await;
    load.more(500).await;
    let five: Vec<_> = sites.iter().collect();
    let grown = homes(&nodes[0], &five, &stratum, &objects).await;
    let moved: Vec<_> = before.iter().zip(&grown).filter(|(before, after)| before != after).collect();
    assert!(moved.iter().all(|(_, after)| **after > 3), "only to those that are new");
    let share = moved.len() as f64 / OBJECTS as f64;
    assert!((0.28..0.52).contains(&share), "{share} moved, two fifths should");
    assert_eq!(homes(&nodes[1], &five, &stratum, &objects).await, grown);

    // They go as pods do: no longer named, and told to stop, at the same moment; the nodes hear of it later.
    names.set(&[pod(3), pod(2), pod(1)]);
    let mut leaving = sites.split_off(3);
    for site in &mut leaving {
        site.binary.terminate();
    }
    for site in &mut leaving {
        assert!(site.binary.exit().await.success());
    }
    load.more(500).await;
    known(3).await;
    load.more(500).await;
    let three: Vec<_> = sites.iter().collect();
    assert_eq!(homes(&nodes[0], &three, &stratum, &objects).await, before, "all are home again");
    assert_eq!(homes(&nodes[1], &three, &stratum, &objects).await, before);
    let (asked, lost) = load.end().await;
    assert!(
        asked > 1_700 && lost.is_empty(),
        "{} of {asked} lost: {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    println!("asked {asked}, lost 0; {} of {OBJECTS} names moved from three to five", moved.len());
}
