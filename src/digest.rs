//! Object names and the incremental check that bytes deserve them.
//!
//! An [`ObjectName`] is the checksum of the bytes as they travel on the wire. It is the whole key of the object
//! cache: host names, ports, repositories and the type suffix of a URL are not part of it.
//! What only some may have is named apart ([`Algorithm::GuardedSha256`]), so that no path for everybody leads to it.
//! Sources: cvmfs `crypto/hash.h` (algorithms, tags, SHAKE-128 truncated to 160 bits); FIPS 180-4.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha1::digest::{Digest, ExtendableOutput, Update, XofReader};

/// Room for the longest digest of any supported algorithm, in bytes.
pub const MAX_DIGEST: usize = 32;

/// A checksum algorithm that names objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Algorithm {
    /// SHA-1, 20 bytes; the untagged default of CVMFS.
    Sha1 = 1,
    /// RIPEMD-160, 20 bytes; tag `-rmd160`.
    Rmd160 = 2,
    /// SHAKE-128 with its output cut to 20 bytes; tag `-shake128`.
    Shake128 = 3,
    /// SHA-256, 32 bytes.
    Sha256 = 4,
    /// SHA-256 of what a registry may give to some and refuse to others. The bytes are checked alike, but it is another
    /// name: who knows a digest does not thereby come to the bytes through a layout that asks nobody.
    GuardedSha256 = 5,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Rmd160, Self::Shake128];

    /// Length of a digest, in bytes, at most [`MAX_DIGEST`].
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 | Self::Rmd160 | Self::Shake128 => 20,
            Self::Sha256 | Self::GuardedSha256 => 32,
        }
    }

    /// The stored form, as written into disk records; `None` for an unknown code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha1),
            2 => Some(Self::Rmd160),
            3 => Some(Self::Shake128),
            4 => Some(Self::Sha256),
            5 => Some(Self::GuardedSha256),
            _ => None,
        }
    }

    /// The tag that follows the hexadecimal digits, as in a CVMFS path; empty for SHA-1.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Sha1 => "",
            Self::Rmd160 => "-rmd160",
            Self::Shake128 => "-shake128",
            Self::Sha256 => "-sha256",
            Self::GuardedSha256 => "-sha256-guarded",
        }
    }
}

/// The checksum that names an object. Equality is equality of bytes under the same algorithm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    algorithm: Algorithm,
    // Bytes behind `algorithm.digest_len()` are zero, so that derived equality is right.
    digest: [u8; MAX_DIGEST],
}

impl ObjectName {
    /// A name from a raw digest; `None` unless `digest` has exactly the algorithm's length.
    pub fn new(algorithm: Algorithm, digest: &[u8]) -> Option<Self> {
        if digest.len() != algorithm.digest_len() {
            return None;
        }
        let mut padded = [0; MAX_DIGEST];
        padded[..digest.len()].copy_from_slice(digest);
        Some(Self { algorithm, digest: padded })
    }

    /// A name from lower-case hexadecimal digits; upper case is refused, since stratum paths are case sensitive.
    pub fn from_hex(algorithm: Algorithm, head: &[u8], tail: &[u8]) -> Option<Self> {
        let ((head, []), (tail, [])) = (head.as_chunks::<2>(), tail.as_chunks::<2>()) else { return None };
        if head.len() + tail.len() != algorithm.digest_len() {
            return None;
        }
        let mut digest = [0; MAX_DIGEST];
        let mut seen = 0;
        for (byte, [high, low]) in digest.iter_mut().zip(head.iter().chain(tail)) {
            let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
            seen |= high | low;
            *byte = high << 4 | low & 15;
        }
        (seen != NO_NIBBLE).then_some(Self { algorithm, digest })
    }

    /// The name of `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Incremental::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest, `algorithm().digest_len()` bytes.
    pub fn digest(&self) -> &[u8] {
        &self.digest[..self.algorithm.digest_len()]
    }

    /// The name in double quotes, as an entity tag: what `format!("\"{name}\"")` says, at a fraction of its cost. Every
    /// answer carries one.
    pub fn quoted(&self) -> Vec<u8> {
        let (hex, tag) = (self.hex(), self.algorithm.tag());
        let hex = hex[..self.digest().len()].as_flattened();
        // The exact capacity: the text is kept as it is.
        let mut text = Vec::with_capacity(hex.len() + tag.len() + 2);
        text.push(b'"');
        text.extend_from_slice(hex);
        text.extend_from_slice(tag.as_bytes());
        text.push(b'"');
        text
    }

    /// The digits of each byte, also of the zeros behind the digest.
    fn hex(&self) -> [[u8; 2]; MAX_DIGEST] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.digest.map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
    }

    /// 64 well-mixed bits of the digest. The bytes are uniform already, so tables need no further hashing.
    /// Clients choose names, hence tables keyed by this must tolerate collisions.
    pub fn hash64(&self) -> u64 {
        u64::from_le_bytes([
            self.digest[0],
            self.digest[1],
            self.digest[2],
            self.digest[3],
            self.digest[4],
            self.digest[5],
            self.digest[6],
            self.digest[7],
        ])
    }

    /// A verifier for the bytes that claim this name.
    pub fn verifier(&self) -> Verifier {
        Verifier { expected: *self, hasher: Incremental::new(self.algorithm) }
    }

    /// Whether `bytes` deserve this name.
    pub fn names(&self, bytes: &[u8]) -> bool {
        Self::of(self.algorithm, bytes) == *self
    }
}

impl Hash for ObjectName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash64());
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.hex();
        f.write_str(std::str::from_utf8(hex[..self.digest().len()].as_flattened()).map_err(|_| fmt::Error)?)?;
        f.write_str(self.algorithm.tag())
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a lower-case hexadecimal digit stands for; [`NO_NIBBLE`] for any other byte. Every request for an object is read
/// through it.
const NIBBLES: [u8; 256] = {
    let mut table = [NO_NIBBLE; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// All bits set, so that one such among others is seen in their union.
const NO_NIBBLE: u8 = 0xff;

/// The bytes do not deserve the name they came under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("digest mismatch: expected {expected}, the bytes are {actual}")]
pub struct Mismatch {
    /// The name asked for.
    pub expected: ObjectName,
    /// The name the bytes deserve.
    pub actual: ObjectName,
}

/// Hashes a body piece by piece and compares at the end.
#[derive(Clone)]
pub struct Verifier {
    expected: ObjectName,
    hasher: Incremental,
}

impl Verifier {
    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The verdict over all bytes taken.
    pub fn finish(self) -> Result<(), Mismatch> {
        let actual = self.hasher.finish();
        if actual == self.expected { Ok(()) } else { Err(Mismatch { expected: self.expected, actual }) }
    }
}

#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "one lives a transfer long; nothing holds many of them")]
enum Incremental {
    Sha1(sha1::Sha1),
    Rmd160(ripemd::Ripemd160),
    Shake128(sha3::Shake128),
    Sha256(sha2::Sha256),
    GuardedSha256(sha2::Sha256),
}

impl Incremental {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::default()),
            Algorithm::Rmd160 => Self::Rmd160(ripemd::Ripemd160::default()),
            Algorithm::Shake128 => Self::Shake128(sha3::Shake128::default()),
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::default()),
            Algorithm::GuardedSha256 => Self::GuardedSha256(sha2::Sha256::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(h) => Update::update(h, bytes),
            Self::Rmd160(h) => Update::update(h, bytes),
            Self::Shake128(h) => Update::update(h, bytes),
            Self::Sha256(h) | Self::GuardedSha256(h) => Update::update(h, bytes),
        }
    }

    fn finish(self) -> ObjectName {
        let mut digest = [0; MAX_DIGEST];
        let algorithm = match self {
            Self::Sha1(h) => {
                digest[..20].copy_from_slice(&h.finalize());
                Algorithm::Sha1
            }
            Self::Rmd160(h) => {
                digest[..20].copy_from_slice(&h.finalize());
                Algorithm::Rmd160
            }
            Self::Shake128(h) => {
                h.finalize_xof().read(&mut digest[..20]);
                Algorithm::Shake128
            }
            Self::Sha256(h) => {
                digest.copy_from_slice(&h.finalize());
                Algorithm::Sha256
            }
            Self::GuardedSha256(h) => {
                digest.copy_from_slice(&h.finalize());
                Algorithm::GuardedSha256
            }
        };
        ObjectName { algorithm, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests_of_the_empty_body() {
        let table = [
            (Algorithm::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (Algorithm::Rmd160, "9c1185a5c5e9fc54612808977ee8f548b2258d31-rmd160"),
            (Algorithm::Shake128, "7f9c2ba4e88f827d616045507605853ed73b8093-shake128"),
            (Algorithm::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855-sha256"),
            (
                Algorithm::GuardedSha256,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855-sha256-guarded",
            ),
        ];
        for (algorithm, expected) in table {
            let name = ObjectName::of(algorithm, b"");
            assert_eq!(name.to_string(), expected);
            assert_eq!(name.quoted(), format!("\"{expected}\"").into_bytes());
        }
    }

    #[test]
    fn verifier_sees_pieces_as_one_body() {
        for code in 1..=5 {
            let algorithm = Algorithm::from_code(code).unwrap();
            let name = ObjectName::of(algorithm, b"hello world");
            let mut verifier = name.verifier();
            verifier.update(b"hello ");
            verifier.update(b"world");
            assert_eq!(verifier.finish(), Ok(()));
            let mut verifier = name.verifier();
            verifier.update(b"hello_world");
            let mismatch = verifier.finish().unwrap_err();
            assert_eq!(mismatch.expected, name);
            assert_eq!(mismatch.actual, ObjectName::of(algorithm, b"hello_world"));
        }
    }

    #[test]
    fn hexadecimal_form_is_canonical() {
        let name = ObjectName::of(Algorithm::Sha1, b"x");
        let text = name.to_string();
        let (head, tail) = text.as_bytes().split_at(2);
        assert_eq!(ObjectName::from_hex(Algorithm::Sha1, head, tail), Some(name));
        let upper = text.to_ascii_uppercase();
        assert_eq!(
            ObjectName::from_hex(Algorithm::Sha1, &upper.as_bytes()[..2], &upper.as_bytes()[2..]),
            None
        );
        assert_eq!(ObjectName::from_hex(Algorithm::Sha1, head, &tail[1..]), None);
        assert_eq!(ObjectName::from_hex(Algorithm::Sha1, &head[..1], &text.as_bytes()[1..]), None);
        for strange in (0..=255u8).filter(|c| !b"0123456789abcdef".contains(c)) {
            let mut tail = tail.to_vec();
            tail[7] = strange;
            assert_eq!(ObjectName::from_hex(Algorithm::Sha1, head, &tail), None, "{strange}");
        }
    }

    #[test]
    fn same_digits_under_another_algorithm_are_another_name() {
        let sha1 = ObjectName::new(Algorithm::Sha1, &[7; 20]).unwrap();
        let rmd160 = ObjectName::new(Algorithm::Rmd160, &[7; 20]).unwrap();
        assert_ne!(sha1, rmd160);
    }
}
