//! A stratum on a loopback port, written by hand down to the bytes so that it can misbehave in every way.
//!
//! It runs on a thread of its own: a test may block without holding up the stratum it talks to.
//! Header fields imitate a stratum 1 (no validators, 61 s and three days), and another web server for `extdata/`.

mod content;
mod fault;
mod seen;
mod serve;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub use content::Page;
pub use fault::{Fault, Rule};
pub use seen::{Form, Seen};

use super::PATIENCE;
use super::object::Object;
use content::{Content, Tree};

/// A stratum before the curtain rises.
pub struct Origin {
    content: Content,
    rules: Vec<Rule>,
    rate: Option<NonZeroU32>,
}

impl Origin {
    /// A stratum that has nothing.
    pub fn new() -> Self {
        Self { content: Content::new(), rules: Vec::new(), rate: None }
    }

    /// With the fixture repositories below `/cvmfs/`.
    pub fn fixtures(mut self) -> Self {
        self.content.tree = Tree::Fixtures;
        self
    }

    /// With manifests and the like that may be kept this long (61 s otherwise).
    pub fn document_lifetime(mut self, lifetime: Duration) -> Self {
        self.content.document_lifetime = lifetime;
        self
    }

    /// With a generated object.
    pub fn object(mut self, object: &Object) -> Self {
        self.content.object(object.path(), object.bytes.clone());
        self
    }

    /// With a generated object in another repository than usual.
    pub fn object_in(mut self, repository: &str, object: &Object) -> Self {
        self.content.object(object.path_in(repository), object.bytes.clone());
        self
    }

    /// With a page at `path` (query included).
    pub fn page(mut self, path: &str, page: Page) -> Self {
        self.content.overlay.insert(path.to_owned(), page);
        self
    }

    /// With this page wherever there is nothing else.
    pub fn any_page(mut self, page: Page) -> Self {
        self.content.anywhere = Some(page);
        self
    }

    /// With revision `n` of `repository` as the current one.
    pub fn revision(mut self, repository: &str, n: u32) -> Self {
        self.content.set_revision(repository, n);
        self
    }

    /// Misbehaving: a [`Fault`] for all requests, or for those a [`Rule`] names.
    pub fn fault(mut self, rule: impl Into<Rule>) -> Self {
        self.rules.push(rule.into());
        self
    }

    /// Sending each body at no more than this many bytes a second.
    pub fn rate(self, bytes_per_second: u32) -> Self {
        Self { rate: NonZeroU32::new(bytes_per_second), ..self }
    }

    /// Holds every body back after `n` bytes until [`Stratum::release`].
    pub fn hold_after(self, n: usize) -> Self {
        self.fault(Fault::Hold(n))
    }

    /// Opens the port and serves until dropped.
    pub fn run(self) -> Stratum {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("non-blocking mode");
        let address = listener.local_addr().expect("an address");
        let stage = Arc::new(Stage {
            content: Mutex::new(self.content),
            rules: Mutex::new(self.rules),
            rate: self.rate,
            seen: Mutex::new(Vec::new()),
            count: watch::Sender::new(0),
            gate: watch::Sender::new(Gate::Closed),
            connections: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        });
        let (close, closed) = oneshot::channel();
        let shared = stage.clone();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(&listener, shared) => {}
                    _ = closed => {}
                }
            });
        });
        Stratum { address, stage, close: Some(close), thread: Some(thread) }
    }
}

async fn accept(listener: &tokio::net::TcpListener, stage: Arc<Stage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                let number = stage.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve::connection(stream, stage.clone(), number));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whether bodies are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed,
    Open,
}

/// What the connections and the test share.
struct Stage {
    content: Mutex<Content>,
    rules: Mutex<Vec<Rule>>,
    /// Bytes a second, for each body.
    rate: Option<NonZeroU32>,
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
    gate: watch::Sender<Gate>,
    connections: AtomicUsize,
    sent: AtomicUsize,
}

impl Stage {
    /// Notes a request and finds out what is to go wrong with it.
    fn note(&self, seen: &Seen) -> Option<Fault> {
        let fault =
            self.rules.lock().iter_mut().find_map(|rule| rule.takes(seen.path()).then(|| rule.fault.clone()));
        self.seen.lock().push(seen.clone());
        self.count.send_modify(|n| *n += 1);
        fault
    }

    /// Waits for the gate to open.
    async fn released(&self) {
        let mut gate = self.gate.subscribe();
        // The sender lives as long as `self`.
        let _ = gate.wait_for(|gate| *gate == Gate::Open).await;
    }
}

/// A stratum that runs. Dropping it closes port and connections.
pub struct Stratum {
    address: SocketAddr,
    stage: Arc<Stage>,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stratum {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of `path` here, as a client of a forward proxy writes it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.stage.seen.lock().len()
    }

    /// Requests so far whose path contains `needle`.
    pub fn requests_for(&self, needle: &str) -> usize {
        self.stage.seen.lock().iter().filter(|seen| seen.path().contains(needle)).count()
    }

    /// Requests by path.
    pub fn requests_by_path(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for seen in self.stage.seen.lock().iter() {
            *counts.entry(seen.path().to_owned()).or_default() += 1;
        }
        counts
    }

    /// Every request head so far, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.stage.seen.lock().clone()
    }

    /// The latest request head.
    pub fn last_seen(&self) -> Seen {
        self.stage.seen.lock().last().expect("a request").clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.stage.seen.lock().clear();
        self.stage.count.send_replace(0);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::Relaxed)
    }

    /// Bytes of bodies sent so far.
    pub fn sent(&self) -> usize {
        self.stage.sent.load(Ordering::Relaxed)
    }

    /// Waits until `n` requests have come.
    pub async fn until_requests(&self, n: usize) {
        let mut count = self.stage.count.subscribe();
        let came = tokio::time::timeout(PATIENCE, count.wait_for(|&came| came >= n)).await;
        assert!(came.is_ok(), "{n} requests awaited, came: {:#?}", self.requests_by_path());
    }

    /// Lets go what [`Fault::Hold`] and [`Fault::HoldHead`] hold back, now and from now on.
    pub fn release(&self) {
        self.stage.gate.send_replace(Gate::Open);
    }

    /// From now on also misbehaves like this.
    pub fn inject(&self, rule: impl Into<Rule>) {
        self.stage.rules.lock().push(rule.into());
    }

    /// From now on behaves well.
    pub fn heal(&self) {
        self.stage.rules.lock().clear();
    }

    /// Replaces what `path` answers.
    pub fn set_page(&self, path: &str, page: Page) {
        self.stage.content.lock().overlay.insert(path.to_owned(), page);
    }

    /// From now on also has a generated object.
    pub fn set_object(&self, object: &Object) {
        self.stage.content.lock().object(object.path(), object.bytes.clone());
    }

    /// Makes revision `n` of `repository` the current one.
    pub fn set_revision(&self, repository: &str, n: u32) {
        self.stage.content.lock().set_revision(repository, n);
    }

    /// Closes the port and every connection: from now on nobody gets through.
    pub fn refuse(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the stratum did not panic");
        }
    }
}

impl Drop for Stratum {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the stratum has been printed already; another one here would abort.
            let _ = thread.join();
        }
    }
}
