//! Metrics of one part: documents on disk.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{DiskMetrics, counter, counters, gauge, gauges};
use crate::cache::disk::Condition;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct DocumentDiskMetrics {
    /// Files of documents.
    pub documents: IntGauge,
    /// Repositories whose newest manifest is on disk.
    pub manifests: IntGauge,
    /// Bytes of files.
    pub bytes: IntGauge,
    /// Their bound.
    pub limit_bytes: IntGauge,
    /// 1 once everything the last run left is loaded.
    pub is_loaded: IntGauge,
    /// What can be done, one for each `cache::disk::Condition`.
    pub condition: [IntGauge; 3],
    /// Documents loaded.
    pub loaded: IntCounter,
    /// Documents written.
    pub writes: IntCounter,
    /// Failed writes, those of objects included.
    pub write_errors: IntCounter,
    /// Failed reads, those of objects included.
    pub read_errors: IntCounter,
    /// What was not written or not loaded, by reason.
    pub dropped: Dropped,
}

/// Documents and manifests that are not on disk, or not taken from there.
#[derive(Clone)]
pub struct Dropped {
    /// To make room for others.
    pub space: IntCounter,
    /// Too much was waiting to be written.
    pub queue_full: IntCounter,
    /// Larger than the room allows.
    pub too_large: IntCounter,
    /// They vary on a client's credentials.
    pub credentials: IntCounter,
    /// Writing pauses after errors.
    pub paused: IntCounter,
    /// A write failed.
    pub failed: IntCounter,
    /// They are damaged.
    pub corrupt: IntCounter,
    /// They cannot be read.
    pub unreadable: IntCounter,
    /// A newer program wrote them.
    pub newer: IntCounter,
    /// They are too old to be of use.
    pub expired: IntCounter,
}

impl DocumentDiskMetrics {
    pub(super) fn register(registry: &Registry, disk: &DiskMetrics) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| gauge(registry, name, help);
        let counter = |name, help| counter(registry, name, help);
        let dropped = counters(
            registry,
            "substratum_document_disk_dropped_total",
            "Documents not written to disk, or not taken from there. A rise for failed, paused or unreadable: the disk \
             is failing or full; for corrupt without a crash: it is failing; for space: [disk] documents is too small.",
            &["reason"],
        )?;
        let reason = |label| dropped.with_label_values(&[label]);
        let conditions = gauges(
            registry,
            "substratum_document_disk_condition",
            "1 for what can be done with documents on disk: working, read_only (nothing new is written) or memory_only \
             (the folder cannot be read). Tried again on its own after a pause.",
            &["state"],
        )?;
        Ok(Self {
            documents: gauge("substratum_document_disk_documents", "Documents on disk.")?,
            manifests: gauge(
                "substratum_document_disk_manifests",
                "Repositories whose newest manifest is on disk, so that an older one is noticed after a restart.",
            )?,
            bytes: gauge("substratum_document_disk_bytes", "Bytes of the files of documents.")?,
            limit_bytes: gauge(
                "substratum_document_disk_limit_bytes",
                "What they and the newest manifests may take together; 0 when nothing is written.",
            )?,
            is_loaded: gauge(
                "substratum_document_disk_loaded",
                "1 once all documents of the last run are in memory; before, some are missed.",
            )?,
            condition: Condition::ALL.map(|state| conditions.with_label_values(&[state.as_str()])),
            loaded: counter(
                "substratum_document_disk_loads_total",
                "Documents of the last run found again.",
            )?,
            writes: counter(
                "substratum_document_disk_writes_total",
                "Documents written to disk. Rises with documents fetched or confirmed.",
            )?,
            write_errors: disk.write_errors.clone(),
            read_errors: disk.read_errors.clone(),
            dropped: Dropped {
                space: reason("space"),
                queue_full: reason("queue_full"),
                too_large: reason("too_large"),
                credentials: reason("credentials"),
                paused: reason("paused"),
                failed: reason("failed"),
                corrupt: reason("corrupt"),
                unreadable: reason("unreadable"),
                newer: reason("newer"),
                expired: reason("expired"),
            },
        })
    }
}
