//! Large objects that are asked for again are kept as pages of the disk tier's file, locked in the page cache: there once, not
//! there and in the memory tier, and sent without being copied.
//!
//! They count as the memory tier's, enter and leave it like others. One at a time is locked, then checked, on a thread that
//! may block; whoever asks meanwhile gets the bytes as before. Where it cannot be done, nothing else changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{Cache, Disk, MemoryObject};
use crate::digest::ObjectName;

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
    fn ended(&self, how: End) {
        let skip = match how {
            End::Kept | End::TooEarly => 0,
            End::InVain => (2 * self.skipped.load(Ordering::Relaxed)).clamp(1, MOST_SKIPPED),
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

/// What came of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kept,
    InVain,
    /// Its file was written to just now.
    TooEarly,
}

/// One that was begun. Ends also when it is never run.
struct Attempt {
    cache: Arc<Cache>,
    end: End,
}

impl Attempt {
    fn make(mut self, name: &ObjectName) {
        self.end = self.cache.pin_now(name);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.cache.pinning.ended(self.end);
    }
}

impl Cache {
    /// The object in the memory tier, unless its pages are not what they were: the disk tier will tell whether it was the one
    /// that somebody changed.
    pub(super) fn remembered(&self, name: &ObjectName) -> Option<Arc<MemoryObject>> {
        let object = self.memory.load().get(name)?;
        if object.is_torn() {
            tracing::warn!(%name, "somebody else writes to the files of the disk cache");
            self.memory.load().remove(name);
            return None;
        }
        Some(object)
    }

    /// A large object in memory is wanted.
    pub(super) fn pin_if_asked_again(self: &Arc<Self>, name: &ObjectName, object: &MemoryObject) {
        match (object.is_asked_again(), object.is_pinned()) {
            (false, _) => {}
            (true, false) => self.pin(name),
            // What is wanted here is wanted there, too, or it would go from both.
            (true, true) => drop(self.disk.as_ref().and_then(|disk| disk.get(name))),
        }
    }

    /// Has an object that is on disk and large taken into the memory tier as pages of its file, soon.
    pub(super) fn pin(self: &Arc<Self>, name: &ObjectName) {
        let is_there = |disk: &Disk| disk.peek(name).is_some();
        if !self.disk.as_ref().is_some_and(is_there) || !self.pinning.begin() {
            return;
        }
        let (cache, name) = (Arc::clone(self), *name);
        let attempt = Attempt { cache, end: End::InVain };
        tokio::task::spawn_blocking(move || attempt.make(&name));
    }

    fn pin_now(&self, name: &ObjectName) -> End {
        let Some(disk) = &self.disk else { return End::InVain };
        let Some(record) = disk.get(name) else { return End::InVain };
        let memory = self.memory.load();
        if !memory.takes(record.len()) {
            return End::InVain;
        }
        if !self.pinning.refused.load(Ordering::Relaxed) {
            disk.close_early(&record);
        }
        if !record.is_at_rest() {
            return End::TooEarly;
        }
        // It may have been removed from disk meanwhile, and be another by now.
        let is_current = |disk: &Disk| disk.peek(name).is_some_and(|now| now.is_at_the_place_of(&record));
        let is_current = || self.disk.as_ref().is_some_and(is_current);
        let is_good = || match record.check() {
            Ok(()) => true,
            Err(error) => {
                if is_current() {
                    self.unreadable(name, &error);
                }
                false
            }
        };
        // A bad sector is met here, where nobody waits for it with the address space locked.
        if !is_good() {
            return End::InVain;
        }
        let pages = match record.lock() {
            Ok(Some(pages)) => pages,
            Ok(None) => return End::TooEarly,
            Err(error) => {
                self.pinning.refused(&error);
                return End::InVain;
            }
        };
        // Should it become another from here on, that is noticed.
        if !is_good() {
            return End::InVain;
        }
        record.announce_eviction();
        let gauge = self.metrics.memory_pinned.clone();
        memory.insert(*name, Arc::new(MemoryObject::pinned(pages, record.clone(), gauge)));
        // It may have been removed from memory before it was there.
        if !is_current() {
            memory.remove(name);
            // Another may have taken its place.
            self.memory.load().remove(name);
            return End::InVain;
        }
        memory.usage();
        if memory.has(name) { End::Kept } else { End::InVain }
    }
}

#[cfg(test)]
mod tests;
