//! The signed manifest of a repository, `.cvmfspublished`: as much of it as tells which of two is newer.
//!
//! The text's own checksum is verified, so a truncated or altered manifest does not parse; the signature is not,
//! since a cache has no keys: clients do that. Source: cvmfs `manifest.cc` (`LoadMem`), `signature.cc` (envelope).

use std::cmp::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digest::{Algorithm, ObjectName};

/// Larger ones are not looked into; real ones have less than 1 kB.
pub const MAX_MANIFEST: usize = 64 << 10;

/// Where a manifest stands in the history of its repository.
///
/// Ordered by publication time, then by revision. Time comes first because it is what clients judge by (an older
/// `T` sends them into offline mode), and because it heals: time cannot be ahead of now, so whatever a broken mirror
/// once claimed is outdone by the next publication, while a revision of 2^64 - 1 never would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// `T`: publication time, seconds since 1970.
    pub published: u64,
    /// `S`: counts publications.
    pub number: u64,
}

impl Revision {
    /// Whether `self` would take a client that has seen `other` back in time.
    pub fn is_older(self, other: Self) -> bool {
        (self.published, self.number).cmp(&(other.published, other.number)) == Ordering::Less
    }

    /// Whether the publication time lies further in the future than clocks may differ.
    pub fn is_implausible(self, now: SystemTime) -> bool {
        let limit = now + CLOCK_TOLERANCE;
        UNIX_EPOCH.checked_add(Duration::from_secs(self.published)).is_none_or(|published| published > limit)
    }
}

/// Difference allowed between a publisher's clock and ours.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3600);

/// Why bytes are no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`MAX_MANIFEST`].
    #[error("manifest larger than {MAX_MANIFEST} bytes")]
    TooLarge,
    /// No `--` line, or what follows it is no checksum.
    #[error("manifest without checksum")]
    NoChecksum,
    /// The text was altered or cut.
    #[error("manifest does not match its checksum")]
    Damaged,
    /// `S` or `T` missing, given twice, or not a number.
    #[error("manifest without usable revision or publication time")]
    NoRevision,
}

/// A signed text taken apart, its checksum verified. Manifests and whitelists have this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// What is signed, line by line.
    pub text: &'a [u8],
    /// Its checksum as written: what the signature is of.
    pub checksum: &'a [u8],
    /// Whatever stands behind: the signature, not looked at.
    pub signature: &'a [u8],
}

/// Takes a signed text apart.
pub fn sealed(bytes: &[u8]) -> Result<Sealed<'_>, ManifestError> {
    if bytes.len() > MAX_MANIFEST {
        return Err(ManifestError::TooLarge);
    }
    let end = separator(bytes).ok_or(ManifestError::NoChecksum)?;
    let (text, envelope) = (&bytes[..end], &bytes[end + SEPARATOR.len()..]);
    let line = envelope.iter().position(|c| *c == b'\n').unwrap_or(envelope.len());
    let (checksum, signature) = (&envelope[..line], envelope.get(line + 1..).unwrap_or_default());
    if !parse_checksum(checksum).ok_or(ManifestError::NoChecksum)?.names(text) {
        return Err(ManifestError::Damaged);
    }
    Ok(Sealed { text, checksum, signature })
}

/// The revision of a whole manifest.
pub fn revision(bytes: &[u8]) -> Result<Revision, ManifestError> {
    let text = sealed(bytes)?.text;
    let number = field(text, b'S').ok_or(ManifestError::NoRevision)?;
    let published = field(text, b'T').ok_or(ManifestError::NoRevision)?;
    Ok(Revision { published, number })
}

/// Whether a whitelist is not damaged, as far as it says. One of another form says nothing, nor does one that is too large.
pub fn undamaged(bytes: &[u8]) -> Result<(), ManifestError> {
    match sealed(bytes) {
        Err(ManifestError::NoChecksum | ManifestError::TooLarge) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

const SEPARATOR: &[u8] = b"--\n";

/// Offset of the first line that is `--`.
fn separator(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in bytes.split_inclusive(|c| *c == b'\n') {
        if line == SEPARATOR {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// `<hex>[-rmd160|-shake128]`
pub fn parse_checksum(text: &[u8]) -> Option<ObjectName> {
    let dash = text.iter().position(|c| *c == b'-').unwrap_or(text.len());
    let (hex, tag) = text.split_at(dash);
    let algorithm = [Algorithm::Sha1, Algorithm::Rmd160, Algorithm::Shake128]
        .into_iter()
        .find(|one| one.tag().as_bytes() == tag)?;
    ObjectName::from_hex(algorithm, hex, &[])
}

/// The number in the only line that starts with `letter`.
fn field(text: &[u8], letter: u8) -> Option<u64> {
    let mut lines = text.split(|c| *c == b'\n').filter_map(|line| line.strip_prefix(&[letter]));
    let value = lines.next()?;
    if lines.next().is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A manifest as a publisher would write it, with a signature of noise.
    pub(crate) fn manifest(published: u64, number: u64) -> Vec<u8> {
        sealed(
            &format!(
                "C{}\nB57344\nRd41d8cd98f00b204e9800998ecf8427e\nD61\nS{number}\nGno\nNr.example\nT{published}\n",
                "0".repeat(40)
            ),
            Algorithm::Sha1,
        )
    }

    fn sealed(text: &str, algorithm: Algorithm) -> Vec<u8> {
        let checksum = ObjectName::of(algorithm, text.as_bytes());
        let mut bytes = format!("{text}--\n{checksum}\n").into_bytes();
        bytes.extend_from_slice(b"=p\x89\x18\xb0i\n--\nS9\n\xff");
        bytes
    }

    #[test]
    fn parses() {
        let expected = Ok(Revision { published: 1_795_355_825, number: 3 });
        assert_eq!(revision(&manifest(1_795_355_825, 3)), expected);
        for algorithm in [Algorithm::Rmd160, Algorithm::Shake128] {
            assert_eq!(revision(&sealed("S3\nT1795355825\n", algorithm)), expected);
        }
    }

    #[test]
    fn refuses() {
        let table: [(Vec<u8>, ManifestError); 10] = [
            (b"".to_vec(), ManifestError::NoChecksum),
            (b"<html>busy</html>".to_vec(), ManifestError::NoChecksum),
            (b"S1\nT1\n--\n".to_vec(), ManifestError::NoChecksum),
            (b"S1\nT1\n--\nabc\n".to_vec(), ManifestError::NoChecksum),
            (vec![b'S'; MAX_MANIFEST + 1], ManifestError::TooLarge),
            (sealed("S1\n", Algorithm::Sha1), ManifestError::NoRevision),
            (sealed("T1\n", Algorithm::Sha1), ManifestError::NoRevision),
            (sealed("S1\nS2\nT1\n", Algorithm::Sha1), ManifestError::NoRevision),
            (sealed("S-1\nT1\n", Algorithm::Sha1), ManifestError::NoRevision),
            (sealed("S18446744073709551616\nT1\n", Algorithm::Sha1), ManifestError::NoRevision),
        ];
        for (bytes, expected) in table {
            assert_eq!(revision(&bytes), Err(expected), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn order() {
        let at = |published, number| Revision { published, number };
        assert!(at(1, 9).is_older(at(2, 1)));
        assert!(at(1, 1).is_older(at(1, 2)));
        assert!(!at(1, 1).is_older(at(1, 1)));
        assert!(!at(2, 1).is_older(at(1, u64::MAX)));
        let now = UNIX_EPOCH + Duration::from_secs(10_000);
        assert!(!at(13_600, 1).is_implausible(now));
        assert!(at(13_601, 1).is_implausible(now));
        assert!(at(u64::MAX, 1).is_implausible(now));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_of_the_text_is_noticed(bit in 0usize..8 * 100) {
            let mut bytes = manifest(1_795_355_825, 3);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(revision(&bytes).is_err());
        }
    }
}
