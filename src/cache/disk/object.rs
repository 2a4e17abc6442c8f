//! A stored object, for reading. Holds its segment open: eviction never disturbs a reader.

use std::sync::Arc;

use bytes::Bytes;

use super::blocks::{Read, ReadError, Record};
use super::entry::{Entry, Place};
use super::file::Patience;
use super::record::Shape;
use super::segment::Segment;
use crate::digest::ObjectName;
use crate::page_cache::Locked;

/// An object that the index knows of. Cheap to clone; no I/O has happened yet.
#[derive(Clone)]
pub struct DiskObject {
    segment: Arc<Segment>,
    offset: u64,
    name: ObjectName,
    len: u64,
    stored_at: u32,
    hits: u8,
}

impl DiskObject {
    pub(super) fn new(segment: Arc<Segment>, name: ObjectName, entry: Entry) -> Self {
        let Entry { place, len, stored_at, hits, .. } = entry;
        Self { segment, offset: place.offset, name, len, stored_at, hits }
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

    /// How often it was used when it was looked up, that use included; counted up to 3.
    pub fn hits(&self) -> u8 {
        self.hits
    }

    /// Whether both are the same record.
    pub fn is_at_the_place_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.segment, &other.segment) && self.offset == other.offset
    }

    /// Whether all of it can be read and deserves its name. Blocks.
    pub fn verify(&self) -> bool {
        let mut verifier = self.name.verifier();
        self.read_all(|bytes| verifier.update(bytes)).is_ok() && verifier.finish().is_ok()
    }

    /// Reads all of it; an error unless every block deserves its checksum. Blocks.
    pub fn check(&self) -> Result<(), ReadError> {
        self.read_all(|_| ())
    }

    fn read_all(&self, mut take: impl FnMut(&[u8])) -> Result<(), ReadError> {
        let mut offset = 0;
        loop {
            let bytes = self.read(offset, usize::MAX)?;
            take(&bytes);
            offset += bytes.len() as u64;
            if bytes.is_empty() || offset >= self.len {
                return Ok(());
            }
        }
    }

    /// Whoever removes its record from the disk is to tell, by [`super::Disk::on_eviction`].
    pub fn announce_eviction(&self) {
        self.segment.pin(self.name);
    }

    /// Whether its segment is finished, and its pages may be locked. Waits for nothing.
    pub fn is_lockable(&self) -> bool {
        self.segment.is_sealed() && self.segment.file.is_lockable()
    }

    /// Whether it is lockable, and its segment has been finished for two seconds.
    pub fn is_at_rest(&self) -> bool {
        self.is_lockable() && self.segment.file.is_at_rest()
    }

    /// Its pages, locked in the page cache; not yet checked. `None` unless it is at rest. Blocks.
    pub fn lock(&self) -> std::io::Result<Option<Locked>> {
        if !self.is_lockable() {
            return Ok(None);
        }
        let at = self.offset + Shape { len: self.len }.body_at();
        let len = usize::try_from(self.len).map_err(std::io::Error::other)?;
        self.segment.file.lock(at, len)
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
