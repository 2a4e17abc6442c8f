//! Manifests: a sealed one says what stands in it; a changed one says nothing at all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use substratum::digest::{Algorithm, ObjectName};
use substratum::document::manifest::{Revision, revision};

fuzz_target!(|input: (u64, u64, &str, u8, u16, u8, &[u8])| {
    let (published, number, other, code, at, flip, noise) = input;
    let _ = revision(noise);
    let algorithm = Algorithm::from_code(code % 3 + 1).unwrap_or(Algorithm::Sha1);
    let seal = |text: &str| {
        let checksum = ObjectName::of(algorithm, text.as_bytes());
        let mut bytes = format!("{text}--\n{checksum}\n").into_bytes();
        bytes.extend_from_slice(noise);
        bytes
    };
    // Any text with a good checksum.
    let _ = revision(&seal(&format!("{other}\n")));
    let others: String = other.lines().filter(|line| !line.starts_with(['S', 'T', '-'])).take(20).map(|l| format!("{l}\n")).collect();
    if others.contains('\r') {
        return;
    }
    let text = format!("{others}S{number}\nT{published}\n");
    let mut bytes = seal(&text);
    if bytes.len() > 60 << 10 {
        return;
    }
    assert_eq!(revision(&bytes), Ok(Revision { published, number }), "{text:?}");
    let at = usize::from(at) % text.len();
    bytes[at] ^= flip;
    if flip != 0 {
        assert!(revision(&bytes).is_err(), "a changed manifest");
    }
});
