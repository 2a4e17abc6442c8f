//! Times of a wave, kept one by one: there are few enough, and the largest one counts.

use std::time::Duration;

/// Times that were measured, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one; above 71 minutes all are the same.
    pub fn record(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds those of another lane or job.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What a report needs to know of them.
    pub fn summary(mut self) -> Summary {
        self.0.sort_unstable();
        let rank = |per_cent: usize| {
            // Nearest rank: the smallest value that at least so many per cent do not exceed.
            let at = (self.0.len() * per_cent).div_ceil(100).saturating_sub(1);
            Duration::from_micros(self.0.get(at).copied().unwrap_or(0).into())
        };
        Summary { p50: rank(50), p99: rank(99), max: rank(100) }
    }
}

/// The distribution of times in three numbers; all zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Half of them are no longer.
    pub p50: Duration,
    /// All but one in a hundred are no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_ranks() {
        let check = |times: &[u64], expected: [u64; 3]| {
            let mut latencies = Latencies::default();
            times.iter().for_each(|&ms| latencies.record(Duration::from_millis(ms)));
            let Summary { p50, p99, max } = latencies.summary();
            assert_eq!([p50, p99, max], expected.map(Duration::from_millis), "{times:?}");
        };
        check(&[], [0, 0, 0]);
        check(&[7], [7, 7, 7]);
        check(&[3, 1, 2], [2, 3, 3]);
        let hundred: Vec<u64> = (1..=100).rev().collect();
        check(&hundred, [50, 99, 100]);
    }
}
