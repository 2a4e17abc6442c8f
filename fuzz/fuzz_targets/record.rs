//! Headers of records on disk: what is read back is what was written, and one flipped bit is no record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use substratum::cache::disk::record::{HEADER, RecordHeader, Seal};
use substratum::digest::{Algorithm, ObjectName};

fuzz_target!(|input: ([u8; 8], u8, [u8; 32], u64, u32, u16, &[u8])| {
    let (seal, code, digest, len, stored_at, flip, noise) = input;
    let Some(seal) = Seal::from_bytes(seal) else { return };
    // Anything at all, with a good checksum so that it gets further than the first look.
    if let Some(first) = noise.first_chunk::<HEADER>() {
        let mut bytes = *first;
        bytes[..8].copy_from_slice(&seal.to_bytes());
        let checksum = crc32fast::hash(&bytes[..60]).to_le_bytes();
        bytes[60..].copy_from_slice(&checksum);
        if let Ok(header) = RecordHeader::decode(&bytes, seal) {
            let again = header.encode(seal);
            assert_eq!(RecordHeader::decode(&again, seal), Ok(header));
            let shape = header.shape();
            assert!(shape.extent() >= HEADER as u64 + header.len && shape.extent() % 16 == 0);
            let frame = shape.frame(len, usize::from(flip));
            assert!(frame.bytes.start <= frame.bytes.end && frame.bytes.end <= header.len);
        }
    }
    let Some(algorithm) = Algorithm::from_code(code) else { return };
    let Some(name) = ObjectName::new(algorithm, &digest[..algorithm.digest_len().min(32)]) else { return };
    let header = RecordHeader { name, len: len >> 20, stored_at };
    let mut bytes = header.encode(seal);
    assert_eq!(RecordHeader::decode(&bytes, seal), Ok(header));
    let bit = usize::from(flip) % (HEADER * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    assert!(RecordHeader::decode(&bytes, seal).is_err(), "bit {bit} makes no difference");
});
