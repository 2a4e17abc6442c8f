//! The tier under test, run in this process; and the configurations the plays share.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use substratum::allowance::Allowance;
use substratum::app::{App, Surroundings};
use substratum::cache::disk::faults::{Faults, Interference};
use substratum::config::{
    ByteSize, Config, Disk, Glob, Memory, MirrorGroup, Parent, PortRange, Quota, Scheme, ServerUrl,
    TargetShape,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::client::{Answer, Ask, Client, ClientError};
use super::metric::Claim;
use super::origin::Stratum;
use super::{LOOK_AGAIN, PATIENCE};

/// A configuration on its way to [`Proxy::start`].
#[derive(Debug)]
pub struct Setup {
    /// The configuration so far.
    pub config: Config,
    faults: Faults,
    allowance: Option<Allowance>,
    folder: Option<TempDir>,
}

/// A site: strata that are mirrors of each other, memory only. Time limits are wide, so that a slow test machine is
/// not taken for a slow stratum.
pub fn site(strata: &[&Stratum]) -> Setup {
    site_of(&addresses(strata))
}

/// The same before strata at any addresses.
pub fn site_of(strata: &[SocketAddr]) -> Setup {
    lone("site").with(|config| {
        config.mirrors.push(MirrorGroup {
            name: "strata".to_owned(),
            urls: strata.iter().copied().map(server).collect(),
            serves: vec![Glob::new("*")],
        });
    })
}

/// A node below `parent`; reverse requests name no stratum, so the node knows the same mirrors as the site.
pub fn node(parent: &Proxy, strata: &[&Stratum]) -> Setup {
    node_of(parent.address(), &addresses(strata))
}

/// The same below a cache at any address.
pub fn node_of(parent: SocketAddr, strata: &[SocketAddr]) -> Setup {
    site_of(strata).with(|config| {
        config.listen.name = "node".to_owned();
        config.parents.push(Parent { url: server(parent), login: None });
        config.upstream.direct = false;
    })
}

fn addresses(strata: &[&Stratum]) -> Vec<SocketAddr> {
    strata.iter().map(|stratum| stratum.address()).collect()
}

/// No mirrors, no parents: forward requests to this machine are served, since strata of the tests live there.
pub fn lone(name: &str) -> Setup {
    let mut config = Config::default();
    config.listen.proxy = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    config.listen.admin = None;
    config.listen.name = name.to_owned();
    config.listen.workers = 2;
    config.listen.drain_timeout = Duration::from_millis(500);
    config.access.internal_hosts = vec![Glob::new("127.0.0.1"), Glob::new("localhost")];
    // Port 1 stands for servers that are not there.
    config.access.ports = vec![PortRange::new(1, u16::MAX)];
    config.memory = Memory::with_capacity(ByteSize::mib(128));
    config.upstream.connect_timeout = Duration::from_secs(5);
    config.upstream.first_byte_timeout = Duration::from_secs(10);
    config.upstream.head_deadline = Duration::from_secs(20);
    config.upstream.stall_timeout = Duration::from_secs(10);
    Setup { config, faults: Faults::default(), allowance: None, folder: None }
}

fn server(address: SocketAddr) -> ServerUrl {
    ServerUrl { scheme: Scheme::Http, host: address.ip().to_string().into(), port: address.port() }
}

impl Setup {
    /// With a disk tier of `capacity` in a folder that goes away with the proxy.
    pub fn disk(mut self, capacity: ByteSize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        self = self.disk_at(folder.path(), capacity);
        self.folder = Some(folder);
        self
    }

    /// With a disk tier in `folder`, which stays.
    pub fn disk_at(self, folder: &Path, capacity: ByteSize) -> Self {
        self.with(|config| config.disk = Some(Disk::new(folder.to_owned(), capacity)))
    }

    /// With a quota on the disk for `repository`.
    pub fn quota(self, repository: &str, change: impl FnOnce(&mut Quota)) -> Self {
        let repository = Glob::new(repository);
        let mut quota = Quota { repository, floor: ByteSize(0), ceiling: None, pin: false };
        change(&mut quota);
        self.with(|config| config.disk.as_mut().expect("a disk").quotas.push(quota))
    }

    /// With a disk that behaves as `disk` says.
    pub fn on(self, disk: Arc<dyn Interference>) -> Self {
        Self { faults: Faults::of(disk), ..self }
    }

    /// In control groups that say what they say.
    pub fn in_groups(self, allowance: Option<Allowance>) -> Self {
        Self { allowance, ..self }
    }

    /// Without a memory tier.
    pub fn no_memory(self) -> Self {
        self.with(|config| config.memory = Memory::with_capacity(ByteSize(0)))
    }

    /// Serving any URL, not only those of CernVM-FS.
    pub fn any_target(self) -> Self {
        self.with(|config| config.access.targets = vec![TargetShape::Any])
    }

    /// With time limits that run out within a test.
    pub fn hasty(self) -> Self {
        self.with(|config| {
            config.upstream.connect_timeout = Duration::from_millis(700);
            config.upstream.first_byte_timeout = Duration::from_millis(700);
            config.upstream.head_deadline = Duration::from_secs(3);
            config.upstream.stall_timeout = Duration::from_millis(700);
        })
    }

    /// With anything else changed.
    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }
}

/// A running tier. Dropping it stops it.
pub struct Proxy {
    app: Option<App>,
    address: SocketAddr,
    _folder: Option<TempDir>,
}

impl Proxy {
    /// Starts the application.
    pub async fn start(setup: Setup) -> Self {
        let Setup { config, faults, allowance, folder } = setup;
        let given = Surroundings { faults, allowance, ..Surroundings::default() };
        let started =
            tokio::task::spawn_blocking(move || App::start_with(config, given)).await.expect("no panic");
        let app = started.unwrap_or_else(|error| panic!("the proxy does not start: {error}"));
        Self { address: app.proxy_addr(), app: Some(app), _folder: folder }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it serves over TLS.
    pub fn tls_address(&self) -> SocketAddr {
        *self.app().tls_addrs().first().expect("a listener")
    }

    /// Its admin port.
    pub fn admin_address(&self) -> SocketAddr {
        self.app().admin_addr().expect("an admin port")
    }

    /// A client of its admin port.
    pub fn admin(&self) -> Client {
        Client::of(self.admin_address())
    }

    /// A client that has yet to connect.
    pub fn client(&self) -> Client {
        Client::of(self.address)
    }

    /// Asks on a connection of its own.
    pub async fn ask(&self, ask: impl Into<Ask>) -> Result<Answer, ClientError> {
        self.client().ask(ask).await
    }

    /// Asks on a connection of its own, for an answer that must come whole.
    pub async fn get(&self, ask: impl Into<Ask>) -> Answer {
        let ask = ask.into();
        match self.ask(&ask).await {
            Ok(answer) => answer,
            Err(error) => panic!("{ask:?}: {error}"),
        }
    }

    /// `n` clients that ask at the same time.
    pub fn get_n(&self, n: usize, ask: impl Into<Ask>) -> Crowd {
        let ask = ask.into();
        let one = || {
            let (mut client, ask) = (self.client(), ask.clone());
            tokio::spawn(async move { client.ask(ask).await })
        };
        Crowd(std::iter::repeat_with(one).take(n).collect())
    }

    /// All metrics as `/metrics` shows them.
    pub fn metrics(&self) -> String {
        self.app().metrics().render().expect("metrics")
    }

    /// Waits until a claim about the metrics is true: a barrier on a counter.
    pub async fn until(&self, claim: Claim) {
        let came_true = tokio::time::timeout(PATIENCE, async {
            while !claim.holds(&self.metrics()) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        assert!(came_true.await.is_ok(), "awaited {claim} in\n{}", self.metrics());
    }

    /// Waits until everything on its way to the disk is there.
    pub fn flush(&self) {
        self.app().flush_disk();
    }

    /// Takes on another configuration; the keys that wait for a restart, or why it cannot be.
    pub fn reload(&self, config: Config) -> Result<Vec<String>, String> {
        let waiting = self.app().reload(Ok(config)).map_err(|error| error.to_string())?;
        Ok(waiting.iter().map(|key| format!("[{}] {}", key.table, key.name)).collect())
    }

    /// Stops it in good order.
    pub async fn stop(mut self) {
        let app = self.app.take();
        tokio::task::spawn_blocking(|| app.map(App::stop)).await.expect("no panic");
    }

    fn app(&self) -> &App {
        self.app.as_ref().expect("it runs until stopped")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop();
        }
    }
}

/// Clients on their way.
pub struct Crowd(Vec<JoinHandle<Result<Answer, ClientError>>>);

impl Crowd {
    /// What every one of them got.
    pub async fn all(self) -> Vec<Result<Answer, ClientError>> {
        let mut answers = Vec::with_capacity(self.0.len());
        for client in self.0 {
            answers.push(client.await.expect("a client does not panic"));
        }
        answers
    }
}
