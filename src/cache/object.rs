//! A verified object at rest: whole in memory, or a record on disk.

use std::sync::Arc;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use bytes::Bytes;
use prometheus::IntGauge;

use super::disk::DiskObject;
use crate::digest::ObjectName;
use crate::page_cache::{self, Locked, WORTH_SENDING, Watch};

/// Largest piece handed to a reader, in bytes. Bigger frames measured slower: the copy into the socket leaves the CPU
/// cache. Memory chunks are cut to it, so that a chunk is a frame.
pub const CHUNK: usize = 256 << 10;

/// The same of what is not copied.
const PINNED_CHUNK: usize = 1 << 20;

/// An object found in a tier.
#[derive(Clone)]
pub enum Object {
    /// In memory.
    Memory(Arc<MemoryObject>),
    /// On disk; each read checks its integrity.
    Disk(DiskObject),
}

impl Object {
    /// Bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(object) => object.len(),
            Self::Disk(object) => object.len(),
        }
    }

    /// Whether the object has no bytes (there is one such name for each algorithm).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When it was verified and stored, in seconds of Unix time.
    pub fn stored_at(&self) -> u32 {
        match self {
            Self::Memory(object) => object.stored_at,
            Self::Disk(object) => object.stored_at(),
        }
    }
}

/// Chunks that came in other sizes than [`CHUNK`] stay as they came when they have so many bytes on average: a copy of them
/// all costs more than the few calls that it saves.
const LEAST_MEAN: u64 = 32 << 10;
/// Most such chunks: they are counted through for each that is read.
const MOST_UNEVEN: usize = 1024;

/// The bytes of an object: consecutive chunks.
pub struct MemoryObject {
    chunks: Arc<[Bytes]>,
    /// Of all chunks but the last, which may be shorter; 0 when they differ.
    chunk: usize,
    len: u64,
    stored_at: u32,
    /// Boxed: most objects are small, and have none.
    pinned: Option<Box<Pinned>>,
    /// How often it was asked for, as far as that is of interest.
    asked: AtomicU8,
    /// Whether anybody asked for it since it came into the tier.
    wanted: AtomicBool,
}

/// What there is of an object whose bytes are the page cache's.
struct Pinned {
    record: DiskObject,
    watch: Watch,
}

/// Who has some of its bytes has this: as long as a file is open, its segment counts.
struct Pages {
    locked: Locked,
    gauge: IntGauge,
    record: DiskObject,
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        self.locked.as_ref()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.gauge.sub(shown(self.record.len()));
    }
}

fn shown(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl MemoryObject {
    /// An object of consecutive `chunks`, none of which is larger than [`CHUNK`]; re-cut where they are many small ones.
    pub fn new(chunks: Vec<Bytes>, stored_at: u32) -> Self {
        let len: u64 = chunks.iter().map(|c| c.len() as u64).sum();
        let even = match chunks.split_last() {
            Some((last, full)) => last.len() <= CHUNK && full.iter().all(|c| c.len() == CHUNK),
            None => true,
        };
        let few = || {
            chunks.len() as u64 <= len / LEAST_MEAN
                && chunks.len() <= MOST_UNEVEN
                && chunks.iter().all(|c| c.len() <= CHUNK)
        };
        if !even && !few() {
            return Self::copied(&chunks, stored_at);
        }
        Self {
            chunks: chunks.into(),
            chunk: if even { CHUNK } else { 0 },
            len,
            stored_at,
            pinned: None,
            asked: AtomicU8::new(0),
            wanted: AtomicBool::new(false),
        }
    }

    /// An object of a copy of consecutive `chunks`: what else is in their buffers does not stay with it.
    pub fn copied(chunks: &[Bytes], stored_at: u32) -> Self {
        Self::new(recut(chunks), stored_at)
    }

    /// An object of the pages of `record`, which were locked in the page cache, and checked since; shown by `gauge`.
    pub(super) fn pinned(locked: Locked, record: DiskObject, gauge: IntGauge) -> Self {
        gauge.add(shown(record.len()));
        let watch = locked.watch();
        let pages = Bytes::from_owner(Pages { locked, gauge, record: record.clone() });
        let starts = (0..pages.len()).step_by(PINNED_CHUNK);
        let chunks = starts.map(|at| pages.slice(at..(at + PINNED_CHUNK).min(pages.len()))).collect();
        Self {
            chunks,
            chunk: PINNED_CHUNK,
            len: pages.len() as u64,
            stored_at: record.stored_at(),
            pinned: Some(Box::new(Pinned { record, watch })),
            asked: AtomicU8::new(0),
            wanted: AtomicBool::new(false),
        }
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Notes that somebody asked for it. Written once: readers of all cores share the place.
    pub(super) fn want(&self) {
        if !self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether anybody asked for it since that was forgotten.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Forgets that anybody asked for it.
    pub(super) fn forget_wanted(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Seconds of Unix time.
    pub fn stored_at(&self) -> u32 {
        self.stored_at
    }

    /// All chunks, in order.
    pub fn chunks(&self) -> &Arc<[Bytes]> {
        &self.chunks
    }

    /// Whether its bytes are the page cache's.
    pub fn is_pinned(&self) -> bool {
        self.pinned.is_some()
    }

    /// Whether it proved impossible to send.
    pub(super) fn is_torn(&self) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| pinned.watch.is_torn())
    }

    /// Counts a use; whether it is the second, or one of every sixteenth from there.
    pub(super) fn is_asked_again(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) % 16 == 1
    }

    /// The bytes from `offset` up to the end of their chunk; empty at or behind the end.
    pub fn chunk_at(&self, offset: u64) -> Bytes {
        let (index, within) = match self.chunk as u64 {
            0 => self.find(offset),
            size => (usize::try_from(offset / size).unwrap_or(usize::MAX), (offset % size) as usize),
        };
        match self.chunks.get(index) {
            Some(chunk) => chunk.slice(within.min(chunk.len())..),
            None => Bytes::new(),
        }
    }

    /// The chunk of a byte, and where in it, when they differ: so few are counted through.
    fn find(&self, offset: u64) -> (usize, usize) {
        let mut left = offset;
        for (index, chunk) in self.chunks.iter().enumerate() {
            match left.checked_sub(chunk.len() as u64) {
                Some(behind) => left = behind,
                None => return (index, left as usize),
            }
        }
        (usize::MAX, 0)
    }

    /// A copy where `bytes` are of locked pages, and too few to be sent as such.
    pub fn unpinned_if_short(&self, bytes: Bytes) -> std::io::Result<Bytes> {
        if !self.is_pinned() || bytes.len() >= WORTH_SENDING {
            return Ok(bytes);
        }
        let Some(place) = page_cache::find(&bytes) else { return Ok(bytes) };
        let mut copy = vec![0; bytes.len()];
        place.read(&mut copy)?;
        Ok(copy.into())
    }

    /// Whether the bytes still deserve `name`.
    pub fn verify(&self, name: &ObjectName) -> bool {
        // Through the file: see `page_cache`.
        if let Some(pinned) = &self.pinned {
            return pinned.record.verify();
        }
        let mut verifier = name.verifier();
        for chunk in self.chunks.iter() {
            verifier.update(chunk);
        }
        verifier.finish().is_ok()
    }
}

/// In chunks of [`CHUNK`] bytes, but for the last.
fn recut(chunks: &[Bytes]) -> Vec<Bytes> {
    let mut left: u64 = chunks.iter().map(|c| c.len() as u64).sum();
    let mut cut = Vec::with_capacity(left.div_ceil(CHUNK as u64) as usize);
    let mut current = Vec::with_capacity(left.min(CHUNK as u64) as usize);
    for chunk in chunks {
        let mut rest: &[u8] = chunk;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(CHUNK - current.len()));
            current.extend_from_slice(now);
            rest = later;
            if current.len() == CHUNK {
                left -= CHUNK as u64;
                let next = Vec::with_capacity(left.min(CHUNK as u64) as usize);
                cut.push(Bytes::from(std::mem::replace(&mut current, next)));
            }
        }
    }
    if !current.is_empty() {
        cut.push(Bytes::from(current));
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(sizes: &[usize]) -> (Vec<u8>, MemoryObject) {
        let mut all = Vec::new();
        let mut chunks = Vec::new();
        for (i, &size) in sizes.iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|b| (b * 31 + i) as u8).collect();
            all.extend_from_slice(&bytes);
            chunks.push(Bytes::from(bytes));
        }
        (all, MemoryObject::new(chunks, 0))
    }

    #[test]
    fn any_cut_reads_as_the_same_bytes() {
        for sizes in [
            &[][..],
            &[1],
            &[CHUNK],
            &[CHUNK + 1],
            &[1, CHUNK, 3],
            &[CHUNK, CHUNK, 7],
            &[10; 100],
            &[CHUNK - 1, 1, 0, CHUNK, CHUNK / 2, CHUNK],
            &[100 << 10, 1, 60 << 10, CHUNK, 40 << 10],
            &[CHUNK + 1, CHUNK, CHUNK],
        ] {
            let (all, object) = object(sizes);
            assert_eq!(object.len(), all.len() as u64);
            for start in [0, 1, all.len() / 2, all.len().saturating_sub(1), all.len(), all.len() + CHUNK] {
                let mut read = Vec::new();
                loop {
                    let chunk = object.chunk_at((start + read.len()) as u64);
                    if chunk.is_empty() {
                        break;
                    }
                    assert!(chunk.len() <= CHUNK);
                    read.extend_from_slice(&chunk);
                }
                assert_eq!(read, all[start.min(all.len())..]);
            }
        }
    }
}
