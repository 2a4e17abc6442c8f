//! Every metric: name, help and labels, one file a part. Handles are resolved once and passed to the parts;
//! label values come from enums or from the configuration; of names in requests only a fixed number is shown.

mod admin;
mod cache;
mod config;
mod disk;
mod document;
mod document_disk;
mod log;
mod manifest;
mod process;
mod registry;
mod repository;
mod request;
mod server;
mod tunnel;
mod upstream;
mod warm;

pub use admin::AdminMetrics;
pub use cache::CacheMetrics;
pub use config::ConfigMetrics;
pub use disk::{DiskMetrics, QuotaMetrics};
pub use document::DocumentMetrics;
pub use document_disk::DocumentDiskMetrics;
pub use log::LogMetrics;
pub use manifest::{ManifestFigures, ManifestMetrics};
pub use process::MemoryMetrics;
pub use registry::RegistryMetrics;
pub use repository::{Counts, RepositoryMetrics, Seat};
pub use request::{InFlight, RequestMetrics};
pub use server::{Closed, Handshakes, Refusal, ServerMetrics};
pub use tunnel::TunnelMetrics;
pub use upstream::UpstreamMetrics;
pub use warm::{WarmMetrics, WarmRepository};

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// All metrics of one running tier. Cheap to clone: the parts hold shared handles.
#[derive(Clone)]
pub struct Metrics {
    /// The registry behind `/metrics`.
    pub registry: Registry,
    /// What the machine says about memory.
    pub process: MemoryMetrics,
    /// The admin port.
    pub admin: AdminMetrics,
    /// Reloads.
    pub config: ConfigMetrics,
    /// Connections and drains.
    pub server: ServerMetrics,
    /// Tunnels.
    pub tunnel: TunnelMetrics,
    /// Requests by outcome, latency, bytes.
    pub request: RequestMetrics,
    /// Requests by repository.
    pub repository: RepositoryMetrics,
    /// Manifests by repository.
    pub manifest: ManifestMetrics,
    /// Fills and the memory tier.
    pub cache: CacheMetrics,
    /// The disk tier.
    pub disk: DiskMetrics,
    /// Documents.
    pub document: DocumentMetrics,
    /// Mirrors and parents.
    pub upstream: UpstreamMetrics,
    /// What registries let whom have.
    pub registries: RegistryMetrics,
    /// What is fetched before clients ask.
    pub warm: WarmMetrics,
    /// The access log.
    pub log: LogMetrics,
}

impl Metrics {
    /// Registers everything in a new registry.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let disk = DiskMetrics::register(&registry)?;
        Ok(Self {
            process: process::register(&registry)?,
            admin: AdminMetrics::register(&registry)?,
            config: ConfigMetrics::register(&registry)?,
            server: ServerMetrics::register(&registry)?,
            tunnel: TunnelMetrics::register(&registry)?,
            request: RequestMetrics::register(&registry)?,
            repository: RepositoryMetrics::register(&registry)?,
            manifest: ManifestMetrics::register(&registry)?,
            cache: CacheMetrics::register(&registry)?,
            document: DocumentMetrics::register(&registry, &disk)?,
            disk,
            upstream: UpstreamMetrics::register(&registry)?,
            registries: RegistryMetrics::register(&registry)?,
            warm: WarmMetrics::register(&registry)?,
            log: LogMetrics::register(&registry)?,
            registry,
        })
    }

    /// The Prometheus text form of all metrics.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// One more in a gauge for as long as this lives.
pub struct OneMore(IntGauge);

impl OneMore {
    /// From now on.
    #[must_use]
    pub fn of(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    add(registry, IntCounter::new(name, help)?)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    add(registry, IntGauge::new(name, help)?)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    add(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn float_gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<GaugeVec, prometheus::Error> {
    add(registry, GaugeVec::new(Opts::new(name, help), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, prometheus::Error> {
    add(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
}
