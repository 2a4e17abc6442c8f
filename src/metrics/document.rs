//! Metrics of one part: document.

use prometheus::Registry;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct DocumentMetrics {}

impl DocumentMetrics {
    pub(super) fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {})
    }
}
