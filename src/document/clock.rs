//! The time of one request.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The wall clock of one request: read once, then moved on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: SystemTime,
    started: Instant,
}

impl Clock {
    /// A clock that now shows `now`.
    pub fn starting_at(now: SystemTime) -> Self {
        Self { start: now, started: Instant::now() }
    }

    /// The instant that long after the start.
    pub fn instant(&self, after: Duration) -> Instant {
        self.started + after
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        self.start + self.started.elapsed()
    }
}
