//! Test seam: everything the tier asks of the file system passes here first, so that tests can make a disk fail, fill
//! up, wait, or die in the middle of a write. Without interference (always, outside of tests) it is one comparison.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

/// What is about to be asked of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reading a folder.
    List,
    /// Opening a file that is there.
    Open,
    /// Creating a file or folder.
    Create,
    /// Reading, however long it takes.
    Read,
    /// Reading what is in the page cache.
    ReadCached,
    /// Writing so many bytes.
    Write(usize),
    /// Changing a file's length.
    Truncate,
    /// Removing a file.
    Remove,
    /// Giving a file its name.
    Rename,
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As usual.
    Go,
    /// Not at all.
    Fail(Errno),
    /// So many bytes are written, then it fails.
    Torn(usize, Errno),
}

/// A disk that misbehaves. Called by many threads.
pub trait Interference: Send + Sync {
    /// Says how the next operation goes. May block, as a slow disk does.
    fn judge(&self, operation: Operation) -> Verdict;

    /// What statvfs tells to be available, in bytes; `real` is what it told.
    fn available(&self, real: u64) -> u64 {
        real
    }
}

/// The seam. The default does not interfere.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<dyn Interference>>);

impl Faults {
    /// Lets `disk` decide.
    pub fn of(disk: Arc<dyn Interference>) -> Self {
        Self(Some(disk))
    }

    /// Whether an operation may go on.
    pub(crate) fn check(&self, operation: Operation) -> io::Result<()> {
        match self.judge(operation) {
            Verdict::Go => Ok(()),
            Verdict::Fail(errno) | Verdict::Torn(_, errno) => Err(errno.into()),
        }
    }

    /// How an operation is to go.
    pub(crate) fn judge(&self, operation: Operation) -> Verdict {
        self.0.as_ref().map_or(Verdict::Go, |disk| disk.judge(operation))
    }

    pub(super) fn available(&self, real: u64) -> u64 {
        self.0.as_ref().map_or(real, |disk| disk.available(real))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(some)" } else { "Faults(none)" })
    }
}
