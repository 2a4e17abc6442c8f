//! When to stop writing: after repeated I/O errors, for a while that doubles. Reads go on.

use std::time::{Duration, Instant};

const TOLERATED: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How writing has been going.
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
    /// Writing pauses for so long.
    Paused(Duration),
    /// Writing works again.
    Recovered,
}

impl Health {
    /// Whether writing may be tried.
    pub fn may_write(&self, now: Instant) -> bool {
        self.pause.is_none_or(|pause| now >= pause.until)
    }

    /// A write failed.
    pub fn failed(&mut self, now: Instant) -> Change {
        self.failures += 1;
        let length = match self.pause {
            // Writes that were under way when the pause began say nothing new.
            Some(pause) if now < pause.until => return Change::None,
            Some(pause) => (pause.length * 2).min(LONGEST_PAUSE),
            None if self.failures < TOLERATED => return Change::None,
            None => FIRST_PAUSE,
        };
        self.pause = Some(Pause { until: now + length, length });
        Change::Paused(length)
    }

    /// A write succeeded.
    pub fn succeeded(&mut self) -> Change {
        self.failures = 0;
        if self.pause.take().is_some() { Change::Recovered } else { Change::None }
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
        assert!(!health.may_write(at(0)) && health.may_write(at(1)));
        assert_eq!(health.failed(at(0)), Change::None);
        assert_eq!(health.failed(at(1)), Change::Paused(Duration::from_secs(2)));
        assert_eq!(health.succeeded(), Change::Recovered);
        assert!(health.may_write(at(1)));
    }
}
