//! `[[warm]]`: looks at manifests now and then, and fetches what is new before clients ask.
//!
//! Two threads: one has a worker that no listener feeds, the other asks it, over pipes within this process, with requests like any
//! other and `Priority: u=7`; there is a task for each entry. To walk through a large catalog takes seconds: nobody's download
//! may wait behind that.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};
use serde::Serialize;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cache::Cache;
use crate::catalog::trust::{Distrust, MAX_KEY, PublicKey};
use crate::catalog::walk::{Bounds, Depth, Walk, WalkError};
use crate::catalog::{BadPath, Object, Tree};
use crate::config::{self, OnRevision};
use crate::document::manifest::Revision;
use crate::metrics::{WarmMetrics, WarmRepository};
use crate::server::{Phase, Unmapped};
use crate::service::{Bequest, Current, Service};
use crate::tally::Activity;
use crate::warm::{
    Board, Brought, Lane, Pace, Presence, Repository, RepositoryError, Surveyor, Tier, Trouble, Wanted, Way,
    bring, within,
};

/// Objects asked for at the same time, for one entry.
const JOBS: usize = 4;

/// How much of one repository is looked at: less than the commands do, since it stays in memory.
const BOUNDS: Bounds =
    Bounds { catalogs: 10_000, inflated: 8 << 30, entries: 10_000_000, objects: 1_000_000 };

/// Bytes in the pipe.
const PIPE: usize = 256 << 10;

/// Pause between two looks at the log's buffer, and at how much has come.
const TICK: Duration = Duration::from_secs(1);

/// Why an entry cannot be warmed now.
#[derive(Debug, thiserror::Error)]
enum WarmError {
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Walk(#[from] Box<WalkError<Trouble>>),
    #[error("`key` in [[warm]]: {0}")]
    KeyFile(#[from] io::Error),
    #[error("`key` in [[warm]]: {0}")]
    Key(#[from] Distrust),
    #[error("`paths` in [[warm]]: {0}")]
    Path(#[from] BadPath),
    #[error("{failed} objects could not be had; {example}")]
    Objects { failed: u64, example: String },
}

/// How far it is, for the status.
#[derive(Default)]
pub struct Warmed {
    rows: Mutex<Vec<Row>>,
}

/// One path of one entry.
#[derive(Clone)]
struct Row {
    repository: String,
    path: String,
    what: OnRevision,
    revision: Option<u64>,
    objects: Arc<Vec<Object>>,
    file_bytes: u64,
    state: &'static str,
    trouble: Option<String>,
    since: Instant,
}

/// The same as `/status` tells it.
#[derive(Serialize)]
pub struct WarmedRow {
    repository: String,
    path: String,
    /// Of what its objects are: catalogs, or files as well.
    what: &'static str,
    revision: Option<u64>,
    state: &'static str,
    state_age_seconds: u64,
    objects: usize,
    objects_here: usize,
    files_bytes: u64,
    trouble: Option<String>,
}

impl Warmed {
    /// Nothing is known yet of all these.
    pub fn new(entries: &[config::Warm]) -> Self {
        let rows = entries.iter().flat_map(|entry| entry.paths.iter().map(move |path| (entry, path)));
        let rows = rows.map(|(entry, path)| Row {
            repository: entry.repository.name.to_string(),
            path: path.clone(),
            what: entry.on_revision,
            revision: None,
            objects: Arc::default(),
            file_bytes: 0,
            state: "waiting",
            trouble: None,
            since: Instant::now(),
        });
        Self { rows: Mutex::new(rows.collect()) }
    }

    /// How things are. Looks every object up in the indexes: about a microsecond each.
    pub fn rows(&self, cache: &Cache) -> Vec<WarmedRow> {
        let rows = self.rows.lock().clone();
        let shown = |row: Row| WarmedRow {
            objects: row.objects.len(),
            objects_here: row.objects.iter().filter(|object| cache.has(&object.name)).count(),
            repository: row.repository,
            path: row.path,
            what: row.what.as_str(),
            revision: row.revision,
            state: row.state,
            state_age_seconds: row.since.elapsed().as_secs(),
            files_bytes: row.file_bytes,
            trouble: row.trouble,
        };
        rows.into_iter().map(shown).collect()
    }

    fn change(&self, rows: std::ops::Range<usize>, state: &'static str, change: impl Fn(usize, &mut Row)) {
        for (number, row) in self.rows.lock()[rows].iter_mut().enumerate() {
            if row.state != state {
                (row.state, row.since) = (state, Instant::now());
            }
            change(number, row);
        }
    }
}

/// What all entries have in common.
#[derive(Clone)]
struct Ground {
    cache: Arc<Cache>,
    pipe: Arc<dyn Fn() -> DuplexStream + Send + Sync>,
    warmed: Arc<Warmed>,
}

/// Starts both threads. They end with the serving; the one that downloads when `all_drained`: what it began may have readers
/// elsewhere.
pub fn start(
    entries: Vec<config::Warm>,
    cache: Arc<Cache>,
    current: Arc<Current>,
    warmed: Arc<Warmed>,
    (ended, metrics): (IntCounter, WarmMetrics),
    phases: watch::Receiver<Phase>,
    all_drained: Arc<watch::Sender<()>>,
) -> io::Result<[JoinHandle<()>; 2]> {
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let (serving, walking) = (build()?, build()?);
    let pipe: Arc<dyn Fn() -> DuplexStream + Send + Sync> = {
        let (current, serving) = (Arc::clone(&current), serving.handle().clone());
        Arc::new(move || pipe(&current, &serving, &ended))
    };
    // Before the thread runs: who asks for metrics at the start sees all of them.
    let with_metrics = |entry: config::Warm| (metrics.of(&entry.repository.name), entry);
    let entries: Vec<_> = entries.into_iter().map(with_metrics).collect();
    let ground = Ground { cache, pipe, warmed };
    let (mut phase, mut other_phase) = (phases.clone(), phases);
    let serve = move || {
        serving.block_on(async {
            let mut tick = tokio::time::interval(TICK);
            let mut ended = std::pin::pin!(draining(&mut phase));
            loop {
                tokio::select! {
                    _ = tick.tick() => current.load().recorder.flush(),
                    () = &mut ended => break,
                }
            }
            all_drained.closed().await;
            current.load().recorder.flush();
        });
        serving.shutdown_timeout(super::LAST_WORDS);
    };
    let walk = move || {
        walking.block_on(async {
            let mut tasks = JoinSet::new();
            let mut rows = 0;
            for (metrics, entry) in entries {
                let end = rows + entry.paths.len();
                tasks.spawn(keep_warm(entry, metrics, ground.clone(), rows..end));
                rows = end;
            }
            draining(&mut other_phase).await;
            tasks.shutdown().await;
        });
    };
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(run)
    };
    Ok([spawn("warm", Box::new(serve))?, spawn("warm-walk", Box::new(walk))?])
}

/// Waits for the end of serving.
async fn draining(phase: &mut watch::Receiver<Phase>) {
    // A vanished sender is one.
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// The client's end of a connection to this process.
fn pipe(current: &Arc<Current>, serving: &Handle, ended: &IntCounter) -> DuplexStream {
    let (near, far) = tokio::io::duplex(PIPE);
    let activity = Activity::new(&current.load().recorder);
    let ourselves = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let service = Service::new(Arc::clone(current), ourselves, activity, Bequest::default(), ended.clone());
    let service = service.of_ourselves();
    serving.spawn(async move {
        let served = http1::Builder::new()
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(Unmapped(far)), service);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection to ourselves ended early");
        }
    });
    near
}

async fn keep_warm(
    entry: config::Warm,
    metrics: WarmRepository,
    ground: Ground,
    rows: std::ops::Range<usize>,
) {
    let way =
        Arc::new(Way { tier: Tier::Own(Arc::clone(&ground.pipe)), repository: entry.repository.clone() });
    let mut done = None;
    loop {
        if let Err(error) = look(&entry, &ground, &way, rows.clone(), (&metrics, &mut done)).await {
            metrics.looks_failed.inc();
            let (repository, text) = (&entry.repository.name, error.to_string());
            tracing::warn!(%repository, %error, "cannot be warmed now; tried again at the next look");
            ground.warmed.change(rows.clone(), "failed", |_, row| row.trouble = Some(text.clone()));
        }
        // Caches that started together do not go on together.
        tokio::time::sleep(entry.interval.mul_f64(fastrand::f64().mul_add(0.2, 0.9))).await;
    }
}

/// One look at the manifest, and what follows from it.
async fn look(
    entry: &config::Warm,
    ground: &Ground,
    way: &Arc<Way>,
    rows: std::ops::Range<usize>,
    (metrics, done): (&WarmRepository, &mut Option<Revision>),
) -> Result<(), WarmError> {
    let keys = entry.key.as_deref().map(key).transpose()?;
    let pace = Arc::new(Pace::new(Some(entry.rate.bytes())));
    let mut lane = Lane::new(Arc::clone(way));
    let seen = Repository::open(&mut lane, way, keys.as_slice()).await?;
    if *done == Some(seen.manifest.revision) {
        metrics.looks_unchanged.inc();
        // Perhaps the look before this one failed.
        ground.warmed.change(rows, "warm", |_, row| row.trouble = None);
        return Ok(());
    }
    tokio::time::sleep(entry.spread.mul_f64(fastrand::f64())).await;
    ground.warmed.change(rows.clone(), "reading catalogs", |_, row| row.trouble = None);
    let _working = Working::begin(&metrics.in_progress);
    let mut surveyor = Surveyor::new(lane, Arc::clone(&pace));
    let surveyed = surveyor.surveyed();
    let mut trees = Vec::new();
    for path in &entry.paths {
        let depth = match entry.on_revision {
            OnRevision::Catalogs => Depth::Catalogs,
            OnRevision::All => Depth::All,
        };
        let (catalogs, bytes) = (surveyed.catalogs(), surveyed.bytes());
        let mut walk = Walk::new(&mut surveyor, seen.manifest.root, BOUNDS);
        let tree = walk.tree(&within(&entry.repository, path)?, depth).await;
        metrics.catalogs.inc_by(surveyed.catalogs() - catalogs);
        metrics.bytes.inc_by(surveyed.bytes() - bytes);
        trees.push(tree.map_err(Box::new)?);
    }
    let all: Vec<Arc<Vec<Object>>> = trees.iter().map(|tree| Arc::new(objects(tree))).collect();
    ground.warmed.change(rows.clone(), "fetching", |number, row| {
        row.revision = Some(seen.manifest.revision.number);
        row.file_bytes = trees[number].file_bytes;
        row.objects = Arc::clone(&all[number]);
    });
    let presence = {
        let cache = Arc::clone(&ground.cache);
        Presence::Own(Arc::new(move |name| cache.has(name)))
    };
    let (mut fetched, mut bytes) = (0, 0);
    for objects in &all {
        // Only one of these can fail, and it is asked elsewhere.
        let missing = presence.missing(objects).unwrap_or_default();
        let brought = bring_counted(way, missing, &pace, metrics).await;
        if let Some((object, why)) = brought.example {
            return Err(WarmError::Objects { failed: brought.failed, example: format!("{object}: {why}") });
        }
        (fetched, bytes) = (fetched + brought.objects, bytes + brought.bytes);
    }
    let (repository, revision) = (&entry.repository.name, seen.manifest.revision.number);
    tracing::info!(%repository, revision, catalogs = surveyed.catalogs(), fetched, bytes, "a revision was warmed");
    metrics.looks_warmed.inc();
    metrics.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
    metrics
        .finished
        .set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64));
    *done = Some(seen.manifest.revision);
    ground.warmed.change(rows, "warm", |_, _| {});
    Ok(())
}

/// Brings them, and counts meanwhile.
async fn bring_counted(
    way: &Arc<Way>,
    missing: Vec<Object>,
    pace: &Arc<Pace>,
    metrics: &WarmRepository,
) -> Brought {
    let board = Arc::new(Board::default());
    let (mut objects, mut bytes, mut failed) = (0, 0, 0);
    let mut count = || {
        let more = |counter: &IntCounter, told: &mut u64, now: &AtomicU64| {
            let now = now.load(Relaxed);
            counter.inc_by(now - std::mem::replace(told, now));
        };
        more(&metrics.fetched, &mut objects, &board.brought);
        more(&metrics.bytes, &mut bytes, &board.bytes);
        more(&metrics.failed, &mut failed, &board.failed);
    };
    // Nobody is told how long it takes.
    let missing = missing.into_iter().map(|object| Wanted { object, content: 0 }).collect();
    let mut bringing = std::pin::pin!(bring(way, missing, JOBS, pace, &board));
    let mut look = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            brought = &mut bringing => {
                count();
                return brought;
            }
            _ = look.tick() => count(),
        }
    }
}

/// One more that works, until dropped.
struct Working(IntGauge);

impl Working {
    fn begin(working: &IntGauge) -> Self {
        working.inc();
        Self(working.clone())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Catalogs first: they are what a client reads first.
fn objects(tree: &Tree) -> Vec<Object> {
    tree.catalogs.iter().map(|(_, catalog)| *catalog).chain(tree.objects.iter().copied()).collect()
}

fn key(file: &std::path::Path) -> Result<PublicKey, WarmError> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(file)?, MAX_KEY as u64), &mut text)?;
    Ok(PublicKey::from_pem(&text)?)
}
