//! What the admin port tells about a running tier.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::purge::Wanted;
use super::reload::{LastReload, Reloads};
use super::site::Site;
use super::warmer::{Warmed, WarmedRow};
use crate::admin::{PurgeError, Purged, Readiness, StatusSource};
use crate::cache::Cache;
use crate::cache::disk::{IndexState, QuotaUsage};
use crate::config::ServerUrl;
use crate::digest::ObjectName;
use crate::document::ManifestStatus;
use crate::metrics::{ManifestFigures, Metrics};
use crate::server::Phase;
use crate::upstream::{UpstreamOutcome, UpstreamStatus};

/// The parts that know.
pub struct Status {
    pub(super) started: Instant,
    pub(super) proxy: Vec<SocketAddr>,
    pub(super) site: Arc<ArcSwap<Site>>,
    pub(super) cache: Arc<Cache>,
    pub(super) warmed: Arc<Warmed>,
    pub(super) reloads: Arc<Reloads>,
    pub(super) metrics: Metrics,
    pub(super) phase: watch::Receiver<Phase>,
}

impl StatusSource for Status {
    fn ready(&self) -> Readiness {
        match *self.phase.borrow() {
            Phase::Serving => Readiness::Ready,
            Phase::Draining => Readiness::Draining,
        }
    }

    fn status(&self) -> Map<String, Value> {
        self.sample();
        let (in_progress, readers) = self.cache.fills_in_progress();
        let site = self.site.load();
        let config = &site.config;
        let page = StatusPage {
            name: &config.listen.name,
            ready: self.ready().words(),
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.started.elapsed().as_secs(),
            listen: &self.proxy,
            connections: self.metrics.server.open(),
            memory: Tier {
                objects: self.metrics.cache.memory_objects.get(),
                used_bytes: self.metrics.cache.memory_bytes.get(),
                capacity_bytes: config.memory.capacity.bytes(),
            },
            disk: self.cache.disk().zip(config.disk.as_ref()).map(|(disk, config)| {
                let usage = disk.usage();
                DiskTier {
                    path: &config.path,
                    objects: usage.objects,
                    stored_bytes: usage.stored,
                    reserved_bytes: usage.reserved,
                    capacity_bytes: usage.capacity,
                    limit_bytes: usage.limit,
                    condition: usage.condition.as_str(),
                    retry_in_seconds: usage.retry_in.map(|wait| wait.as_secs()),
                    index_complete: usage.index == IndexState::Loaded,
                    quotas: disk.quotas().into_iter().map(Quota::from).collect(),
                    documents: site.documents.on_disk().map(|usage| DiskDocuments {
                        documents: usage.documents,
                        manifests: usage.manifests,
                        stored_bytes: usage.bytes,
                        limit_bytes: config.documents.bytes(),
                        condition: usage.condition.as_str(),
                        retry_in_seconds: usage
                            .retry_at
                            .map(|at| at.saturating_duration_since(Instant::now()).as_secs()),
                        complete: usage.is_loaded,
                    }),
                }
            }),
            fills: Fills { in_progress, readers },
            mirrors: config.mirrors.iter().map(|group| (&*group.name, urls(&group.urls))).collect(),
            parents: config.parents.iter().map(|parent| parent.url.to_string()).collect(),
            upstreams: site.upstreams.status().into_iter().map(|status| self.server(status)).collect(),
            warm: self.warmed.rows(&self.cache),
            last_reload: self.reloads.last(),
            manifests: site
                .documents
                .manifests(MANIFESTS, SystemTime::now())
                .into_iter()
                .map(Manifest::from)
                .collect(),
        };
        match serde_json::to_value(page) {
            Ok(Value::Object(map)) => map,
            other => Map::from_iter([("error".to_owned(), Value::from(format!("{other:?}")))]),
        }
    }

    fn has(&self, name: &ObjectName) -> bool {
        self.cache.has(name)
    }

    fn purge(&self, what: &str) -> Result<Purged, PurgeError> {
        let purged = Wanted::parse(what)?.drop_from(&self.cache, &self.site.load().documents);
        let metrics = &self.metrics.admin;
        if purged.places.is_empty() {
            metrics.absent.inc()
        } else {
            metrics.dropped.inc()
        }
        Ok(purged)
    }

    fn sample(&self) {
        self.cache.sample();
        self.site.load().upstreams.sample();
        self.show_manifests();
    }
}

impl Status {
    /// Of the repositories that are asked for most: the newest manifest from anybody.
    fn show_manifests(&self) {
        let now = SystemTime::now();
        let seconds = |ago: Duration| {
            now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(ago).as_secs()
        };
        let named = self.metrics.repository.named();
        let mut newest: BTreeMap<Box<str>, ManifestFigures> = BTreeMap::new();
        for status in self.site.load().documents.manifests(usize::MAX, now) {
            let figures = ManifestFigures {
                repository: status.repository.clone(),
                revision: status.revision,
                published: seconds(status.age),
                confirmed: seconds(status.confirmed),
            };
            let known = newest.entry(status.repository).or_insert_with(|| figures.clone());
            if known.published < figures.published {
                *known = figures;
            }
        }
        self.metrics.manifest.known.set(i64::try_from(newest.len()).unwrap_or(i64::MAX));
        newest.retain(|repository, _| named.contains(repository));
        self.metrics.manifest.show(newest.into_values().collect());
    }

    fn server(&self, status: UpstreamStatus) -> Server {
        let count = |outcome: UpstreamOutcome| {
            let label = status.label.as_deref()?;
            Some(self.metrics.upstream.requests.with_label_values(&[label, outcome.as_str()]).get())
        };
        let counted =
            UpstreamOutcome::ALL.into_iter().filter_map(|outcome| Some((outcome.as_str(), count(outcome)?)));
        let outcomes = counted.filter(|(_, count)| *count > 0).collect();
        Server { outcomes, ..Server::from(status) }
    }
}

fn urls(servers: &[ServerUrl]) -> Vec<String> {
    servers.iter().map(ToString::to_string).collect()
}

/// What `/status` tells, and the page for people.
#[derive(Serialize)]
struct StatusPage<'a> {
    name: &'a str,
    ready: String,
    version: &'a str,
    uptime_seconds: u64,
    listen: &'a [SocketAddr],
    connections: u64,
    memory: Tier,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<DiskTier<'a>>,
    fills: Fills,
    mirrors: BTreeMap<&'a str, Vec<String>>,
    parents: Vec<String>,
    upstreams: Vec<Server>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warm: Vec<WarmedRow>,
    last_reload: Option<LastReload>,
    manifests: Vec<Manifest>,
}

/// Manifests shown: those that were confirmed last.
const MANIFESTS: usize = 100;

/// The newest manifest that is known of a repository.
#[derive(Serialize)]
struct Manifest {
    repository: String,
    /// Whose: a group of mirrors, or one host.
    of: String,
    revision: u64,
    /// Since the repository was published.
    age_seconds: u64,
    /// Since an upstream last sent or confirmed it.
    confirmed_age_seconds: u64,
}

impl From<ManifestStatus> for Manifest {
    fn from(status: ManifestStatus) -> Self {
        Self {
            repository: status.repository.into(),
            of: status.scope.to_string(),
            revision: status.revision,
            age_seconds: status.age.as_secs(),
            confirmed_age_seconds: status.confirmed.as_secs(),
        }
    }
}

#[derive(Serialize)]
struct Tier {
    objects: i64,
    used_bytes: i64,
    capacity_bytes: u64,
}

#[derive(Serialize)]
struct DiskTier<'a> {
    path: &'a Path,
    objects: usize,
    stored_bytes: u64,
    reserved_bytes: u64,
    capacity_bytes: u64,
    /// Less than the capacity while others fill the file system.
    limit_bytes: u64,
    condition: &'static str,
    retry_in_seconds: Option<u64>,
    index_complete: bool,
    documents: Option<DiskDocuments>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quotas: Vec<Quota>,
}

/// How much of the disk some repositories have.
#[derive(Serialize)]
struct Quota {
    repository: String,
    stored_bytes: u64,
    floor_bytes: u64,
    ceiling_bytes: Option<u64>,
    pinned: bool,
}

impl From<QuotaUsage> for Quota {
    fn from(usage: QuotaUsage) -> Self {
        Self {
            repository: usage.repository,
            stored_bytes: usage.stored,
            floor_bytes: usage.floor,
            ceiling_bytes: usage.ceiling,
            pinned: usage.is_pinned,
        }
    }
}

/// Documents on disk.
#[derive(Serialize)]
struct DiskDocuments {
    documents: usize,
    /// Repositories whose newest manifest is there.
    manifests: usize,
    stored_bytes: u64,
    limit_bytes: u64,
    condition: &'static str,
    retry_in_seconds: Option<u64>,
    /// Everything the last run left is in memory.
    complete: bool,
}

#[derive(Serialize)]
struct Fills {
    in_progress: usize,
    readers: usize,
}

/// A mirror or parent. Absent values are `null`, so that every row has every column.
#[derive(Serialize)]
struct Server {
    url: String,
    role: &'static str,
    state: &'static str,
    retry_in_seconds: Option<u64>,
    first_byte_ms: Option<u64>,
    first_byte_p95_ms: Option<u64>,
    last_failure: Option<&'static str>,
    last_failure_age_seconds: Option<u64>,
    /// Requests since the start by how they ended.
    outcomes: BTreeMap<&'static str, u64>,
}

impl From<UpstreamStatus> for Server {
    fn from(status: UpstreamStatus) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            url: status.url,
            role: status.role.as_str(),
            state: status.standing.as_str(),
            retry_in_seconds: status.out_for.map(|time| time.as_secs()),
            first_byte_ms: status.first_byte.map(ms),
            first_byte_p95_ms: status.first_byte_p95.map(ms),
            last_failure: status.last_failure.map(|(outcome, _)| outcome.words()),
            last_failure_age_seconds: status.last_failure.map(|(_, ago)| ago.as_secs()),
            outcomes: BTreeMap::new(),
        }
    }
}
