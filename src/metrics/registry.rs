//! Metrics of registries of container images.

use prometheus::{IntCounter, Registry};

use super::counters;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct RegistryMetrics {
    /// Consents of a moment ago.
    pub remembered: IntCounter,
    /// Consents asked for and given.
    pub given: IntCounter,
    /// Asked for and not given: the client reads the registry's own answer.
    pub refused: IntCounter,
    /// Given to everybody a while ago, while the registry is away.
    pub stood_in: IntCounter,
    /// The registry could not be asked.
    pub failed: IntCounter,
}

impl RegistryMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let consents = counters(
            registry,
            "substratum_registry_consents_total",
            "What registries said, or had said, about who may have a blob or a manifest. A rise of \"stood_in\" or \"failed\": a \
             registry is away; of \"refused\" alone: clients without permission, or a registry whose answers do not show the digest.",
            &["result"],
        )?;
        Ok(Self {
            remembered: consents.with_label_values(&["remembered"]),
            given: consents.with_label_values(&["given"]),
            refused: consents.with_label_values(&["refused"]),
            stood_in: consents.with_label_values(&["stood_in"]),
            failed: consents.with_label_values(&["failed"]),
        })
    }
}
