//! Metrics of the configuration: whether what is in the file is what holds.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{counters, gauge};

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct ConfigMetrics {
    /// Reloads after which the new configuration held.
    pub applied: IntCounter,
    /// Reloads that left the old one in force.
    pub refused: IntCounter,
    /// 1 unless the last reload was refused.
    pub successful: IntGauge,
    /// Keys whose new value waits for a restart.
    pub waiting: IntGauge,
}

impl ConfigMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let reloads = counters(
            registry,
            "substratum_config_reloads_total",
            "Reloads of the configuration by result. A rise of \"refused\" means that the file is wrong and the old \
             configuration goes on; the log says why.",
            &["result"],
        )?;
        let successful = gauge(
            registry,
            "substratum_config_last_reload_successful",
            "0 after a reload that was refused: what holds is older than the file. The log says why.",
        )?;
        successful.set(1);
        let waiting = gauge(
            registry,
            "substratum_config_keys_waiting",
            "Keys that were changed in the file and reloaded, but hold only after a restart. The log names them.",
        )?;
        Ok(Self {
            applied: reloads.with_label_values(&["applied"]),
            refused: reloads.with_label_values(&["refused"]),
            successful,
            waiting,
        })
    }
}
