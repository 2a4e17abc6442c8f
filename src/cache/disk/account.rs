//! How the tier stands: what it holds, and for whom.

use super::queue::Job;
use super::shared::Shared;
use super::shares::{Keep, Share};
use super::usage::{IndexState, QuotaUsage, Usage};
use super::{Disk, DiskObject};

impl Disk {
    /// The share of a repository.
    pub fn share(&self, repository: &str) -> Share {
        self.shared().segments.shares.of(repository)
    }

    /// A stored object was asked for in the name of a share. When it counts for none yet, it is moved there behind the
    /// caller's back: so what was stored before a quota was made comes to it as it is used.
    pub fn claim(&self, object: &DiskObject, share: Share) {
        let shared = self.shared();
        if share != Share::REST
            && object.segment().share == Share::REST
            && shared.segments.ledger.free_below_ceiling(share) > object.len()
        {
            shared.queue.push_if_idle(Job::Claim(Box::new(object.clone()), share));
        }
    }

    /// How the quotas are used, in the order of the configuration.
    pub fn quotas(&self) -> Vec<QuotaUsage> {
        let segments = &self.shared().segments;
        let usage = |share| {
            let limits = segments.shares.limits(share);
            QuotaUsage {
                repository: segments.shares.label(share).to_owned(),
                stored: segments.ledger.share(share).stored,
                floor: limits.floor,
                ceiling: (limits.ceiling < u64::MAX).then_some(limits.ceiling),
                is_pinned: limits.keep == Keep::Always,
            }
        };
        segments.shares.all().skip(1).map(usage).collect()
    }

    /// The present state.
    pub fn usage(&self) -> Usage {
        let shared = self.shared();
        let books = shared.segments.ledger.books();
        let (condition, retry_in) = shared.condition();
        Usage {
            condition,
            retry_in,
            objects: shared.index.len(),
            stored: books.stored,
            reserved: books.reserved,
            capacity: shared.segments.ledger.capacity(),
            limit: shared.segments.ledger.limit(),
            segments: shared.segments.census().0,
            index_memory: index_memory(shared),
            queued: shared.queue.bytes(),
            index: if shared.is_loaded() { IndexState::Loaded } else { IndexState::Loading },
        }
    }
}

/// Bytes of memory for finding things.
pub fn index_memory(shared: &Shared) -> usize {
    shared.index.memory() + shared.ghost.lock().memory()
}
