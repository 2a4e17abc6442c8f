//! Metrics of the process itself, by the names that every exporter uses, and of the build.

use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGauge, Registry};

use super::{gauge, gauges};

/// Handles of what the machine says about memory.
#[derive(Clone)]
pub struct MemoryMetrics {
    limit: IntGauge,
    taken: IntGauge,
}

impl MemoryMetrics {
    /// The limit that is nearest and what is taken of it, in bytes; nothing when there is no limit.
    pub fn saw(&self, look: Option<(u64, u64)>) {
        let (limit, taken) = look.unwrap_or_default();
        self.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
        self.taken.set(i64::try_from(taken).unwrap_or(i64::MAX));
    }
}

/// Registers them. All others are read when asked for.
pub(super) fn register(registry: &Registry) -> Result<MemoryMetrics, prometheus::Error> {
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let build = gauges(
        registry,
        "substratum_build_info",
        "Always 1; the label says which version runs. Several at once mean a rollout that has not ended.",
        &["version"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(MemoryMetrics {
        limit: gauge(
            registry,
            "substratum_memory_limit_bytes",
            "What control groups allow the process, the tightest of them; 0 without a limit.",
        )?,
        taken: gauge(
            registry,
            "substratum_memory_taken_bytes",
            "Memory of that group which cannot be reclaimed, sampled four times a second; near the limit, the memory tier shrinks.",
        )?,
    })
}
