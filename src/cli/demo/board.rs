//! What the jobs of a wave have done so far, for whoever watches them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

/// Counters that all jobs of a wave add to.
pub struct Board {
    done: AtomicU64,
    bytes: AtomicU64,
    milestone: u64,
    reached: Notify,
}

impl Board {
    /// A board that rings once when `milestone` things are done; for 0, never.
    pub fn new(milestone: u64) -> Arc<Self> {
        Arc::new(Self {
            done: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            milestone,
            reached: Notify::new(),
        })
    }

    /// Something was read whole.
    pub fn done(&self) {
        if self.done.fetch_add(1, Relaxed) + 1 == self.milestone {
            self.reached.notify_one();
        }
    }

    /// Bytes came in.
    pub fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Waits for the milestone; for one waiter.
    pub async fn milestone(&self) {
        self.reached.notified().await;
    }

    /// Things read whole, and bytes received.
    pub fn progress(&self) -> (u64, u64) {
        (self.done.load(Relaxed), self.bytes.load(Relaxed))
    }
}
