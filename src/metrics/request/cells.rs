//! What one worker counts: cells that only it adds to, and only `/metrics` reads.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus::proto::{Bucket, Histogram};

use super::{CLASSES, DURATION_BOUNDS, FIRST_BYTE_BOUNDS, SOURCES};
use crate::outcome::Outcome;
use crate::reason::Reason;

pub(super) type Cell = AtomicU64;

/// Aligned so that no two workers share a cache line, nor a pair of lines that is fetched together.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Cells {
    pub(super) requests: [Cell; Outcome::ALL.len()],
    pub(super) reasons: Counts<{ Reason::ALL.len() }>,
    pub(super) body_bytes: [Cell; Outcome::ALL.len()],
    pub(super) classes: [Cell; CLASSES.len()],
    pub(super) first_byte: [HistogramCells<{ FIRST_BYTE_BOUNDS.len() }>; SOURCES.len()],
    pub(super) duration: HistogramCells<{ DURATION_BOUNDS.len() }>,
    /// Signed: a request may end on another worker than it began on.
    pub(super) in_flight: AtomicI64,
}

impl Cells {
    /// The sum, cell by cell. Not a snapshot of one instant, but no cell ever goes back.
    pub(super) fn sum(all: &[Arc<Self>]) -> Self {
        let sum = Self::default();
        for cells in all {
            add(&sum.requests, &cells.requests);
            add(&sum.reasons.0, &cells.reasons.0);
            add(&sum.body_bytes, &cells.body_bytes);
            add(&sum.classes, &cells.classes);
            for (sum, cells) in sum.first_byte.iter().zip(&cells.first_byte) {
                sum.add(cells);
            }
            sum.duration.add(&cells.duration);
            sum.in_flight.fetch_add(cells.in_flight.load(Relaxed), Relaxed);
        }
        sum
    }
}

/// More cells than [`Default`] knows for arrays.
pub(super) struct Counts<const N: usize>(pub(super) [Cell; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self([const { Cell::new(0) }; N])
    }
}

/// A histogram of times with `N` bounds.
pub(super) struct HistogramCells<const N: usize> {
    /// Times up to each bound and above the one before.
    buckets: [Cell; N],
    /// Times above the last bound.
    above: Cell,
    /// Nanoseconds: enough for 584 years.
    sum: Cell,
}

impl<const N: usize> Default for HistogramCells<N> {
    fn default() -> Self {
        Self { buckets: [const { Cell::new(0) }; N], above: Cell::new(0), sum: Cell::new(0) }
    }
}

impl<const N: usize> HistogramCells<N> {
    pub(super) fn observe(&self, bounds: &[Duration; N], time: Duration) {
        // Most times are short, so the search seldom goes far.
        let bucket = bounds.iter().position(|bound| time <= *bound);
        bucket.map_or(&self.above, |at| &self.buckets[at]).fetch_add(1, Relaxed);
        self.sum.fetch_add(time.as_nanos() as u64, Relaxed);
    }

    fn add(&self, other: &Self) {
        add(&self.buckets, &other.buckets);
        self.above.fetch_add(other.above.load(Relaxed), Relaxed);
        self.sum.fetch_add(other.sum.load(Relaxed), Relaxed);
    }

    pub(super) fn histogram(&self, bounds: &[Duration; N]) -> Histogram {
        let mut count = 0;
        let buckets = bounds.iter().zip(&self.buckets).map(|(bound, cell)| {
            count += cell.load(Relaxed);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(count);
            bucket
        });
        let buckets = buckets.collect();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count + self.above.load(Relaxed));
        histogram.set_sample_sum(self.sum.load(Relaxed) as f64 / 1e9);
        histogram
    }
}

fn add(sum: &[Cell], cells: &[Cell]) {
    for (sum, cell) in sum.iter().zip(cells) {
        sum.fetch_add(cell.load(Relaxed), Relaxed);
    }
}
