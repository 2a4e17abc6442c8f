//! The object cache: verified objects in memory and on disk, and the fills that bring them.
//!
//! One lookup has one of three answers: the bytes are here ([`Lookup::Hit`]), somebody is fetching them
//! ([`Lookup::Join`]), or nobody is and the caller must ([`Lookup::Lead`]).
//!
//! Invariants: an object can be found only after its digest was verified. A reader ends with exactly the object's bytes or
//! with an error. A fill reaches exactly one end. Collapsing is an optimisation, never a lock: a lost race costs one
//! more fetch. Not here: any protocol, any source of bytes, any retry.

pub mod disk;
mod fill;
mod memory;
mod object;
mod pinning;
mod restraint;
mod sizes;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
pub use disk::Share;
use disk::record::PAGED_FROM;
use disk::{Disk, DiskObject, NotAdmitted, ReadError, RemoveReason};
use fill::room::Room;
pub use fill::{CommitError, FillError, FillReader, FillWriter, HELD_BACK, Ready, Why};
use fill::{FillHandle, FillKey};
use memory::{Memory, NameHasher};
pub use object::{CHUNK, MemoryObject, Object};
use parking_lot::Mutex;
use pinning::Pinning;
pub use restraint::{Pressure, Restraint};

use crate::config;
use crate::digest::ObjectName;
use crate::metrics::CacheMetrics;
use crate::reason::Reason;

/// Tables of fills are split, so that workers rarely meet at one lock.
const FILL_SHARDS: usize = 16;

/// Frames up to this many bytes are allocated in their size by the disk tier.
const UNPOOLED: usize = 128 << 10;

type Fills = Mutex<HashMap<FillKey, FillHandle, BuildHasherDefault<NameHasher>>>;

/// All objects of this process; shared by its workers.
pub struct Cache {
    memory: Arc<ArcSwap<Memory>>,
    pinning: Pinning,
    /// What is configured for it. Held by whoever puts another tier in place.
    configured: Mutex<config::Memory>,
    disk: Option<Disk>,
    fills: [Fills; FILL_SHARDS],
    /// Fills that have not ended. Several workers may pass the limit together, by one each.
    filling: AtomicUsize,
    /// Memory of all of them.
    room: Arc<Room>,
    /// Keyed: clients choose host names, and may not choose collisions.
    hasher: RandomState,
    limits: ArcSwap<config::Objects>,
    metrics: CacheMetrics,
}

/// The answer to "where are the bytes of this name?".
#[allow(
    clippy::large_enum_variant,
    reason = "returned once and taken apart at once; a box would cost every miss"
)]
pub enum Lookup {
    /// Here.
    Hit(Object),
    /// On their way for somebody else; read along.
    Join(FillReader),
    /// Nobody brings them, and as many fills as are allowed are in progress.
    Full,
    /// Nobody brings them: the writer must be given a source, and the caller reads along like anybody.
    Lead(FillWriter, FillReader),
}

/// What a check of a stored object's bytes found.
pub enum Recheck {
    /// Stored, and the bytes deserve the name.
    Good(Object),
    /// Stored, but the bytes had gone bad; they are dropped.
    Bad,
    /// Not stored.
    Absent,
}

impl Cache {
    /// A cache over an opened disk tier, or over memory alone.
    pub fn new(
        memory: &config::Memory,
        objects: &config::Objects,
        disk: Option<Disk>,
        metrics: CacheMetrics,
    ) -> Arc<Self> {
        metrics.memory_capacity.set(gauge(memory.capacity.bytes()));
        metrics.memory_allowed.set(gauge(memory.capacity.bytes()));
        let configured = Mutex::new(memory.clone());
        let memory = Arc::new(ArcSwap::from_pointee(Memory::new(memory)));
        if let Some(disk) = &disk {
            let memory = Arc::downgrade(&memory);
            disk.on_eviction(move |name| {
                if let Some(memory) = memory.upgrade() {
                    memory.load().remove(name);
                    // At once: what is held still takes room on the disk.
                    memory.load().usage();
                }
            });
        }
        Arc::new(Self {
            memory,
            pinning: Pinning::default(),
            configured,
            disk,
            fills: Default::default(),
            filling: AtomicUsize::new(0),
            room: Room::new(metrics.fill_memory.clone()),
            hasher: RandomState::new(),
            limits: ArcSwap::from_pointee(objects.clone()),
            metrics,
        })
    }

    /// The object in memory, if it is there. The cheapest of all answers, for the front of the hot path.
    pub fn in_memory(self: &Arc<Self>, name: &ObjectName) -> Option<Arc<MemoryObject>> {
        let object = self.remembered(name)?;
        if object.len() >= PAGED_FROM {
            self.pin_if_asked_again(name, &object);
        }
        Some(object)
    }

    /// The object on disk, if it is there. A use of it in the name of a repository.
    pub fn on_disk(self: &Arc<Self>, name: &ObjectName, repository: &str) -> Option<DiskObject> {
        let disk = self.disk.as_ref()?;
        let object = disk.get(name)?;
        disk.claim(&object, disk.share(repository));
        // What is read in one piece goes up into memory by itself.
        if object.len() > CHUNK as u64 && object.hits() > 1 {
            self.pin(name);
        }
        Some(object)
    }

    /// Looks in both tiers, then among the fills, and otherwise registers a new fill.
    /// `sources` says whom the caller would ask: only fills from the same sources are joined. A new fill is stored for
    /// `share`.
    pub fn lookup(self: &Arc<Self>, name: &ObjectName, share: Share, sources: &str) -> Lookup {
        self.lookup_where(name, share, sources, |cache| cache.find(name))
    }

    /// The same without looking on disk, for whoever found the record there unreadable.
    pub fn lookup_past_disk(self: &Arc<Self>, name: &ObjectName, share: Share, sources: &str) -> Lookup {
        self.lookup_where(name, share, sources, |cache| {
            let object = cache.remembered(name).or_else(|| cache.waiting_for_disk(name));
            object.map(Object::Memory)
        })
    }

    fn lookup_where(
        self: &Arc<Self>,
        name: &ObjectName,
        share: Share,
        sources: &str,
        find: impl FnOnce(&Self) -> Option<Object>,
    ) -> Lookup {
        let key = FillKey { name: *name, sources: self.hasher.hash_one(sources) };
        let mut fills = self.fills(name).lock();
        // With the table held: a fill is stored before it leaves the table.
        if let Some(object) = find(self) {
            return Lookup::Hit(object);
        }
        if let Some(reader) = fills.get(&key).and_then(FillHandle::join) {
            self.metrics.joined.inc();
            return Lookup::Join(reader);
        }
        if self.filling.load(Ordering::Relaxed) >= self.limits().max_fills {
            self.count_failure(Why::Overload);
            return Lookup::Full;
        }
        let (writer, reader) = FillWriter::new(Arc::clone(self), key, share);
        fills.insert(key, writer.shared());
        self.count_led();
        Lookup::Lead(writer, reader)
    }

    /// The share of the disk that objects of a repository belong to.
    pub fn share(&self, repository: Option<&str>) -> Share {
        let disk = self.disk.as_ref().zip(repository);
        disk.map_or(Share::REST, |(disk, repository)| disk.share(repository))
    }

    /// The object in either tier, or between them.
    pub fn find(&self, name: &ObjectName) -> Option<Object> {
        if let Some(object) = self.remembered(name) {
            return Some(Object::Memory(object));
        }
        let disk = self.disk.as_ref()?;
        let on_disk = || disk.get(name).map(Object::Disk);
        // Once more at the end: it may have been written between the first two looks.
        on_disk().or_else(|| self.waiting_for_disk(name).map(Object::Memory)).or_else(on_disk)
    }

    /// Whether the object is in a tier or between them. No I/O, and not a use of it.
    pub fn has(&self, name: &ObjectName) -> bool {
        self.memory.load().has(name)
            || self.disk.as_ref().is_some_and(|disk| {
                // Once more at the end, as above.
                disk.contains(name) || disk.queued(name).is_some() || disk.contains(name)
            })
    }

    /// What the memory tier did not take or keep can be found before it is written, too: a large object that many
    /// ask for would otherwise be fetched once more.
    fn waiting_for_disk(&self, name: &ObjectName) -> Option<Arc<MemoryObject>> {
        let (chunks, stored_at) = self.disk.as_ref()?.queued(name)?;
        Some(Arc::new(MemoryObject::new(chunks.to_vec(), stored_at)))
    }

    /// Why an object that was looked for is not here, as far as that is known.
    pub fn why_absent(&self, name: &ObjectName) -> Reason {
        self.disk.as_ref().map_or(Reason::Absent, |disk| disk.why_absent(name))
    }

    /// Stores a verified object in every tier that takes it.
    fn insert(&self, name: ObjectName, share: Share, object: Arc<MemoryObject>) {
        if let Some(disk) = &self.disk {
            match disk.store(name, share, Arc::clone(object.chunks())) {
                Ok(()) | Err(NotAdmitted::TooLarge) => {}
                Err(reason) => tracing::debug!(%name, ?reason, "not stored on disk"),
            }
        }
        self.memory.load().insert(name, object);
    }

    /// An object that was read from disk in one piece, put into memory if the tier takes it. The caller vouches for its
    /// integrity.
    pub fn promote(&self, name: ObjectName, bytes: Bytes, stored_at: u32) -> Arc<MemoryObject> {
        let kept = self.memory.load().takes(bytes.len() as u64);
        // Larger frames come from a pool: keeping one would keep more than its bytes from being used again.
        let bytes = if kept && bytes.len() > UNPOOLED { Bytes::copy_from_slice(&bytes) } else { bytes };
        let object = Arc::new(MemoryObject::new(vec![bytes], stored_at));
        if kept {
            self.memory.load().insert(name, Arc::clone(&object));
        }
        object
    }

    /// Drops whatever is stored under `name`, since its bytes proved bad.
    pub fn remove_bad(&self, name: &ObjectName) {
        let memory = self.memory.load();
        let in_memory = memory.has(name);
        memory.remove(name);
        let on_disk = self.disk.as_ref().is_some_and(|disk| disk.remove(name, RemoveReason::Corrupt));
        // Once, however many find out.
        if in_memory || on_disk {
            self.metrics.bad_at_rest.inc();
        }
    }

    /// Drops whatever is stored under `name`, and tells from where. Blocking: what is on its way to the disk is waited for.
    pub fn purge(&self, name: &ObjectName) -> Vec<&'static str> {
        let mut places = Vec::new();
        // A pinned object goes with its segment.
        if self.memory.load().has(name) {
            places.push("memory");
        }
        if let Some(disk) = &self.disk {
            disk.flush();
            if disk.remove(name, RemoveReason::Purged) {
                places.push("disk");
            }
        }
        // After the disk, from which it might come back.
        self.memory.load().remove(name);
        places
    }

    /// Deals with a record that could not be read; whether it had gone bad, rather than being another object's.
    pub fn unreadable(&self, name: &ObjectName, error: &ReadError) -> bool {
        match error {
            ReadError::Foreign => false,
            ReadError::Corrupt { .. } => {
                tracing::warn!(%name, %error, "a stored object is dropped");
                self.remove_bad(name);
                true
            }
            ReadError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => true,
            // Nothing is known about its bytes. Should the whole disk fail, only the first few are lost.
            ReadError::Io(_) => {
                tracing::warn!(%name, %error, "a stored object cannot be read and is dropped");
                self.memory.load().remove(name);
                if let Some(disk) = &self.disk {
                    disk.remove(name, RemoveReason::Unreadable);
                }
                true
            }
        }
    }

    /// A read from disk took longer than anybody waits. When that goes on, the disk is passed over for a while.
    pub fn disk_is_slow(&self) {
        if let Some(disk) = &self.disk {
            disk.too_slow();
        }
    }

    /// Hashes what is stored under `name` anew. Blocking: reads the whole object.
    pub fn recheck(&self, name: &ObjectName) -> Recheck {
        let Some(object) = self.find(name) else {
            return Recheck::Absent;
        };
        let good = match &object {
            Object::Memory(object) => object.verify(name),
            Object::Disk(object) => object.verify(),
        };
        if good {
            Recheck::Good(object)
        } else {
            self.remove_bad(name);
            Recheck::Bad
        }
    }

    /// Fills in progress, and their readers.
    pub fn fills_in_progress(&self) -> (usize, usize) {
        let mut fills = 0;
        let mut readers = 0;
        for shard in &self.fills {
            let shard = shard.lock();
            fills += shard.len();
            readers += shard.values().map(FillHandle::readers).sum::<usize>();
        }
        (fills, readers)
    }

    /// Refreshes the gauges that are sampled rather than counted.
    pub fn sample(&self) {
        let (objects, weight) = self.memory.load().usage();
        self.metrics.memory_objects.set(gauge(objects));
        self.metrics.memory_bytes.set(gauge(weight));
        let (fills, readers) = self.fills_in_progress();
        self.metrics.fills.set(gauge(fills as u64));
        self.metrics.fill_readers.set(gauge(readers as u64));
    }

    /// The disk tier, if there is one.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    fn limits(&self) -> Guard<Arc<config::Objects>> {
        self.limits.load()
    }

    fn fills(&self, name: &ObjectName) -> &Fills {
        // The table inside uses the low bits.
        &self.fills[(name.hash64() >> 56) as usize % FILL_SHARDS]
    }

    fn count_failure(&self, why: Why) {
        self.metrics.fill_failures[why as usize].inc();
    }

    fn count_led(&self) {
        self.metrics.led.inc();
    }

    fn count_verified(&self) {
        self.metrics.verified.inc();
    }

    fn now(&self) -> u32 {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
