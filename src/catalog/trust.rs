//! Whether a manifest is genuine: signed with a certificate that is on a list signed with the repository's own key.
//!
//! Two kinds of RSA signature (RFC 8017 §8.2): the manifest's is of the SHA-1 of its checksum line, the whitelist's is of that
//! line itself, without a hash around it. Both are checked by making the block that must come out (§9.2) and comparing.
//! SHA-1 is what the format has. Not checked: the certificate's own dates and issuer, which clients do not look at either.
//! Sources: cvmfs `signature.cc` (`Verify`, `VerifyRsa`), `whitelist.cc`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use num_bigint::BigUint;
use x509_cert::Certificate;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode, Reader, SliceReader, pem};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::manifest::Manifest;
use crate::digest::{Algorithm, ObjectName};
use crate::document::manifest::sealed;

/// Longest key file, and longest certificate, in bytes.
pub const MAX_KEY: usize = 64 << 10;

/// Bits of a modulus: shorter ones are no protection, longer ones only cost time.
const MODULUS_BITS: std::ops::RangeInclusive<u64> = 1024..=16_384;

/// Bits of an exponent; 65537 has 17.
const MAX_EXPONENT_BITS: u64 = 33;

/// DigestInfo of SHA-1 (RFC 8017 §9.2, note 1).
const SHA1_INFO: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// Fingerprints looked at in a whitelist.
const MAX_FINGERPRINTS: usize = 1_000;

/// An RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    modulus: BigUint,
    exponent: BigUint,
}

/// Why a manifest is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The key file.
    #[error("the key is no RSA public key in PEM form")]
    Key,
    /// What the manifest names as its certificate.
    #[error("the certificate that the manifest names is none, or has no RSA key")]
    Certificate,
    /// The manifest's signature.
    #[error("the manifest is not signed with the certificate that it names")]
    Manifest,
    /// The whitelist's form.
    #[error("the whitelist is malformed")]
    WhitelistForm,
    /// The whitelist's signature.
    #[error("the whitelist is not signed with the key given")]
    Whitelist,
    /// Whose whitelist it is.
    #[error("the whitelist is another repository's")]
    WhitelistOfAnother,
    /// Until when it counts.
    #[error("the whitelist has expired")]
    Expired,
    /// The certificate is not on it.
    #[error("the certificate is not on the whitelist")]
    NotListed,
}

/// What proves a manifest genuine, as the repository serves it.
#[derive(Clone, Copy, Debug)]
pub struct Proofs<'a> {
    /// The manifest as it came.
    pub manifest: &'a [u8],
    /// The content of the certificate that it names: PEM.
    pub certificate: &'a [u8],
    /// `.cvmfswhitelist`
    pub whitelist: &'a [u8],
}

impl PublicKey {
    /// From a PEM file, as clients have them.
    pub fn from_pem(text: &[u8]) -> Result<Self, Distrust> {
        let (_, der) = pem::decode_vec(text.trim_ascii_end()).map_err(|_| Distrust::Key)?;
        let info = SubjectPublicKeyInfoOwned::from_der(&der).map_err(|_| Distrust::Key)?;
        Self::of(&info).ok_or(Distrust::Key)
    }

    fn of(info: &SubjectPublicKeyInfoOwned) -> Option<Self> {
        let bits = info.subject_public_key.as_bytes()?;
        let mut reader = SliceReader::new(bits).ok()?;
        let parts = |reader: &mut SliceReader<'_>| {
            let (modulus, exponent) = (UintRef::decode(reader)?, UintRef::decode(reader)?);
            let number = |n: UintRef<'_>| BigUint::from_bytes_be(n.as_bytes());
            Ok::<_, x509_cert::der::Error>((number(modulus), number(exponent)))
        };
        let (modulus, exponent) = reader.sequence(parts).ok()?;
        let fits =
            MODULUS_BITS.contains(&modulus.bits()) && (2..=MAX_EXPONENT_BITS).contains(&exponent.bits());
        fits.then_some(Self { modulus, exponent })
    }

    /// Whether `signature` is one of `message`, which stands in it as it is.
    fn has_signed(&self, signature: &[u8], message: &[u8]) -> bool {
        let len = usize::try_from(self.modulus.bits().div_ceil(8)).unwrap_or_default();
        // 00 01 FF ... FF 00, with eight FF at least.
        let Some(padding) = len.checked_sub(message.len() + 3).filter(|padding| *padding >= 8) else {
            return false;
        };
        let signature = BigUint::from_bytes_be(signature.get(..len).unwrap_or_default());
        if signature >= self.modulus {
            return false;
        }
        let block = [&[0, 1], vec![0xff; padding].as_slice(), &[0], message].concat();
        signature.modpow(&self.exponent, &self.modulus) == BigUint::from_bytes_be(&block)
    }
}

/// Whether a manifest is genuine, at this time, for whoever trusts one of the keys.
pub fn verify(
    manifest: &Manifest,
    proofs: Proofs<'_>,
    keys: &[PublicKey],
    now: SystemTime,
) -> Result<(), Distrust> {
    let (_, der) = pem::decode_vec(proofs.certificate.trim_ascii_end()).map_err(|_| Distrust::Certificate)?;
    let certificate = Certificate::from_der(&der).map_err(|_| Distrust::Certificate)?;
    let info = certificate.tbs_certificate().subject_public_key_info();
    let signer = PublicKey::of(info).ok_or(Distrust::Certificate)?;
    let text = sealed(proofs.manifest).map_err(|_| Distrust::Manifest)?;
    let digest = ObjectName::of(Algorithm::Sha1, text.checksum);
    if !signer.has_signed(text.signature, &[&SHA1_INFO, digest.digest()].concat()) {
        return Err(Distrust::Manifest);
    }
    let list = sealed(proofs.whitelist).map_err(|_| Distrust::WhitelistForm)?;
    if !keys.iter().any(|key| key.has_signed(list.signature, list.checksum)) {
        return Err(Distrust::Whitelist);
    }
    // By their places: a fingerprint may begin with E. The first line is when the list was made.
    let mut lines = list.text.split(|c| *c == b'\n').skip(1).take(MAX_FINGERPRINTS);
    let until = lines.next().and_then(|line| line.strip_prefix(b"E")).and_then(moment);
    let until = until.ok_or(Distrust::WhitelistForm)?;
    if lines.next().and_then(|line| line.strip_prefix(b"N")) != Some(manifest.repository.as_bytes()) {
        return Err(Distrust::WhitelistOfAnother);
    }
    if until < now {
        return Err(Distrust::Expired);
    }
    let is_listed = lines.filter_map(fingerprint).any(|name| name.names(&der));
    if is_listed { Ok(()) } else { Err(Distrust::NotListed) }
}

/// `C3:F5:...:73[-RMD160]`, perhaps with a comment behind it.
fn fingerprint(line: &[u8]) -> Option<ObjectName> {
    let word = line.split(|c| matches!(c, b' ' | b'#' | b'\t')).next()?;
    let text: Vec<u8> = word.iter().filter(|c| **c != b':').map(u8::to_ascii_lowercase).collect();
    crate::document::manifest::parse_checksum(&text)
}

/// `20361122015703`: year to second, UTC.
fn moment(text: &[u8]) -> Option<SystemTime> {
    if text.len() != 14 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| std::str::from_utf8(&text[range]).ok()?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
    let valid = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::inflate::inflate;
    use super::*;

    struct Files {
        manifest: Vec<u8>,
        certificate: Vec<u8>,
        whitelist: Vec<u8>,
        key: Vec<u8>,
    }

    fn files(repository: &str) -> Files {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cvmfs");
        let read = |path: &str| std::fs::read(root.join(repository).join(path)).unwrap();
        let manifest = read(".cvmfspublished");
        let certificate = read(&Manifest::parse(&manifest).unwrap().certificate.to_string());
        let key = std::fs::read(root.join(format!("keys/{repository}.pub"))).unwrap();
        let certificate = inflate(&certificate, MAX_KEY as u64).unwrap();
        Files { manifest, certificate, whitelist: read(".cvmfswhitelist"), key }
    }

    impl Files {
        fn verdict(&self, now: SystemTime) -> Result<(), Distrust> {
            let proofs = Proofs {
                manifest: &self.manifest,
                certificate: &self.certificate,
                whitelist: &self.whitelist,
            };
            let manifest = Manifest::parse(&self.manifest).unwrap();
            verify(&manifest, proofs, &[PublicKey::from_pem(&self.key)?], now)
        }
    }

    fn now() -> SystemTime {
        moment(b"20300101000000").unwrap()
    }

    #[test]
    fn what_the_stock_tools_signed_is_genuine() {
        for repository in ["images", "rmd160", "shake128", "external"] {
            assert_eq!(files(&format!("{repository}.test.local")).verdict(now()), Ok(()), "{repository}");
        }
    }

    #[test]
    fn what_is_not_is_told_apart() {
        let (good, other) = (files("images.test.local"), files("external.test.local"));
        let check = |files: Files, expected| assert_eq!(files.verdict(now()), Err(expected));
        check(Files { key: b"-----BEGIN".to_vec(), ..files("images.test.local") }, Distrust::Key);
        check(Files { key: other.key.clone(), ..files("images.test.local") }, Distrust::Whitelist);
        check(Files { certificate: b"x".to_vec(), ..files("images.test.local") }, Distrust::Certificate);
        check(
            Files { certificate: other.certificate.clone(), ..files("images.test.local") },
            Distrust::Manifest,
        );
        check(Files { whitelist: b"x".to_vec(), ..files("images.test.local") }, Distrust::WhitelistForm);
        check(
            Files {
                whitelist: other.whitelist.clone(),
                key: other.key.clone(),
                ..files("images.test.local")
            },
            Distrust::WhitelistOfAnother,
        );
        let mut flipped = good.manifest.clone();
        *flipped.last_mut().unwrap() ^= 1;
        check(Files { manifest: flipped, ..files("images.test.local") }, Distrust::Manifest);
        let cut = good.whitelist[..good.whitelist.len() - 1].to_vec();
        check(Files { whitelist: cut, ..files("images.test.local") }, Distrust::Whitelist);
        assert_eq!(good.verdict(moment(b"20361122015703").unwrap()), Ok(()));
        assert_eq!(good.verdict(moment(b"20361122015704").unwrap()), Err(Distrust::Expired));
    }

    #[test]
    fn moments() {
        let seconds = |text: &[u8]| Some(moment(text)?.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds(b"19700101000000"), Some(0));
        assert_eq!(seconds(b"20240229120000"), Some(1_709_208_000));
        for text in [&b"2024022912000"[..], b"20241329120000", b"+0240229120000", b"20240200120000"] {
            assert_eq!(seconds(text), None);
        }
    }
}
