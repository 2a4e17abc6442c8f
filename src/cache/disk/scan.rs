//! Finding the records of a segment that was not sealed: after a crash, or when its table is damaged.
//!
//! From a valid header it goes on behind that record. Anything else is a hole (an extent whose writer did not finish,
//! a torn write): there each multiple of 16 is tried, looking for the segment's mark.

use std::io;

use super::entry::{MAX_SEGMENT, Packed, Place};
use super::file::{Filled, Patience};
use super::format::{Kind, SEGMENT_HEADER};
use super::record::{ALIGN, HEADER, PAGE, RecordHeader};
use super::segment::Segment;
use super::writer::entry_of;

const WINDOW: usize = 256 << 10;

/// Where a lone record begins at the latest.
const FIRST_PAGE: u64 = SEGMENT_HEADER as u64 + PAGE;

/// What a scan found.
pub struct Scan {
    /// The records, in the order they lie there.
    pub entries: Vec<Packed>,
    /// Where the last of them ends.
    pub end: u64,
    /// Whether the disk let all of it be read.
    pub ended: io::Result<()>,
}

/// Looks for the records of `segment`. Reads only headers where the file is whole, all bytes of the holes.
pub fn scan(segment: &Segment) -> Scan {
    let mut found = Scan { entries: Vec::new(), end: SEGMENT_HEADER as u64, ended: Ok(()) };
    found.ended = look_for(segment, &mut found.entries, &mut found.end);
    found
}

fn look_for(segment: &Segment, entries: &mut Vec<Packed>, end: &mut u64) -> io::Result<()> {
    let len = segment.file.len()?;
    let mut window = Window { segment, len, start: 0, bytes: Vec::new() };
    let mut at = SEGMENT_HEADER as u64;
    while at < MAX_SEGMENT {
        let Some(bytes) = window.header_at(at)? else { break };
        match RecordHeader::decode(bytes, segment.seal) {
            // The last record may end at its last byte instead of at a multiple of 16.
            Ok(header) if at + header.shape().body_at() + header.len <= len => {
                let place = Place { slot: segment.slot, offset: at };
                entries.push(entry_of(&header, place, 0).into());
                at += header.shape().extent();
                *end = at;
            }
            _ if segment.kind == Kind::Single && at > FIRST_PAGE => break,
            _ => at += ALIGN,
        }
    }
    Ok(())
}

/// A sliding view of the file.
struct Window<'a> {
    segment: &'a Segment,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The bytes of a header at `at`; `None` where the file ends before.
    fn header_at(&mut self, at: u64) -> io::Result<Option<&[u8; HEADER]>> {
        if at + HEADER as u64 > self.len {
            return Ok(None);
        }
        let inside = at >= self.start && at + HEADER as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            self.start = at;
            self.bytes.resize(WINDOW.min((self.len - at) as usize), 0);
            if self.segment.file.read(&mut self.bytes, at, Patience::Wait)? != Filled::Whole {
                return Ok(None);
            }
        }
        let from = (at - self.start) as usize;
        Ok(self.bytes[from..].first_chunk::<HEADER>())
    }
}
