//! The fixed parts of a segment file: header at its start, table and trailer at its end.
//!
//! ```text
//! header    0 magic 8, version 2, kind 1, queue 1, created_at 4 | 16 number 8, seal 8, order 8, share 8 | 60 checksum 4
//! records   from 64, some with a hole before them
//! table     24 bytes for each record, the slot left zero
//! trailer   0 magic 8, seal 8, number of entries 4, checksum of the table 4 | 60 checksum 4
//! ```
//! A segment without a valid trailer was not sealed: its records have to be looked for.

use super::entry::{ENTRY, Packed};
use super::record::{Seal, u32_at, u64_at};
use super::replacement::Queue;

/// Version of every file of the folder.
pub const VERSION: u16 = 1;
/// Bytes of a segment's header; its first record follows.
pub const SEGMENT_HEADER: usize = 64;
/// Bytes of a segment's trailer.
pub const TRAILER: usize = 64;

const HEADER_MAGIC: &[u8; 8] = b"SubstSeg";
const TRAILER_MAGIC: &[u8; 8] = b"SubstEnd";

/// How a segment is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Many records of several writers.
    Shared = 1,
    /// One large record, of exactly its size.
    Single = 2,
}

/// What a segment says about itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its number, which is also its file name; never used again.
    pub number: u64,
    /// The mark of its records.
    pub seal: Seal,
    /// How it is used.
    pub kind: Kind,
    /// The queue it stands in.
    pub queue: Queue,
    /// Its place in the queue: lower goes first.
    pub order: u64,
    /// The mark of its share; 0 for the rest, also where an older program left the place empty.
    pub share: u64,
    /// When it was created, unix seconds.
    pub created_at: u32,
}

/// Why bytes are not a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Something else.
    #[error("not a segment")]
    Foreign,
    /// Another version wrote it.
    #[error("written in format {0}, this program knows {VERSION}")]
    Version(u16),
    /// Flipped bits.
    #[error("the header is damaged")]
    Damaged,
}

impl SegmentHeader {
    /// The stored form.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[0..8].copy_from_slice(HEADER_MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10] = self.kind as u8;
        out[11] = self.queue as u8;
        out[12..16].copy_from_slice(&self.created_at.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.seal.to_bytes());
        out[32..40].copy_from_slice(&self.order.to_le_bytes());
        out[40..48].copy_from_slice(&self.share.to_le_bytes());
        finish(out)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Self, SegmentError> {
        if &bytes[0..8] != HEADER_MAGIC {
            return Err(SegmentError::Foreign);
        }
        if !is_intact(bytes) {
            return Err(SegmentError::Damaged);
        }
        // The checksum stays where it is in every version.
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(SegmentError::Version(version));
        }
        let kind = match bytes[10] {
            1 => Kind::Shared,
            2 => Kind::Single,
            _ => return Err(SegmentError::Damaged),
        };
        Ok(Self {
            number: u64_at(bytes, 16),
            seal: Seal::from_bytes(u64_at(bytes, 24).to_le_bytes()).ok_or(SegmentError::Damaged)?,
            kind,
            queue: Queue::from_code(bytes[11]).ok_or(SegmentError::Damaged)?,
            order: u64_at(bytes, 32),
            share: u64_at(bytes, 40),
            created_at: u32_at(bytes, 12),
        })
    }
}

/// Bytes that the table and the trailer of `entries` records take.
pub const fn footer_len(entries: usize) -> u64 {
    (entries * ENTRY + TRAILER) as u64
}

/// Table and trailer, made piece by piece: the table of small objects has megabytes.
pub struct Footer {
    seal: Seal,
    entries: usize,
    checksum: crc32fast::Hasher,
}

impl Footer {
    /// Nothing yet.
    pub fn new(seal: Seal) -> Self {
        Self { seal, entries: 0, checksum: crc32fast::Hasher::new() }
    }

    /// The next piece of the table.
    pub fn table(&mut self, entries: &[Packed]) -> Vec<u8> {
        let mut out = Vec::with_capacity(entries.len() * ENTRY + TRAILER);
        entries.iter().for_each(|entry| out.extend_from_slice(&entry.in_slot(0).to_bytes()));
        self.entries += entries.len();
        self.checksum.update(&out);
        out
    }

    /// What follows the table.
    pub fn trailer(self) -> [u8; TRAILER] {
        let mut trailer = [0; TRAILER];
        trailer[0..8].copy_from_slice(TRAILER_MAGIC);
        trailer[8..16].copy_from_slice(&self.seal.to_bytes());
        trailer[16..20].copy_from_slice(&(self.entries as u32).to_le_bytes());
        trailer[20..24].copy_from_slice(&self.checksum.finalize().to_le_bytes());
        finish(trailer)
    }
}

/// What a trailer says about the table before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Number of entries.
    pub entries: usize,
    checksum: u32,
}

impl Trailer {
    /// Reads the stored form; `None` when the segment was not sealed or the trailer is damaged.
    pub fn decode(bytes: &[u8; TRAILER], seal: Seal) -> Option<Self> {
        if &bytes[0..8] != TRAILER_MAGIC || bytes[8..16] != seal.to_bytes() || !is_intact(bytes) {
            return None;
        }
        Some(Self { entries: u32_at(bytes, 16) as usize, checksum: u32_at(bytes, 20) })
    }

    /// The entries of `table`, as records of the segment in `slot`; `None` when it is damaged.
    pub fn table(&self, table: &[u8], slot: u32) -> Option<Vec<Packed>> {
        if crc32fast::hash(table) != self.checksum {
            return None;
        }
        Some(table.chunks_exact(ENTRY).map(|bytes| Packed::from_bytes(bytes).in_slot(slot)).collect())
    }
}

/// Puts the checksum of the first 60 bytes behind them.
fn finish(mut bytes: [u8; 64]) -> [u8; 64] {
    let checksum = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn is_intact(bytes: &[u8; 64]) -> bool {
    crc32fast::hash(&bytes[..60]) == u32_at(bytes, 60)
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Entry, Place};
    use super::*;

    #[test]
    fn headers_survive_and_flipped_bits_do_not() {
        let header = SegmentHeader {
            number: 17,
            seal: Seal::random(),
            kind: Kind::Single,
            queue: Queue::Main,
            order: 99,
            share: 7,
            created_at: 1_700_000_000,
        };
        let bytes = header.encode();
        assert!(SegmentHeader::decode(&bytes) == Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        assert!(SegmentHeader::decode(&finish(newer)) == Err(SegmentError::Version(2)));
    }

    #[test]
    fn footers_survive_and_flipped_bits_do_not() {
        let seal = Seal::random();
        let entries: Vec<Packed> = (1..4)
            .map(|n| {
                let place = Place { slot: 0, offset: 64 * n };
                Packed::from(Entry { fingerprint: n, place, len: n, stored_at: 5, hits: 0 })
            })
            .collect();
        let mut footer = Footer::new(seal);
        let mut bytes = footer.table(&entries[..1]);
        bytes.extend(footer.table(&entries[1..]));
        bytes.extend(footer.trailer());
        assert_eq!(bytes.len() as u64, footer_len(3));
        let decode = |bytes: &[u8]| {
            let (table, trailer) = bytes.split_at(bytes.len() - TRAILER);
            Trailer::decode(trailer.try_into().unwrap(), seal)?.table(table, 9)
        };
        let found = decode(&bytes).unwrap();
        assert!(found.iter().map(|p| p.in_slot(0)).eq(entries.iter().copied()));
        assert!(found.iter().all(|p| p.place().slot == 9));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_none(), "bit {bit}");
        }
    }
}
