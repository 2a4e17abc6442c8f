//! A disk that fails or is slow: clients get the right bytes all the same, and those of others do not wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;
use substratum::cache::disk::faults::{Interference, Operation, Verdict};
use substratum::config::{ByteSize, Memory};

use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, site};

/// How the disk is at the moment.
#[derive(Default)]
struct Moody {
    mood: AtomicU8,
    slow_operations: AtomicUsize,
    /// Slow reads at this moment, and at most.
    reading: AtomicUsize,
    most_reading: AtomicUsize,
    /// Held while the mood turns, which `turned` tells.
    turning: Mutex<()>,
    turned: Condvar,
}

const WELL: u8 = 0;
const BROKEN: u8 = 1;
const SLOW: u8 = 2;
/// Writes do not come back until the mood turns.
const HANGING: u8 = 3;

const WORKERS: usize = 2;
/// Reads and writes of each of them at a time.
const IO_THREADS: usize = 3;

/// What each operation of a slow disk takes.
const SLOWNESS: Duration = Duration::from_millis(100);

impl Moody {
    fn turn(&self, mood: u8) {
        let _turning = self.turning.lock();
        self.mood.store(mood, Ordering::Relaxed);
        self.turned.notify_all();
    }
}

impl Interference for Moody {
    fn judge(&self, operation: Operation) -> Verdict {
        match (self.mood.load(Ordering::Relaxed), operation) {
            (BROKEN, _) => Verdict::Fail(Errno::IO),
            // Nothing is in the page cache.
            (SLOW, Operation::ReadCached) => Verdict::Fail(Errno::AGAIN),
            (SLOW, Operation::Read) => {
                self.slow_operations.fetch_add(1, Ordering::Relaxed);
                let reading = self.reading.fetch_add(1, Ordering::Relaxed) + 1;
                self.most_reading.fetch_max(reading, Ordering::Relaxed);
                std::thread::sleep(SLOWNESS);
                self.reading.fetch_sub(1, Ordering::Relaxed);
                Verdict::Go
            }
            (SLOW, _) => {
                self.slow_operations.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(SLOWNESS);
                Verdict::Go
            }
            (HANGING, Operation::Write(_) | Operation::Create) => {
                let mut turning = self.turning.lock();
                while self.mood.load(Ordering::Relaxed) == HANGING {
                    self.turned.wait(&mut turning);
                }
                Verdict::Go
            }
            _ => Verdict::Go,
        }
    }
}

fn objects(count: u64, len: usize) -> Vec<Object> {
    (0..count).map(|seed| Object::generate(seed, len)).collect()
}

#[tokio::test]
async fn a_disk_that_breaks_is_replaced_by_upstream() {
    let objects = objects(40, 20_000);
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let disk = Arc::new(Moody::default());
    let proxy = Proxy::start(site(&[&stratum]).no_memory().disk(ByteSize::mib(64)).on(disk.clone())).await;
    let mut client = proxy.client();
    for object in &objects {
        assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    proxy.flush();
    disk.turn(BROKEN);
    for object in &objects {
        let answer = client.ask(stratum.url(&object.path())).await.unwrap();
        assert!(answer.status() == 200 && answer.body == object.bytes);
    }
    proxy.until(metric("substratum_disk_read_errors_total").at_least(3)).await;
    let metrics = proxy.metrics();
    assert!(metrics.contains("substratum_disk_condition{state=\"memory_only\"} 1"), "{metrics}");
    disk.turn(WELL);
    stratum.forget();
    // Tried again after a pause, and then what was not lost is served from it.
    let last = objects.last().unwrap();
    let hit = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let before = stratum.requests();
            assert!(client.ask(stratum.url(&last.path())).await.unwrap().body == last.bytes);
            if stratum.requests() == before {
                return;
            }
        }
    });
    hit.await.expect("the disk is tried again");
}

#[tokio::test]
async fn a_slow_disk_leaves_hits_in_memory_alone() {
    let (hot, cold) = (Object::generate(1_000, 4_000), objects(60, 300_000));
    let stratum = cold.iter().chain([&hot]).fold(Origin::new(), Origin::object).run();
    let disk = Arc::new(Moody::default());
    let setup = site(&[&stratum]).disk(ByteSize::mib(64)).on(disk.clone()).with(|config| {
        // Large objects are on disk only.
        config.memory = Memory { max_object: ByteSize::kib(100), ..Memory::with_capacity(ByteSize::mib(16)) };
        config.disk.as_mut().unwrap().io_threads = IO_THREADS;
        config.listen.workers = WORKERS;
    });
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client();
    for object in cold[..30].iter().chain([&hot]) {
        assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    proxy.flush();
    disk.turn(SLOW);
    let crowd: Vec<_> = cold.iter().map(|object| proxy.get_n(1, stratum.url(&object.path()))).collect();
    let mut times = Vec::new();
    while times.len() < 300 || disk.slow_operations.load(Ordering::Relaxed) < 20 {
        let start = Instant::now();
        assert!(client.ask(stratum.url(&hot.path())).await.unwrap().body == hot.bytes);
        times.push(start.elapsed());
    }
    times.sort();
    // No more than one in a hundred may have met a scheduler that was busy elsewhere.
    assert!(times[times.len() * 99 / 100] < SLOWNESS / 2, "{:?}", times.last());
    // However many ask: those of the workers, and of each of the tier's own threads one.
    let most = disk.most_reading.load(Ordering::Relaxed);
    assert!((2..=WORKERS * IO_THREADS + 3).contains(&most), "{most}");
    for (answers, object) in crowd.into_iter().zip(&cold) {
        assert!(answers.all().await.into_iter().all(|answer| answer.unwrap().body == object.bytes));
    }
}

#[tokio::test]
async fn a_disk_that_hangs_does_not_keep_a_download_waiting() {
    let large = Object::generate(1, 8_000_000);
    let stratum = Origin::new().object(&large).run();
    let disk = Arc::new(Moody::default());
    let setup = site(&[&stratum]).no_memory().disk(ByteSize::mib(64)).on(disk.clone());
    let proxy = Proxy::start(setup.with(|config| config.objects.window = ByteSize::mib(1))).await;
    disk.turn(HANGING);
    let answer = proxy.get(stratum.url(&large.path())).await;
    assert!(answer.body == large.bytes);
    proxy.until(metric("substratum_disk_write_errors_total").at_least(1)).await;
    disk.turn(WELL);
    // Nothing of it was kept; now it is.
    for expected in [2, 2] {
        assert!(proxy.get(stratum.url(&large.path())).await.body == large.bytes);
        assert_eq!(stratum.requests(), expected);
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_at_start_is_used_later() {
    let objects = objects(10, 20_000);
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let place = tempfile::tempdir().unwrap();
    let mount = place.path().join("mount");
    std::fs::write(&mount, "").unwrap();
    let setup = site(&[&stratum]).no_memory().disk_at(&mount.join("cache"), ByteSize::mib(64));
    let proxy = Proxy::start(setup).await;
    proxy.until(metric("substratum_disk_condition").label("state", "memory_only").eq(1)).await;
    let mut client = proxy.client();
    for object in &objects {
        assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    std::fs::remove_file(&mount).unwrap();
    std::fs::create_dir(&mount).unwrap();
    proxy.until(metric("substratum_disk_condition").label("state", "working").eq(1)).await;
    for _ in 0..2 {
        for object in &objects {
            assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
        }
        proxy.flush();
    }
    assert_eq!(stratum.requests(), 20);
}
