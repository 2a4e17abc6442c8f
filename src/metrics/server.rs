//! Metrics of one part: server.

use prometheus::Registry;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct ServerMetrics {}

impl ServerMetrics {
    pub(super) fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {})
    }
}
