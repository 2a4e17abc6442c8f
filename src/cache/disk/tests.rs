//! The disk tier as its callers see it: stored, read, replaced, killed, damaged.

mod adjusting;
mod amplification;
mod crash;
pub(crate) mod faulty;
mod flips;
mod locking;
mod model;
mod quotas;
mod scrubbing;
mod trouble;
mod unread;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use faulty::Faulty;
use tempfile::TempDir;

use super::faults::Operation;
use super::*;
use crate::digest::Algorithm;
use crate::metrics::Metrics;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A folder and how it is configured.
struct Place {
    _dir: TempDir,
    config: config::Disk,
    metrics: DiskMetrics,
    disk: Arc<Faulty>,
}

impl Place {
    fn new(capacity: u64, segment: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config::Disk {
            path: dir.path().join("cache"),
            capacity: ByteSize(capacity),
            documents: ByteSize(0),
            free_reserve: ByteSize(0),
            segment: ByteSize(segment),
            max_object: ByteSize(capacity),
            scrub_rate: ByteSize(0),
            io_threads: 1,
            quotas: Vec::new(),
        };
        Self { _dir: dir, config, metrics: Metrics::new().unwrap().disk, disk: Faulty::new() }
    }

    /// Opens it and waits until everything is loaded.
    fn open(&self) -> Disk {
        let disk = Disk::open_with(&self.config, self.metrics.clone(), self.disk.faults()).unwrap();
        disk.settle();
        assert_eq!(disk.usage().index, IndexState::Loaded);
        disk
    }

    fn segment_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.config.path.join("segments")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Disk {
    /// As if all segments were full.
    pub(in crate::cache) fn seal(&self) {
        for segment in self.shared().segments.shut() {
            segment.seal().unwrap();
        }
    }

    /// Waits until the maintenance thread has nothing to do.
    fn settle(&self) {
        self.flush();
        let bell = &self.shared().segments.bell;
        bell.ring_and_wait(Share::REST, 0).unwrap();
    }

    /// Of the segments in a queue of the rest.
    fn orders(&self, queue: super::replacement::Queue) -> Vec<u64> {
        self.shared().segments.orders(Share::REST, queue)
    }

    fn put(&self, object: &Object) {
        self.store(object.name, Share::REST, object.chunks()).unwrap();
        self.flush();
    }

    /// All bytes of an object, or why not.
    fn fetch(&self, name: &ObjectName) -> Option<Result<Vec<u8>, ReadError>> {
        let object = self.get(name)?;
        Some(read_all(&object))
    }
}

fn read_all(object: &DiskObject) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    loop {
        let bytes = object.read(body.len() as u64, 256 << 10)?;
        body.extend_from_slice(&bytes);
        if body.len() as u64 == object.len() {
            return Ok(body);
        }
        assert!(!bytes.is_empty());
    }
}

/// An object with noise in it.
#[derive(Clone)]
struct Object {
    name: ObjectName,
    body: Bytes,
}

impl Object {
    fn new(seed: u64, len: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut body = vec![0; len as usize];
        rng.fill(&mut body);
        Self::of(body.into())
    }

    fn of(body: Bytes) -> Self {
        Self { name: ObjectName::of(Algorithm::Sha1, &body), body }
    }

    fn many(count: u64, len: u64) -> Vec<Self> {
        (0..count).map(|seed| Self::new(seed, len + seed % 7)).collect()
    }

    /// In pieces that fit no block.
    fn chunks(&self) -> Arc<[Bytes]> {
        self.body.chunks(50_000).map(|piece| self.body.slice_ref(piece)).collect()
    }
}

fn found(disk: &Disk, objects: &[Object]) -> usize {
    objects
        .iter()
        .filter(|object| match disk.fetch(&object.name) {
            Some(Ok(body)) => {
                assert_eq!(body, object.body);
                true
            }
            _ => false,
        })
        .count()
}

/// Bytes of all files, in blocks.
fn folder_size(path: &Path) -> u64 {
    fs::read_dir(path)
        .unwrap()
        // A file may vanish while we look.
        .filter_map(|file| {
            let file = file.ok()?;
            let metadata = file.metadata().ok()?;
            Some(if metadata.is_dir() {
                folder_size(&file.path())
            } else {
                super::ledger::blocks(metadata.len())
            })
        })
        .sum()
}

#[test]
fn objects_of_every_size_come_back() {
    let place = Place::new(64 * MIB, MIB);
    let disk = place.open();
    let block = 64 * KIB;
    let sizes =
        [0, 1, 15, 16, 8 * KIB, block - 1, block, block + 1, 200_000, 4 * block, MIB, 5 * MIB + 3, 16 * MIB];
    let objects: Vec<Object> = sizes.iter().map(|&len| Object::new(len, len)).collect();
    objects.iter().for_each(|object| disk.put(object));
    assert_eq!(found(&disk, &objects), sizes.len());
    for object in &objects {
        let stored = disk.get(&object.name).unwrap();
        assert_eq!(stored.len(), object.body.len() as u64);
        for (offset, max) in [(0, 10), (7, 1), (65_530, 20), (70_000, 100_000), (3_000_001, 256 << 10)] {
            let expected =
                object.body.slice(object.body.len().min(offset)..object.body.len().min(offset + max));
            let read = stored.read(offset as u64, max).unwrap();
            assert!(expected.starts_with(&read), "{} {offset} {max}", stored.len());
            assert_eq!(read.is_empty(), expected.is_empty());
            // Memory may be short enough that it is not cached.
            assert!(stored.try_read(offset as u64, max).unwrap().is_none_or(|cached| cached == read));
        }
    }
    assert!(disk.get(&Object::new(999, 5).name).is_none());
}

#[test]
fn a_writer_can_be_read_while_it_writes_and_is_found_once_committed() {
    let place = Place::new(64 * MIB, MIB);
    let disk = place.open();
    for len in [100, 200_000, 3 * MIB] {
        let object = Object::new(len, len);
        let writer = disk.reserve(object.name, Share::REST, len).unwrap();
        let reader = writer.reader();
        let mut at = 0;
        for piece in object.body.chunks(70_001) {
            writer.write_at(at, piece).unwrap();
            at += piece.len() as u64;
            assert_eq!(reader.written(), at);
            let mut copy = vec![0; at as usize];
            reader.read_at(0, &mut copy).unwrap();
            assert_eq!(copy, object.body[..at as usize]);
            assert!(reader.read_at(at, &mut [0]).is_err());
        }
        assert!(writer.write_at(0, b"again").is_err());
        assert!(!disk.contains(&object.name));
        writer.commit().unwrap();
        assert_eq!(disk.fetch(&object.name).unwrap().unwrap(), object.body);
        assert_eq!(reader.read(0, 1000).unwrap(), object.body.slice(..reader.read(0, 1000).unwrap().len()));
    }
}

#[test]
fn an_abandoned_writer_leaves_nothing_behind() {
    let place = Place::new(64 * MIB, MIB);
    let disk = place.open();
    disk.put(&Object::new(1, 100));
    disk.settle();
    let before = disk.usage();
    for len in [1000, 10 * MIB] {
        let object = Object::new(len, len);
        let writer = disk.reserve(object.name, Share::REST, len).unwrap();
        writer.write_at(0, &object.body[..500]).unwrap();
        drop(writer);
        assert!(!disk.contains(&object.name));
        let writer = disk.reserve(object.name, Share::REST, len).unwrap();
        assert!(matches!(writer.commit(), Err(DiskError::Incomplete { written: 0, .. })));
    }
    disk.settle();
    assert_eq!(disk.usage(), before);
}

#[test]
fn everything_is_found_after_a_clean_stop_and_after_a_kill() {
    for stop in ["close", "kill"] {
        let place = Place::new(64 * MIB, MIB);
        let mut objects = Object::many(300, 20_000);
        objects.push(Object::new(1000, 2 * MIB));
        let disk = place.open();
        objects.iter().for_each(|object| disk.put(object));
        // Holes: writers that never finish, amid others.
        let unfinished = disk.reserve(Object::new(2000, 1).name, Share::REST, 100_000).unwrap();
        unfinished.write_at(0, &[7; 50_000]).unwrap();
        let more = Object::many(20, 3_000);
        more.iter().for_each(|object| disk.put(object));
        objects.extend(more);
        if stop == "close" {
            disk.close();
            disk.close();
        }
        drop(disk);
        drop(unfinished);
        let snapshot = place.config.path.join("index");
        assert_eq!(snapshot.exists(), stop == "close");
        for _ in 0..2 {
            let disk = place.open();
            assert_eq!(found(&disk, &objects), objects.len(), "{stop}");
            assert_eq!(disk.usage().objects, objects.len());
            assert_eq!(disk.usage().stored, folder_size(&place.config.path));
        }
    }
}

#[test]
fn a_stop_before_everything_is_loaded_loses_nothing() {
    let place = Place::new(64 * MIB, MIB);
    let objects = Object::many(300, 20_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    drop(disk);
    for round in 0..20 {
        let disk = Disk::open(&place.config, place.metrics.clone()).unwrap();
        let object = Object::new(5_000 + round, 100);
        disk.store(object.name, Share::REST, object.chunks()).unwrap();
        if round % 2 == 0 {
            disk.close();
        }
    }
    assert_eq!(found(&place.open(), &objects), objects.len());
}

#[test]
fn a_damaged_index_is_read_from_the_segments_instead() {
    let place = Place::new(64 * MIB, MIB);
    let objects = Object::many(100, 5_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    disk.close();
    let path = place.config.path.join("index");
    let good = fs::read(&path).unwrap();
    drop(disk);
    let mut rng = fastrand::Rng::with_seed(1);
    for round in 0..40 {
        let mut bad = good.clone();
        match round {
            0 => bad.clear(),
            1..5 => bad.truncate(rng.usize(..good.len())),
            _ => bad[rng.usize(..good.len())] ^= 1 << rng.u8(..8),
        }
        fs::write(&path, bad).unwrap();
        assert_eq!(found(&place.open(), &objects), objects.len(), "round {round}");
    }
}

#[test]
fn damaged_segments_cost_only_what_was_damaged() {
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..30 {
        let place = Place::new(16 * MIB, MIB);
        let objects = Object::many(60, 30_000);
        let disk = place.open();
        objects.iter().for_each(|object| disk.put(object));
        if round % 2 == 0 {
            disk.close();
            fs::remove_file(place.config.path.join("index")).unwrap();
        }
        drop(disk);
        let files = place.segment_files();
        assert!(files.len() >= 2);
        let path = &files[rng.usize(..files.len())];
        let mut bytes = fs::read(path).unwrap();
        let per_segment = objects.len() / (files.len() - 1);
        // Behind the file's header: a flipped bit costs at most one record.
        let may_lose = match round % 3 {
            0 => {
                let at = rng.usize(64..bytes.len());
                bytes[at] ^= 1 << rng.u8(..8);
                1
            }
            1 => {
                let at = rng.usize(64..bytes.len() - 4096);
                bytes[at..at + 4096].fill(0);
                2
            }
            _ => {
                bytes.truncate(rng.usize(..bytes.len()));
                per_segment
            }
        };
        fs::write(path, bytes).unwrap();
        let disk = place.open();
        let found = found(&disk, &objects);
        assert!(found + may_lose >= objects.len(), "round {round}: {found} of {}", objects.len());
        // Whatever was lost can be stored again.
        for object in &objects {
            if !matches!(disk.fetch(&object.name), Some(Ok(_))) {
                disk.remove(&object.name, RemoveReason::Corrupt);
            }
            disk.put(object);
        }
        assert_eq!(self::found(&disk, &objects), objects.len(), "round {round}");
    }
}

#[test]
fn files_that_are_not_ours_or_vanish_do_no_harm() {
    let place = Place::new(16 * MIB, MIB);
    let objects = Object::many(100, 30_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    disk.close();
    drop(disk);
    let files = place.segment_files();
    let segments = place.config.path.join("segments");
    fs::remove_file(&files[0]).unwrap();
    fs::write(segments.join("segment-00000000000000ff"), "foreign").unwrap();
    fs::copy(&files[1], segments.join("segment-0000000000000aaa")).unwrap();
    fs::write(segments.join("core"), "dumped").unwrap();
    let disk = place.open();
    let left = found(&disk, &objects);
    assert!((60..100).contains(&left), "{left}");
    assert_eq!(place.segment_files(), files[1..]);
}

#[test]
fn a_record_inside_of_an_object_is_not_believed() {
    let place = Place::new(16 * MIB, MIB);
    let disk = place.open();
    let victim = Object::new(1, 100);
    // What a whole segment of another cache looks like, as an object's bytes; then its writer is killed.
    disk.put(&victim);
    let copied = fs::read(&place.segment_files()[0]).unwrap();
    disk.remove(&victim.name, RemoveReason::Purged);
    disk.close();
    drop(disk);
    let disk = place.open();
    let carrier = Object::new(2, 100_000);
    let writer = disk.reserve(carrier.name, Share::REST, carrier.body.len() as u64).unwrap();
    writer.write_at(0, &copied).unwrap();
    disk.put(&Object::new(3, 100));
    drop(disk);
    drop(writer);
    let disk = place.open();
    assert_eq!(disk.usage().objects, 1);
    assert!(!disk.contains(&victim.name));
}

#[test]
fn removed_objects_stay_removed() {
    let place = Place::new(16 * MIB, MIB);
    let objects = Object::many(10, 1000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    assert!(disk.remove(&objects[3].name, RemoveReason::Purged));
    assert!(!disk.remove(&objects[3].name, RemoveReason::Purged));
    assert!(disk.get(&objects[3].name).is_none());
    disk.flush();
    drop(disk);
    let disk = place.open();
    assert_eq!(found(&disk, &objects), 9);
    // And can be stored again.
    disk.put(&objects[3]);
    assert_eq!(found(&disk, &objects), 10);
}

#[test]
fn two_names_with_one_fingerprint_are_told_apart() {
    let place = Place::new(16 * MIB, MIB);
    let disk = place.open();
    let object = Object::new(1, 1000);
    let mut digest = object.name.digest().to_vec();
    digest[19] ^= 1;
    let twin = ObjectName::new(Algorithm::Sha1, &digest).unwrap();
    disk.put(&object);
    let read = disk.get(&twin).unwrap().read(0, 10);
    assert!(matches!(read, Err(ReadError::Foreign)));
    // The tier does not judge whether bytes deserve their name.
    let other = Object { name: twin, body: Bytes::from_static(b"other") };
    disk.put(&other);
    assert_eq!(disk.fetch(&twin).unwrap().unwrap(), b"other");
    assert!(matches!(disk.fetch(&object.name), Some(Err(ReadError::Foreign))));
}

#[test]
fn eviction_does_not_disturb_a_reader() {
    let place = Place::new(MIB, 64 * KIB);
    let disk = place.open();
    let objects = Object::many(400, 8_000);
    disk.put(&objects[0]);
    let reader = disk.get(&objects[0].name).unwrap();
    objects.iter().for_each(|object| disk.put(object));
    disk.settle();
    assert!(!disk.contains(&objects[1].name));
    assert_eq!(read_all(&reader).unwrap(), objects[0].body);
    assert_eq!(found(&disk, &objects[390..]), 10);
}

#[test]
fn readers_that_hold_evicted_segments_neither_empty_the_cache_nor_break_the_limit() {
    let place = Place::new(4 * MIB, 64 * KIB);
    let disk = place.open();
    let mut readers = Vec::new();
    for object in Object::many(1000, 8_000) {
        if disk.store(object.name, Share::REST, object.chunks()).is_ok() {
            disk.flush();
        }
        readers.extend(disk.get(&object.name));
        let usage = disk.usage();
        assert!(usage.stored + usage.reserved <= usage.capacity);
    }
    disk.settle();
    assert!(disk.usage().objects as u64 * 8_000 > 2 * MIB, "{:?}", disk.usage());
    assert!(place.metrics.not_admitted.no_space.get() > 0);
    readers.iter().for_each(|reader| assert!(read_all(reader).is_ok()));
    drop(readers);
    disk.settle();
    let object = Object::new(9999, 8_000);
    disk.put(&object);
    assert!(disk.contains(&object.name));
}

#[test]
fn the_capacity_holds_at_every_instant_under_concurrent_use() {
    let place = Place::new(2 * MIB, 64 * KIB);
    let capacity = place.config.capacity.bytes();
    let disk = place.open();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0u64;
            while !done.load(Ordering::Relaxed) {
                let size = folder_size(&place.config.path);
                assert!(size <= capacity, "{size}");
                looks += 1;
            }
            looks
        });
        let workers: Vec<_> = (0..3u64)
            .map(|worker| {
                let disk = disk.clone();
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(worker);
                    for _ in 0..600 {
                        let object = Object::new(rng.u64(..300), rng.u64(1..30_000));
                        match rng.u8(..6) {
                            0..3 => drop(disk.store(object.name, Share::REST, object.chunks())),
                            3 => {
                                let len = object.body.len() as u64;
                                if let Ok(writer) = disk.reserve(object.name, Share::REST, len) {
                                    writer.write_at(0, &object.body).unwrap();
                                    if rng.bool() {
                                        writer.commit().unwrap();
                                    }
                                }
                            }
                            4 => drop(disk.remove(&object.name, RemoveReason::Purged)),
                            _ => {
                                if let Some(Ok(body)) = disk.fetch(&object.name) {
                                    assert_eq!(body, object.body);
                                }
                            }
                        }
                        let usage = disk.usage();
                        assert!(usage.stored + usage.reserved <= usage.capacity);
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        disk.settle();
        done.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 0);
    });
    let objects = disk.usage().objects;
    drop(disk);
    assert_eq!(place.open().usage().objects, objects);
}

#[test]
fn objects_in_use_survive_a_scan() {
    let place = Place::new(4 * MIB, 64 * KIB);
    let disk = place.open();
    let hot = Object::many(100, 8_000);
    hot.iter().for_each(|object| disk.put(object));
    // Ten times the capacity of objects that are wanted once, while the hot ones are in use.
    for (i, cold) in (0..5_000).map(|seed| Object::new(100_000 + seed, 8_000)).enumerate() {
        disk.put(&cold);
        disk.get(&hot[i % hot.len()].name);
    }
    let survivors = found(&disk, &hot);
    assert!(survivors >= 95, "{survivors} of 100");
    // At most one byte copied for each written.
    assert!(place.metrics.copied_bytes.get() <= place.metrics.written_bytes.get());
}

#[test]
fn small_objects_outlive_large_ones() {
    let place = Place::new(4 * MIB, 256 * KIB);
    let disk = place.open();
    let small = Object::many(100, 500);
    for (seed, object) in (1_000..).zip(&small) {
        disk.put(object);
        disk.put(&Object::new(seed, 30_000));
    }
    // Three times the capacity of objects that are wanted once.
    (2_000..2_400).for_each(|seed| disk.put(&Object::new(seed, 30_000)));
    let survivors = found(&disk, &small);
    assert!(survivors >= 95, "{survivors} of 100");
    assert!(place.metrics.copied_bytes.get() < place.metrics.written_bytes.get() / 20);
}

#[test]
fn what_comes_back_soon_after_it_went_enters_the_main_queue() {
    let place = Place::new(MIB, 64 * KIB);
    let disk = place.open();
    let object = Object::new(1, 8_000);
    disk.put(&object);
    Object::many(130, 8_000).iter().skip(2).for_each(|cold| disk.put(cold));
    assert!(!disk.contains(&object.name));
    assert_eq!(disk.shared().queue_for(&object.name), super::replacement::Queue::Main);
    disk.put(&object);
    // A probationary object would be gone by now.
    (0..80).for_each(|seed| disk.put(&Object::new(50_000 + seed, 8_000)));
    assert!(disk.contains(&object.name));
}

#[test]
fn large_objects_in_use_stay_without_being_copied() {
    let place = Place::new(8 * MIB, 256 * KIB);
    let disk = place.open();
    let large = Object::new(1, MIB);
    disk.put(&large);
    for seed in 0..400 {
        disk.put(&Object::new(100 + seed, 60_000));
        disk.get(&large.name);
    }
    assert_eq!(disk.fetch(&large.name).unwrap().unwrap(), large.body);
    assert_eq!(place.metrics.copied_bytes.get(), 0);
    drop(disk);
    assert_eq!(found(&place.open(), &[large]), 1);
}

#[test]
fn a_lowered_capacity_is_kept_from_the_start() {
    let mut place = Place::new(8 * MIB, 256 * KIB);
    let objects = Object::many(600, 12_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    disk.close();
    drop(disk);
    place.config.capacity = ByteSize(2 * MIB);
    let disk = place.open();
    assert!(folder_size(&place.config.path) <= 2 * MIB);
    assert!(found(&disk, &objects[560..]) == 40);
    disk.put(&Object::new(9999, 12_000));
    assert!(disk.contains(&Object::new(9999, 12_000).name));
    assert!(place.metrics.evicted.shrunk.get() > 4 * MIB);
}

#[test]
fn a_changed_segment_size_keeps_what_is_stored() {
    let mut place = Place::new(16 * MIB, MIB);
    let mut objects = Object::many(100, 30_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    drop(disk);
    place.config.segment = ByteSize(128 * KIB);
    let disk = place.open();
    let more = Object::many(100, 20_000);
    more.iter().for_each(|object| disk.put(object));
    objects.extend(more);
    assert_eq!(found(&disk, &objects), objects.len());
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let mut place = Place::new(16 * MIB, MIB);
    place.config.max_object = ByteSize(MIB);
    let disk = place.open();
    let large = Object::new(1, MIB + 1);
    assert_eq!(disk.store(large.name, Share::REST, large.chunks()), Err(NotAdmitted::TooLarge));
    assert!(matches!(disk.reserve(large.name, Share::REST, MIB + 1), Err(NotAdmitted::TooLarge)));
    let writer = disk.reserve(large.name, Share::REST, 10).unwrap();
    disk.close();
    assert_eq!(disk.store(large.name, Share::REST, [].into()), Err(NotAdmitted::Closed));
    assert!(matches!(disk.reserve(large.name, Share::REST, 10), Err(NotAdmitted::Closed)));
    assert!(writer.write_at(0, b"x").is_err());
    place.config.capacity = ByteSize(MIB - 1);
    let error = Disk::open(&place.config, place.metrics.clone()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("at least 1 MiB are needed"), "{error}");
}

/// Whoever stores an object could not read it a moment ago: it may have been found missing before a damaged record of
/// it was loaded.
#[test]
fn a_damaged_record_is_replaced_without_being_removed_first() {
    let place = Place::new(16 * MIB, MIB);
    let object = Object::new(1, 100_000);
    let disk = place.open();
    disk.put(&object);
    let path = &place.segment_files()[0];
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 100], 50_000).unwrap();
    assert!(matches!(disk.fetch(&object.name), Some(Err(ReadError::Corrupt { .. }))));
    disk.put(&object);
    assert!(matches!(disk.fetch(&object.name), Some(Ok(_))));
}

#[test]
fn names_are_stored_once() {
    let place = Place::new(16 * MIB, MIB);
    let disk = place.open();
    let object = Object::new(1, 1000);
    (0..5).for_each(|_| disk.put(&object));
    assert_eq!(place.metrics.writes.get(), 1);
    let numbers: HashSet<_> = place.segment_files().into_iter().collect();
    assert_eq!(numbers.len(), 1);
}
