//! Metrics of one part: upstream.

use prometheus::Registry;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct UpstreamMetrics {}

impl UpstreamMetrics {
    pub(super) fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {})
    }
}
