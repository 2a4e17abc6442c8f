//! How an object lies in a segment: header, table of block checksums, bytes.
//!
//! ```text
//!  0 seal 8        the segment's secret mark, see `Seal`
//!  8 version 1, algorithm 1, zero 2, stored_at 4 (unix seconds)
//! 16 length 8, digest 32 (padded with zeros), zero 4
//! 60 checksum 4    CRC32 of the bytes before it
//! 64 table         one CRC32 for each block of 64 KiB, padded to 16 bytes; then the object's bytes
//! ```
//! All numbers are little-endian. A record starts at a multiple of 16; that of a large object so that its bytes start with a
//! page: whole pages given to a socket cost half of what the same bytes cost when they begin somewhere else.

use std::ops::Range;

use crate::digest::{Algorithm, MAX_DIGEST, ObjectName};

/// Bytes of a record header.
pub const HEADER: usize = 64;
/// Records start at multiples of this many bytes.
pub const ALIGN: u64 = 16;
/// Bytes covered by one checksum: the smallest piece that can be read.
pub const BLOCK: u64 = 64 << 10;
/// Objects of so many bytes and more begin at the start of a page: smaller ones are cheaper to copy than to lock there.
pub const PAGED_FROM: u64 = 128 << 10;
/// The usual size of a page; where pages are larger, alignment to it does no harm.
pub const PAGE: u64 = 4096;
/// Longest object in bytes: what an index entry can hold.
pub const MAX_LEN: u64 = (1 << 44) - 1;

const VERSION: u8 = 1;

/// A segment's mark: 64 unpredictable bits at the head of each of its records.
///
/// Recovery looks for it where a torn extent must be skipped. Since nobody outside can know it, an object whose bytes
/// imitate records cannot smuggle in another object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seal(u64);

impl Seal {
    /// A new mark from the operating system's randomness.
    pub fn random() -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        // RandomState is keyed by the operating system; zero would look like a hole.
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    /// The stored form.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// From the stored form; `None` for the mark of no segment.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        let mark = u64::from_le_bytes(bytes);
        (mark != 0).then_some(Self(mark))
    }
}

/// What a record says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The object's name.
    pub name: ObjectName,
    /// Its length in bytes, at most [`MAX_LEN`].
    pub len: u64,
    /// When it was first stored, unix seconds.
    pub stored_at: u32,
}

/// Why bytes are not a record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// All zero: never written, or removed.
    Blank,
    /// The segment's mark is missing.
    Seal,
    /// The checksum does not match.
    Checksum,
    /// Correctly written, but with values this version does not know.
    Unknown,
}

impl RecordHeader {
    /// The stored form.
    pub fn encode(&self, seal: Seal) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..8].copy_from_slice(&seal.to_bytes());
        out[8] = VERSION;
        out[9] = self.name.algorithm() as u8;
        out[12..16].copy_from_slice(&self.stored_at.to_le_bytes());
        out[16..24].copy_from_slice(&self.len.to_le_bytes());
        let digest = self.name.digest();
        out[24..24 + digest.len()].copy_from_slice(digest);
        let checksum = crc32fast::hash(&out[..60]);
        out[60..64].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads the stored form. Any flipped bit is an error.
    pub fn decode(bytes: &[u8; HEADER], seal: Seal) -> Result<Self, HeaderError> {
        if bytes[0..8] != seal.to_bytes() {
            return Err(if bytes.iter().all(|&b| b == 0) { HeaderError::Blank } else { HeaderError::Seal });
        }
        if crc32fast::hash(&bytes[..60]) != u32_at(bytes, 60) {
            return Err(HeaderError::Checksum);
        }
        let algorithm = Algorithm::from_code(bytes[9]).ok_or(HeaderError::Unknown)?;
        let (digest, padding) = bytes[24..24 + MAX_DIGEST].split_at(algorithm.digest_len());
        let name = ObjectName::new(algorithm, digest).ok_or(HeaderError::Unknown)?;
        let len = u64_at(bytes, 16);
        if bytes[8] != VERSION || len > MAX_LEN || padding.iter().any(|&b| b != 0) {
            return Err(HeaderError::Unknown);
        }
        Ok(Self { name, len, stored_at: u32_at(bytes, 12) })
    }

    /// Where the parts of this record lie.
    pub fn shape(&self) -> Shape {
        Shape { len: self.len }
    }
}

/// Where the parts of a record lie, relative to its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Length of the object in bytes, at most [`MAX_LEN`].
    pub len: u64,
}

impl Shape {
    /// Number of blocks; the last may be short.
    pub fn blocks(self) -> u64 {
        self.len.div_ceil(BLOCK)
    }

    /// Where the object's bytes start.
    pub fn body_at(self) -> u64 {
        HEADER as u64 + (4 * self.blocks()).next_multiple_of(ALIGN)
    }

    /// Where such a record begins that may begin at `at`, a multiple of [`ALIGN`], or up to a page behind.
    pub fn begin(self, at: u64) -> u64 {
        match self.len {
            0..PAGED_FROM => at,
            _ => (at + self.body_at()).next_multiple_of(PAGE) - self.body_at(),
        }
    }

    /// Bytes of the whole record, a multiple of [`ALIGN`].
    pub fn extent(self) -> u64 {
        (self.body_at() + self.len).next_multiple_of(ALIGN)
    }

    /// The part of the object to read for a reader at `offset` who wants at most `max` bytes. Where the piece cannot
    /// reach the end of the object it ends with a block, so that the next one does not read that block again.
    pub fn frame(self, offset: u64, max: usize) -> Frame {
        let offset = offset.min(self.len);
        let mut end = offset.saturating_add(max as u64).min(self.len);
        let boundary = end / BLOCK * BLOCK;
        if end < self.len && boundary > offset {
            end = boundary;
        }
        Frame { bytes: offset..end, blocks: offset / BLOCK..end.div_ceil(BLOCK) }
    }
}

/// A piece of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The bytes wanted, relative to the object.
    pub bytes: Range<u64>,
    /// The blocks that cover them.
    pub blocks: Range<u64>,
}

/// The checksum a block's bytes continue from. It differs from object to object and block to block, so that bytes
/// that ended up at a wrong place do not pass.
pub fn block_seed(name: &ObjectName, block: u64) -> u32 {
    let digest = name.digest();
    u32_at(digest, 8) ^ (block as u32)
}

/// The checksum of a whole block.
pub fn block_checksum(name: &ObjectName, block: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(block_seed(name, block));
    hasher.update(bytes);
    hasher.finalize()
}

/// The little-endian number at `at`. Panics outside of `bytes`, like an index.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The little-endian number at `at`. Panics outside of `bytes`, like an index.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn algorithms() -> impl Strategy<Value = Algorithm> {
        (1..=5u8).prop_map(|code| Algorithm::from_code(code).unwrap())
    }

    proptest! {
        #[test]
        fn headers_survive_and_flipped_bits_do_not(
            algorithm in algorithms(),
            digest in proptest::array::uniform32(any::<u8>()),
            len in 0..=MAX_LEN,
            stored_at: u32,
            bit in 0..HEADER * 8,
        ) {
            let seal = Seal::random();
            let name = ObjectName::new(algorithm, &digest[..algorithm.digest_len()]).unwrap();
            let header = RecordHeader { name, len, stored_at };
            let mut bytes = header.encode(seal);
            prop_assert_eq!(RecordHeader::decode(&bytes, seal), Ok(header));
            prop_assert_eq!(RecordHeader::decode(&bytes, Seal::random()), Err(HeaderError::Seal));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(RecordHeader::decode(&bytes, seal).is_err());
        }

        #[test]
        fn frames_cover_the_object_without_reading_a_block_twice(
            len in 1..2_000_000u64,
            start in 0..2_000_000u64,
            max in BLOCK as usize..400_000,
        ) {
            let shape = Shape { len };
            let mut at = start % len;
            let mut next_block = at / BLOCK;
            while at < len {
                let frame = shape.frame(at, max);
                prop_assert_eq!(frame.bytes.start, at);
                prop_assert!(frame.bytes.end > at && frame.bytes.end - at <= max as u64);
                prop_assert_eq!(frame.blocks.start, next_block);
                prop_assert!(frame.blocks.end <= shape.blocks());
                at = frame.bytes.end;
                next_block = frame.blocks.end;
            }
        }
    }

    proptest! {
        #[test]
        fn records_begin_close_behind_and_large_bodies_with_a_page(at in 0..100_000u64, len in 0..4 * PAGED_FROM) {
            let (at, shape) = (at * ALIGN, Shape { len });
            let begin = shape.begin(at);
            prop_assert!(begin.is_multiple_of(ALIGN) && (at..at + PAGE).contains(&begin));
            match len {
                0..PAGED_FROM => prop_assert_eq!(begin, at),
                _ => prop_assert!((begin + shape.body_at()).is_multiple_of(PAGE)),
            }
        }
    }

    #[test]
    fn shapes() {
        let check = |len, blocks, body_at, extent| {
            let shape = Shape { len };
            assert_eq!((shape.blocks(), shape.body_at(), shape.extent()), (blocks, body_at, extent), "{len}");
        };
        check(0, 0, 64, 64);
        check(1, 1, 80, 96);
        check(BLOCK, 1, 80, 80 + BLOCK);
        check(4 * BLOCK, 4, 80, 80 + 4 * BLOCK);
        check(4 * BLOCK + 1, 5, 96, 96 + 4 * BLOCK + 16);
    }

    #[test]
    fn small_pieces_are_what_was_asked_for() {
        let check = |len, offset, max, bytes: Range<u64>, blocks: Range<u64>| {
            assert_eq!(Shape { len }.frame(offset, max), Frame { bytes, blocks });
        };
        check(100, 0, 10, 0..10, 0..1);
        check(100, 90, 100, 90..100, 0..1);
        check(100, 200, 10, 100..100, 0..1);
        check(0, 0, 10, 0..0, 0..0);
        check(3 * BLOCK, BLOCK - 1, 2, BLOCK - 1..BLOCK, 0..1);
        check(3 * BLOCK, 0, BLOCK as usize + 5, 0..BLOCK, 0..1);
    }

    #[test]
    fn blank_headers_are_told_apart() {
        assert_eq!(RecordHeader::decode(&[0; HEADER], Seal::random()), Err(HeaderError::Blank));
    }
}
