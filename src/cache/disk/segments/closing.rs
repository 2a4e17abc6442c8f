//! Segments that are finished before they are full: what is wanted of them again shall be sent from the page cache, and that of
//! a file that may be written to any time cannot be relied on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::segment::{Ready, Segment};
use super::Segments;

/// They have this part of a full one at least, so that there are so many times as many segments at most.
const PART: u64 = 8;

/// Between two of them.
const PAUSE: Duration = Duration::from_secs(60);

impl Segments {
    /// Finishes a segment soon that takes more, and has not been written to for two seconds; unless there would be too many of
    /// them. Blocks.
    pub fn close_early(&self, segment: &Arc<Segment>) {
        let is_large = || segment.charge.books().stored >= self.segment_size / PART;
        if segment.is_sealed() || !is_large() || !segment.file.is_lockable() || !segment.file.is_at_rest() {
            return;
        }
        let mut queues = self.queues.lock();
        let is_early = queues.closed_early.is_some_and(|at| at.elapsed() < PAUSE);
        // Room is left for as many full ones as the capacity takes.
        let full = usize::try_from(self.ledger.limit() / self.segment_size).unwrap_or(usize::MAX);
        if is_early || queues.segments().count().saturating_add(full) > self.most {
            return;
        }
        let appends = |append: &&mut Option<Arc<Segment>>| {
            append.as_ref().is_some_and(|append| Arc::ptr_eq(append, segment))
        };
        let Some(append) = queues.lines_mut().map(|line| &mut line.append).find(appends) else { return };
        *append = None;
        queues.closed_early = Some(Instant::now());
        if segment.shut() == Ready::Sealable {
            queues.sealable.push(Arc::clone(segment));
        }
        drop(queues);
        self.bell.ring();
    }
}
