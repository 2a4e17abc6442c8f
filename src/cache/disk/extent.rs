//! Space for one record. Dropped without [`Extent::complete`] it is given back.

use std::ops::Range;
use std::sync::Arc;

use super::entry::{Entry, Place};
use super::segment::{Left, Ready, Segment};
use super::segments::Segments;

/// See the module.
pub struct Extent {
    segments: Arc<Segments>,
    segment: Arc<Segment>,
    taken: Range<u64>,
    begin: u64,
    left: Left,
}

impl Extent {
    /// Space that [`Segment::extend`] has handed out.
    pub fn new(segments: &Arc<Segments>, segment: Arc<Segment>, (taken, begin): (Range<u64>, u64)) -> Self {
        Self { segments: Arc::clone(segments), segment, taken, begin, left: Left::Nothing }
    }

    /// The segment it lies in.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where the record lies.
    pub fn place(&self) -> Place {
        Place { slot: self.segment.slot, offset: self.begin }
    }

    /// It holds the record of `entry`, which is in the index already: a segment can be reclaimed as soon as its
    /// last writer has left, and must not be before the entry is there to be moved.
    pub fn complete(mut self, entry: Entry) {
        self.left = Left::Record(entry);
    }

    /// A write to it failed that had a header among its bytes.
    pub fn torn(mut self) {
        self.left = Left::Torn;
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        if self.segment.leave(&self.taken, self.left) == Ready::Sealable {
            self.segments.released(&self.segment);
        }
    }
}
