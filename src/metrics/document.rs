//! Metrics of one part: document.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use super::{DiskMetrics, DocumentDiskMetrics, counter, counters, gauge};

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct DocumentMetrics {
    /// Bytes of documents in memory.
    pub stored_bytes: IntGauge,
    /// URLs of documents in memory.
    pub stored_urls: IntGauge,
    /// URLs evicted.
    pub evictions: IntCounter,
    /// Fetches from upstream by their result.
    pub refreshes: IntCounterVec,
    /// Responses not stored, by reason.
    pub not_stored: IntCounterVec,
    /// Fetches under way.
    pub refreshing: IntGauge,
    /// Requests waiting for another's fetch.
    pub waiting: IntGauge,
    /// Stale documents sent because the upstream failed.
    pub stale: IntCounter,
    /// Requests that changed a document and made stored ones be forgotten.
    pub invalidations: IntCounter,
    /// Older manifests for which a newer known one was sent.
    pub manifest_rollbacks: IntCounter,
    /// Damaged manifests received.
    pub manifest_damages: IntCounter,
    /// Documents on disk.
    pub disk: DocumentDiskMetrics,
}

impl DocumentMetrics {
    pub(super) fn register(registry: &Registry, disk: &DiskMetrics) -> Result<Self, prometheus::Error> {
        Ok(Self {
            disk: DocumentDiskMetrics::register(registry, disk)?,
            stored_bytes: gauge(
                registry,
                "substratum_document_stored_bytes",
                "Bytes of documents in memory; rises to [memory] documents and stays there.",
            )?,
            stored_urls: gauge(
                registry,
                "substratum_document_stored_urls",
                "URLs of documents in memory; a rise means that more different documents are asked for.",
            )?,
            evictions: counter(
                registry,
                "substratum_document_evictions_total",
                "Documents evicted for lack of room; a steady rise means that [memory] documents is too small.",
            )?,
            refreshes: counters(
                registry,
                "substratum_document_refreshes_total",
                "Fetches of documents from upstream; a rise of result=failed means that upstreams do not answer.",
                &["result"],
            )?,
            not_stored: counters(
                registry,
                "substratum_document_not_stored_total",
                "Documents not stored; a rise means load on the upstreams that no cache can take away, or bodies beyond [memory] max_document.",
                &["reason"],
            )?,
            refreshing: gauge(
                registry,
                "substratum_document_refreshes_in_progress",
                "Fetches of documents under way; a rise means that upstreams have become slow.",
            )?,
            waiting: gauge(
                registry,
                "substratum_document_waiting_requests",
                "Requests that wait for a fetch another request caused; a rise means that upstreams have become slow.",
            )?,
            stale: counter(
                registry,
                "substratum_document_stale_total",
                "Stale documents sent because no upstream answered; any rise means that clients live on old copies.",
            )?,
            invalidations: counter(
                registry,
                "substratum_document_invalidations_total",
                "Requests that changed documents, so that stored ones were forgotten; zero unless [access] methods lets them through.",
            )?,
            manifest_rollbacks: counter(
                registry,
                "substratum_document_manifest_rollbacks_total",
                "Manifests from upstream older than one seen before, which was sent instead; a rise means that a mirror lags.",
            )?,
            manifest_damages: counter(
                registry,
                "substratum_document_manifest_damages_total",
                "Manifests and whitelists from upstream that do not match their own checksum; any rise means a broken mirror.",
            )?,
        })
    }
}
