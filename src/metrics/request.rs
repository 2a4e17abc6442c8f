//! Metrics of one part: request.

use prometheus::Registry;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct RequestMetrics {}

impl RequestMetrics {
    pub(super) fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {})
    }
}
