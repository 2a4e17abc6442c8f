//! Metrics of what is fetched before clients ask (`[[warm]]`), by repository: as many as the configuration names.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{counters, gauges};

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct WarmMetrics {
    objects: IntCounterVec,
    bytes: IntCounterVec,
    looks: IntCounterVec,
    in_progress: IntGaugeVec,
    revision: IntGaugeVec,
    finished: IntGaugeVec,
}

/// Those of one repository.
#[derive(Clone)]
pub struct WarmRepository {
    /// Catalogs that were read.
    pub catalogs: IntCounter,
    /// Objects that were brought.
    pub fetched: IntCounter,
    /// Objects that could not be had.
    pub failed: IntCounter,
    /// Bytes of both.
    pub bytes: IntCounter,
    /// Looks that found nothing new.
    pub looks_unchanged: IntCounter,
    /// Looks after which a new revision is here.
    pub looks_warmed: IntCounter,
    /// Looks that came to nothing.
    pub looks_failed: IntCounter,
    /// Entries of the configuration that bring something now.
    pub in_progress: IntGauge,
    /// The latest revision that is here.
    pub revision: IntGauge,
    /// When that was so, in seconds since 1970.
    pub finished: IntGauge,
}

impl WarmMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            objects: counters(
                registry,
                "substratum_warm_objects_total",
                "Objects that [[warm]] asked for: \"catalog\", catalogs that were read; \"fetched\", others that are here now; \
                 \"failed\". A rise of that: the log says which, and why.",
                &["repository", "result"],
            )?,
            bytes: counters(
                registry,
                "substratum_warm_bytes_total",
                "Bytes of them. At the configured rate for long: a release is larger than the rate allows for.",
                &["repository"],
            )?,
            looks: counters(
                registry,
                "substratum_warm_looks_total",
                "Looks of [[warm]] at manifests, by result. A rise of \"failed\": what clients will ask for is not here; the \
                 log and the page of the admin port say why.",
                &["repository", "result"],
            )?,
            in_progress: gauges(
                registry,
                "substratum_warm_in_progress",
                "Entries of [[warm]] that bring a revision now. Staying above 0: it is never finished.",
                &["repository"],
            )?,
            revision: gauges(
                registry,
                "substratum_warm_revision",
                "Latest revision that [[warm]] brought to its end. Behind substratum_manifest_revision for long: look at the log.",
                &["repository"],
            )?,
            finished: gauges(
                registry,
                "substratum_warm_finished_timestamp_seconds",
                "When it was at its end (unix time); 0 when none was yet.",
                &["repository"],
            )?,
        })
    }

    /// Those of a repository that the configuration names.
    pub fn of(&self, repository: &str) -> WarmRepository {
        let objects = |result| self.objects.with_label_values(&[repository, result]);
        let looks = |result| self.looks.with_label_values(&[repository, result]);
        WarmRepository {
            catalogs: objects("catalog"),
            fetched: objects("fetched"),
            failed: objects("failed"),
            bytes: self.bytes.with_label_values(&[repository]),
            looks_unchanged: looks("unchanged"),
            looks_warmed: looks("warmed"),
            looks_failed: looks("failed"),
            in_progress: self.in_progress.with_label_values(&[repository]),
            revision: self.revision.with_label_values(&[repository]),
            finished: self.finished.with_label_values(&[repository]),
        }
    }
}
