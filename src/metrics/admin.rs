//! Metrics of the admin port.

use prometheus::{IntCounter, Registry};

use super::{counter, counters};

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct AdminMetrics {
    /// Requests without the token.
    pub unauthorized: IntCounter,
    /// Purges of what was stored.
    pub dropped: IntCounter,
    /// Purges of what was not.
    pub absent: IntCounter,
}

impl AdminMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let purges = counters(
            registry,
            "substratum_purges_total",
            "Objects and documents that operators purged, by whether anything was stored of them.",
            &["result"],
        )?;
        Ok(Self {
            unauthorized: counter(
                registry,
                "substratum_admin_unauthorized_total",
                "Requests to the admin port that bore no token or another one. A rise: monitoring without the new token, or \
                 somebody who tries.",
            )?,
            dropped: purges.with_label_values(&["dropped"]),
            absent: purges.with_label_values(&["absent"]),
        })
    }
}
