//! What the handles and threads of one disk tier share, and the few steps that touch several parts at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::entry::{Entry, Place};
use super::extent::Extent;
use super::folder::Folder;
use super::ghost::Ghost;
use super::health::{Change, Condition, Health};
use super::index::{Index, Put};
use super::latch::Latch;
use super::ledger::Purpose;
use super::object::DiskObject;
use super::queue::{Job, WriteQueue};
use super::record::RecordHeader;
use super::replacement::Queue;
use super::segments::{NoExtent, Segments};
use super::shares::{Keep, Share};
use super::usage::{NotAdmitted, RemoveReason};
use super::writer::entry_of;
use crate::digest::ObjectName;
use crate::metrics::{DiskMetrics, QuotaMetrics};

/// See the module.
pub struct Shared {
    pub folder: Folder,
    pub segments: Arc<Segments>,
    pub index: Index,
    pub ghost: Mutex<Ghost>,
    pub queue: WriteQueue,
    pub metrics: DiskMetrics,
    /// Of the quotas: of every share but the rest.
    pub quotas: Box<[QuotaMetrics]>,
    /// Longest object that is stored, in bytes.
    pub max_object: AtomicU64,
    /// Bytes a second that are read to find what went bad; 0 for none.
    pub scrub_rate: AtomicU64,
    pub health: Mutex<Health>,
    /// The files of the last run are in the ledger.
    pub listed: Latch,
    // Everything of the last run can be found.
    pub loaded: AtomicBool,
    // Nothing is written any more.
    pub closed: AtomicBool,
}

impl Shared {
    /// The object of a name, if the index has one; counts as a use.
    pub fn find(&self, name: &ObjectName) -> Option<DiskObject> {
        if !self.segments.context.health.may_try() {
            return None;
        }
        self.index.hit(name.hash64(), |entry| {
            let segment = self.segments.get(entry.place.slot)?;
            Some(DiskObject::new(segment, *name, entry))
        })?
    }

    /// The same without counting a use.
    pub fn peek(&self, name: &ObjectName) -> Option<DiskObject> {
        let entry = self.index.peek(name.hash64())?;
        Some(DiskObject::new(self.segments.get(entry.place.slot)?, *name, entry))
    }

    /// Whether an intact record of exactly this name is there: reads all of it where the index has one. Blocking.
    pub fn has_intact(&self, name: &ObjectName) -> bool {
        self.peek(name).is_some_and(|object| object.check().is_ok())
    }

    /// Whether an object of `len` bytes may be written at all.
    pub fn admit(&self, len: u64, share: Share) -> Result<(), NotAdmitted> {
        if self.is_closed() {
            return Err(NotAdmitted::Closed);
        }
        self.accept(len, share)
    }

    /// The same for what was admitted before the tier was closed.
    pub fn accept(&self, len: u64, share: Share) -> Result<(), NotAdmitted> {
        let max_object = self.max_object.load(Ordering::Relaxed);
        let limits = self.segments.shares.limits(share);
        let most = match limits.keep {
            Keep::Deserving => max_object.min(limits.ceiling / 4),
            // What is too large to be pinned is kept like others.
            Keep::Always => max_object,
        };
        if len > most {
            return Err(NotAdmitted::TooLarge);
        }
        if !self.health.lock().may_try(Instant::now()) || !self.segments.context.health.may_try() {
            return Err(NotAdmitted::Paused);
        }
        Ok(())
    }

    /// What the tier can do, and when what it cannot do is tried again.
    pub fn condition(&self) -> (Condition, Option<Duration>) {
        if let Some(wait) = self.segments.context.health.trouble() {
            return (Condition::MemoryOnly, Some(wait));
        }
        match self.health.lock().trouble(Instant::now()) {
            Some(wait) => (Condition::ReadOnly, Some(wait)),
            None => (Condition::Working, None),
        }
    }

    /// The queue a new object enters.
    pub fn queue_for(&self, name: &ObjectName) -> Queue {
        if self.ghost.lock().contains(name.hash64()) { Queue::Main } else { Queue::Probation }
    }

    /// Space for a new object; what cannot be pinned is kept like others.
    pub fn allocate(&self, header: &RecordHeader, share: Share) -> Result<Extent, NotAdmitted> {
        let queue = self.queue_for(&header.name);
        let line = match self.segments.shares.limits(share).keep {
            Keep::Deserving => (share, queue),
            Keep::Always => (share, Queue::Main),
        };
        let extent = match self.segments.allocate(header.shape(), line, Purpose::Admit) {
            Err(NoExtent::Pinned) => {
                self.not_pinned(share);
                self.segments.allocate(header.shape(), (Share::REST, queue), Purpose::Admit)
            }
            other => other,
        };
        extent.map_err(|why| match why {
            NoExtent::NoSpace | NoExtent::Pinned => NotAdmitted::NoSpace,
            NoExtent::Io(error) => {
                let _ = self.wrote(Err(error));
                NotAdmitted::Failed
            }
        })
    }

    fn not_pinned(&self, share: Share) {
        let Some(quota) = share.index().checked_sub(1).and_then(|at| self.quotas.get(at)) else { return };
        if quota.not_pinned.get() == 0 {
            let repository = self.segments.shares.label(share);
            tracing::warn!(
                repository,
                "pinned objects have reached the ceiling of their quota: further ones are kept like others"
            );
        }
        quota.not_pinned.inc();
    }

    /// The record in `extent` is complete: makes it findable.
    pub fn enter(&self, extent: Extent, header: RecordHeader) {
        let entry = entry_of(&header, extent.place(), 0);
        extent.segment().gained();
        if let Some(old) = self.index.put(entry) {
            self.segments.lost(old.place);
        }
        extent.complete(entry);
        self.metrics.writes.inc();
        self.metrics.written_bytes.inc_by(header.len);
    }

    /// The record in `extent` is a copy of the one at `from`: lets it be found instead, unless that is gone.
    pub fn moved(&self, extent: Extent, header: RecordHeader, from: Place, hits: u8) {
        let entry = entry_of(&header, extent.place(), hits);
        extent.segment().gained();
        match self.index.moved(from, entry) {
            Put::Entered => {
                self.segments.lost(from);
                extent.complete(entry);
                self.metrics.copied_bytes.inc_by(header.len);
            }
            Put::Occupied => {
                extent.segment().lost();
                // Removed while it was copied: it must not come back after a restart.
                let _ = self.wrote(extent.blot());
            }
        }
    }

    /// An entry is out of the index: counts it, and makes it unfindable for later runs.
    pub fn removed(&self, entry: Entry, why: RemoveReason) {
        match why {
            RemoveReason::Corrupt => {
                self.metrics.corrupt_records.inc();
                self.metrics.evicted.corrupt.inc_by(entry.len);
            }
            RemoveReason::Unreadable => self.metrics.evicted.unreadable.inc_by(entry.len),
            RemoveReason::Purged => self.metrics.evicted.purged.inc_by(entry.len),
        }
        if let Some(segment) = self.segments.get(entry.place.slot) {
            segment.lost();
            self.segments.unpin(&segment, entry.fingerprint);
            // When the queue is full it may come back with the next run; it is checked again then.
            let _ = self.queue.push(Job::Blot(segment, entry.place.offset));
        }
    }

    /// Takes note of how a write went.
    pub fn wrote(&self, result: io::Result<()>) -> io::Result<()> {
        let change = match &result {
            Ok(()) => self.health.lock().succeeded(),
            Err(_) => {
                self.metrics.write_errors.inc();
                self.health.lock().failed(Instant::now())
            }
        };
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            && let Err(error) = self.folder.mend()
        {
            tracing::warn!(%error, "the folder of the disk cache is gone and cannot be made again");
        }
        match (change, &result) {
            (Change::Paused(pause), Err(error)) => tracing::error!(
                path = %self.folder.path().display(), %error, ?pause,
                "the disk cache cannot be written to: new objects are not stored for a while, stored ones are served"
            ),
            (Change::Recovered, _) => {
                tracing::info!(path = %self.folder.path().display(), "the disk cache can be written to again");
            }
            _ => {}
        }
        result
    }

    /// Counts an object that was not stored.
    pub fn refused(&self, why: NotAdmitted) -> NotAdmitted {
        let counters = &self.metrics.not_admitted;
        match why {
            NotAdmitted::TooLarge => &counters.too_large,
            NotAdmitted::QueueFull => &counters.queue_full,
            NotAdmitted::NoSpace => &counters.no_space,
            NotAdmitted::Paused => &counters.paused,
            NotAdmitted::Failed => &counters.failed,
            NotAdmitted::Closed => &counters.closed,
        }
        .inc();
        why
    }

    /// Whether the tier was closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether everything of the last run can be found.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Shows the present state in the gauges.
    pub fn publish(&self) {
        let books = self.segments.ledger.books();
        let (segments, oldest) = self.segments.census();
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.objects.set(gauge(self.index.len() as u64));
        let (condition, _) = self.condition();
        for (state, metric) in Condition::ALL.into_iter().zip(&self.metrics.condition) {
            metric.set(i64::from(state == condition));
        }
        self.metrics.stored_bytes.set(gauge(books.stored));
        self.metrics.limit_bytes.set(gauge(self.segments.ledger.limit()));
        self.metrics.reserved_bytes.set(gauge(books.reserved));
        self.metrics.segments.set(gauge(segments as u64));
        self.metrics.segments_troubled.set(gauge(self.segments.troubled() as u64));
        for (share, quota) in self.segments.shares.all().skip(1).zip(&self.quotas) {
            quota.stored_bytes.set(gauge(self.segments.ledger.share(share).stored));
        }
        self.metrics.oldest_segment.set(oldest.map_or(0, i64::from));
        self.metrics.write_queue_bytes.set(gauge(self.queue.bytes()));
    }
}
