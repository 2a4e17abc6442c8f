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
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
pub use reader::{FillReader, Ready};
pub(super) use table::FillHandle;
pub use writer::{CommitError, FillWriter};

use super::disk::DiskWriterReader;
use super::object::Object;
use crate::digest::ObjectName;

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
    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::TooSlow => "too_slow",
            Self::Forbidden => "forbidden",
            Self::Overload => "overload",
            Self::Corrupt => "corrupt",
            Self::Abandoned => "abandoned",
            Self::Overrun => "overrun",
            Self::Storage => "storage",
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

/// The part of a fill that readers and the writer share.
struct Fill {
    key: FillKey,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Bytes in all, once a source said so.
    len: Option<u64>,
    /// Consecutive, ending at `received`. Starts at 0 unless the window moved on.
    chunks: VecDeque<Chunk>,
    received: u64,
    readers: Slots,
    /// The writer, while it waits for the slowest reader.
    writer: Option<Waker>,
    /// Where bytes before the first chunk can be read again.
    extent: Option<DiskWriterReader>,
}

struct Chunk {
    start: u64,
    bytes: Bytes,
}

enum Phase {
    Hidden,
    Streaming,
    /// With the object at rest, unless it could be kept nowhere.
    Complete(Option<Object>),
    Failed(FillError),
}

impl Fill {
    fn new(key: FillKey) -> (Arc<Self>, FillReader) {
        let mut readers = Slots::default();
        let slot = readers.add();
        let state = State {
            phase: Phase::Hidden,
            len: None,
            chunks: VecDeque::new(),
            received: 0,
            readers,
            writer: None,
            extent: None,
        };
        let fill = Arc::new(Self { key, state: Mutex::new(state) });
        (Arc::clone(&fill), FillReader::new(fill, slot))
    }

    /// A new reader at the start, unless the fill has ended badly or its first bytes are gone.
    fn join(self: &Arc<Self>) -> Option<FillReader> {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Failed(_)) || (state.base() > 0 && state.extent.is_none()) {
            return None;
        }
        let slot = state.readers.add();
        drop(state);
        Some(FillReader::new(Arc::clone(self), slot))
    }

    fn readers(&self) -> usize {
        self.state.lock().readers.len()
    }
}

impl State {
    /// Offset of the first byte still in memory.
    fn base(&self) -> u64 {
        self.chunks.front().map_or(self.received, |chunk| chunk.start)
    }

    /// Offset behind the last byte that readers may see.
    fn visible(&self) -> u64 {
        match self.phase {
            Phase::Hidden | Phase::Failed(_) => 0,
            Phase::Complete(_) => self.received,
            Phase::Streaming => match self.len {
                Some(len) => self.received.min(len.saturating_sub(HELD_BACK)),
                None => self.received.saturating_sub(HELD_BACK),
            },
        }
    }

    /// Bytes in memory.
    fn held(&self) -> u64 {
        self.received - self.base()
    }

    /// Drops the oldest chunks that lie before `until`, as long as more than `window` bytes are held.
    fn forget(&mut self, window: u64, until: u64) {
        while self.held() > window
            && self.chunks.front().is_some_and(|chunk| chunk.start + chunk.bytes.len() as u64 <= until)
        {
            self.chunks.pop_front();
        }
    }

    /// The bytes in memory from `offset`, up to the end of their chunk.
    fn at(&self, offset: u64) -> Bytes {
        let index = self.chunks.partition_point(|chunk| chunk.start <= offset);
        match index.checked_sub(1).and_then(|i| self.chunks.get(i)) {
            Some(chunk) => chunk.bytes.slice(((offset - chunk.start) as usize).min(chunk.bytes.len())..),
            None => Bytes::new(),
        }
    }
}

/// The readers of a fill: where each stands, and how to wake it.
#[derive(Default)]
struct Slots {
    /// Changes whenever a reader moves or leaves.
    moves: u64,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
}

struct Slot {
    position: u64,
    /// What is left of [`PATIENCE`].
    patience: Duration,
    waited_for: bool,
    waker: Option<Waker>,
}

impl Slots {
    fn add(&mut self) -> usize {
        let slot = Some(Slot { position: 0, patience: PATIENCE, waited_for: true, waker: None });
        match self.free.pop() {
            Some(index) => {
                self.slots[index] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        }
    }

    fn remove(&mut self, index: usize) {
        if self.slots.get_mut(index).and_then(Option::take).is_some() {
            self.free.push(index);
            self.moves += 1;
        }
    }

    fn wait(&mut self, index: usize, waker: &Waker) {
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            match &mut slot.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    fn moved(&mut self, index: usize, position: u64) {
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            slot.position = position;
            self.moves += 1;
        }
    }

    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The slowest reader that is still waited for: who, where, and for how long yet.
    fn slowest(&self) -> Option<(usize, u64, Duration)> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter_map(|(index, slot)| slot.as_ref().map(|slot| (index, slot)))
            .filter(|(_, slot)| slot.waited_for)
            .map(|(index, slot)| (index, slot.position, slot.patience))
            .min_by_key(|&(_, position, _)| position)
    }

    /// Others starved for `wait` because of this reader.
    fn charge(&mut self, index: usize, wait: Duration) {
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            slot.patience = slot.patience.saturating_sub(wait);
        }
    }

    /// From now on nobody waits for this reader.
    fn leave_behind(&mut self, index: usize) {
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            slot.waited_for = false;
        }
    }

    /// Whether a reader has read all up to `position`.
    fn any_at(&self, position: u64) -> bool {
        self.slots.iter().flatten().any(|slot| slot.position >= position)
    }

    /// Takes the wakers out, to be called once the lock is released.
    fn take_wakers(&mut self) -> Vec<Waker> {
        self.slots.iter_mut().flatten().filter_map(|slot| slot.waker.take()).collect()
    }
}

fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
