//! Metrics of the access log.

use prometheus::{IntCounter, Registry};

use super::{counter, counters};

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct LogMetrics {
    /// Lines that stand in the log.
    pub lines: IntCounter,
    /// Lines dropped since the writer was behind.
    pub dropped_behind: IntCounter,
    /// Lines dropped since they could not be written.
    pub dropped_failed: IntCounter,
    /// Lines dropped since the log was closed already.
    pub dropped_closed: IntCounter,
}

impl LogMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let lines = counter(registry, "substratum_log_lines_total", "Access log lines written.")?;
        let dropped = counters(
            registry,
            "substratum_log_dropped_lines_total",
            "Access log lines lost. A rise of \"behind\" means the disk or the reader of the pipe is too slow, \
             of \"failed\" that writing fails (disk full?), of \"closed\" that requests outlived the log.",
            &["reason"],
        )?;
        Ok(Self {
            lines,
            dropped_behind: dropped.with_label_values(&["behind"]),
            dropped_failed: dropped.with_label_values(&["failed"]),
            dropped_closed: dropped.with_label_values(&["closed"]),
        })
    }
}
