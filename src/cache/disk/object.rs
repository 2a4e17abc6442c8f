//! A stored object, for reading. Holds its segment open: eviction never disturbs a reader.

use std::sync::Arc;

use bytes::Bytes;

use super::blocks::{Read, ReadError, Record};
use super::entry::{Entry, Place};
use super::file::Patience;
use super::segment::Segment;
use crate::digest::ObjectName;

/// An object that the index knows of. Cheap to clone; no I/O has happened yet.
#[derive(Clone)]
pub struct DiskObject {
    segment: Arc<Segment>,
    offset: u64,
    name: ObjectName,
    len: u64,
    stored_at: u32,
}

impl DiskObject {
    pub(super) fn new(segment: Arc<Segment>, name: ObjectName, entry: Entry) -> Self {
        Self { segment, offset: entry.place.offset, name, len: entry.len, stored_at: entry.stored_at }
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(super) fn place(&self) -> Place {
        Place { slot: self.segment.slot, offset: self.offset }
    }

    /// The name it was asked for by.
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Length in bytes. It is the record's own: a read of a record of another length fails.
    #[allow(clippy::len_without_is_empty, reason = "a length in bytes; an empty object is nothing special")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// When the object was first stored here, unix seconds.
    pub fn stored_at(&self) -> u32 {
        self.stored_at
    }

    /// At most `max` bytes from `offset`, at most 256 KiB, checked; less where a block of 64 KiB ends, nothing behind the
    /// end. `None` when they are not in the page cache: then [`Self::read`] from a thread that may block.
    pub fn try_read(&self, offset: u64, max: usize) -> Result<Option<Bytes>, ReadError> {
        match self.piece(offset, max, Patience::CachedOnly)? {
            Read::Bytes(bytes) => Ok(Some(bytes)),
            Read::WouldBlock => Ok(None),
        }
    }

    /// Like [`Self::try_read`], but waits for the disk.
    pub fn read(&self, offset: u64, max: usize) -> Result<Bytes, ReadError> {
        match self.piece(offset, max, Patience::Wait)? {
            Read::Bytes(bytes) => Ok(bytes),
            Read::WouldBlock => Err(std::io::Error::from(std::io::ErrorKind::WouldBlock).into()),
        }
    }

    fn piece(&self, offset: u64, max: usize, patience: Patience) -> Result<Read, ReadError> {
        let record = Record { segment: &self.segment, offset: self.offset };
        record.read(&self.name, self.len, offset, max, patience)
    }
}
