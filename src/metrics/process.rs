//! Metrics of the process itself, by the names that every exporter uses, and of the build.

use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;

use super::gauges;

/// Registers them; nobody needs handles: the values are read when asked for.
pub(super) fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let build = gauges(
        registry,
        "substratum_build_info",
        "Always 1; the label says which version runs. Several at once mean a rollout that has not ended.",
        &["version"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}
