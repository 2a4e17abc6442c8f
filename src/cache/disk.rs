//! The disk tier: an append-only store for verified, immutable objects.
//!
//! Objects are records in large segment files; a compact index in memory says where; whole segments are reclaimed.
//! Nothing is ever synced: every read checks the record's name and checksums, so that whatever a crash, a full disk or
//! a flipped bit did is found out and missed, never served.
//! Invariants: stored + reserved bytes never exceed the capacity (`ledger`); a reader keeps its segment open;
//! lookups do no I/O; what the last run stored is loaded in the background while requests are served.
//! Not here: HTTP, and the proof that bytes deserve their name, which callers bring along. Formats: docs/disk-format.md.
//! Codemap: `segments` (append points, queues), `reclaim` + `replacement` (what goes), `recovery`, `blocks` (reads).

mod account;
mod bell;
mod blocks;
mod clock;
mod entry;
mod extent;
pub mod faults;
mod file;
mod flusher;
mod folder;
mod format;
mod frames;
mod ghost;
mod health;
mod index;
mod latch;
mod ledger;
mod object;
mod pins;
mod queue;
mod queues;
mod reclaim;
pub mod record;
mod recovery;
mod replacement;
mod scan;
mod scrub;
mod segment;
mod segments;
mod shared;
mod shares;
pub mod snapshot;
mod space;
mod usage;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

pub use blocks::{Part, ReadError};
pub use folder::{DOCUMENTS, OpenError, wait_until_free};
pub use health::Condition;
// For the documents, which live in the same folder.
pub(crate) use health::{Change, Health};
pub(crate) use latch::Latch;
pub(crate) use ledger::blocks;
pub use object::DiskObject;
pub use scrub::{Finding, Scrubbed, Unused, scrub};
pub use shares::Share;
pub use usage::{IndexState, NotAdmitted, QuotaUsage, RemoveReason, Usage};
pub use writer::{DiskError, DiskWriter, DiskWriterReader};

use crate::config::{self, ByteSize};
use crate::digest::ObjectName;
use crate::metrics::{DiskMetrics, QuotaMetrics};
use crate::reason::Reason;
use faults::Faults;
use file::Medium;
use folder::Folder;
use ghost::Ghost;
use health::ReadHealth;
use index::Index;
use ledger::{Ceiling, Ledger, Purpose};
use queue::{Job, Queued, Store, WriteQueue};
use record::{MAX_LEN, RecordHeader};
use segment::{Context, Segment};
use segments::Segments;
use shared::Shared;
use shares::{Keep, Shares};
use space::Space;

/// Bytes that may wait for the writer thread: this share of the capacity, at least and at most. It is memory, of which a node
/// has less to give than a site.
const WRITE_QUEUE: (u64, u64, u64) = (512, 16 << 20, 64 << 20);
/// A capacity is at least so many segments: they are the grain in which objects go.
const MIN_SEGMENTS: u64 = 16;
const MIN_SEGMENT: u64 = 64 << 10;
/// How long opening waits until the files are listed. Before that nothing is stored; there may be very many.
const LISTING: Duration = Duration::from_millis(50);
/// Ghosts are remembered for as many objects of this size as fit, within bounds: at most 64 MiB of memory.
const GHOST_OBJECT: u64 = 16 << 10;
const MAX_GHOSTS: u64 = 16 << 20;

/// The disk tier. Cheap to clone; dropping the last clone without [`Disk::close`] stops it as a crash would.
#[derive(Clone)]
pub struct Disk {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

/// What a running tier owns besides what it shares.
struct Running {
    writer: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    scrub: JoinHandle<()>,
}

impl Disk {
    /// Opens or creates the folder. Serves at once; what is in it is loaded in the background.
    pub fn open(config: &config::Disk, metrics: DiskMetrics) -> Result<Self, OpenError> {
        Self::open_with(config, metrics, Faults::default())
    }

    /// The same with a test's say in how the disk behaves.
    pub fn open_with(config: &config::Disk, metrics: DiskMetrics, faults: Faults) -> Result<Self, OpenError> {
        // The rest is for documents, which come on their own.
        let capacity = config.objects().bytes();
        if capacity < MIN_SEGMENTS * MIN_SEGMENT {
            let minimum = ByteSize(MIN_SEGMENTS * MIN_SEGMENT);
            return Err(OpenError::TooSmall { capacity: config.capacity, minimum });
        }
        let shares = Shares::new(&config.quotas);
        let segment = segment_size(config, &shares);
        let folder = Folder::at(&config.path, faults.clone());
        match folder.prepare() {
            // The maintenance thread tries again, and says so.
            Err(error) if error.may_pass() => {}
            other => other?,
        }
        // Reclaiming copies to one segment of each share.
        let ledger = Ledger::new(capacity, segment * shares.count() as u64, &ceilings(&shares, segment));
        // Until it is known what is there.
        ledger.set_limit(0);
        let failed = |source| OpenError::Io { path: config.path.clone(), source };
        // Reads from a disk are right from memory, too.
        let medium = Medium::of(&config.path).unwrap_or(Medium::Disk);
        let space = Space::new(&config.path, config.free_reserve.bytes(), faults.clone());
        let health = Arc::new(ReadHealth::new(metrics.read_errors.clone()));
        let context =
            Context { folder: folder.segments_path(), frames: Arc::default(), medium, health, faults };
        let quotas =
            shares.all().skip(1).map(|share| QuotaMetrics::new(&metrics, shares.label(share))).collect();
        metrics.capacity_bytes.set(i64::try_from(capacity).unwrap_or(i64::MAX));
        metrics.index_loaded.set(0);
        let shared = Arc::new(Shared {
            folder,
            segments: Segments::new(ledger, context, space, shares, segment),
            index: Index::default(),
            ghost: Mutex::new(Ghost::new((capacity / GHOST_OBJECT).min(MAX_GHOSTS) as usize)),
            queue: WriteQueue::new(write_queue(capacity)),
            metrics,
            quotas,
            max_object: AtomicU64::new(max_object(config)),
            scrub_rate: AtomicU64::new(config.scrub_rate.bytes()),
            health: Mutex::new(Health::default()),
            listed: Latch::default(),
            loaded: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let maintenance = spawn("disk-reclaim", &shared, reclaim::run).map_err(failed)?;
        let handle = Handle { shared: Arc::clone(&shared), running: Mutex::new(None) };
        let writer = spawn("disk-write", &shared, flusher::run).inspect_err(|_| {
            shared.segments.bell.stop();
        });
        let writer = writer.map_err(failed)?;
        let scrub = spawn("disk-scrub", &shared, scrub::run).map_err(failed)?;
        shared.listed.wait(LISTING);
        *handle.running.lock() = Some(Running { writer, maintenance, scrub });
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Takes over what may change while it runs: `capacity`, `free_reserve`, `max_object`, `scrub_rate`. What is beyond
    /// a smaller capacity goes in the background, the oldest segments first.
    pub fn adjust(&self, config: &config::Disk) {
        let shared = self.shared();
        let capacity = config.objects().bytes();
        shared.segments.ledger.set_capacity(capacity);
        shared.segments.space.set_reserve(config.free_reserve.bytes());
        shared.max_object.store(max_object(config), Ordering::Relaxed);
        shared.scrub_rate.store(config.scrub_rate.bytes(), Ordering::Relaxed);
        shared.metrics.capacity_bytes.set(i64::try_from(capacity).unwrap_or(i64::MAX));
        shared.segments.bell.ring();
    }

    /// The smallest capacity that [`Self::adjust`] can go down to.
    pub fn least_capacity(&self) -> ByteSize {
        let segments = &self.shared().segments;
        ByteSize(segments.segment_size() * MIN_SEGMENTS * segments.shares.count() as u64)
    }

    /// The object of a name, if it is known here; counts as a use. No I/O.
    pub fn get(&self, name: &ObjectName) -> Option<DiskObject> {
        self.shared().find(name)
    }

    /// The bytes of an object that waits to be written, in consecutive pieces, and the second it came. No I/O.
    pub fn queued(&self, name: &ObjectName) -> Option<(Arc<[Bytes]>, u32)> {
        self.shared().queue.get(name).map(|store| (store.body, store.header.stored_at))
    }

    /// Whether [`Self::get`] would find something; does not count as a use. No I/O.
    pub fn contains(&self, name: &ObjectName) -> bool {
        self.shared().index.peek(name.hash64()).is_some()
    }

    /// Why [`Self::get`] found nothing, as far as that is known. No I/O.
    pub fn why_absent(&self, name: &ObjectName) -> Reason {
        let shared = self.shared();
        if shared.condition().0 == Condition::MemoryOnly {
            Reason::DiskPassedOver
        } else if shared.ghost.lock().contains(name.hash64()) {
            Reason::Evicted
        } else if !shared.is_loaded() {
            Reason::IndexLoading
        } else {
            Reason::Absent
        }
    }

    /// Stores a verified object behind the caller's back; `body` is its bytes in consecutive pieces.
    /// An object that is queued or stored already is left as it is.
    pub fn store(&self, name: ObjectName, share: Share, body: Arc<[Bytes]>) -> Result<(), NotAdmitted> {
        let shared = self.shared();
        let len = body.iter().map(|bytes| bytes.len() as u64).sum();
        shared.admit(len, share).map_err(|why| shared.refused(why))?;
        let header = RecordHeader { name, len, stored_at: clock::unix_seconds() };
        match shared.queue.push(Job::Store(Store { header, share, body })) {
            Queued::Accepted => Ok(()),
            Queued::Full => Err(shared.refused(NotAdmitted::QueueFull)),
        }
    }

    /// Space for an object of `len` bytes that is written while it arrives. Replaces an object that is stored already.
    /// May create a file.
    pub fn reserve(&self, name: ObjectName, share: Share, len: u64) -> Result<DiskWriter, NotAdmitted> {
        let shared = self.shared();
        let header = RecordHeader { name, len, stored_at: clock::unix_seconds() };
        let extent = shared.admit(len, share).and_then(|()| shared.allocate(&header, share));
        Ok(DiskWriter::new(shared, extent.map_err(|why| shared.refused(why))?, header))
    }

    /// Removes an object, also for later runs; whether there was one. Its readers find it gone.
    pub fn remove(&self, name: &ObjectName, why: RemoveReason) -> bool {
        let shared = self.shared();
        let Some(entry) = shared.index.remove(name.hash64()) else { return false };
        shared.removed(entry, why);
        true
    }

    /// Whether an object of `len` bytes would be stored, as things are. No I/O.
    pub fn admits(&self, len: u64, share: Share) -> Result<(), NotAdmitted> {
        let shared = self.shared();
        shared.admit(len, share).map_err(|why| shared.refused(why))
    }

    /// A write took longer than anybody waits. Counted like one that failed.
    pub fn too_slow_to_write(&self) {
        let _ = self.shared().wrote(Err(io::ErrorKind::TimedOut.into()));
    }

    /// A read took longer than anybody waits. Counted like one that failed; the object stays.
    pub fn too_slow(&self) {
        self.shared().segments.context.health.failed(&io::ErrorKind::TimedOut.into());
    }

    /// Makes the folder usable again after somebody emptied it, unless another process has taken it.
    pub fn mend(&self) -> Result<(), OpenError> {
        self.shared().folder.mend()
    }

    /// Waits until everything queued before is written, given up, or the tier is closed. Blocks.
    pub fn flush(&self) {
        self.shared().queue.flush();
    }

    /// Stops cleanly: writes what is queued, seals the segments, saves the index. Blocks. Later calls do nothing.
    pub fn close(&self) {
        let mut running = self.handle.running.lock();
        let Some(running) = running.take() else { return };
        let shared = self.shared();
        shared.closed.store(true, Ordering::Release);
        if !shared.is_loaded() {
            // Nobody makes room before everything is loaded: what needs room now is given up.
            shared.segments.bell.stop();
        }
        shared.queue.flush();
        running.stop(shared);
        for segment in shared.segments.shut() {
            let _ = shared.wrote(segment.seal());
        }
        if shared.is_loaded()
            && let Err(error) = save_index(shared)
        {
            tracing::warn!(%error, "cannot save the index of the disk cache: the next start reads its segments");
        }
        shared.publish();
        shared.folder.unlock();
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Running {
    /// Stops and joins the threads; what they are at is finished, what is queued is not.
    fn stop(self, shared: &Shared) {
        shared.queue.stop();
        shared.segments.bell.stop();
        for thread in [self.writer, self.maintenance, self.scrub] {
            if thread.join().is_err() {
                tracing::error!("a thread of the disk cache has panicked");
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            self.shared.closed.store(true, Ordering::Release);
            running.stop(&self.shared);
        }
    }
}

/// Longest object that is stored, in bytes.
fn max_object(config: &config::Disk) -> u64 {
    config.max_object.bytes().min(config.objects().bytes() / 4).min(MAX_LEN)
}

fn write_queue(capacity: u64) -> u64 {
    let (part, least, most) = WRITE_QUEUE;
    (capacity / part).clamp(least, most)
}

fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
}

/// Writes the index file, if there is room for it.
fn save_index(shared: &Shared) -> io::Result<()> {
    let path = shared.folder.snapshot_path();
    if let Some(old) = shared.folder.take_snapshot_charge() {
        std::fs::remove_file(&path)?;
        drop(old);
    }
    let is_known = |segment: &Arc<_>| Segment::is_sealed(segment) && !shared.segments.is_unread(segment);
    let segments: Vec<_> = shared.segments.all().into_iter().filter(|segment| is_known(segment)).collect();
    let size = blocks(snapshot::size(segments.len(), shared.index.len()));
    let Ok(_charge) = shared.segments.ledger.reserve(size, Share::REST, Purpose::Reclaim) else {
        return Err(io::ErrorKind::StorageFull.into());
    };
    snapshot::write(&path, &shared.index, &segments).inspect_err(|_| {
        // Half an index would be refused; it only takes space.
        let _ = std::fs::remove_file(&path);
    })
}

/// Of shared segments: so that the capacity holds enough of them for every share, and each ceiling enough for its own.
fn segment_size(config: &config::Disk, shares: &Shares) -> u64 {
    let most = (config.objects().bytes() / shares.count() as u64).min(shares.lowest_ceiling()) / MIN_SEGMENTS;
    let size = config.segment.bytes().clamp(MIN_SEGMENT, entry::MAX_SEGMENT).min(most.max(MIN_SEGMENT));
    // Whole blocks, so that what is reserved is also enough for them.
    size / 4096 * 4096
}

fn ceilings(shares: &Shares, segment: u64) -> Vec<Ceiling> {
    let ceiling = |share| {
        let limits = shares.limits(share);
        match (limits.ceiling, limits.keep) {
            (u64::MAX, _) => Ceiling::NONE,
            (most, Keep::Deserving) => Ceiling { most, headroom: segment },
            (most, Keep::Always) => Ceiling { most, headroom: 0 },
        }
    };
    shares.all().map(ceiling).collect()
}
