//! Files that cannot be opened, read or removed at the moment, and too many open ones: nothing is lost for a passing trouble.

use std::sync::Arc;

use super::super::folder::FoundFile;
use super::super::queues::{Queues, Unread};
use super::super::segment::Segment;
use super::Segments;

impl Segments {
    /// Keeps counting a file that can neither be used nor removed.
    pub fn set_aside(&self, file: FoundFile) {
        self.queues.lock().set_aside.push(file);
    }

    /// Those files, for another try.
    pub fn take_set_aside(&self) -> Vec<FoundFile> {
        std::mem::take(&mut self.queues.lock().set_aside)
    }

    /// Remembers a segment that could not be read. It stays until its turn comes, as if something in it could be found.
    pub fn put_off(&self, segment: &Arc<Segment>, tries: u32) {
        let mut queues = self.queues.lock();
        if !queues.unread.iter().any(|unread| unread.segment.as_ptr() == Arc::as_ptr(segment)) {
            segment.gained();
            queues.unread.push(Unread { segment: Arc::downgrade(segment), tries });
        }
    }

    /// The segments that could not be read and are still there, each with its number of tries, for another one.
    pub fn take_unread(&self) -> Vec<(Arc<Segment>, u32)> {
        let unread = std::mem::take(&mut self.queues.lock().unread);
        let still_there = |unread: Unread| {
            let segment = unread.segment.upgrade()?;
            let is_there = self.get(segment.slot).is_some_and(|there| Arc::ptr_eq(&there, &segment));
            is_there.then(|| {
                segment.lost();
                (segment, unread.tries)
            })
        };
        unread.into_iter().filter_map(still_there).collect()
    }

    /// Whether the objects of a segment are not known yet.
    pub fn is_unread(&self, segment: &Arc<Segment>) -> bool {
        let queues = self.queues.lock();
        queues.unread.iter().any(|unread| unread.segment.as_ptr() == Arc::as_ptr(segment))
    }

    /// How many files can be neither read nor removed at the moment.
    pub fn troubled(&self) -> usize {
        let queues = self.queues.lock();
        queues.set_aside.len() + queues.unread.len() + queues.stuck.len()
    }

    /// Whether the next segment could not be opened for want of descriptors, so that one has to go.
    pub fn has_too_many(&self) -> bool {
        let queues = self.queues.lock();
        queues.segments().count() + queues.doomed.len() + 1 > self.most
    }

    /// Tries again to remove what could not be removed, and closes what nobody reads any more.
    pub fn sweep_up(&self) {
        let mut stuck = std::mem::take(&mut self.queues.lock().stuck);
        stuck.retain(|segment| segment.unlink().is_err());
        let mut queues = self.queues.lock();
        queues.stuck.append(&mut stuck);
        let Queues { doomed, stuck, .. } = &mut *queues;
        let is_stuck = |segment: &Arc<Segment>| stuck.iter().any(|other| Arc::ptr_eq(other, segment));
        let (held, unused): (Vec<_>, Vec<_>) = std::mem::take(doomed)
            .into_iter()
            .partition(|segment| Arc::strong_count(segment) > 1 || is_stuck(segment));
        *doomed = held;
        drop(queues);
        // Freeing files may take long: not under the lock.
        drop(unused);
    }
}

/// Half of the files that the process may open: the rest is for clients and upstreams.
pub(super) fn most_open() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX)).max(1)
}
