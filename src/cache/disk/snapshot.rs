//! The index as a file, written at a clean stop: one sequential read brings millions of objects back.
//!
//! ```text
//! header    0 magic 8, version 2 | 16 segments 8, entries (about) 8 | 60 checksum 4
//! segments  slot 8, number 8, seal 8 of each; checksum 4
//! chunks    number of entries 4, checksum of number and entries 4, then 24 bytes for each; the last has none
//! ```
//! It only speaks about segments that are sealed, which never change; so it stays right for them however old it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::entry::{ENTRY, MAX_SLOTS, Packed};
use super::format::VERSION;
use super::index::{Index, SHARDS};
use super::record::{u32_at, u64_at};
use super::segment::Segment;

const MAGIC: &[u8; 8] = b"SubstIdx";
const HEADER: usize = 64;
const SEGMENT: usize = 24;
const CHUNK: usize = 32 << 10;

/// Bytes that a snapshot of so many segments and entries takes at most.
pub fn size(segments: usize, entries: usize) -> u64 {
    let chunks = entries.div_ceil(CHUNK) + SHARDS + 1;
    (HEADER + 4 + segments * SEGMENT + entries * ENTRY + chunks * 8) as u64
}

/// Writes the entries of `segments`, all of them sealed.
pub fn write(path: &Path, index: &Index, segments: &[Arc<Segment>]) -> io::Result<()> {
    let mut listed = vec![false; segments.iter().map(|s| s.slot as usize + 1).max().unwrap_or(0)];
    segments.iter().for_each(|segment| listed[segment.slot as usize] = true);
    let is_listed = |packed: &&Packed| listed.get(packed.place().slot as usize) == Some(&true);

    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&(segments.len() as u64).to_le_bytes());
    header[24..32].copy_from_slice(&(index.len() as u64).to_le_bytes());
    let checksum = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
    out.write_all(&header)?;

    let mut directory = Vec::with_capacity(segments.len() * SEGMENT);
    for segment in segments {
        directory.extend_from_slice(&u64::from(segment.slot).to_le_bytes());
        directory.extend_from_slice(&segment.number.to_le_bytes());
        directory.extend_from_slice(&segment.seal.to_bytes());
    }
    out.write_all(&directory)?;
    out.write_all(&crc32fast::hash(&directory).to_le_bytes())?;

    let mut bytes = Vec::with_capacity(CHUNK * ENTRY);
    index.for_each_shard(|shard| {
        let mut shard = shard.iter().filter(is_listed).peekable();
        while shard.peek().is_some() {
            bytes.clear();
            shard.by_ref().take(CHUNK).for_each(|packed| bytes.extend_from_slice(&packed.to_bytes()));
            write_chunk(&mut out, &bytes)?;
        }
        Ok::<(), io::Error>(())
    })?;
    write_chunk(&mut out, &[])?;
    out.flush()
}

/// A snapshot being read.
pub struct Snapshot<R = BufReader<File>> {
    file: R,
    // Slots at that time, by what identifies a segment: number and mark.
    directory: HashMap<(u64, [u8; 8]), u32>,
    entries: u64,
}

impl Snapshot {
    /// Opens a snapshot file; `None` when there is none.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        Self::begin(BufReader::with_capacity(1 << 20, file), len).map(Some)
    }
}

impl<R: Read> Snapshot<R> {
    /// Begins to read a snapshot of `len` bytes.
    pub fn begin(mut file: R, len: u64) -> io::Result<Self> {
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        let is_ours = &header[0..8] == MAGIC && u16::from_le_bytes([header[8], header[9]]) == VERSION;
        let (segments, entries) = (u64_at(&header, 16), u64_at(&header, 24));
        let is_intact = crc32fast::hash(&header[..60]) == u32_at(&header, 60);
        // Nothing is allocated for more than the file can hold.
        if !is_ours || !is_intact || segments > len / SEGMENT as u64 || entries > len / ENTRY as u64 {
            return Err(damaged());
        }
        let mut directory = vec![0; segments as usize * SEGMENT];
        file.read_exact(&mut directory)?;
        let mut checksum = [0; 4];
        file.read_exact(&mut checksum)?;
        if crc32fast::hash(&directory) != u32::from_le_bytes(checksum) {
            return Err(damaged());
        }
        let listed = |bytes: &[u8]| {
            let slot = u32::try_from(u64_at(bytes, 0)).ok().filter(|&slot| slot < MAX_SLOTS)?;
            Some(((u64_at(bytes, 8), u64_at(bytes, 16).to_le_bytes()), slot))
        };
        let directory: Option<_> = directory.chunks_exact(SEGMENT).map(listed).collect();
        Ok(Self { file, directory: directory.ok_or_else(damaged)?, entries })
    }

    /// About how many entries it has.
    pub fn entries(&self) -> usize {
        self.entries as usize
    }

    /// The slot that `segment` had; `None` when the snapshot does not speak about it.
    pub fn slot_of(&self, segment: &Segment) -> Option<u32> {
        self.directory.get(&(segment.number, segment.seal.to_bytes())).copied()
    }

    /// Calls `each` with the entries. After an error some of them have come, all of them right.
    pub fn read(&mut self, mut each: impl FnMut(Packed)) -> io::Result<()> {
        let mut bytes = vec![0; CHUNK * ENTRY];
        loop {
            let mut head = [0; 8];
            self.file.read_exact(&mut head)?;
            let count = u32_at(&head, 0);
            let bytes = bytes.get_mut(..count as usize * ENTRY).ok_or_else(damaged)?;
            self.file.read_exact(bytes)?;
            if chunk_checksum(count, bytes) != u32_at(&head, 4) {
                return Err(damaged());
            }
            if count == 0 {
                return Ok(());
            }
            bytes.chunks_exact(ENTRY).for_each(|bytes| each(Packed::from_bytes(bytes)));
        }
    }
}

fn write_chunk(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let count = (bytes.len() / ENTRY) as u32;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&chunk_checksum(count, bytes).to_le_bytes())?;
    out.write_all(bytes)
}

fn chunk_checksum(count: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&count.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "damaged index file")
}
