//! What the readers and the writer of a fill share: who may see which bytes, and who waits for whom.
//!
//! Whoever waits looks and leaves its waker under one lock, and whoever changes something takes the wakers under it: no call
//! is lost. `tests/loom` tries every interleaving of it. Not here: tasks, threads, time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{FillError, FillKey, HELD_BACK, PATIENCE};
use crate::cache::disk::DiskWriterReader;
use crate::cache::object::{CHUNK, Object};

/// The part of a fill that readers and the writer share.
pub struct Fill {
    pub key: FillKey,
    pub state: Mutex<State>,
}

pub struct State {
    pub phase: Phase,
    /// Bytes in all, once a source said so.
    pub len: Option<u64>,
    /// Consecutive, ending at `received`. Starts at 0 unless the window moved on.
    pub chunks: VecDeque<Chunk>,
    pub received: u64,
    pub readers: Slots,
    /// The writer, while it waits for the slowest reader.
    pub writer: Option<Waker>,
    /// Where bytes before the first chunk can be read again.
    pub extent: Option<DiskWriterReader>,
}

pub struct Chunk {
    pub start: u64,
    pub bytes: Bytes,
}

pub enum Phase {
    Hidden,
    Streaming,
    /// With the object at rest, unless it could be kept nowhere.
    Complete(Option<Object>),
    Failed(FillError),
}

impl Fill {
    /// A fill with its first reader.
    pub fn new(key: FillKey) -> (Arc<Self>, usize) {
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
        (Arc::new(Self { key, state: Mutex::new(state) }), slot)
    }

    /// A new reader at the start, unless the fill has ended badly or its first bytes are gone.
    pub fn join(&self) -> Option<usize> {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Failed(_)) || (state.base() > 0 && state.extent.is_none()) {
            return None;
        }
        Some(state.readers.add())
    }

    /// Readers at present.
    pub fn readers(&self) -> usize {
        self.state.lock().readers.len()
    }

    /// Lets readers start now.
    pub fn release(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Hidden) {
            state.phase = Phase::Streaming;
            let wakers = state.readers.take_wakers();
            drop(state);
            wake(wakers);
        }
    }

    /// Appends a chunk and wakes the readers; returns its offset.
    pub fn publish(&self, bytes: Bytes) -> u64 {
        let mut state = self.state.lock();
        let start = state.received;
        state.received += bytes.len() as u64;
        state.chunks.push_back(Chunk { start, bytes });
        let wakers = match state.phase {
            Phase::Hidden => Vec::new(),
            _ => state.readers.take_wakers(),
        };
        drop(state);
        wake(wakers);
        start
    }

    /// The one end, told to all readers.
    pub fn end(&self, phase: Phase) {
        let mut state = self.state.lock();
        state.phase = phase;
        let wakers = state.readers.take_wakers();
        drop(state);
        wake(wakers);
    }

    /// What a reader begins with. Pending: `waker` is called when that may have changed.
    pub fn poll_ready(&self, slot: usize, waker: &Waker) -> Poll<Result<Ready, FillError>> {
        let mut state = self.state.lock();
        match &state.phase {
            Phase::Hidden => {
                state.readers.wait(slot, waker);
                Poll::Pending
            }
            Phase::Streaming => Poll::Ready(Ok(Ready::Streaming { len: state.len })),
            Phase::Complete(Some(object)) => Poll::Ready(Ok(Ready::Complete(object.clone()))),
            Phase::Complete(None) => Poll::Ready(Ok(Ready::Streaming { len: Some(state.received) })),
            Phase::Failed(error) => Poll::Ready(Err(error.clone())),
        }
    }

    /// What is next for a reader at `position`. Pending: `waker` is called when that may have changed.
    pub fn poll_next(&self, slot: usize, position: u64, waker: &Waker) -> Poll<Next> {
        let mut state = self.state.lock();
        if let Phase::Failed(error) = &state.phase {
            return Poll::Ready(Next::Failed(error.clone()));
        }
        let visible = state.visible();
        if position < visible {
            if position >= state.base() {
                let mut bytes = state.at(position);
                bytes.truncate((visible - position).min(CHUNK as u64) as usize);
                return Poll::Ready(Next::Bytes(bytes));
            }
            let wanted = (state.base() - position).min(CHUNK as u64) as usize;
            return Poll::Ready(match state.extent.clone() {
                Some(extent) => Next::OnDisk(extent, wanted),
                None => Next::Gone,
            });
        }
        if matches!(state.phase, Phase::Complete(_)) {
            return Poll::Ready(Next::End);
        }
        state.readers.wait(slot, waker);
        Poll::Pending
    }

    /// A reader is at `position` now.
    pub fn moved(&self, slot: usize, position: u64) {
        self.change_readers(|readers| readers.moved(slot, position));
    }

    /// A reader leaves.
    pub fn leave(&self, slot: usize) {
        self.change_readers(|readers| readers.remove(slot));
    }

    /// Waits until a reader has moved or left since `seen`. Pending: `waker` is called then.
    pub fn poll_moved(&self, seen: u64, waker: &Waker) -> Poll<()> {
        let mut state = self.state.lock();
        if state.readers.moves != seen {
            return Poll::Ready(());
        }
        state.writer = Some(waker.clone());
        Poll::Pending
    }

    fn change_readers(&self, change: impl FnOnce(&mut Slots)) {
        let mut state = self.state.lock();
        change(&mut state.readers);
        if let Some(writer) = state.writer.take() {
            drop(state);
            writer.wake();
        }
    }
}

/// What a reader can begin with.
pub enum Ready {
    /// The fill is over and its object is at rest in a tier.
    Complete(Object),
    /// Bytes flow; the length in bytes, if the source told it.
    Streaming {
        /// Bytes in all.
        len: Option<u64>,
    },
}

/// What is next for a reader.
pub enum Next {
    /// These bytes.
    Bytes(Bytes),
    /// So many bytes that are in memory no more.
    OnDisk(DiskWriterReader, usize),
    /// Bytes that are nowhere any more.
    Gone,
    /// Nothing: all was read, and is verified.
    End,
    /// Nothing: the fill has failed.
    Failed(FillError),
}

impl State {
    /// Offset of the first byte still in memory.
    pub fn base(&self) -> u64 {
        self.chunks.front().map_or(self.received, |chunk| chunk.start)
    }

    /// Offset behind the last byte that readers may see.
    pub fn visible(&self) -> u64 {
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
    pub fn held(&self) -> u64 {
        self.received - self.base()
    }

    /// Drops the oldest chunks that lie before `until`, as long as more than `window` bytes are held.
    pub fn forget(&mut self, window: u64, until: u64) {
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
pub struct Slots {
    /// Changes whenever a reader moves or leaves.
    pub moves: u64,
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
    pub fn add(&mut self) -> usize {
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

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The slowest reader that is still waited for: who, where, and for how long yet.
    pub fn slowest(&self) -> Option<(usize, u64, Duration)> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter_map(|(index, slot)| slot.as_ref().map(|slot| (index, slot)))
            .filter(|(_, slot)| slot.waited_for)
            .map(|(index, slot)| (index, slot.position, slot.patience))
            .min_by_key(|&(_, position, _)| position)
    }

    /// Others starved for `wait` because of this reader.
    pub fn charge(&mut self, index: usize, wait: Duration) {
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            slot.patience = slot.patience.saturating_sub(wait);
        }
    }

    /// From now on nobody waits for this reader.
    pub fn leave_behind(&mut self, index: usize) {
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            slot.waited_for = false;
        }
    }

    /// Whether a reader has read all up to `position`.
    pub fn any_at(&self, position: u64) -> bool {
        self.slots.iter().flatten().any(|slot| slot.position >= position)
    }

    /// Takes the wakers out, to be called once the lock is released.
    pub fn take_wakers(&mut self) -> Vec<Waker> {
        self.slots.iter_mut().flatten().filter_map(|slot| slot.waker.take()).collect()
    }
}

fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
