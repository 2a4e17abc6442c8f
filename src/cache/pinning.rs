//! Large objects that are asked for again are kept as pages of the disk tier's file, locked in the page cache: there once, not
//! there and in the memory tier, and sent without being copied.
//!
//! They count as the memory tier's, enter and leave it like others. One at a time is locked, then checked, on a thread that
//! may block; whoever asks meanwhile gets the bytes as before. Where it cannot be done, nothing else changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{Cache, Disk, MemoryObject};
use crate::digest::ObjectName;

/// Smaller objects are cheaper to copy than to look after, in bytes.
pub(super) const PINNED_FROM: u64 = 128 << 10;

/// Most occasions that are let pass in a row, when it was in vain.
const MOST_SKIPPED: u32 = 256;

/// What goes on.
#[derive(Debug, Default)]
pub(super) struct Pinning {
    busy: AtomicBool,
    /// Occasions still to be let pass, and how many after the latest that was in vain.
    skip: AtomicU32,
    skipped: AtomicU32,
    refused: AtomicBool,
}

impl Pinning {
    /// Whether it may be tried now; then [`Self::ended`] must be called.
    fn begin(&self) -> bool {
        let skip = |left: u32| left.checked_sub(1);
        self.skip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, skip).is_err()
            && !self.busy.swap(true, Ordering::Acquire)
    }

    /// Twice as rarely while the memory tier prefers others, or nothing can be locked.
    fn ended(&self, kept: bool) {
        let skip = match kept {
            true => 0,
            false => (2 * self.skipped.load(Ordering::Relaxed)).clamp(1, MOST_SKIPPED),
        };
        self.skipped.store(skip, Ordering::Relaxed);
        self.skip.store(skip, Ordering::Relaxed);
        self.busy.store(false, Ordering::Release);
    }

    /// Says once why it does not work.
    fn refused(&self, error: &std::io::Error) {
        if !self.refused.swap(true, Ordering::Relaxed) {
            tracing::info!(
                %error,
                "large objects cannot be locked in the page cache, and are copied when they are sent; \
                 the limit of locked memory (LimitMEMLOCK of systemd, ulimit -l) should be [memory] capacity"
            );
        }
    }
}

/// One that was begun. Ends also when it is never run.
struct Attempt {
    cache: Arc<Cache>,
    kept: bool,
}

impl Attempt {
    fn make(mut self, name: &ObjectName) {
        self.kept = self.cache.pin_now(name);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.cache.pinning.ended(self.kept);
    }
}

impl Cache {
    /// The object in memory if it need not be looked for elsewhere; a large one is pinned when it is asked for again.
    pub(super) fn pinned_or_copied(
        self: &Arc<Self>,
        name: &ObjectName,
        object: Arc<MemoryObject>,
    ) -> Option<Arc<MemoryObject>> {
        match object.is_pinned() {
            // The disk tier will tell whether this one was meant.
            true if object.is_torn() => {
                tracing::warn!(%name, "somebody else writes to the files of the disk cache");
                self.memory.load().remove(name);
                return None;
            }
            // What is wanted here is wanted there, too, or it would go from both.
            true if object.is_asked_again() => drop(self.disk.as_ref().and_then(|disk| disk.get(name))),
            true => {}
            false if object.is_asked_again() => self.pin(name),
            false => {}
        }
        Some(object)
    }

    /// Has an object that is on disk and large taken into the memory tier as pages of its file, soon.
    pub(super) fn pin(self: &Arc<Self>, name: &ObjectName) {
        let is_sealed = |disk: &Disk| disk.peek(name).is_some_and(|record| record.is_sealed());
        if !self.disk.as_ref().is_some_and(is_sealed) || !self.pinning.begin() {
            return;
        }
        let (cache, name) = (Arc::clone(self), *name);
        let attempt = Attempt { cache, kept: false };
        tokio::task::spawn_blocking(move || attempt.make(&name));
    }

    /// Whether it is in memory now.
    fn pin_now(&self, name: &ObjectName) -> bool {
        let Some(record) = self.disk.as_ref().and_then(|disk| disk.get(name)) else { return false };
        let memory = self.memory.load();
        if !memory.takes(record.len()) {
            return false;
        }
        let pages = match record.lock() {
            Ok(Some(pages)) => pages,
            Ok(None) => return false,
            Err(error) => {
                self.pinning.refused(&error);
                return false;
            }
        };
        // Not before: should it become another from here on, that is noticed.
        if let Err(error) = record.check() {
            drop(pages);
            self.unreadable(name, &error);
            return false;
        }
        record.announce_eviction();
        let gauge = self.metrics.memory_pinned.clone();
        memory.insert(*name, Arc::new(MemoryObject::pinned(pages, record.clone(), gauge)));
        // It may have been removed from disk meanwhile, and from memory before it was there.
        let is_current = |disk: &Disk| disk.peek(name).is_some_and(|now| now.is_at_the_place_of(&record));
        if !self.disk.as_ref().is_some_and(is_current) {
            memory.remove(name);
            // Another may have taken its place.
            self.memory.load().remove(name);
            return false;
        }
        memory.usage();
        memory.has(name)
    }
}

#[cfg(test)]
mod tests;
