//! The books of the folder: how many bytes are on the disk and how many are promised.
//!
//! Invariant: `stored + reserved <= capacity` after every entry, however threads interleave. Only files that were
//! already there at start may exceed it; then nothing is promised until enough of them are gone.
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
    capacity: u64,
    headroom: u64,
    books: Mutex<Books>,
}

impl Ledger {
    /// A ledger of `capacity` bytes, the last `headroom` of which only [`Purpose::Reclaim`] may use.
    pub fn new(capacity: u64, headroom: u64) -> Arc<Self> {
        debug_assert!(headroom <= capacity);
        Arc::new(Self { capacity, headroom, books: Mutex::default() })
    }

    /// The hard limit in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The books as they are now.
    pub fn books(&self) -> Books {
        *self.books.lock()
    }

    /// Bytes that new objects could be promised now.
    pub fn free(&self) -> u64 {
        (self.capacity - self.headroom).saturating_sub(self.books().total())
    }

    /// Promises `bytes`, or `None` when they are not to be had now.
    pub fn reserve(self: &Arc<Self>, bytes: u64, purpose: Purpose) -> Option<Charge> {
        let mut books = self.books.lock();
        if bytes > self.room(*books, purpose) {
            return None;
        }
        books.reserved += bytes;
        drop(books);
        Some(Charge::new(self, Books { stored: 0, reserved: bytes }))
    }

    /// Enters a file of `bytes` that is there already; the only entry that may exceed the capacity.
    pub fn found(self: &Arc<Self>, bytes: u64) -> Charge {
        self.books.lock().stored += bytes;
        Charge::new(self, Books { stored: bytes, reserved: 0 })
    }

    fn room(&self, books: Books, purpose: Purpose) -> u64 {
        let limit = match purpose {
            Purpose::Admit => self.capacity - self.headroom,
            Purpose::Reclaim => self.capacity,
        };
        limit.saturating_sub(books.total())
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
        let mut books = self.ledger.books.lock();
        books.reserved -= bytes;
        books.stored += bytes;
    }

    /// Makes the charge `bytes` stored and nothing reserved. Shrinking always succeeds; growing needs room and leaves
    /// everything as it was when there is none.
    pub fn close_at(&self, bytes: u64) -> Result<(), NoRoom> {
        let mut part = self.part.lock();
        let mut books = self.ledger.books.lock();
        let without = Books { stored: books.stored - part.stored, reserved: books.reserved - part.reserved };
        if bytes > part.total() && bytes - part.total() > self.ledger.room(*books, Purpose::Reclaim) {
            return Err(NoRoom);
        }
        *part = Books { stored: bytes, reserved: 0 };
        *books = Books { stored: without.stored + bytes, reserved: without.reserved };
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let part = *self.part.get_mut();
        let mut books = self.ledger.books.lock();
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
    }

    fn step() -> impl Strategy<Value = Step> {
        let purpose = prop_oneof![Just(Purpose::Admit), Just(Purpose::Reclaim)];
        prop_oneof![
            (1..600u64, purpose).prop_map(|(n, p)| Step::Reserve(n, p)),
            (any::<usize>(), 0..600u64).prop_map(|(i, n)| Step::Settle(i, n)),
            (any::<usize>(), 0..900u64).prop_map(|(i, n)| Step::Close(i, n)),
            any::<usize>().prop_map(Step::Drop),
        ]
    }

    proptest! {
        #[test]
        fn never_more_than_the_capacity(steps in proptest::collection::vec(step(), 0..200)) {
            let ledger = Ledger::new(1000, 100);
            let mut charges: Vec<Charge> = Vec::new();
            for step in steps {
                let before = ledger.books();
                match step {
                    Step::Reserve(bytes, purpose) => {
                        let limit = if purpose == Purpose::Admit { 900 } else { 1000 };
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
                        prop_assert_eq!(charge.close_at(bytes).is_ok(), bytes <= charge.books().total() || grown <= 1000);
                    }
                    Step::Drop(i) if !charges.is_empty() => {
                        let i = i % charges.len();
                        charges.swap_remove(i);
                    }
                    _ => {}
                }
                let books = ledger.books();
                prop_assert!(books.total() <= 1000);
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
