//! Metrics of one part: cache.

use prometheus::Registry;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct CacheMetrics {}

impl CacheMetrics {
    pub(super) fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {})
    }
}
