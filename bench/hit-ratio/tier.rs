//! The product's disk tier as one of the policies: the real one, in a temporary folder.

use bytes::Bytes;
use substratum::cache::Share;
use substratum::cache::disk::Disk;
use substratum::config::{self, ByteSize};
use substratum::digest::{Algorithm, ObjectName};
use substratum::metrics::{DiskMetrics, Metrics};
use tempfile::TempDir;

use super::policies::{Answer, Policy};

/// Few, so that they are large beside the objects in them, as they are in use.
const SEGMENTS: u64 = 64;
const LARGEST: usize = 17 << 20;

pub struct Tier {
    _dir: TempDir,
    disk: Disk,
    metrics: DiskMetrics,
    // What any object's bytes are taken from: the tier does not look at them.
    bytes: Bytes,
    written_before: u64,
    refused: u64,
}

impl Tier {
    /// Bytes of a segment at this capacity.
    pub fn segment(capacity: u64) -> u64 {
        (capacity / SEGMENTS).next_power_of_two()
    }

    pub fn open(capacity: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut config = config::Disk::new(dir.path().join("cache"), ByteSize(capacity));
        config.segment = ByteSize(Self::segment(capacity));
        let metrics = Metrics::new().expect("metrics").disk;
        let disk = Disk::open(&config, metrics.clone()).expect("the folder can be used");
        let bytes = Bytes::from(vec![0x5a; LARGEST]);
        Self { _dir: dir, disk, metrics, bytes, written_before: written(), refused: 0 }
    }

    /// Bytes written, headers and tables included, for each byte of an object that was stored.
    pub fn amplification(&self) -> f64 {
        (written() - self.written_before) as f64 / self.metrics.written_bytes.get().max(1) as f64
    }

    /// What else is worth knowing.
    pub fn close(self) -> String {
        let usage = self.disk.usage();
        self.disk.close();
        format!(
            "{} objects in {} segments, {} MiB; {} MiB stored, {} MiB copied; {} requests could not be stored",
            usage.objects,
            usage.segments,
            usage.stored >> 20,
            self.metrics.written_bytes.get() >> 20,
            self.metrics.copied_bytes.get() >> 20,
            self.refused
        )
    }
}

impl Policy for Tier {
    fn request(&mut self, _: usize, object: u32, size: u64) -> Answer {
        let name = ObjectName::of(Algorithm::Sha1, &object.to_le_bytes());
        if self.disk.get(&name).is_some() {
            return Answer::Hit;
        }
        let body = [self.bytes.slice(..size as usize)].into();
        if self.disk.store(name, Share::REST, body).is_err() {
            self.refused += 1;
        }
        // Else requests would come faster than any disk, and the queue would answer instead of the tier.
        self.disk.flush();
        Answer::Miss
    }
}

/// Bytes this process has handed to write calls (Linux).
fn written() -> u64 {
    let account = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = account.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}
