//! When many clients have left or come to rest, what they used is given back.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// So many leave memory worth giving back.
const MANY: usize = 100;

/// Giving back looks at all that a thread has: a stall of some ms with a large tier.
const PAUSE: u32 = 10;

/// What one worker knows of it.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Most that were at work since memory was given back last.
    most: AtomicUsize,
    /// When that was.
    last: AtomicU32,
    /// How often it had been asked for then.
    asked: AtomicU64,
}

impl Crowd {
    /// Whether it is time to give back, with so many connections at work, at this second, `asked` so often by others.
    pub fn has_gone(&self, at_work: usize, now: u32, asked: u64) -> bool {
        let most = self.most.load(Ordering::Relaxed).max(at_work);
        let rested = now.saturating_sub(self.last.load(Ordering::Relaxed)) >= PAUSE;
        let gone = rested && most - at_work >= MANY && at_work <= most / 2;
        let gone = gone || self.asked.swap(asked, Ordering::Relaxed) != asked;
        if gone {
            self.last.store(now, Ordering::Relaxed);
        }
        self.most.store(if gone { at_work } else { most }, Ordering::Relaxed);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_when_most_have_gone() {
        let crowd = Crowd::default();
        let seconds = [(50, 5), (100, 300), (101, 299), (102, 290), (103, 20), (104, 20), (105, 0)];
        let gone: Vec<_> = seconds.iter().filter(|(now, n)| crowd.has_gone(*n, *now, 0)).collect();
        assert_eq!(gone, [&(103, 20)]);
    }

    #[test]
    fn those_who_come_and_go_all_the_time_are_no_crowd_that_has_gone() {
        let crowd = Crowd::default();
        let gone = (0..1000).filter(|now| crowd.has_gone(300 - 120 * (*now as usize % 2), *now, 0)).count();
        assert_eq!(gone, 0);
        let gone = (1000..2000).filter(|now| crowd.has_gone(300 * (*now as usize % 2), *now, 0)).count();
        assert!(gone <= 100, "{gone}: not all the time");
    }

    #[test]
    fn whoever_asks_is_heard_once() {
        let crowd = Crowd::default();
        let asked = [0, 1, 1, 1, 3, 3];
        let gone: Vec<_> = asked.iter().map(|asked| crowd.has_gone(5, 1, *asked)).collect();
        assert_eq!(gone, [false, true, false, false, true, false]);
    }
}
