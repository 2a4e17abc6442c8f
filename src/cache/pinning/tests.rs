//! What is pinned, what lets go of it, and what never is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tempfile::TempDir;

use super::super::{CHUNK, Object, PAGED_FROM, Recheck, Share};
use super::*;
use crate::config::{self, ByteSize};
use crate::digest::Algorithm;
use crate::metrics::Metrics;
use crate::page_cache;

struct Play {
    folder: TempDir,
    metrics: Metrics,
    cache: Arc<Cache>,
}

impl Play {
    fn new(capacity: ByteSize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let disk = config::Disk {
            free_reserve: ByteSize(0),
            segment: ByteSize::mib(1),
            ..config::Disk::new(folder.path().to_owned(), capacity)
        };
        let disk = Disk::open(&disk, metrics.disk.clone()).unwrap();
        let memory = config::Memory {
            capacity: ByteSize::mib(64),
            max_object: ByteSize::mib(4),
            ..config::Memory::default()
        };
        let objects = config::Objects::default();
        let cache = Cache::new(&memory, &objects, Some(disk), metrics.cache.clone());
        Self { folder, metrics, cache }
    }

    /// On disk, and nowhere else.
    fn store(&self, len: usize, seed: u64) -> (ObjectName, Vec<u8>) {
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
        let name = ObjectName::of(Algorithm::Sha1, &bytes);
        let disk = self.cache.disk().unwrap();
        disk.store(name, Share::REST, Arc::new([Bytes::from(bytes.clone())])).unwrap();
        disk.flush();
        (name, bytes)
    }

    /// The same, a while ago.
    fn stored(&self, len: usize, seed: u64) -> (ObjectName, Vec<u8>) {
        let stored = self.store(len, seed);
        self.rest();
        stored
    }

    /// As if what is on disk had come there some time ago, in segments that are full now.
    fn rest(&self) {
        self.cache.disk().unwrap().seal();
        for file in self.segments() {
            file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        }
    }

    fn segments(&self) -> impl Iterator<Item = File> {
        // Some may just go.
        let files = fs::read_dir(self.folder.path().join("segments")).unwrap();
        files.filter_map(|file| fs::OpenOptions::new().read(true).write(true).open(file.unwrap().path()).ok())
    }

    fn flip(&self, at: u64) {
        for file in self.segments() {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        }
    }

    fn pinned(&self) -> i64 {
        self.metrics.cache.memory_pinned.get()
    }

    fn in_memory(&self, name: &ObjectName) -> Option<Arc<MemoryObject>> {
        self.cache.memory.load().get(name)
    }
}

fn read(object: &MemoryObject) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let chunk = object.chunk_at(all.len() as u64);
        if chunk.is_empty() {
            return all;
        }
        assert!(page_cache::find(&chunk).is_some());
        all.extend_from_slice(&chunk);
    }
}

#[test]
fn a_pinned_object_is_its_bytes_and_a_place_in_a_file() {
    let play = Play::new(ByteSize::mib(64));
    for len in [PAGED_FROM as usize, 1_000_000, 2 << 20, (2 << 20) + 1] {
        let (name, bytes) = play.stored(len, len as u64);
        assert_eq!(play.cache.pin_now(&name), End::Kept);
        let object = play.in_memory(&name).unwrap();
        assert!(object.is_pinned() && object.len() == len as u64 && object.verify(&name));
        assert!(read(&object) == bytes);
        assert!(object.chunk_at(len as u64).is_empty() && object.chunk_at(u64::MAX).is_empty());
        assert!(matches!(play.cache.recheck(&name), Recheck::Good(Object::Memory(_))));
    }
}

#[tokio::test]
async fn the_second_asking_pins() {
    let play = Play::new(ByteSize::mib(64));
    let (name, _) = play.stored(3 * CHUNK, 1);
    for _ in 0..2 {
        assert_eq!(play.pinned(), 0);
        assert!(play.cache.in_memory(&name).is_none());
        assert!(play.cache.on_disk(&name, "a").is_some());
    }
    while play.cache.pinning.busy.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    assert_eq!(play.pinned(), 3 * CHUNK as i64);
    assert!(play.cache.in_memory(&name).unwrap().is_pinned());
}

#[tokio::test]
async fn a_copy_in_memory_becomes_a_pin() {
    let play = Play::new(ByteSize::mib(64));
    let (name, bytes) = play.stored(CHUNK, 1);
    let copy = play.cache.promote(name, bytes.into(), 0);
    assert!(!copy.is_pinned());
    while !play.cache.in_memory(&name).unwrap().is_pinned() {
        tokio::task::yield_now().await;
    }
    assert_eq!(play.pinned(), CHUNK as i64);
    play.cache.sample();
    let weight = play.metrics.cache.memory_bytes.get();
    assert!((CHUNK as i64..CHUNK as i64 + 4096).contains(&weight), "{weight}: once, not twice");
}

#[test]
fn what_leaves_its_segment_leaves_memory() {
    let play = Play::new(ByteSize::mib(16));
    let (name, bytes) = play.store(200_000, 1);
    // Its segment is not worth keeping for it alone.
    (100..103).for_each(|seed| drop(play.store(250_000, seed)));
    play.rest();
    assert_eq!(play.cache.pin_now(&name), End::Kept);
    let object = play.in_memory(&name).unwrap();
    assert!(read(&object) == bytes);
    let read_on = object.chunk_at(0);
    drop(object);
    let disk = play.cache.disk().unwrap();
    for seed in 2..100 {
        play.store(250_000, seed);
        let usage = disk.usage();
        assert!(usage.stored + usage.reserved <= usage.capacity, "{usage:?}");
        if play.in_memory(&name).is_none() {
            break;
        }
    }
    assert!(play.in_memory(&name).is_none());
    play.cache.sample();
    assert!(read_on == bytes[..], "eviction never disturbs a reader");
    assert_eq!(play.pinned(), bytes.len() as i64, "who has the bytes has the file open");
    drop(read_on);
    // What the table of the memory tier lets go of, it drops in its own time.
    for seed in 1000.. {
        if play.pinned() == 0 {
            break;
        }
        assert!(seed < 2000, "its space would never be free");
        let (name, bytes) = play.store(10, seed);
        play.cache.promote(name, bytes.into(), 0);
        play.cache.sample();
    }
}

#[tokio::test]
async fn what_is_wanted_in_memory_stays_on_disk() {
    let play = Play::new(ByteSize::mib(16));
    let (name, _) = play.stored(1_000_000, 1);
    assert_eq!(play.cache.pin_now(&name), End::Kept);
    for seed in 2..200 {
        // Used as well, so that both queues turn over.
        let (other, _) = play.store(400_000, seed);
        assert!(play.cache.disk().unwrap().get(&other).is_some());
        for _ in 0..20 {
            let here = play.cache.in_memory(&name).is_some() || play.cache.on_disk(&name, "a").is_some();
            assert!(here, "gone after {seed} others");
        }
    }
}

#[test]
fn purged_is_purged() {
    let play = Play::new(ByteSize::mib(64));
    let (name, _) = play.stored(1_000_000, 1);
    assert_eq!(play.cache.pin_now(&name), End::Kept);
    assert_eq!(play.cache.purge(&name), ["memory", "disk"]);
    assert!(play.cache.find(&name).is_none());
    assert_eq!(play.cache.pin_now(&name), End::InVain);
}

#[test]
fn a_flipped_bit_is_not_pinned() {
    let play = Play::new(ByteSize::mib(64));
    let (name, _) = play.stored(1_000_000, 1);
    play.flip(500_000);
    play.rest();
    assert_eq!(play.cache.pin_now(&name), End::InVain);
    assert!(play.in_memory(&name).is_none() && play.cache.find(&name).is_none(), "it is dropped");
    assert_eq!(play.pinned(), 0);
}

#[tokio::test]
async fn a_bit_flipped_later_takes_the_pin_away() {
    let play = Play::new(ByteSize::mib(64));
    let (name, _) = play.stored(1_000_000, 1);
    assert_eq!(play.cache.pin_now(&name), End::Kept);
    assert!(play.cache.in_memory(&name).is_some());
    play.flip(500_000);
    assert!(play.cache.in_memory(&name).is_none(), "what is on disk is looked at");
    assert_eq!(play.cache.pin_now(&name), End::TooEarly);
    play.rest();
    assert_eq!(play.cache.pin_now(&name), End::InVain);
    assert!(play.cache.find(&name).is_none());
}

#[test]
fn whoever_asks_anew_is_not_given_pages_that_cannot_be_sent() {
    let play = Play::new(ByteSize::mib(64));
    let (name, _) = play.stored(1_000_000, 1);
    assert_eq!(play.cache.pin_now(&name), End::Kept);
    for file in play.segments() {
        file.set_modified(SystemTime::now() - Duration::from_secs(30)).unwrap();
    }
    assert!(matches!(play.cache.recheck(&name), Recheck::Good(Object::Disk(_))));
    assert_eq!(play.cache.pin_now(&name), End::Kept);
    assert!(matches!(play.cache.recheck(&name), Recheck::Good(Object::Memory(_))));
}

#[test]
fn short_pieces_are_copies() {
    let play = Play::new(ByteSize::mib(64));
    let (name, bytes) = play.stored(1_000_000, 1);
    assert_eq!(play.cache.pin_now(&name), End::Kept);
    let object = play.in_memory(&name).unwrap();
    let whole = object.unpinned_if_short(object.chunk_at(0)).unwrap();
    assert!(page_cache::find(&whole).is_some());
    let short = object.chunk_at(700_000).slice(..20);
    let copy = object.unpinned_if_short(short.clone()).unwrap();
    assert!(page_cache::find(&copy).is_none() && copy == bytes[700_000..700_020]);
    play.flip(500_000);
    assert!(object.unpinned_if_short(short).is_err());
}

#[test]
fn in_vain_is_tried_less_and_less() {
    let pinning = Pinning::default();
    let mut tried = 0;
    for _ in 0..2000 {
        if pinning.begin() {
            assert!(!pinning.begin(), "one at a time");
            pinning.ended(End::InVain);
            tried += 1;
        }
    }
    assert!((8..20).contains(&tried), "{tried}");
    while !pinning.begin() {}
    pinning.ended(End::Kept);
    assert!(pinning.begin());
}
