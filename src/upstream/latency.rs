//! How long one server takes to begin an answer: what a second request to another one is timed by.
//!
//! The last [`SAMPLES`] waits are kept as they are: a percentile of real waits needs no model of their distribution, and
//! follows a server that becomes slow within as many requests. Pure.

use std::time::Duration;

/// Waits remembered. The 95th percentile then has three above it.
const SAMPLES: usize = 64;
/// With fewer, nothing is said.
const ENOUGH: usize = 20;
/// Weight of a new wait in the average: 1 / 8, as TCP has it (RFC 6298 §2).
const WEIGHT: u32 = 8;

/// The waits of one server.
#[derive(Debug)]
pub(super) struct Latency {
    /// In microseconds; a ring.
    waits: [u32; SAMPLES],
    /// Waits ever taken in.
    taken: usize,
    average: Duration,
}

impl Latency {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self { waits: [0; SAMPLES], taken: 0, average: Duration::ZERO }
    }

    /// Takes in one wait.
    pub(super) fn observe(&mut self, wait: Duration) {
        self.average = match self.taken {
            0 => wait,
            _ => (self.average * (WEIGHT - 1) + wait) / WEIGHT,
        };
        self.waits[self.taken % SAMPLES] = u32::try_from(wait.as_micros()).unwrap_or(u32::MAX);
        self.taken += 1;
    }

    /// Takes in a wait that was given up: a lower bound, which says something only where it is long.
    pub(super) fn observe_vain(&mut self, wait: Duration) {
        if wait > self.average {
            self.observe(wait);
        }
    }

    /// The moving average; `None` before the first wait.
    pub(super) fn average(&self) -> Option<Duration> {
        (self.taken > 0).then_some(self.average)
    }

    /// What 95 of 100 waits stay within (nearest rank); `None` while too few are known.
    pub(super) fn p95(&self) -> Option<Duration> {
        let known = self.taken.min(SAMPLES);
        if known < ENOUGH {
            return None;
        }
        let mut waits = self.waits;
        let waits = &mut waits[..known];
        let rank = (known * 95).div_ceil(100) - 1;
        let (_, &mut wait, _) = waits.select_nth_unstable(rank);
        Some(Duration::from_micros(wait.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(waits: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::new();
        waits.into_iter().for_each(|ms| latency.observe(Duration::from_millis(ms)));
        latency
    }

    #[test]
    fn percentiles() {
        let check = |waits: Vec<u64>, expected: Option<u64>| {
            assert_eq!(after(waits).p95(), expected.map(Duration::from_millis));
        };
        check(vec![], None);
        check(vec![5; 19], None);
        check(vec![5; 20], Some(5));
        check((1..=20).collect(), Some(19));
        check((1..=64).rev().collect(), Some(61));
        // Only the last 64 count.
        check([vec![900; 64], vec![5; 64]].concat(), Some(5));
        check([vec![5; 64], vec![900; 4]].concat(), Some(900));
    }

    #[test]
    fn waits_in_vain_only_make_it_slower() {
        let mut latency = after(vec![100; 20]);
        latency.observe_vain(Duration::from_millis(1));
        assert_eq!(latency.average(), Some(Duration::from_millis(100)));
        for _ in 0..4 {
            latency.observe_vain(Duration::from_millis(900));
        }
        assert_eq!(latency.p95(), Some(Duration::from_millis(900)));
    }

    proptest! {
        #[test]
        fn both_lie_within_what_was_seen(waits in prop::collection::vec(0_u64..10_000, 1..200)) {
            let latency = after(waits.iter().copied());
            let (min, max) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            let seen = Duration::from_millis(*min)..=Duration::from_millis(*max);
            prop_assert!(latency.average().is_some_and(|average| seen.contains(&average)));
            prop_assert!(latency.p95().is_none_or(|p95| seen.contains(&p95)));
        }
    }
}
