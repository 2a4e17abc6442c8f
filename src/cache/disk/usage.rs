//! What callers are told about the tier: why something is not stored, why it went, and how things are.

use std::time::Duration;

use super::health::Condition;

/// Why an object is not stored. Nobody's error: it is passed on all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Larger than `max_object` or a quarter of the capacity.
    TooLarge,
    /// Too many bytes wait to be written.
    QueueFull,
    /// No space right now; room is being made.
    NoSpace,
    /// Writing pauses after repeated errors.
    Paused,
    /// A segment could not be created.
    Failed,
    /// The tier was closed.
    Closed,
}

/// Why somebody removes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveReason {
    /// A read found it damaged.
    Corrupt,
    /// The disk could not read it.
    Unreadable,
    /// An operator asked for it.
    Purged,
}

/// The state of the tier at one moment. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Findable objects.
    pub objects: usize,
    /// Bytes of files.
    pub stored: u64,
    /// Bytes promised and not yet written.
    pub reserved: u64,
    /// Hard limit of both together.
    pub capacity: u64,
    /// What may be used now: less than the capacity while others fill the file system.
    pub limit: u64,
    /// Segment files, each of them an open file.
    pub segments: usize,
    /// Memory of index and ghosts.
    pub index_memory: usize,
    /// Waiting for the writer thread.
    pub queued: u64,
    /// Whether what the last run stored can all be found.
    pub index: IndexState,
    /// What the tier can do.
    pub condition: Condition,
    /// When what it cannot do is tried again.
    pub retry_in: Option<Duration>,
}

/// How a quota is used. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaUsage {
    /// The pattern of its repositories.
    pub repository: String,
    /// Of their files.
    pub stored: u64,
    /// As long as there is less, nothing of it goes for others.
    pub floor: u64,
    /// There is never more.
    pub ceiling: Option<u64>,
    /// Whether nothing of it goes at all.
    pub is_pinned: bool,
}

/// How much of the last run's objects can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Some are still missed.
    Loading,
    /// All.
    Loaded,
}
