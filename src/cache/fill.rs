//! A fill: one transfer of an object into the cache, shared by any number of readers.
//!
//! ```text
//! Hidden ──► Streaming ──► Complete | Failed        one way; every end is a value
//!    └───────────────────►
//! ```
//! Hidden: bytes arrive, no reader sees any, so the source can still be replaced unnoticed. Streaming: readers see all
//! but the last [`HELD_BACK`] bytes. Complete: the digest matched and the object is in the tiers. Each reader goes at its
//! own pace; a reader that stalls or leaves changes nothing for the others. A fill whose bytes fit the window is kept
//! whole until it ends; a larger one is read back from its disk extent, or, without one, waits for its slowest reader
//! for a bounded time and then leaves it behind.
//! Not here: where bytes come from, and any protocol.

mod reader;
pub(super) mod room;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod window;
mod writer;

use std::sync::Arc;
use std::time::Duration;

pub use reader::FillReader;
pub use state::Ready;
pub(super) use table::FillHandle;
pub use writer::{CommitError, FillWriter};

use state::{Fill, Phase};

use crate::digest::ObjectName;
use crate::reason::Reason;

/// Bytes at the end that readers get only after the digest matched: a corrupt body ends short, never complete.
/// Few, since a client at its lower speed limit (1 kB/s over 5 s) must not starve while they arrive.
pub const HELD_BACK: u64 = 4 << 10;

/// How long, in all, the other readers of a fill that is stored nowhere starve for a slower one.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a disk may take for a piece of a fill before the fill goes on without it.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// Why a fill ended without the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Every source said that it does not have the object.
    NotFound,
    /// No source could be reached, or all answered with errors.
    Unavailable,
    /// No source answered in time.
    TooSlow,
    /// The rules forbid to ask the only source.
    Forbidden,
    /// We have more to do than can be done in time.
    Overload,
    /// Bytes did not deserve the name.
    Corrupt,
    /// The transfer was given up: no reader was left, or the process is stopping.
    Abandoned,
    /// This reader was too slow for a fill that is kept nowhere.
    Overrun,
    /// Our own storage failed while the fill depended on it.
    Storage,
}

impl Why {
    /// The same in the words that operators read.
    pub const fn reason(self) -> Reason {
        match self {
            Self::NotFound => Reason::NotFound,
            Self::Unavailable => Reason::Unavailable,
            Self::TooSlow => Reason::TooSlow,
            Self::Forbidden => Reason::Forbidden,
            Self::Overload => Reason::Overload,
            Self::Corrupt => Reason::Corrupt,
            Self::Abandoned => Reason::Abandoned,
            Self::Overrun => Reason::Overrun,
            Self::Storage => Reason::Storage,
        }
    }

    /// Every reason, for tables of metrics.
    pub const ALL: [Self; 9] = [
        Self::NotFound,
        Self::Unavailable,
        Self::TooSlow,
        Self::Forbidden,
        Self::Overload,
        Self::Corrupt,
        Self::Abandoned,
        Self::Overrun,
        Self::Storage,
    ];
}

/// The end of a fill that did not bring the object; shared by all its readers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct FillError {
    /// The class.
    pub why: Why,
    /// For people: which source said what.
    pub detail: Arc<str>,
}

impl FillError {
    /// An error with its explanation.
    pub fn new(why: Why, detail: impl Into<Arc<str>>) -> Self {
        Self { why, detail: detail.into() }
    }
}

/// What a fill is known by: what it brings, and (hashed) which sources it may ask. Whoever could choose the source of a fill
/// that others join could keep the object from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FillKey {
    pub name: ObjectName,
    pub sources: u64,
}
