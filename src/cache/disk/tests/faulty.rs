//! A disk that fails as told.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::super::faults::{Faults, Interference, Operation, Verdict};
use super::folder_size;

/// Which operations fail, and how.
type Rule = Box<dyn Fn(Operation) -> Option<Errno> + Send + Sync>;

/// See the module.
pub struct Faulty {
    rule: Mutex<Option<Rule>>,
    /// Bytes said to be available; `u64::MAX` for the truth.
    available: AtomicU64,
    /// The folder whose files, removed, make more available, and their size at first.
    shrinking: Mutex<Option<(PathBuf, u64)>>,
    /// Changes to files so far.
    changes: AtomicUsize,
    /// From this change on all of them fail, as if the process had died.
    dies_at: AtomicUsize,
}

impl Faulty {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            rule: Mutex::default(),
            available: AtomicU64::new(u64::MAX),
            shrinking: Mutex::default(),
            changes: AtomicUsize::new(0),
            dies_at: AtomicUsize::new(usize::MAX),
        })
    }

    pub fn faults(self: &Arc<Self>) -> Faults {
        Faults::of(self.clone())
    }

    /// Makes the operations of some kinds fail from now on.
    pub fn fail(&self, operations: &'static [Operation], errno: Errno) {
        let is_meant = move |operation| {
            operations.iter().any(|meant| match (meant, operation) {
                (Operation::Write(_), Operation::Write(_)) => true,
                _ => *meant == operation,
            })
        };
        *self.rule.lock() = Some(Box::new(move |operation| is_meant(operation).then_some(errno)));
    }

    /// Makes reads fail from now on, but for the first `well` of them.
    pub fn fail_reads_after(&self, well: usize) {
        let reads = AtomicUsize::new(0);
        let rule = move |operation| {
            let is_read = operation == Operation::Read;
            (is_read && reads.fetch_add(1, Ordering::Relaxed) >= well).then_some(Errno::IO)
        };
        *self.rule.lock() = Some(Box::new(rule));
    }

    /// Everything works from now on.
    pub fn repair(&self) {
        *self.rule.lock() = None;
    }

    pub fn make_available(&self, bytes: u64) {
        self.available.store(bytes, Ordering::Relaxed);
    }

    /// So much is available beside the files of `folder`, and more as they shrink.
    pub fn make_available_beside(&self, folder: &Path, bytes: u64) {
        *self.shrinking.lock() = Some((folder.to_owned(), folder_size(folder)));
        self.make_available(bytes);
    }

    /// The process dies in the middle of this change to a file, counted from now.
    pub fn die_at(&self, change: usize) {
        self.changes.store(0, Ordering::Relaxed);
        self.dies_at.store(change, Ordering::Relaxed);
    }

    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }
}

impl Interference for Faulty {
    fn judge(&self, operation: Operation) -> Verdict {
        if !matches!(operation, Operation::Read | Operation::ReadCached | Operation::List | Operation::Open) {
            let change = self.changes.fetch_add(1, Ordering::Relaxed);
            let dies_at = self.dies_at.load(Ordering::Relaxed);
            match operation {
                // Anything from none to all but one of its bytes, different for each.
                Operation::Write(bytes) if change == dies_at && bytes > 512 => {
                    return Verdict::Torn(change * 7919 % bytes.max(1), Errno::IO);
                }
                _ if change >= dies_at => return Verdict::Fail(Errno::IO),
                _ => {}
            }
        }
        match self.rule.lock().as_ref().and_then(|rule| rule(operation)) {
            Some(errno) => Verdict::Fail(errno),
            None => Verdict::Go,
        }
    }

    fn available(&self, real: u64) -> u64 {
        let shrunk = self
            .shrinking
            .lock()
            .as_ref()
            .map_or(0, |(folder, size)| size.saturating_sub(folder_size(folder)));
        real.min(self.available.load(Ordering::Relaxed).saturating_add(shrunk))
    }
}
