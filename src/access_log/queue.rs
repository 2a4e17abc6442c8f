//! The bounded queue between the workers and the writer thread: blocks of lines, and two wishes (rotate, end).
//!
//! `Open -> Closing -> Finished`, one way. A push never waits; only the writer and whoever closes do.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes of lines that may wait.
    capacity: usize,
}

struct State {
    phase: Phase,
    rotate: Rotation,
    blocks: VecDeque<Vec<u8>>,
    /// Sum of their lengths.
    waiting: usize,
    /// Emptied blocks for the workers, so that a steady log allocates nothing. At most [`SPARE_BLOCKS`].
    spare: Vec<Vec<u8>>,
}

#[derive(PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Finished,
}

#[derive(PartialEq, Eq)]
enum Rotation {
    Idle,
    Asked,
}

/// Why a block was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The writer is behind.
    Full,
    /// Closed.
    Closed,
}

/// What the writer is to do next.
pub(super) enum Order {
    Write(Vec<u8>),
    Rotate,
    End,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            phase: Phase::Open,
            rotate: Rotation::Idle,
            blocks: VecDeque::new(),
            waiting: 0,
            spare: Vec::new(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    /// Takes the lines and leaves an empty block; when refused, the lines stay.
    pub(super) fn push(&self, lines: &mut Vec<u8>) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(Refused::Closed);
        }
        if state.waiting + lines.len() > self.capacity {
            return Err(Refused::Full);
        }
        let empty = state.spare.pop().unwrap_or_else(|| Vec::with_capacity(lines.capacity()));
        state.add(std::mem::replace(lines, empty));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Asks for a rotation before the next block.
    pub(super) fn rotate(&self) {
        self.state.lock().rotate = Rotation::Asked;
        self.changed.notify_all();
    }

    /// Adds the last blocks, even beyond the capacity, and takes no more.
    pub(super) fn close(&self, last: Vec<Vec<u8>>) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        last.into_iter().filter(|lines| !lines.is_empty()).for_each(|lines| state.add(lines));
        drop(state);
        self.changed.notify_all();
    }

    /// For whoever closed: waits for the writer. False when it needs longer than `patience`.
    pub(super) fn wait_until_finished(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        let busy = |state: &mut State| state.phase != Phase::Finished;
        !self.changed.wait_while_for(&mut state, busy, patience).timed_out()
    }

    /// For the writer: waits for something to do. `End` comes last, once.
    pub(super) fn next(&self) -> Order {
        let mut state = self.state.lock();
        loop {
            if std::mem::replace(&mut state.rotate, Rotation::Idle) == Rotation::Asked {
                return Order::Rotate;
            }
            if let Some(lines) = state.blocks.pop_front() {
                state.waiting -= lines.len();
                return Order::Write(lines);
            }
            if state.phase != Phase::Open {
                return Order::End;
            }
            self.changed.wait(&mut state);
        }
    }

    /// For the writer: gives a written block back.
    pub(super) fn recycle(&self, mut block: Vec<u8>) {
        let mut state = self.state.lock();
        if state.spare.len() < SPARE_BLOCKS {
            block.clear();
            state.spare.push(block);
        }
    }

    /// For the writer: it will not ask again.
    pub(super) fn finish(&self) {
        self.state.lock().phase = Phase::Finished;
        self.changed.notify_all();
    }
}

impl State {
    fn add(&mut self, lines: Vec<u8>) {
        self.waiting += lines.len();
        self.blocks.push_back(lines);
    }
}

const SPARE_BLOCKS: usize = 16;
