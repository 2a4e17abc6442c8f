//! Metrics of fills and of the memory tier.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{counter, counters, gauge};
use crate::cache::Why;

/// Handles of the object cache's metrics.
#[derive(Clone)]
pub struct CacheMetrics {
    /// Fills started.
    pub led: IntCounter,
    /// Requests that joined a fill.
    pub joined: IntCounter,
    /// Fills that ended without the object, indexed by `Why as usize`.
    pub fill_failures: [IntCounter; Why::ALL.len()],
    /// Stored objects whose bytes proved bad.
    pub bad_at_rest: IntCounter,
    /// Objects whose digest was verified on arrival.
    pub verified: IntCounter,
    /// Fills in progress (sampled).
    pub fills: IntGauge,
    /// Memory set aside for fills, in bytes.
    pub fill_memory: IntGauge,
    /// Fills whose client has as many in progress as it may.
    pub fills_waiting: IntGauge,
    /// Readers of fills in progress (sampled).
    pub fill_readers: IntGauge,
    /// Objects in memory (sampled).
    pub memory_objects: IntGauge,
    /// Their weight in bytes (sampled).
    pub memory_bytes: IntGauge,
    /// Of it, what is locked in the page cache.
    pub memory_pinned: IntGauge,
    /// Configured capacity in bytes.
    pub memory_capacity: IntGauge,
    /// Capacity in force in bytes.
    pub memory_allowed: IntGauge,
    /// Bytes of objects that went because the machine wanted the memory.
    pub memory_given_up: IntCounter,
}

impl CacheMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let failures = counters(
            registry,
            "substratum_fill_failures_total",
            "Transfers of objects that ended without the object, by reason; a rise of corrupt or unavailable points at upstreams.",
            &["reason"],
        )?;
        Ok(Self {
            led: counter(
                registry,
                "substratum_fills_total",
                "Transfers of objects started; each stands for a miss of all tiers.",
            )?,
            joined: counter(
                registry,
                "substratum_fill_joins_total",
                "Requests that read along with a transfer somebody else started.",
            )?,
            fill_failures: Why::ALL.map(|why| failures.with_label_values(&[why.reason().as_str()])),
            bad_at_rest: counter(
                registry,
                "substratum_bad_at_rest_total",
                "Stored objects whose bytes had gone bad and were dropped; a rise points at failing hardware.",
            )?,
            verified: counter(
                registry,
                "substratum_verified_objects_total",
                "Objects whose digest matched on arrival.",
            )?,
            fills: gauge(registry, "substratum_fills", "Transfers of objects in progress.")?,
            fill_memory: gauge(
                registry,
                "substratum_fill_memory_bytes",
                "Memory set aside for transfers in progress; at fill_memory, further ones are refused.",
            )?,
            fills_waiting: gauge(
                registry,
                "substratum_fills_waiting",
                "Transfers that wait because their client has as many in progress as it may (max_client_fills).",
            )?,
            fill_readers: gauge(
                registry,
                "substratum_fill_readers",
                "Requests reading from transfers in progress.",
            )?,
            memory_objects: gauge(registry, "substratum_memory_objects", "Objects in the memory tier.")?,
            memory_bytes: gauge(
                registry,
                "substratum_memory_bytes",
                "Weight of the memory tier: bytes of objects and overhead.",
            )?,
            memory_pinned: gauge(
                registry,
                "substratum_memory_pinned_bytes",
                "Of the memory tier: bytes that are pages of the disk tier's files, locked in the page cache.",
            )?,
            memory_capacity: gauge(
                registry,
                "substratum_memory_capacity_bytes",
                "Configured capacity of the memory tier.",
            )?,
            memory_allowed: gauge(
                registry,
                "substratum_memory_allowed_bytes",
                "Capacity of the memory tier in force; below the configured one while a limit of the machine is near.",
            )?,
            memory_given_up: counter(
                registry,
                "substratum_memory_given_up_bytes_total",
                "Bytes the memory tier gave up because a limit of the machine was near; a rise says that memory is too small or the limit too low.",
            )?,
        })
    }
}
