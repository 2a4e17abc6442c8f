//! The books of the folder: how many bytes are on the disk and how many are promised.
//!
//! Invariant: `stored + reserved <= capacity` after every entry, however threads interleave. Only files that were
//! there already at start, or before the capacity was lowered, may exceed it; then nothing is promised until enough of them are gone. The same holds for
//! the limit, which is below the capacity while others fill the file system.
//! Every byte is owned by a [`Charge`], which gives it back when dropped: a file's charge lives as long as the file
//! is open, so that evicted files which readers still hold keep counting.

use std::sync::Arc;

use parking_lot::Mutex;

/// What a file of `bytes` takes on the disk: file systems give out blocks of 4 KiB.
pub const fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}

/// Who asks for space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// New objects. Leaves the headroom alone.
    Admit,
    /// Making room: copying used objects out of a segment that is about to go. May use the headroom.
    Reclaim,
}

/// Bytes in the folder, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Bytes of files, dead ones included.
    pub stored: u64,
    /// Bytes promised to writers and open segments, not yet written.
    pub reserved: u64,
}

impl Books {
    /// Stored and reserved together.
    pub fn total(self) -> u64 {
        self.stored + self.reserved
    }
}

/// See the module.
pub struct Ledger {
    headroom: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    books: Books,
    capacity: u64,
    // At most the capacity.
    limit: u64,
}

impl Ledger {
    /// A ledger of `capacity` bytes, the last `headroom` of which only [`Purpose::Reclaim`] may use.
    pub fn new(capacity: u64, headroom: u64) -> Arc<Self> {
        debug_assert!(headroom <= capacity);
        let state = State { books: Books::default(), capacity, limit: capacity };
        Arc::new(Self { headroom, state: Mutex::new(state) })
    }

    /// The hard limit in bytes.
    pub fn capacity(&self) -> u64 {
        self.state.lock().capacity
    }

    /// The books as they are now.
    pub fn books(&self) -> Books {
        self.state.lock().books
    }

    /// What may be used now, at most the capacity.
    pub fn limit(&self) -> u64 {
        self.state.lock().limit
    }

    /// Lets at most `bytes` be used from now on, or the capacity if that is less. What is used already stays; as long
    /// as it is more, nothing is promised.
    pub fn set_limit(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.limit = bytes.min(state.capacity);
    }

    /// Changes the capacity. Used bytes beyond a smaller one stay until they are given back, and nothing is promised
    /// meanwhile; a larger one counts once the limit is set anew.
    pub fn set_capacity(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.capacity = bytes;
        state.limit = state.limit.min(bytes);
    }

    /// Bytes used beyond the limit.
    pub fn excess(&self) -> u64 {
        let state = self.state.lock();
        state.books.total().saturating_sub(state.limit)
    }

    /// Bytes that new objects could be promised now.
    pub fn free(&self) -> u64 {
        self.room(&self.state.lock(), Purpose::Admit)
    }

    /// Promises `bytes`, or `None` when they are not to be had now.
    pub fn reserve(self: &Arc<Self>, bytes: u64, purpose: Purpose) -> Option<Charge> {
        let mut state = self.state.lock();
        if bytes > self.room(&state, purpose) {
            return None;
        }
        state.books.reserved += bytes;
        drop(state);
        Some(Charge::new(self, Books { stored: 0, reserved: bytes }))
    }

    /// Enters a file of `bytes` that is there already; the only entry that may exceed the capacity.
    pub fn found(self: &Arc<Self>, bytes: u64) -> Charge {
        self.state.lock().books.stored += bytes;
        Charge::new(self, Books { stored: bytes, reserved: 0 })
    }

    fn room(&self, state: &State, purpose: Purpose) -> u64 {
        let limit = match purpose {
            Purpose::Admit => state.limit.saturating_sub(self.headroom),
            Purpose::Reclaim => state.limit,
        };
        limit.saturating_sub(state.books.total())
    }
}

/// Bytes of the ledger that belong to one file; given back on drop.
pub struct Charge {
    ledger: Arc<Ledger>,
    // Locked before the ledger's books, never the other way round.
    part: Mutex<Books>,
}

impl Charge {
    fn new(ledger: &Arc<Ledger>, part: Books) -> Self {
        Self { ledger: Arc::clone(ledger), part: Mutex::new(part) }
    }

    /// This file's share.
    pub fn books(&self) -> Books {
        *self.part.lock()
    }

    /// `bytes` of the promised ones have been written; at most what is promised.
    pub fn settle(&self, bytes: u64) {
        let mut part = self.part.lock();
        debug_assert!(bytes <= part.reserved, "settled more than was reserved");
        let bytes = bytes.min(part.reserved);
        part.reserved -= bytes;
        part.stored += bytes;
        let books = &mut self.ledger.state.lock().books;
        books.reserved -= bytes;
        books.stored += bytes;
    }

    /// Makes the charge `bytes` stored and nothing reserved. Shrinking always succeeds; growing needs room and leaves
    /// everything as it was when there is none.
    pub fn close_at(&self, bytes: u64) -> Result<(), NoRoom> {
        let mut part = self.part.lock();
        let mut state = self.ledger.state.lock();
        if bytes > part.total() && bytes - part.total() > self.ledger.room(&state, Purpose::Reclaim) {
            return Err(NoRoom);
        }
        state.books.stored = state.books.stored - part.stored + bytes;
        state.books.reserved -= part.reserved;
        *part = Books { stored: bytes, reserved: 0 };
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let part = *self.part.get_mut();
        let books = &mut self.ledger.state.lock().books;
        books.stored -= part.stored;
        books.reserved -= part.reserved;
    }
}

/// The capacity is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Reserve(u64, Purpose),
        Settle(usize, u64),
        Close(usize, u64),
        Drop(usize),
        Limit(u64),
        Capacity(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let purpose = prop_oneof![Just(Purpose::Admit), Just(Purpose::Reclaim)];
        prop_oneof![
            (1..600u64, purpose).prop_map(|(n, p)| Step::Reserve(n, p)),
            (any::<usize>(), 0..600u64).prop_map(|(i, n)| Step::Settle(i, n)),
            (any::<usize>(), 0..900u64).prop_map(|(i, n)| Step::Close(i, n)),
            any::<usize>().prop_map(Step::Drop),
            (0..1500u64).prop_map(Step::Limit),
            (200..1500u64).prop_map(Step::Capacity),
        ]
    }

    proptest! {
        #[test]
        fn never_more_than_the_capacity(steps in proptest::collection::vec(step(), 0..200)) {
            let ledger = Ledger::new(1000, 100);
            let mut charges: Vec<Charge> = Vec::new();
            let (mut most, mut capacity) = (1000, 1000);
            for step in steps {
                let before = ledger.books();
                match step {
                    Step::Reserve(bytes, purpose) => {
                        let limit = if purpose == Purpose::Admit { most.max(100) - 100 } else { most };
                        let charge = ledger.reserve(bytes, purpose);
                        prop_assert_eq!(charge.is_some(), before.total() + bytes <= limit);
                        charges.extend(charge);
                    }
                    Step::Settle(i, bytes) if !charges.is_empty() => {
                        let charge = &charges[i % charges.len()];
                        charge.settle(bytes.min(charge.books().reserved));
                    }
                    Step::Close(i, bytes) if !charges.is_empty() => {
                        let charge = &charges[i % charges.len()];
                        let grown = before.total() - charge.books().total() + bytes;
                        prop_assert_eq!(charge.close_at(bytes).is_ok(), bytes <= charge.books().total() || grown <= most);
                    }
                    Step::Limit(bytes) => {
                        ledger.set_limit(bytes);
                        most = bytes.min(capacity);
                        prop_assert_eq!(ledger.excess(), before.total().saturating_sub(most));
                    }
                    Step::Capacity(bytes) => {
                        ledger.set_capacity(bytes);
                        (most, capacity) = (most.min(bytes), bytes);
                        prop_assert_eq!((ledger.capacity(), ledger.limit()), (capacity, most));
                    }
                    Step::Drop(i) if !charges.is_empty() => {
                        let i = i % charges.len();
                        charges.swap_remove(i);
                    }
                    _ => {}
                }
                let books = ledger.books();
                prop_assert!(books.total() <= capacity.max(before.total()));
                prop_assert_eq!(books.stored, charges.iter().map(|c| c.books().stored).sum::<u64>());
                prop_assert_eq!(books.reserved, charges.iter().map(|c| c.books().reserved).sum::<u64>());
            }
            charges.clear();
            prop_assert_eq!(ledger.books(), Books::default());
        }
    }

    #[test]
    fn files_found_at_start_may_exceed_the_capacity_but_stop_promises() {
        let ledger = Ledger::new(1000, 100);
        let found = ledger.found(1500);
        assert_eq!(ledger.free(), 0);
        assert!(ledger.reserve(1, Purpose::Reclaim).is_none());
        drop(found);
        assert_eq!(ledger.free(), 900);
    }
}
