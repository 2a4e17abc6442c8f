//! When to leave the disk alone: after repeated I/O errors, for a while that doubles. Then it is tried again.
//!
//! Reading and writing are judged apart: a disk that is full, read-only or out of descriptors still serves what it has;
//! one that cannot be read is passed over altogether, and the tier is memory only until it can.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::IntCounter;

const TOLERATED: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How one kind of operation has been going.
#[derive(Debug, Default)]
pub struct Health {
    failures: u32,
    pause: Option<Pause>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// What a result changed, to be told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing new.
    None,
    /// It pauses for so long.
    Paused(Duration),
    /// It works again.
    Recovered,
}

/// What the tier can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything.
    Working,
    /// Stored objects are served, new ones are not stored.
    ReadOnly,
    /// Nothing: the disk cannot be read.
    MemoryOnly,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Working, Self::ReadOnly, Self::MemoryOnly];

    /// For labels and people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::ReadOnly => "read_only",
            Self::MemoryOnly => "memory_only",
        }
    }
}

impl Health {
    /// Whether it may be tried.
    pub fn may_try(&self, now: Instant) -> bool {
        self.pause.is_none_or(|pause| now >= pause.until)
    }

    /// How long until it may be tried; `None` when nothing is wrong.
    pub fn trouble(&self, now: Instant) -> Option<Duration> {
        self.pause.map(|pause| pause.until.saturating_duration_since(now))
    }

    /// It failed.
    pub fn failed(&mut self, now: Instant) -> Change {
        self.failures += 1;
        let length = match self.pause {
            // What was under way when the pause began says nothing new.
            Some(pause) if now < pause.until => return Change::None,
            Some(pause) => (pause.length * 2).min(LONGEST_PAUSE),
            None if self.failures < TOLERATED => return Change::None,
            None => FIRST_PAUSE,
        };
        self.pause = Some(Pause { until: now + length, length });
        Change::Paused(length)
    }

    /// It failed in a way that needs no second try to be believed.
    pub fn unusable(&mut self, now: Instant) -> Change {
        self.failures = self.failures.max(TOLERATED - 1);
        self.failed(now)
    }

    /// It succeeded.
    pub fn succeeded(&mut self) -> Change {
        self.failures = 0;
        if self.pause.take().is_some() { Change::Recovered } else { Change::None }
    }
}

/// The health of reading, noted where it happens. Costs reads that succeed one load.
pub struct ReadHealth {
    // Whether there is anything in `health`.
    troubled: AtomicBool,
    health: Mutex<Health>,
    errors: Option<IntCounter>,
}

impl ReadHealth {
    /// For one look at a folder: nothing is counted.
    pub fn uncounted() -> Self {
        Self { troubled: AtomicBool::new(false), health: Mutex::default(), errors: None }
    }

    /// Healthy; failures are counted in `errors`.
    pub fn new(errors: IntCounter) -> Self {
        Self { troubled: AtomicBool::new(false), health: Mutex::default(), errors: Some(errors) }
    }

    /// Takes note of how a read that may wait for the disk went.
    pub fn note<T>(&self, read: &io::Result<T>) {
        match read {
            Ok(_) if !self.troubled.load(Ordering::Relaxed) => {}
            Ok(_) => {
                let mut health = self.health.lock();
                self.troubled.store(false, Ordering::Relaxed);
                if health.succeeded() == Change::Recovered {
                    tracing::info!("the disk cache can be read again");
                }
            }
            Err(error) => self.failed(error),
        }
    }

    /// A read failed, or took too long to be waited for.
    pub fn failed(&self, error: &io::Error) {
        self.errors.iter().for_each(|errors| errors.inc());
        let mut health = self.health.lock();
        self.troubled.store(true, Ordering::Relaxed);
        if let Change::Paused(pause) = health.failed(Instant::now()) {
            tracing::error!(%error, ?pause, "the disk cache cannot be read: going on without it for a while");
        }
    }

    /// Nothing can be read at all.
    pub fn unusable(&self, error: &io::Error) {
        (0..TOLERATED).for_each(|_| self.failed(error));
    }

    /// Whether a read may be tried.
    pub fn may_try(&self) -> bool {
        !self.troubled.load(Ordering::Relaxed) || self.health.lock().may_try(Instant::now())
    }

    /// How long until it may be tried; `None` when nothing is wrong.
    pub fn trouble(&self) -> Option<Duration> {
        self.health.lock().trouble(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_repeated_errors_and_doubles() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::default();
        assert_eq!(health.failed(at(0)), Change::None);
        assert_eq!(health.succeeded(), Change::None);
        assert_eq!(health.failed(at(0)), Change::None);
        assert_eq!(health.failed(at(0)), Change::None);
        assert_eq!(health.failed(at(0)), Change::Paused(Duration::from_secs(1)));
        assert!(!health.may_try(at(0)) && health.may_try(at(1)));
        assert_eq!(health.failed(at(0)), Change::None);
        assert_eq!(health.failed(at(1)), Change::Paused(Duration::from_secs(2)));
        assert_eq!(health.succeeded(), Change::Recovered);
        assert!(health.may_try(at(1)));
    }
}
