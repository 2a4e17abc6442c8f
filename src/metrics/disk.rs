//! Metrics of one part: the disk tier for objects.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{counter, counters, gauge, gauges};
use crate::cache::disk::Condition;

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct DiskMetrics {
    /// Findable objects.
    pub objects: IntGauge,
    /// Bytes of files.
    pub stored_bytes: IntGauge,
    /// Bytes promised and not yet written.
    pub reserved_bytes: IntGauge,
    /// The hard limit.
    pub capacity_bytes: IntGauge,
    /// What may be used now.
    pub limit_bytes: IntGauge,
    /// What the tier can do, one for each `cache::disk::Condition`.
    pub condition: [IntGauge; 3],
    /// Segment files.
    pub segments: IntGauge,
    /// Segment files that can be neither read nor removed.
    pub segments_troubled: IntGauge,
    /// Memory of the index.
    pub index_bytes: IntGauge,
    /// 1 once the index of the last run is loaded.
    pub index_loaded: IntGauge,
    /// Bytes of objects that wait for the disk.
    pub write_queue_bytes: IntGauge,
    /// When the oldest segment was created.
    pub oldest_segment: IntGauge,
    /// Objects stored.
    pub writes: IntCounter,
    /// Bytes of objects stored.
    pub written_bytes: IntCounter,
    /// Bytes of objects copied out of segments that went.
    pub copied_bytes: IntCounter,
    /// Failed writes.
    pub write_errors: IntCounter,
    /// Failed reads.
    pub read_errors: IntCounter,
    /// Records that failed their checksums.
    pub corrupt_records: IntCounter,
    /// Bytes read by the background check.
    pub scrubbed_bytes: IntCounter,
    /// What it dropped.
    pub scrub_bad: IntCounter,
    /// How often it has been through.
    pub scrub_passes: IntCounter,
    /// When it was through last.
    pub scrub_last_pass: IntGauge,
    /// Bytes dropped, by reason.
    pub evicted: Evicted,
    /// Objects not stored, by reason.
    pub not_admitted: Refused,
    /// Bytes of files, by quota.
    quota_bytes: IntGaugeVec,
    /// Objects that could not be pinned, by quota.
    not_pinned: IntCounterVec,
}

/// Handles of one quota's metrics.
#[derive(Clone)]
pub struct QuotaMetrics {
    /// Bytes of files.
    pub stored_bytes: IntGauge,
    /// Objects that could not be pinned.
    pub not_pinned: IntCounter,
}

impl QuotaMetrics {
    /// Those of the quota with this pattern.
    pub fn new(metrics: &DiskMetrics, pattern: &str) -> Self {
        Self {
            stored_bytes: metrics.quota_bytes.with_label_values(&[pattern]),
            not_pinned: metrics.not_pinned.with_label_values(&[pattern]),
        }
    }
}

/// Bytes of objects dropped.
#[derive(Clone)]
pub struct Evicted {
    /// To make room for others.
    pub space: IntCounter,
    /// The capacity was lowered.
    pub shrunk: IntCounter,
    /// They were damaged.
    pub corrupt: IntCounter,
    /// The disk could not read them.
    pub unreadable: IntCounter,
    /// Somebody asked for it.
    pub purged: IntCounter,
}

/// Objects not stored.
#[derive(Clone)]
pub struct Refused {
    /// Larger than objects may be.
    pub too_large: IntCounter,
    /// The write-behind queue was full.
    pub queue_full: IntCounter,
    /// No space could be made in time.
    pub no_space: IntCounter,
    /// Writing pauses after repeated errors.
    pub paused: IntCounter,
    /// A write failed.
    pub failed: IntCounter,
    /// The tier was being closed.
    pub closed: IntCounter,
}

impl DiskMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| gauge(registry, name, help);
        let counter = |name, help| counter(registry, name, help);
        let evicted = counters(
            registry,
            "substratum_disk_evicted_bytes_total",
            "Bytes of objects dropped from the disk. For reason space: the working set is larger than the disk.",
            &["reason"],
        )?;
        let refused = counters(
            registry,
            "substratum_disk_not_admitted_total",
            "Objects passed on without being stored. A rise for queue_full or no_space: the disk is too slow or too \
             small for the misses; for paused or failed: the disk is failing or full.",
            &["reason"],
        )?;
        let conditions = gauges(
            registry,
            "substratum_disk_condition",
            "1 for what the tier can do: working, read_only (nothing new is stored) or memory_only (the disk cannot be \
             read). Tried again on its own after a pause.",
            &["state"],
        )?;
        Ok(Self {
            objects: gauge("substratum_disk_objects", "Objects that can be found on the disk.")?,
            stored_bytes: gauge("substratum_disk_stored_bytes", "Bytes of the disk tier's files.")?,
            reserved_bytes: gauge(
                "substratum_disk_reserved_bytes",
                "Bytes promised to writers and open segments, not yet written.",
            )?,
            capacity_bytes: gauge(
                "substratum_disk_capacity_bytes",
                "Hard limit of stored and reserved bytes together.",
            )?,
            limit_bytes: gauge(
                "substratum_disk_limit_bytes",
                "What the tier may use now. Below the capacity: others fill the file system.",
            )?,
            condition: Condition::ALL.map(|state| conditions.with_label_values(&[state.as_str()])),
            segments: gauge("substratum_disk_segments", "Segment files, each of them an open file.")?,
            segments_troubled: gauge(
                "substratum_disk_segments_troubled",
                "Segment files that can be neither opened, read nor removed at the moment; tried again every 10 s. Their \
                 objects are missed. Other than 0: the disk is failing, or there are too few file descriptors.",
            )?,
            index_bytes: gauge("substratum_disk_index_bytes", "Memory of the index, ghosts included.")?,
            index_loaded: gauge(
                "substratum_disk_index_loaded",
                "1 once all objects of the last run can be found again; before, some are missed.",
            )?,
            write_queue_bytes: gauge(
                "substratum_disk_write_queue_bytes",
                "Bytes of objects in memory that wait to be written. Staying high: the disk is too slow.",
            )?,
            oldest_segment: gauge(
                "substratum_disk_oldest_segment_timestamp_seconds",
                "When the oldest segment was created. Rising fast: objects do not stay for long.",
            )?,
            writes: counter("substratum_disk_writes_total", "Objects stored. Rises with the misses.")?,
            written_bytes: counter("substratum_disk_written_bytes_total", "Bytes of objects stored.")?,
            copied_bytes: counter(
                "substratum_disk_copied_bytes_total",
                "Bytes of used objects copied out of segments that went: the price of keeping them.",
            )?,
            write_errors: counter(
                "substratum_disk_write_errors_total",
                "Failed writes, of objects and documents. Any rise: the disk is full or failing.",
            )?,
            read_errors: counter(
                "substratum_disk_read_errors_total",
                "Failed reads, of objects and documents, and those that took too long. Any rise: the disk is failing.",
            )?,
            corrupt_records: counter(
                "substratum_disk_corrupt_records_total",
                "Records that failed their checksums and were dropped. A rise without a crash: the disk is failing.",
            )?,
            scrubbed_bytes: counter(
                "substratum_disk_scrubbed_bytes_total",
                "Bytes of objects read by the background check.",
            )?,
            scrub_bad: counter(
                "substratum_disk_scrub_bad_total",
                "Objects the background check found bad and dropped. Any rise: the disk is failing.",
            )?,
            scrub_passes: counter(
                "substratum_disk_scrub_passes_total",
                "How often the background check has read everything.",
            )?,
            scrub_last_pass: gauge(
                "substratum_disk_scrub_last_pass_timestamp_seconds",
                "When the background check had last read everything; 0 before.",
            )?,
            quota_bytes: gauges(
                registry,
                "substratum_disk_quota_bytes",
                "Bytes of the files of a quota's repositories, between its floor and its ceiling once there is enough.",
                &["repository"],
            )?,
            not_pinned: counters(
                registry,
                "substratum_disk_not_pinned_total",
                "Objects that are kept like others because all that may be pinned is. Raise the ceiling or unpin.",
                &["repository"],
            )?,
            evicted: Evicted::new(&evicted),
            not_admitted: Refused::new(&refused),
        })
    }
}

impl Evicted {
    fn new(counters: &IntCounterVec) -> Self {
        let reason = |label| counters.with_label_values(&[label]);
        Self {
            space: reason("space"),
            shrunk: reason("shrunk"),
            corrupt: reason("corrupt"),
            unreadable: reason("unreadable"),
            purged: reason("purged"),
        }
    }
}

impl Refused {
    fn new(counters: &IntCounterVec) -> Self {
        let reason = |label| counters.with_label_values(&[label]);
        Self {
            too_large: reason("too_large"),
            queue_full: reason("queue_full"),
            no_space: reason("no_space"),
            paused: reason("paused"),
            failed: reason("failed"),
            closed: reason("closed"),
        }
    }
}
