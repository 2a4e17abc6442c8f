//! A verified object at rest: whole in memory, or a record on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::disk::DiskObject;
use crate::digest::ObjectName;

/// Largest piece handed to a reader, in bytes. Bigger frames measured slower: the copy into the socket leaves the CPU
/// cache. Memory chunks are cut to it, so that a chunk is a frame.
pub const CHUNK: usize = 256 << 10;

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

/// The bytes of an object: consecutive chunks of exactly [`CHUNK`] bytes, the last one shorter.
pub struct MemoryObject {
    chunks: Arc<[Bytes]>,
    len: u64,
    stored_at: u32,
    /// Whether anybody asked for it since it came into the tier.
    wanted: AtomicBool,
}

impl MemoryObject {
    /// An object of consecutive `chunks`, re-cut unless they have the canonical sizes already.
    pub fn new(chunks: Vec<Bytes>, stored_at: u32) -> Self {
        let len = chunks.iter().map(|c| c.len() as u64).sum();
        let canonical = match chunks.split_last() {
            Some((last, full)) => last.len() <= CHUNK && full.iter().all(|c| c.len() == CHUNK),
            None => true,
        };
        let chunks = if canonical { chunks } else { recut(&chunks, len) };
        Self { chunks: chunks.into(), len, stored_at, wanted: AtomicBool::new(false) }
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

    /// The bytes from `offset` up to the end of their chunk; empty at or behind the end.
    pub fn chunk_at(&self, offset: u64) -> Bytes {
        let index = usize::try_from(offset / CHUNK as u64).unwrap_or(usize::MAX);
        match self.chunks.get(index) {
            Some(chunk) => chunk.slice((offset as usize % CHUNK).min(chunk.len())..),
            None => Bytes::new(),
        }
    }

    /// Whether the bytes still deserve `name`.
    pub fn verify(&self, name: &ObjectName) -> bool {
        let mut verifier = name.verifier();
        for chunk in self.chunks.iter() {
            verifier.update(chunk);
        }
        verifier.finish().is_ok()
    }
}

fn recut(chunks: &[Bytes], len: u64) -> Vec<Bytes> {
    let mut cut = Vec::with_capacity(len.div_ceil(CHUNK as u64) as usize);
    let mut left = len;
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
