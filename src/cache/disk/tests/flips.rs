//! One flipped bit anywhere in any file: nothing wrong is read, no more than it hit is lost, and that can be stored again.

use std::ops::Range;

use super::super::format::{SEGMENT_HEADER, TRAILER, footer_len};
use super::super::record::{HEADER, Shape};
use super::*;

/// Sizes with no block, one, two and four.
const SIZES: [u64; 5] = [0, 100, 1000, 70_000, 200_000];

/// A stored cache, and what is in it.
struct Stored {
    place: Place,
    objects: Vec<Object>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Stored {
    fn new() -> Self {
        let place = Place::new(16 * MIB, MIB);
        let objects: Vec<Object> = SIZES.iter().map(|&len| Object::new(len, len)).collect();
        let disk = place.open();
        objects.iter().for_each(|object| disk.put(object));
        disk.close();
        Self::of(place, objects)
    }

    fn of(place: Place, objects: Vec<Object>) -> Self {
        let mut stored = Self { place, objects, files: Vec::new() };
        stored.remember();
        stored
    }

    fn remember(&mut self) {
        let others = ["format", "index"].map(|name| self.place.config.path.join(name));
        let all = self.place.segment_files().into_iter().chain(others).filter(|path| path.exists());
        self.files = all.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    }

    /// Flips one bit of each byte of `range` in turn, in steps. At most `may_lose` objects are lost each time.
    fn flip(&self, path: &Path, range: Range<usize>, step: usize, may_lose: usize) {
        let good = fs::read(path).unwrap();
        assert!(!range.is_empty() && range.end <= good.len(), "{range:?} of {}", path.display());
        for at in range.step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(path, bad).unwrap();
            let disk = self.place.open();
            let left = found(&disk, &self.objects);
            assert!(left + may_lose >= self.objects.len(), "byte {at} of {}: {left} left", path.display());
            for object in &self.objects {
                if !matches!(disk.fetch(&object.name), Some(Ok(_))) {
                    disk.remove(&object.name, RemoveReason::Corrupt);
                    disk.put(object);
                }
            }
            assert_eq!(found(&disk, &self.objects), self.objects.len(), "byte {at} of {}", path.display());
            drop(disk);
            // As it was before.
            fs::remove_dir_all(&self.place.config.path).unwrap();
            fs::create_dir_all(self.place.config.path.join("segments")).unwrap();
            self.files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        }
    }
}

#[test]
fn in_each_part_of_a_segment() {
    let mut stored = Stored::new();
    let path = stored.place.segment_files().remove(0);
    let len = fs::read(&path).unwrap().len();
    stored.flip(&path, 0..SEGMENT_HEADER, 1, SIZES.len());
    let mut at = SEGMENT_HEADER;
    for size in SIZES {
        let shape = Shape { len: size };
        let begin = shape.begin(at as u64) as usize;
        if at < begin {
            stored.flip(&path, at..begin, 3, 0);
        }
        at = begin;
        let (head, body, end) = (at + HEADER, at + shape.body_at() as usize, at + shape.extent() as usize);
        stored.flip(&path, at..head, 5, 1);
        if size > 0 {
            stored.flip(&path, head..body, 1, 1);
            stored.flip(&path, body..body + size as usize, (size as usize / 20).max(1), 1);
        }
        if body + (size as usize) < end {
            stored.flip(&path, body + size as usize..end, 3, 0);
        }
        at = end;
    }
    let footer = len - footer_len(SIZES.len()) as usize;
    assert_eq!(footer, at);
    // The index file makes the table needless; without it the records are looked for.
    for may_read_index in [true, false] {
        if !may_read_index {
            fs::remove_file(stored.place.config.path.join("index")).unwrap();
            stored.remember();
        }
        stored.flip(&path, footer..len - TRAILER, 3, 0);
        stored.flip(&path, len - TRAILER..len, 3, 0);
    }
}

#[test]
fn in_a_record_of_a_segment_that_was_not_sealed() {
    let place = Place::new(16 * MIB, MIB);
    let objects: Vec<Object> = SIZES.iter().map(|&len| Object::new(len, len)).collect();
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    drop(disk);
    let path = place.segment_files().remove(0);
    let stored = Stored::of(place, objects);
    let second = SEGMENT_HEADER + Shape { len: 0 }.extent() as usize;
    stored.flip(&path, SEGMENT_HEADER..second + HEADER, 3, 1);
}

#[test]
fn in_the_index() {
    let stored = Stored::new();
    let path = stored.place.config.path.join("index");
    let len = fs::read(&path).unwrap().len();
    stored.flip(&path, 0..len, 1, 0);
}

#[test]
fn in_the_format() {
    let stored = Stored::new();
    let path = stored.place.config.path.join("format");
    let len = fs::read(&path).unwrap().len();
    stored.flip(&path, 0..len, 1, 0);
}
