//! Documents on disk: an image of the store, so that a restart begins warm, and manifests do not go back in time then.
//!
//! Answers never wait for it: they come from memory alone. The store tells each change to the `desk`, and one thread, the
//! `clerk`, carries it out: a file for each variant of a document, written under another name first.
//! Invariants: what is in the store may be on disk, nothing else; files never take more than their bound; a record with one
//! wrong bit is dropped; a response that came since the start is never replaced by one of the last run.
//! Not here: objects (`cache::disk`), whose folder, lock and seam for faults this shares. Formats: docs/disk-format.md.
//! Codemap: `record`, `codec`, `restored` (bytes and back), `files`, `slots` (I/O), `books` (room), `scrub`.

mod books;
mod clerk;
mod codec;
mod desk;
mod files;
mod load;
mod name;
mod record;
mod restored;
mod scrub;
mod slots;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::clerk::Clerk;
pub use self::desk::Desk;
use self::files::Files;
pub use self::scrub::{Finding, Scrubbed, scrub};
use self::slots::{MAX_SLOTS, SLOT};
use super::shelf::Shelf;
use crate::cache::disk::faults::Faults;
use crate::cache::disk::{Condition, Latch};
use crate::metrics::DocumentDiskMetrics;

/// How long a start waits for the newest manifests of the last run.
const MANIFESTS: Duration = Duration::from_millis(80);
/// One part in so many of the room is for the newest manifests.
const MANIFEST_SHARE: u64 = 8;

/// Makes the folder around ours again after somebody emptied it, if it is still ours to make.
pub type Mend = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Where documents are, and how much they may take.
pub struct Place {
    /// The folder; whose turn it is to use it, the caller has made sure.
    pub folder: PathBuf,
    /// Bytes of all files; 0: there are to be none.
    pub bound: u64,
    /// How the disk behaves.
    pub faults: Faults,
    /// See [`Mend`].
    pub mend: Mend,
}

/// The state of affairs, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Files of documents.
    pub documents: usize,
    /// Repositories whose newest manifest is on disk.
    pub manifests: usize,
    /// Bytes of files of documents. Those of manifests come on top; both together keep to the bound.
    pub bytes: u64,
    /// What can be done at the moment.
    pub condition: Condition,
    /// When what cannot be done is tried again.
    pub retry_at: Option<Instant>,
    /// Whether everything the last run left is in memory.
    pub is_loaded: bool,
}

impl Place {
    /// The desk for this place; `None` if nothing is to be kept there.
    pub fn desk(&self, metrics: &DocumentDiskMetrics) -> Option<Arc<Desk>> {
        (self.bound > 0).then(|| Arc::new(Desk::new(self.room(), metrics.clone())))
    }

    /// None, or at least two: one always stays free.
    fn slots(&self) -> u64 {
        match self.bound / MANIFEST_SHARE / SLOT {
            0 | 1 => 0,
            slots => slots.min(MAX_SLOTS),
        }
    }

    fn room(&self) -> u64 {
        self.bound - self.slots() * SLOT
    }
}

/// Whoever holds it keeps the clerk at work. Dropping it ends that as a crash would.
pub struct Keeper {
    desk: Arc<Desk>,
    board: Arc<Board>,
    clerk: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Sets a clerk to work, and waits a moment for the newest manifests of the last run.
    pub fn start(place: Place, desk: Option<Arc<Desk>>, shelf: Arc<Shelf>) -> io::Result<Self> {
        let metrics = shelf.metrics.disk.clone();
        let board = Arc::new(Board::new(metrics.clone()));
        metrics.limit_bytes.set(place.bound.try_into().unwrap_or(i64::MAX));
        // Without a desk at which somebody orders something, there is something to clear away at most.
        let desk = desk.unwrap_or_else(|| Arc::new(Desk::new(place.room(), metrics)));
        let room = (place.room(), place.slots());
        let files = Files::new(place.folder, place.faults);
        let clerk = Clerk::new(Arc::clone(&desk), shelf, files, room, place.mend, Arc::clone(&board));
        let thread = thread::Builder::new().name("documents".to_owned()).spawn({
            let desk = Arc::clone(&desk);
            move || {
                // Nobody waits for a clerk who is gone, whatever the reason.
                let _end = End(desk);
                clerk.run();
            }
        })?;
        board.ready.wait(MANIFESTS);
        Ok(Self { desk, board, clerk: Mutex::new(Some(thread)) })
    }

    /// Waits until everything that changed is written or given up. Blocks.
    pub fn flush(&self) {
        self.desk.flush();
    }

    /// Writes what is to be written and ends. Blocks. Later calls do nothing.
    pub fn close(&self) {
        self.desk.flush();
        self.stop();
    }

    /// The state of affairs.
    pub fn usage(&self) -> Usage {
        *self.board.usage.lock()
    }

    fn stop(&self) {
        let Some(clerk) = self.clerk.lock().take() else { return };
        self.desk.stop();
        if clerk.join().is_err() {
            tracing::error!("the thread that writes documents has panicked");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The end of the clerk.
struct End(Arc<Desk>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What the clerk lets others see.
struct Board {
    /// The newest manifests of the last run are known.
    ready: Latch,
    usage: Mutex<Usage>,
    metrics: DocumentDiskMetrics,
}

impl Board {
    fn new(metrics: DocumentDiskMetrics) -> Self {
        let usage = Usage {
            documents: 0,
            manifests: 0,
            bytes: 0,
            condition: Condition::Working,
            retry_at: None,
            is_loaded: false,
        };
        Self { ready: Latch::default(), usage: Mutex::new(usage), metrics }
    }

    fn show(&self, usage: Usage) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.documents.set(gauge(usage.documents as u64));
        self.metrics.manifests.set(gauge(usage.manifests as u64));
        self.metrics.bytes.set(gauge(usage.bytes));
        self.metrics.is_loaded.set(i64::from(usage.is_loaded));
        for (state, metric) in Condition::ALL.into_iter().zip(&self.metrics.condition) {
            metric.set(i64::from(state == usage.condition));
        }
        *self.usage.lock() = usage;
    }
}
