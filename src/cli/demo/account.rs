//! What jobs experienced.

use std::time::Duration;

use super::job::PATIENCE;
use super::latency::Latencies;

/// What one connection, job or wave experienced.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Answers that began.
    pub requests: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Objects whose bytes deserved their name.
    pub verified: u64,
    /// Requests sent again since the answer was an error or broke off.
    pub repeated: u64,
    /// Answers that ended well and were wrong nevertheless.
    pub wrong: u64,
    /// What the job did not get at all.
    pub failed: u64,
    /// Answers that began after a client would have left.
    pub late: u64,
    /// From a request sent (its connection opened, if need be) to the head of its answer.
    pub latencies: Latencies,
}

impl Account {
    /// An answer began after this time.
    pub fn first_byte(&mut self, time: Duration) {
        self.requests += 1;
        self.late += u64::from(time > PATIENCE);
        self.latencies.record(time);
    }

    /// Adds what another one experienced.
    pub fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.verified += other.verified;
        self.repeated += other.repeated;
        self.wrong += other.wrong;
        self.failed += other.failed;
        self.late += other.late;
        self.latencies.merge(other.latencies);
    }
}
