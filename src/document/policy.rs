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
    /// From the request to the end of the body: what takes longer, and has a known length, is sent on as it arrives.
    pub patience: Duration,
    /// The same where sending on loses more: a manifest, which must be judged whole, and a body of unknown length,
    /// which cannot be shared while it arrives. Clients of CVMFS wait 5 s for their first byte.
    pub utmost_patience: Duration,
    /// Time for a body that is read for many while it arrives.
    pub longest_fetch: Duration,
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
            patience: Duration::from_millis(1000),
            utmost_patience: Duration::from_millis(4250),
            longest_fetch: Duration::from_secs(600),
            max_flights: 4096,
            max_waiters: 16_384,
        }
    }
}
