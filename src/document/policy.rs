//! Bounds and times of documents, with the reasons for their defaults.

use std::time::Duration;

/// Bounds and times that are no configuration keys yet.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Staleness accepted of documents below `/cvmfs/` while the upstream fails. Others need a `stale-if-error`.
    pub stale_if_error: Duration,
    /// How long the upstream is left alone after it failed, while a stored copy can stand in.
    pub rest_after_failure: Duration,
    /// How long the newest manifest seen is preferred to older ones without any upstream sending it again.
    pub manifest_hold: Duration,
    /// Time for a whole body; slower ones are passed through. Clients wait 5 s for their first byte.
    pub patience: Duration,
    /// Documents fetched at the same time with others waiting for them.
    pub max_flights: usize,
    /// Requests that may wait for one document.
    pub max_waiters: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stale_if_error: Duration::from_secs(24 * 3600),
            rest_after_failure: Duration::from_secs(5),
            manifest_hold: Duration::from_secs(3600),
            patience: Duration::from_secs(2),
            max_flights: 4096,
            max_waiters: 16_384,
        }
    }
}
