//! The frame of everything stored about documents: what it is, in which version, and the proof that no bit changed.
//!
//! ```text
//! 0   magic "SUBSTDOC"       8     these 20 bytes are the same in all versions,
//! 8   version                2     so that a newer one can be told from a damaged one
//! 10  kind: 1 document, 2 manifest 2
//! 12  length of the content  4
//! 16  CRC32 of bytes 0..16   4
//! 20  content                      codec.rs
//! ..  SHA-1 of all before    20
//! ```
//! Numbers are little-endian. A record that is too long for its kind of file is damaged as well.

use crate::digest::{Algorithm, ObjectName};

const MAGIC: &[u8; 8] = b"SUBSTDOC";
/// Raised when the content changes its form.
const VERSION: u16 = 1;
const HEADER: usize = 20;
const CHECKSUM: usize = 20;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// A stored response.
    Document = 1,
    /// The newest manifest of a repository.
    Manifest = 2,
}

/// Why a record is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A newer program wrote it.
    #[error("written in format {0}, which a newer program knows")]
    Newer(u16),
    /// It is not what was written.
    #[error("damaged")]
    Damaged,
}

/// Bytes of a record with a content of `content` bytes.
pub const fn length(content: usize) -> usize {
    HEADER + content + CHECKSUM
}

/// The record; `None` if it is longer than records can be (4 GiB).
pub fn seal(kind: Kind, content: &[u8]) -> Option<Vec<u8>> {
    let mut record = Vec::with_capacity(length(content.len()));
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&VERSION.to_le_bytes());
    record.extend_from_slice(&(kind as u16).to_le_bytes());
    record.extend_from_slice(&u32::try_from(content.len()).ok()?.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
    record.extend_from_slice(content);
    let checksum = ObjectName::of(Algorithm::Sha1, &record);
    record.extend_from_slice(checksum.digest());
    Some(record)
}

/// The content of the record that `bytes` begin with, and what follows it.
pub fn open(kind: Kind, bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (header, rest) = bytes.split_at_checked(HEADER).ok_or(Fault::Damaged)?;
    let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (fixed, checksum) = header.split_at(HEADER - 4);
    if crc32fast::hash(fixed).to_le_bytes() != checksum || !fixed.starts_with(MAGIC) {
        return Err(Fault::Damaged);
    }
    if number(8) > VERSION {
        return Err(Fault::Newer(number(8)));
    }
    let length = usize::from(number(12)) | usize::from(number(14)) << 16;
    let (content, rest) = rest.split_at_checked(length).ok_or(Fault::Damaged)?;
    let (checksum, rest) = rest.split_at_checked(CHECKSUM).ok_or(Fault::Damaged)?;
    let is_intact = ObjectName::of(Algorithm::Sha1, &bytes[..HEADER + length]).digest() == checksum;
    if !is_intact || number(8) != VERSION || number(10) != kind as u16 {
        return Err(Fault::Damaged);
    }
    Ok((content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_and_every_flipped_bit_is_seen() {
        let record = seal(Kind::Document, b"content").unwrap();
        assert_eq!(record.len(), length(7));
        assert_eq!(
            open(Kind::Document, &[&record[..], b"rest"].concat()),
            Ok((&b"content"[..], &b"rest"[..]))
        );
        assert_eq!(open(Kind::Manifest, &record), Err(Fault::Damaged));
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(Kind::Document, &flipped), Err(Fault::Damaged), "bit {bit}");
        }
        for end in 0..record.len() {
            assert_eq!(open(Kind::Document, &record[..end]), Err(Fault::Damaged), "{end} bytes");
        }
    }

    #[test]
    fn a_newer_version_is_not_taken_for_damage() {
        let mut record = seal(Kind::Document, b"content").unwrap();
        record[8] = 2;
        let header = crc32fast::hash(&record[..16]);
        record[16..20].copy_from_slice(&header.to_le_bytes());
        assert_eq!(open(Kind::Document, &record), Err(Fault::Newer(2)));
        // An older one than the first there ever was.
        record[8] = 0;
        let header = crc32fast::hash(&record[..16]);
        record[16..20].copy_from_slice(&header.to_le_bytes());
        assert_eq!(open(Kind::Document, &record), Err(Fault::Damaged));
    }
}
