//! Reads with proof: no byte leaves this file that its block's checksum does not vouch for.

use std::io;

use bytes::{Buf, Bytes};

use super::file::{Filled, Patience};
use super::frames::MAX_FRAME;
use super::record::{BLOCK, Frame, HEADER, HeaderError, RecordHeader, Shape, block_checksum, u32_at};
use super::segment::Segment;
use crate::digest::ObjectName;

/// Why bytes could not be had. None of them is wrong data: that is never returned.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("reading the disk cache: {0}")]
    Io(#[from] io::Error),
    /// The record does not stand up to its checksums: flipped bits, a torn write, a cut-off file.
    #[error("damaged record in segment {segment:x} at byte {offset}: {part}")]
    Corrupt {
        /// Number of the segment, which is in its file name.
        segment: u64,
        /// First byte of the record.
        offset: u64,
        /// What is damaged.
        part: Part,
    },
    /// The record is another object's, or was removed: a miss.
    #[error("the record is another object's")]
    Foreign,
}

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Part {
    /// Header.
    #[error("header")]
    Header,
    /// The object's bytes, or the table of their checksums.
    #[error("block")]
    Block,
    /// The file ends before the record does.
    #[error("end missing")]
    End,
}

/// What a read brought.
pub enum Read {
    /// The bytes.
    Bytes(Bytes),
    /// Not cached; only for [`Patience::CachedOnly`].
    WouldBlock,
}

/// A piece of a record that is still being written.
pub struct Written {
    /// Bytes of the object that are there.
    pub total: u64,
    /// The piece.
    pub frame: Frame,
    /// The checksums of its blocks; that of an unfinished block covers what is there of it.
    pub table: Vec<u8>,
}

/// A record of a segment.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The segment.
    pub segment: &'a Segment,
    /// First byte of the record.
    pub offset: u64,
}

// Table entries that are read together with the header although only some are needed.
const NEAR: usize = 240;

impl Record<'_> {
    /// At most `max` bytes of the object `name` from `from`; less where a block ends.
    pub fn read(
        self,
        name: &ObjectName,
        len: u64,
        from: u64,
        max: usize,
        patience: Patience,
    ) -> Result<Read, ReadError> {
        let shape = Shape { len };
        let frame = shape.frame(from, max.min(MAX_FRAME));
        let prefix = shape.body_at() as usize;
        let blocks = if frame.bytes.is_empty() { 0..0 } else { frame.blocks };
        let body = blocks.start * BLOCK..(blocks.end * BLOCK).min(len);
        let body_len = (body.end.max(body.start) - body.start) as usize;

        // One read brings header, table and bytes where they are neighbours.
        if blocks.start == 0 && prefix <= HEADER + 4 * NEAR {
            let mut buffer = self.segment.frames.take(prefix + body_len);
            let bytes = buffer.as_mut();
            if self.fill(bytes, self.offset, patience)? == Filled::WouldBlock {
                return Ok(Read::WouldBlock);
            }
            let (head, blocks_read) = bytes.split_at(prefix);
            self.check_header(head, name, len)?;
            self.check_blocks(&head[HEADER..], name, 0, blocks_read)?;
            return Ok(Read::Bytes(cut(
                buffer.into_bytes(),
                prefix + frame.bytes.start as usize,
                &frame.bytes,
            )));
        }

        let mut near = [0; HEADER + 4 * NEAR];
        let mut far = [0; 4 * (MAX_FRAME / BLOCK as usize + 1)];
        let (first, last) = (blocks.start as usize, blocks.end as usize);
        let with_table = HEADER + 4 * last <= near.len();
        let head = if with_table { &mut near[..HEADER + 4 * last] } else { &mut near[..HEADER] };
        if self.fill(head, self.offset, patience)? == Filled::WouldBlock {
            return Ok(Read::WouldBlock);
        }
        self.check_header(head, name, len)?;
        let table = if with_table {
            &head[HEADER + 4 * first..]
        } else {
            let table = &mut far[..4 * (last - first)];
            let at = self.offset + (HEADER + 4 * first) as u64;
            if self.fill(table, at, patience)? == Filled::WouldBlock {
                return Ok(Read::WouldBlock);
            }
            table
        };
        let mut buffer = self.segment.frames.take(body_len);
        let at = self.offset + shape.body_at() + body.start;
        if self.fill(buffer.as_mut(), at, patience)? == Filled::WouldBlock {
            return Ok(Read::WouldBlock);
        }
        self.check_blocks(table, name, blocks.start, buffer.as_mut())?;
        let lead = (frame.bytes.start - body.start) as usize;
        Ok(Read::Bytes(cut(buffer.into_bytes(), lead, &frame.bytes)))
    }

    /// Reads the header, whatever its name.
    pub fn header(self) -> Result<RecordHeader, ReadError> {
        let mut head = [0; HEADER];
        self.fill(&mut head, self.offset, Patience::Wait)?;
        RecordHeader::decode(&head, self.segment.seal).map_err(|error| self.bad_header(error))
    }

    /// Like [`Self::read`] for a record of `len` bytes that is still being written.
    pub fn read_unfinished(self, name: &ObjectName, len: u64, part: &Written) -> Result<Bytes, ReadError> {
        let Frame { bytes, blocks } = &part.frame;
        if bytes.is_empty() {
            return Ok(Bytes::new());
        }
        let start = blocks.start * BLOCK;
        let mut buffer = self.segment.frames.take(((blocks.end * BLOCK).min(part.total) - start) as usize);
        self.fill(buffer.as_mut(), self.offset + Shape { len }.body_at() + start, Patience::Wait)?;
        self.check_blocks(&part.table, name, blocks.start, buffer.as_mut())?;
        Ok(cut(buffer.into_bytes(), (bytes.start - start) as usize, bytes))
    }

    fn fill(self, buf: &mut [u8], at: u64, patience: Patience) -> Result<Filled, ReadError> {
        match self.segment.file.read(buf, at, patience)? {
            Filled::Short => Err(self.corrupt(Part::End)),
            filled => Ok(filled),
        }
    }

    fn check_header(self, head: &[u8], name: &ObjectName, len: u64) -> Result<(), ReadError> {
        let head = head.first_chunk::<HEADER>().ok_or_else(|| self.corrupt(Part::Header))?;
        match RecordHeader::decode(head, self.segment.seal) {
            Ok(header) if header.name != *name => Err(ReadError::Foreign),
            // Every length that passed the checksum is right: the index is wrong.
            Ok(header) if header.len != len => Err(self.corrupt(Part::Header)),
            Ok(_) => Ok(()),
            Err(error) => Err(self.bad_header(error)),
        }
    }

    fn bad_header(self, error: HeaderError) -> ReadError {
        match error {
            HeaderError::Blank => ReadError::Foreign,
            HeaderError::Seal | HeaderError::Checksum | HeaderError::Unknown => self.corrupt(Part::Header),
        }
    }

    fn check_blocks(
        self,
        table: &[u8],
        name: &ObjectName,
        first: u64,
        bytes: &[u8],
    ) -> Result<(), ReadError> {
        for (i, block) in bytes.chunks(BLOCK as usize).enumerate() {
            if block_checksum(name, first + i as u64, block) != u32_at(table, 4 * i) {
                return Err(self.corrupt(Part::Block));
            }
        }
        Ok(())
    }

    fn corrupt(self, part: Part) -> ReadError {
        ReadError::Corrupt { segment: self.segment.number, offset: self.offset, part }
    }
}

/// The wanted piece of a buffer: it starts `lead` bytes into it.
fn cut(mut buffer: Bytes, lead: usize, wanted: &std::ops::Range<u64>) -> Bytes {
    if wanted.is_empty() {
        return Bytes::new();
    }
    // Advancing keeps the allocation as it is; truncating a whole buffer to its own length does too.
    buffer.advance(lead);
    buffer.truncate((wanted.end - wanted.start) as usize);
    buffer
}
