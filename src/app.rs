//! Builds the parts in order, and takes them down in reverse.
//!
//! Sockets are bound and folders locked before anything runs, so that a start either serves or says why not. On stop:
//! listeners close, answers in progress finish within their bound, then the log, and last the disk tier.

mod memory;
mod operators;
mod purge;
mod reload;
mod site;
mod status;
mod warmer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use memory::Keeper;
pub use memory::too_large;
use operators::{admin_thread, snmp_socket};
use parking_lot::Mutex;
pub use reload::ReloadError;
use reload::Reloads;
use site::{Ground, Site};
use status::Status;
use tokio::sync::watch;

use crate::access_log::{self, AccessLog};
use crate::admin::{Admin, Guard, TokenError};
use crate::allowance::Allowance;
use crate::cache::Cache;
use crate::cache::disk::faults::Faults;
use crate::cache::disk::{self, Disk};
use crate::config::Config;
use crate::diagnostics::LogFilter;
use crate::document;
use crate::metrics::{Closed, Metrics};
use crate::server::bind::{self, BindError};
use crate::server::inherited::Inherited;
use crate::server::tls::IdentityError;
use crate::server::{Cover, Listening, Phase, Server};
use crate::service::{Current, Shares};
use crate::tally::Recorder;
use crate::upstream::{Client, UpstreamSetupError};

/// How long blocking calls of a worker that is done may take to return.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why the program cannot start. Each is one sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The disk tier cannot be used.
    #[error(transparent)]
    Disk(#[from] disk::OpenError),
    /// SNMP requests cannot be received.
    #[error("cannot listen on {0} (`snmp` in [admin]): {1}")]
    Snmp(SocketAddr, #[source] io::Error),
    /// The access log cannot be written.
    #[error(transparent)]
    Log(#[from] access_log::OpenError),
    /// TLS for clients cannot be set up.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The admin port cannot be guarded.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// TLS for upstreams cannot be set up.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
    /// `name` cannot stand in a header field.
    #[error("`name` in [listen] is not a token: {0}")]
    Name(#[from] http::header::InvalidHeaderValue),
    /// The metric registry refused a metric.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system gave no thread or runtime.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] io::Error),
}

/// What the process is given beside its configuration.
#[derive(Default)]
pub struct Surroundings {
    /// A test's say in how the disk behaves.
    pub faults: Faults,
    /// The filter of the diagnostics, for the admin port.
    pub filter: Option<LogFilter>,
    /// Sockets that the service manager passed; the others are opened.
    pub inherited: Inherited,
    /// What bounds its memory.
    pub allowance: Option<Allowance>,
}

/// A running tier. Dropping it stops it.
pub struct App {
    proxy: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    own: Vec<SocketAddr>,
    snmp: Option<SocketAddr>,
    metrics: Metrics,
    /// The configuration in force and its parts.
    site: Arc<ArcSwap<Site>>,
    ground: Ground,
    /// One for each worker thread.
    currents: Vec<Arc<Current>>,
    beats: Vec<Arc<AtomicU64>>,
    reloads: Arc<Reloads>,
    /// Of the admin port.
    guard: Arc<ArcSwap<Guard>>,
    phase: watch::Sender<Phase>,
    /// Beside them, the threads that warm.
    workers: Vec<JoinHandle<()>>,
    admin_thread: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    /// Where memory may be limited.
    memory: Option<Keeper>,
    /// Locked by whoever reloads, too.
    log: Mutex<Option<AccessLog>>,
}

impl App {
    /// Starts serving; returns once all sockets listen.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Surroundings::default())
    }

    /// The same with all that a process is given.
    pub fn start_with(config: Config, given: Surroundings) -> Result<Self, StartError> {
        let Surroundings { faults, filter, mut inherited, allowance } = given;
        let metrics = Metrics::new()?;
        let workers = config.listen.workers;

        let mut sockets: Vec<Vec<Listening>> = (0..workers).map(|_| Vec::new()).collect();
        let mut listen = |addresses: &[SocketAddr], key, cover| {
            let mut bound = Vec::new();
            for &address in addresses {
                let shared = match inherited.take(address, workers)? {
                    Some(passed) => passed,
                    None => bind::shared(address, workers, key)?,
                };
                bound.extend(shared.first().map(|socket| socket.local_addr()).transpose()?);
                for (worker, socket) in sockets.iter_mut().zip(shared) {
                    worker.push((socket, cover));
                }
            }
            Ok::<_, StartError>(bound)
        };
        let proxy = listen(&config.listen.proxy, "proxy", Cover::Plain)?;
        let tls = listen(&config.listen.tls, "tls", Cover::Tls)?;
        let admin_socket = match config.listen.admin {
            Some(address) => match inherited.take(address, 1)?.and_then(|passed| passed.into_iter().next()) {
                Some(passed) => Some(passed),
                None => Some(bind::exclusive(address, "admin")?),
            },
            None => None,
        };
        inherited.check()?;
        let admin = admin_socket.as_ref().map(|socket| socket.local_addr()).transpose()?;

        let snmp_socket = config.admin.snmp.map(snmp_socket).transpose()?;
        let community = config.admin.snmp_community.clone();
        let snmp = snmp_socket.as_ref().map(|socket| socket.local_addr()).transpose()?;

        let own: Vec<SocketAddr> = proxy.iter().chain(&tls).copied().chain(admin).collect();
        let disk = config
            .disk
            .as_ref()
            .map(|disk| Disk::open_with(disk, metrics.disk.clone(), faults.clone()))
            .transpose()?;
        let place = disk.as_ref().zip(config.disk.as_ref()).map(|(disk, config)| {
            let disk = disk.clone();
            document::disk::Place {
                folder: config.path.join(disk::DOCUMENTS),
                bound: config.documents.bytes(),
                faults,
                mend: Box::new(move || disk.mend().map_err(io::Error::other)),
            }
        });
        let site = Site::new(config, &own, place, &metrics)?;
        let guard = Arc::new(ArcSwap::from_pointee(site.guard()?));
        let config = &site.config;
        let log = AccessLog::open(&config.log, metrics.log.clone())?;
        let cache = Cache::new(&config.memory, &config.objects, disk, metrics.cache.clone());
        let ground = Ground::new(cache, &metrics);
        let shares = Arc::new(Shares::default());
        let blocking_threads = config.disk.as_ref().map_or(2, |disk| disk.io_threads);

        let (phase, phases) = watch::channel(Phase::Serving);
        let mut app = Self {
            proxy,
            tls,
            admin,
            own,
            snmp,
            metrics: metrics.clone(),
            site: Arc::new(ArcSwap::from_pointee(site)),
            ground,
            currents: Vec::new(),
            beats: Vec::new(),
            reloads: Arc::new(Reloads::new(metrics.config.clone())),
            guard,
            phase,
            workers: Vec::new(),
            admin_thread: None,
            memory: None,
            log: Mutex::new(Some(log)),
        };

        let site = app.site.load_full();
        // A fill runs on the worker that led it, for the readers of all: no worker leaves before all have dropped their
        // token.
        let (all_drained, token) = watch::channel(());
        let all_drained = Arc::new(all_drained);
        for (number, listeners) in sockets.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(blocking_threads)
                .build()?;
            let current = app.another_worker(&site);
            let beats = Arc::new(AtomicU64::new(0));
            app.beats.push(Arc::clone(&beats));
            let shares = Arc::clone(&shares);
            let server = Server::new(current, shares, metrics.server.clone(), phases.clone(), beats);
            let (all_drained, token) = (Arc::clone(&all_drained), token.clone());
            let run = move || {
                runtime.block_on(async {
                    if let Err(error) = server.run(listeners).await {
                        tracing::error!(%error, "a worker cannot serve");
                    }
                    drop(token);
                    all_drained.closed().await;
                });
                // A name that is being looked up, or a disk that hangs, must not keep the process.
                runtime.shutdown_timeout(LAST_WORDS);
            };
            app.workers.push(std::thread::Builder::new().name(format!("worker-{number}")).spawn(run)?);
        }
        if let Some(allowance) = allowance {
            let (cache, metrics) = (Arc::clone(&app.ground.cache), metrics.process.clone());
            let keeper = Keeper::start(allowance, cache, &site.config, metrics)?;
            app.memory = Some(keeper);
        }
        let warmed = Arc::new(warmer::Warmed::new(&site.config.warm));
        if !site.config.warm.is_empty() {
            let current = app.another_worker(&site);
            let (entries, cache) = (site.config.warm.clone(), Arc::clone(&app.ground.cache));
            let ended = metrics.server.closed(Closed::Requests);
            let (warmed, all_drained) = (Arc::clone(&warmed), Arc::clone(&all_drained));
            app.workers.extend(warmer::start(
                entries,
                cache,
                current,
                warmed,
                (ended, metrics.warm.clone()),
                phases.clone(),
                all_drained,
            )?);
        }
        drop(token);

        if admin_socket.is_some() || snmp_socket.is_some() {
            let status = Status {
                started: Instant::now(),
                proxy: app.proxy.clone(),
                site: Arc::clone(&app.site),
                cache: Arc::clone(&app.ground.cache),
                warmed,
                reloads: Arc::clone(&app.reloads),
                metrics: metrics.clone(),
                phase: phases,
            };
            let admin =
                Arc::new(Admin { metrics, status: Arc::new(status), filter, guard: Arc::clone(&app.guard) });
            app.admin_thread =
                Some(admin_thread(admin_socket, snmp_socket.map(|it| (it, community)), admin)?);
        }
        Ok(app)
    }

    /// What answers requests, for one more thread; it follows each reload.
    fn another_worker(&mut self, site: &Site) -> Arc<Current> {
        let logger = self.log.lock().as_ref().and_then(AccessLog::logger);
        let (request, repository) = (&self.metrics.request, &self.metrics.repository);
        let recorder = Recorder::new(request.for_worker(), repository.for_worker(), logger);
        let client = Client::new(Arc::clone(&site.upstreams));
        let current = Arc::new(Current::new(site.worker(&self.ground, client, recorder)));
        self.currents.push(Arc::clone(&current));
        current
    }

    /// The first address that requests are taken on.
    pub fn proxy_addr(&self) -> SocketAddr {
        self.proxy.first().copied().unwrap_or_else(|| ([0, 0, 0, 0], 0).into())
    }

    /// All of them.
    pub fn proxy_addrs(&self) -> &[SocketAddr] {
        &self.proxy
    }

    /// Those on which clients are answered over TLS.
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// Where metrics and status are.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where SNMP is answered.
    pub fn snmp_addr(&self) -> Option<SocketAddr> {
        self.snmp
    }

    /// All metrics, with sampled gauges as of the last scrape.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The object cache.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.ground.cache
    }

    /// Waits until every object and document accepted for the disk is written. Blocking.
    pub fn flush_disk(&self) {
        self.site.load().documents.flush();
        if let Some(disk) = self.ground.cache.disk() {
            disk.flush();
        }
    }

    /// A number for each worker that grows every second while the worker moves.
    pub fn beats(&self) -> Vec<u64> {
        self.beats.iter().map(|beats| beats.load(Ordering::Relaxed)).collect()
    }

    /// Starts a new access log file.
    pub fn reopen_log(&self) {
        if let Some(log) = &*self.log.lock() {
            log.reopen();
        }
    }

    /// Drains and stops everything. Blocking; bounded by `drain_timeout` and the disk's last writes.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        self.metrics.server.draining.set(1);
        // Nobody listens any more when all workers failed to start.
        let _ = self.phase.send(Phase::Draining);
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
        drop(self.memory.take());
        if let Some((stop, thread)) = self.admin_thread.take() {
            let _ = stop.send(true);
            if thread.join().is_err() {
                tracing::error!("the admin thread had panicked");
            }
        }
        if let Some(log) = self.log.get_mut().take() {
            log.close();
        }
        // Before the folder is let go.
        self.site.load().documents.close();
        if let Some(disk) = self.ground.cache.disk() {
            disk.close();
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.shut_down();
    }
}
