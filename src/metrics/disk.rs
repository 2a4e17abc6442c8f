//! Metrics of one part: disk.

use prometheus::Registry;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct DiskMetrics {}

impl DiskMetrics {
    pub(super) fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {})
    }
}
