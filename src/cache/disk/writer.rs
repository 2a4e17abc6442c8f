//! Writing records: large ones while they arrive, small ones at once.
//!
//! The header goes last (or in the same call as the bytes), and only a header makes a record: whatever is left of an
//! abandoned or interrupted writer is invisible.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::blocks::{ReadError, Record, Written};
use super::entry::{Entry, Place};
use super::extent::Extent;
use super::frames::MAX_FRAME;
use super::record::{BLOCK, HEADER, RecordHeader, Shape, block_seed};
use super::segment::Segment;
use super::shared::Shared;

/// Why an object that was reserved for did not get stored.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The disk failed or is full.
    #[error("writing to the disk cache: {0}")]
    Io(#[from] io::Error),
    /// Committed before all bytes were written.
    #[error("{written} of {expected} bytes were written")]
    Incomplete {
        /// Length reserved for.
        expected: u64,
        /// Bytes written.
        written: u64,
    },
    /// The disk tier was closed in the meantime.
    #[error("the disk cache is closed")]
    Closed,
}

/// Space for one object, to be filled in order. Its calls block: not for threads that serve.
/// Dropped without [`Self::commit`] the object is abandoned and its space given back.
pub struct DiskWriter {
    shared: Arc<Shared>,
    extent: Extent,
    header: RecordHeader,
    progress: Arc<Mutex<Progress>>,
}

impl DiskWriter {
    pub(super) fn new(shared: &Arc<Shared>, extent: Extent, header: RecordHeader) -> Self {
        Self {
            shared: Arc::clone(shared),
            extent,
            header,
            progress: Arc::new(Mutex::new(Progress::new(header))),
        }
    }

    /// Length reserved for, in bytes.
    #[allow(clippy::len_without_is_empty, reason = "a length in bytes; an empty object is nothing special")]
    pub fn len(&self) -> u64 {
        self.header.len
    }

    /// Writes the next bytes. `offset` must be where the last call ended: checksums are made on the way.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.shared.is_closed() {
            return Err(io::Error::other(DiskError::Closed));
        }
        self.append(offset, bytes)
    }

    /// What was written so far; for readers that fell behind. May be called while another thread writes.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.reader().read_at(offset, buf)
    }

    /// A handle for reading what was written so far, for other threads. It stays valid after the writer has gone.
    pub fn reader(&self) -> DiskWriterReader {
        DiskWriterReader {
            segment: Arc::clone(self.extent.segment()),
            offset: self.extent.place().offset,
            header: self.header,
            progress: Arc::clone(&self.progress),
        }
    }

    /// Makes the object findable. The caller has verified that the bytes deserve their name.
    pub fn commit(mut self) -> Result<(), DiskError> {
        if self.shared.is_closed() {
            return Err(DiskError::Closed);
        }
        self.finish()?;
        self.shared.enter(self.extent, self.header);
        Ok(())
    }

    /// [`Self::write_at`] for the maintenance thread, which finishes its copies while the tier is being closed.
    pub(super) fn append(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if offset != self.progress.lock().written || end > self.header.len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "written out of order or beyond the end",
            ));
        }
        let at = self.extent.place().offset + self.header.shape().body_at() + offset;
        self.shared.wrote(self.extent.segment().file.write(&mut [IoSlice::new(bytes)], at))?;
        self.progress.lock().add(bytes);
        Ok(())
    }

    /// Writes header and table; the caller enters the record into the index.
    pub(super) fn finish(&mut self) -> Result<(), DiskError> {
        let table = {
            let progress = self.progress.lock();
            if progress.written != self.header.len {
                let (expected, written) = (self.header.len, progress.written);
                return Err(DiskError::Incomplete { expected, written });
            }
            progress.table()
        };
        let head = self.header.encode(self.extent.segment().seal);
        let slices = &mut [IoSlice::new(&head), IoSlice::new(&table)];
        Ok(self.shared.wrote(self.extent.write_head(slices))?)
    }

    /// The space, once [`Self::finish`] has succeeded.
    pub(super) fn into_extent(self) -> Extent {
        self.extent
    }
}

/// Reads what a [`DiskWriter`] has written so far. Cheap to clone.
#[derive(Clone)]
pub struct DiskWriterReader {
    segment: Arc<Segment>,
    offset: u64,
    header: RecordHeader,
    progress: Arc<Mutex<Progress>>,
}

impl DiskWriterReader {
    /// Bytes that can be read now.
    pub fn written(&self) -> u64 {
        self.progress.lock().written
    }

    /// At most `max` bytes from `offset`, at most 256 KiB, checked; less where a block of 64 KiB or what was written ends.
    pub fn read(&self, offset: u64, max: usize) -> Result<Bytes, ReadError> {
        let part = self.progress.lock().part(offset, max);
        let record = Record { segment: &self.segment, offset: self.offset };
        record.read_unfinished(&self.header.name, self.header.len, &part)
    }

    /// Fills `buf` from `offset`; an error unless all of it was written.
    pub fn read_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let bytes = self.read(offset, buf.len()).map_err(io::Error::other)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buf[..bytes.len()].copy_from_slice(&bytes);
            buf = &mut buf[bytes.len()..];
            offset += bytes.len() as u64;
        }
        Ok(())
    }
}

/// Writes a whole record, in one call.
pub(super) fn write_whole(extent: &mut Extent, header: &RecordHeader, body: &[Bytes]) -> io::Result<()> {
    let mut progress = Progress::new(*header);
    body.iter().for_each(|bytes| progress.add(bytes));
    debug_assert_eq!(progress.written, header.len);
    let (head, table) = (header.encode(extent.segment().seal), progress.table());
    let mut slices = Vec::with_capacity(2 + body.len());
    slices.extend([IoSlice::new(&head), IoSlice::new(&table)]);
    slices.extend(body.iter().map(|bytes| IoSlice::new(bytes)));
    extent.write_head(&mut slices)
}

/// Overwrites a record's header, so that a restart does not find it.
pub(super) fn blot(segment: &Segment, offset: u64) -> io::Result<()> {
    let file = &segment.file;
    file.change(|| file.write(&mut [IoSlice::new(&[0; HEADER])], offset))
}

/// The index entry of a record at `place`.
pub(super) fn entry_of(header: &RecordHeader, place: Place, hits: u8) -> Entry {
    let RecordHeader { name, len, stored_at } = *header;
    Entry { fingerprint: name.hash64(), place, len, stored_at, hits }
}

/// Checksums of the bytes written so far.
struct Progress {
    header: RecordHeader,
    written: u64,
    // 4 bytes for each whole block.
    whole: Vec<u8>,
    tail: crc32fast::Hasher,
}

impl Progress {
    fn new(header: RecordHeader) -> Self {
        let tail = crc32fast::Hasher::new_with_initial(block_seed(&header.name, 0));
        Self { header, written: 0, whole: Vec::new(), tail }
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (BLOCK - self.written % BLOCK) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.tail.update(now);
            self.written += now.len() as u64;
            if self.written.is_multiple_of(BLOCK) {
                let seed = block_seed(&self.header.name, self.written / BLOCK);
                let full = std::mem::replace(&mut self.tail, crc32fast::Hasher::new_with_initial(seed));
                self.whole.extend_from_slice(&full.finalize().to_le_bytes());
            }
            bytes = later;
        }
    }

    /// The table of a finished record, padding included.
    fn table(&self) -> Vec<u8> {
        let mut table = self.whole.clone();
        if !self.written.is_multiple_of(BLOCK) {
            table.extend_from_slice(&self.tail.clone().finalize().to_le_bytes());
        }
        table.resize(self.header.shape().body_at() as usize - HEADER, 0);
        table
    }

    fn part(&self, offset: u64, max: usize) -> Written {
        let frame = Shape { len: self.written }.frame(offset, max.min(MAX_FRAME));
        let whole = frame.blocks.end.min(self.written / BLOCK);
        let start = frame.blocks.start.min(whole);
        let mut table = self.whole[4 * start as usize..4 * whole as usize].to_vec();
        if frame.blocks.end > whole {
            table.extend_from_slice(&self.tail.clone().finalize().to_le_bytes());
        }
        Written { total: self.written, frame, table }
    }
}
