//! Space for one record. Dropped without [`Extent::complete`] it is given back, unless a search could find a header there.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use super::entry::{Entry, Place};
use super::segment::{Left, Ready, Segment};
use super::segments::Segments;
use super::writer::blot;

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

    /// Writes from the record's first byte on, its header included.
    pub fn write_head(&mut self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.left = Left::Header;
        self.segment.file.write(slices, self.begin)
    }

    /// Nobody needs the record that was written: it must not be found by a search.
    pub fn blot(mut self) -> io::Result<()> {
        blot(&self.segment, self.begin)?;
        self.left = Left::Nothing;
        Ok(())
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        if self.segment.leave(&self.taken, self.left) == Ready::Sealable {
            self.segments.released(&self.segment);
        }
    }
}
