//! Snapshots of the index: a whole one brings all its entries, a damaged or cut one an error and only right entries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use substratum::cache::disk::snapshot::Snapshot;

type Entry = [u64; 3];

fn checksum(parts: &[&[u8]]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().to_le_bytes()
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    entry.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// As docs/disk-format.md describes it.
fn written(segments: &[[u32; 2]], chunks: &[Vec<Entry>]) -> Vec<u8> {
    let mut out = b"SubstIdx\x01\0\0\0\0\0\0\0".to_vec();
    let entries: usize = chunks.iter().map(Vec::len).sum();
    out.extend_from_slice(&(segments.len() as u64).to_le_bytes());
    out.extend_from_slice(&(entries as u64).to_le_bytes());
    out.resize(60, 0);
    out.extend_from_slice(&checksum(&[&out]));
    let mut directory = Vec::new();
    for (number, [slot, seal]) in (1u64..).zip(segments) {
        for word in [u64::from(slot % (1 << 24)), number, u64::from(*seal) + 1] {
            directory.extend_from_slice(&word.to_le_bytes());
        }
    }
    out.extend_from_slice(&directory);
    out.extend_from_slice(&checksum(&[&directory]));
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()).chain([&Vec::new()]) {
        let count = (chunk.len() as u32).to_le_bytes();
        let body: Vec<u8> = chunk.iter().flat_map(bytes_of).collect();
        out.extend_from_slice(&count);
        out.extend_from_slice(&checksum(&[&count, &body]));
        out.extend_from_slice(&body);
    }
    out
}

fn read(bytes: &[u8]) -> (bool, Vec<Vec<u8>>) {
    let mut found = Vec::new();
    let Ok(mut snapshot) = Snapshot::begin(bytes, bytes.len() as u64) else { return (false, found) };
    let whole = snapshot.read(|entry| found.push(entry.to_bytes().to_vec())).is_ok();
    (whole, found)
}

fuzz_target!(|input: (Vec<[u32; 2]>, Vec<Vec<Entry>>, Option<(u16, u8)>, Option<u16>, &[u8])| {
    let (segments, chunks, flip, cut, noise) = input;
    let _ = read(noise);
    let mut bytes = written(&segments, &chunks);
    let expected: Vec<Vec<u8>> = chunks.iter().flatten().map(bytes_of).collect();
    assert_eq!(read(&bytes), (true, expected.clone()));
    let before = bytes.clone();
    if let Some((at, bits)) = flip {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= bits;
    }
    if let Some(cut) = cut {
        bytes.truncate(usize::from(cut) % bytes.len());
    }
    let (whole, found) = read(&bytes);
    assert_eq!(found, expected[..found.len()], "after damage, wrong entries");
    assert!(!whole || bytes == before);
});
