//! Metrics of one part: log.

use prometheus::Registry;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct LogMetrics {}

impl LogMetrics {
    pub(super) fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {})
    }
}
