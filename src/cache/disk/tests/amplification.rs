//! What is written to the disk for each byte of an object that is stored.

use super::*;

/// Bytes of objects stored, and those copied on top, when of the objects that are there so many in ten are always in use.
fn written(in_use: u64) -> (u64, u64) {
    let place = Place::new(8 * MIB, 256 * KIB);
    let disk = place.open();
    let mut random = fastrand::Rng::with_seed(in_use);
    let mut before = Vec::new();
    for object in Object::many(4_000, 10_000) {
        disk.put(&object);
        before.push(object.name);
        for _ in 0..4 {
            let name = before[random.usize(before.len().saturating_sub(900)..before.len())];
            if name.hash64() % 10 < in_use {
                disk.get(&name);
            }
        }
    }
    disk.settle();
    (place.metrics.written_bytes.get(), place.metrics.copied_bytes.get())
}

#[test]
fn is_at_most_one_byte_more_however_much_is_in_use() {
    for in_use in [0, 2, 4, 7, 10] {
        let (stored, copied) = written(in_use);
        assert!(stored > 30 * MIB, "{in_use}: {stored}");
        assert!(copied <= stored, "{in_use}: {copied} copied for {stored}");
        // Nothing is copied that nobody used; what is used at all is copied at times.
        let is_some = [2, 4].contains(&in_use);
        assert!(copied > 0 || !is_some, "{in_use}: {copied}");
        assert!(copied < stored / 20 || in_use > 0, "{in_use}: {copied}");
    }
}
