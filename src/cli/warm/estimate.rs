//! How much is left, and how long that takes. Pure.
//!
//! Catalogs tell the length of content, not what objects take when stored. What those take that have come is known: the others are
//! taken to be like them. Objects come in the order of directories, so that this is no better than one directory is like the next.

use std::time::Duration;

use crate::warm::Wanted;

/// What stored objects usually take of their content, as one part of so many.
pub const USUAL: u64 = 3;

/// Bytes, as stored, of what is taken for usual before anything came: the first few objects prove little.
const PRIOR: u64 = 1 << 20;

/// What an object costs beside its bytes, in bytes of content: its way to the stratum and back.
const EACH: u64 = 16 << 10;

/// Part of the allowed rate, in per cent, from which on it is the rate that all waits for.
const AT_RATE: u64 = 80;

/// Objects, and the bytes of their content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub objects: u64,
    pub content: u64,
}

/// How things have gone so far.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    pub all: Sum,
    /// Of these, those that have come or cannot be had.
    pub ended: Sum,
    /// Bytes of those that have come, as stored.
    pub received: u64,
    pub elapsed: Duration,
    /// Bytes a second that are allowed.
    pub rate: Option<u64>,
}

/// What is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Bytes as stored.
    pub bytes: u64,
    pub time: Duration,
}

impl Sum {
    pub fn of(objects: &[Wanted]) -> Self {
        let content = objects.iter().fold(0_u64, |sum, wanted| sum.saturating_add(wanted.content));
        Self { objects: objects.len() as u64, content }
    }

    /// As bytes of content that take as long.
    pub const fn work(self) -> u64 {
        self.content.saturating_add(self.objects.saturating_mul(EACH))
    }

    /// Bytes that it usually takes when stored.
    pub const fn usual(self) -> u64 {
        self.content / USUAL
    }
}

impl Course {
    /// Bytes a second so far.
    pub fn speed(&self) -> u64 {
        (self.received as f64 / self.elapsed.as_secs_f64().max(0.001)) as u64
    }

    /// Nothing before anything came, and when nothing is left.
    pub fn left(&self) -> Option<Left> {
        let (all, ended) = (self.all, self.ended);
        if ended.objects == 0 || ended.objects >= all.objects {
            return None;
        }
        let content = all.content.saturating_sub(ended.content) as f64;
        let part =
            self.received.saturating_add(PRIOR) as f64 / ended.content.saturating_add(USUAL * PRIOR) as f64;
        let bytes = (content * part) as u64;
        let work = all.work().saturating_sub(ended.work()) as f64 / ended.work() as f64;
        let as_before = seconds(self.elapsed.as_secs_f64() * work);
        let time = match self.rate {
            None => as_before,
            Some(rate) => {
                let at_rate = seconds(bytes as f64 / rate.max(1) as f64);
                let is_reached = self.speed() >= rate / 100 * AT_RATE;
                if is_reached { at_rate } else { at_rate.max(as_before) }
            }
        };
        Some(Left { bytes, time })
    }
}

/// Catalogs may say whatever they like: what is longer than can be said is the longest.
fn seconds(n: f64) -> Duration {
    Duration::try_from_secs_f64(n).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: u64 = 1_000;
    const MB: u64 = 1_000_000;

    /// Objects and content of all, those of the ended, bytes received, seconds, rate; then megabytes and seconds left, to a tenth.
    #[track_caller]
    fn check(
        [all, all_content]: [u64; 2],
        [ended, ended_content]: [u64; 2],
        (received, seconds, rate): (u64, u64, Option<u64>),
        expected: Option<(f64, f64)>,
    ) {
        let course = Course {
            all: Sum { objects: all, content: all_content },
            ended: Sum { objects: ended, content: ended_content },
            received,
            elapsed: Duration::from_secs(seconds),
            rate,
        };
        let tenths = |n: f64| (n * 10.0).round() / 10.0;
        let left = course.left();
        let left = left.map(|left| (tenths(left.bytes as f64 / 1e6), tenths(left.time.as_secs_f64())));
        assert_eq!(left, expected);
    }

    #[test]
    fn what_is_left() {
        // Nothing came yet; nothing is left.
        check([100, 100 * MB], [0, 0], (0, 9, None), None);
        check([100, 100 * MB], [100, 100 * MB], (50 * MB, 9, None), None);
        // Halfway, and all alike: as much, and as long, again.
        check([200, 400 * MB], [100, 200 * MB], (100 * MB, 50, None), Some((99.5, 50.0)));
        // The small ones came first: by number only 10 s would be left.
        check([200, 1_000 * MB], [190, 19 * MB], (10 * MB, 190, None), Some((489.4, 8_430.4)));
        // The large ones did: by number 900 s would be left.
        check([1_000, 1_010 * MB], [100, 1_000 * MB], (500 * MB, 100, None), Some((5.0, 2.5)));
        // Nobody knows what they contain.
        check([400, 0], [100, 0], (7 * MB, 10, None), Some((0.0, 30.0)));
        // The first object proves little: it is one that cannot be compressed, and most are not like that.
        check([1_000, 1_000 * MB], [1, MB], (MB, 1, None), Some((493.6, 999.0)));
    }

    #[test]
    fn absurd_sizes_take_for_ever() {
        let all = Sum { objects: 9, content: u64::MAX };
        for rate in [None, Some(1)] {
            let elapsed = Duration::from_secs(1 << 20);
            let course =
                Course { all, ended: Sum { objects: 1, content: 0 }, received: u64::MAX >> 1, elapsed, rate };
            assert!(
                course.left().is_some_and(|left| left.time > Duration::from_secs(u64::MAX >> 4)),
                "{rate:?}"
            );
        }
    }

    #[test]
    fn with_a_rate() {
        // It is what all waits for: what is left takes its bytes, however many objects they are in.
        check([10_100, 110 * MB], [100, 100 * MB], (100 * MB, 100, Some(MB)), Some((9.8, 9.8)));
        check([200, 200 * MB], [100, 100 * MB], (85 * MB, 100, Some(MB)), Some((83.4, 83.4)));
        // It is not: the stratum is slower.
        check([200, 200 * MB], [100, 100 * MB], (50 * MB, 100, Some(10 * MB)), Some((49.5, 100.0)));
        // Small ones came slowly; the large ones will not be faster than what is allowed.
        check([110, 100 * MB + 100 * KB], [100, 100 * KB], (50 * KB, 1, Some(MB)), Some((33.8, 57.6)));
        check([110, 100 * MB], [100, 0], (0, 1, Some(500 * KB)), Some((33.3, 66.7)));
    }
}
