//! Names that resolve as a test has it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Names of a test.
#[derive(Clone)]
pub(in crate::upstream) struct Table(Arc<TableState>);

struct TableState {
    names: Mutex<HashMap<String, Vec<IpAddr>>>,
    lookups: AtomicUsize,
    gate: Semaphore,
}

impl Table {
    /// With an open gate.
    pub(in crate::upstream) fn new(names: &[(&str, &[&str])]) -> Self {
        let table = Self(Arc::new(TableState {
            names: Mutex::new(HashMap::new()),
            lookups: AtomicUsize::new(0),
            gate: Semaphore::new(1),
        }));
        for (name, addresses) in names {
            table.set(name, addresses);
        }
        table
    }

    pub(in crate::upstream) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.0.names.lock().insert(name.to_owned(), addresses);
    }

    pub(in crate::upstream) fn forget(&self, name: &str) {
        self.0.names.lock().remove(name);
    }

    fn lookups(&self) -> usize {
        self.0.lookups.load(Ordering::Relaxed)
    }

    pub(super) async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.0.lookups.fetch_add(1, Ordering::Relaxed);
        let _open = self.0.gate.acquire().await.unwrap();
        self.0.names.lock().get(host).cloned().ok_or_else(|| io::Error::other("no such name"))
    }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|ip| ip.parse().unwrap()).collect()
}

#[test]
fn families_take_turns() {
    let table: [(&[&str], &[&str]); 5] = [
        (&["1.0.0.1", "1.0.0.2"], &["1.0.0.1", "1.0.0.2"]),
        (&["::1", "::2", "1.0.0.1", "1.0.0.2"], &["::1", "1.0.0.1", "::2", "1.0.0.2"]),
        (&["1.0.0.1", "::1", "::2", "::3"], &["1.0.0.1", "::1", "::2", "::3"]),
        (&["1.0.0.1", "1.0.0.1", "::ffff:1.0.0.1"], &["1.0.0.1"]),
        (&[], &[]),
    ];
    for (found, expected) in table {
        assert_eq!(interleave(&ips(found)).to_vec(), ips(expected), "{found:?}");
    }
}

#[tokio::test]
async fn literals_are_not_looked_up() {
    let names = Table::new(&[]);
    let resolver = Resolver::new(Source::Table(names.clone()));
    for host in ["127.0.0.1", "::1"] {
        assert_eq!(resolver.addresses(host).await.unwrap().to_vec(), ips(&[host]));
    }
    assert_eq!(names.lookups(), 0);
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let found = Resolver::new(Source::System).addresses("localhost").await.unwrap();
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn many_askers_cause_one_lookup() {
    let names = Table::new(&[("a", &["1.0.0.1"])]);
    let closed = names.0.gate.try_acquire().unwrap();
    let resolver = Arc::new(Resolver::new(Source::Table(names.clone())));
    let askers: Vec<_> = (0..10)
        .map(|_| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { resolver.addresses("a").await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(closed);
    for asker in askers {
        assert_eq!(asker.await.unwrap().unwrap().to_vec(), ips(&["1.0.0.1"]));
    }
    assert_eq!(names.lookups(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_serves_while_the_new_one_is_fetched() {
    let names = Table::new(&[("a", &["1.0.0.1"])]);
    let resolver = Resolver::new(Source::Table(names.clone()));
    resolver.addresses("a").await.unwrap();
    names.set("a", &["1.0.0.2"]);
    tokio::time::advance(FRESH - Duration::from_secs(1)).await;
    assert_eq!(resolver.addresses("a").await.unwrap().to_vec(), ips(&["1.0.0.1"]));
    assert_eq!(names.lookups(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(resolver.addresses("a").await.unwrap().to_vec(), ips(&["1.0.0.1"]));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(resolver.addresses("a").await.unwrap().to_vec(), ips(&["1.0.0.2"]));
    assert_eq!(names.lookups(), 2);
}

#[tokio::test(start_paused = true)]
async fn addresses_in_doubt_are_looked_up_before_they_are_used_again() {
    let names = Table::new(&[("a", &["1.0.0.1"])]);
    let resolver = Resolver::new(Source::Table(names.clone()));
    resolver.addresses("a").await.unwrap();
    names.set("a", &["1.0.0.2"]);
    resolver.doubt("a");
    assert_eq!(resolver.addresses("a").await.unwrap().to_vec(), ips(&["1.0.0.1"]), "it is too young");
    tokio::time::advance(CERTAIN).await;
    resolver.doubt("a");
    assert_eq!(resolver.addresses("a").await.unwrap().to_vec(), ips(&["1.0.0.2"]));
    assert_eq!(names.lookups(), 2);
    // The name server is gone as well: the old addresses are the best there is.
    tokio::time::advance(CERTAIN).await;
    names.0.names.lock().clear();
    resolver.doubt("a");
    for _ in 0..2 {
        assert_eq!(resolver.addresses("a").await.unwrap().to_vec(), ips(&["1.0.0.2"]));
    }
    assert_eq!(names.lookups(), 3);
}

#[tokio::test(start_paused = true)]
async fn failures_are_remembered_for_a_moment() {
    let names = Table::new(&[]);
    let resolver = Resolver::new(Source::Table(names.clone()));
    for _ in 0..3 {
        assert_eq!(resolver.addresses("a").await, Err("no such name".into()));
    }
    assert_eq!(names.lookups(), 1);
    names.set("a", &["1.0.0.1"]);
    tokio::time::advance(NEGATIVE).await;
    assert_eq!(resolver.addresses("a").await.unwrap().to_vec(), ips(&["1.0.0.1"]));
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded() {
    let resolver = Resolver::new(Source::Table(Table::new(&[])));
    for n in 0..2 * MAX_NAMES {
        resolver.addresses(&format!("name-{n}")).await.unwrap_err();
    }
    assert!(resolver.0.table.lock().len() <= MAX_NAMES);
}
