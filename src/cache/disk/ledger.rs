//! The books of the folder: how many bytes are on the disk and how many are promised.
//!
//! Invariant: `stored + reserved <= capacity` after every entry, however threads interleave. Only files that were
//! there already at start, or before the capacity was lowered, may exceed it; then nothing is promised until enough of them are
//! gone. The same holds for the limit, which is below the capacity while others fill the file system, and for the ceiling of each share.
//! Every byte is owned by a [`Charge`], which gives it back when dropped: a file's charge lives as long as the file
//! is open, so that evicted files which readers still hold keep counting.

use std::sync::Arc;

use parking_lot::Mutex;

use super::shares::Share;

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
    // By share.
    ceilings: Box<[Ceiling]>,
    state: Mutex<State>,
}

/// The most that a share may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// In all.
    pub most: u64,
    /// The last part of it, which only [`Purpose::Reclaim`] may use.
    pub headroom: u64,
}

impl Ceiling {
    /// None.
    pub const NONE: Self = Self { most: u64::MAX, headroom: 0 };
}

struct State {
    books: Books,
    // The same by share.
    shares: Box<[Books]>,
    capacity: u64,
    // At most the capacity.
    limit: u64,
}

impl Ledger {
    /// A ledger of `capacity` bytes, the last `headroom` of which only [`Purpose::Reclaim`] may use, for as many shares
    /// as there are ceilings.
    pub fn new(capacity: u64, headroom: u64, ceilings: &[Ceiling]) -> Arc<Self> {
        debug_assert!(headroom <= capacity && !ceilings.is_empty());
        let shares = vec![Books::default(); ceilings.len()].into();
        let state = State { books: Books::default(), shares, capacity, limit: capacity };
        Arc::new(Self { headroom, ceilings: ceilings.into(), state: Mutex::new(state) })
    }

    /// The hard limit in bytes.
    pub fn capacity(&self) -> u64 {
        self.state.lock().capacity
    }

    /// The books as they are now.
    pub fn books(&self) -> Books {
        self.state.lock().books
    }

    /// Those of a share.
    pub fn share(&self, share: Share) -> Books {
        self.state.lock().shares[share.index()]
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

    /// Bytes that new objects could be promised now, whosoever they are.
    pub fn free(&self) -> u64 {
        self.room(&self.state.lock(), Purpose::Admit)
    }

    /// Bytes that new objects of a share could be promised below its ceiling.
    pub fn free_below_ceiling(&self, share: Share) -> u64 {
        self.room_below_ceiling(&self.state.lock(), share, Purpose::Admit)
    }

    /// Promises `bytes` to a share, or says which limit forbids it.
    pub fn reserve(self: &Arc<Self>, bytes: u64, share: Share, purpose: Purpose) -> Result<Charge, Limit> {
        let mut state = self.state.lock();
        if bytes > self.room_below_ceiling(&state, share, purpose) {
            return Err(Limit::Ceiling);
        }
        if bytes > self.room(&state, purpose) {
            return Err(Limit::Capacity);
        }
        let part = Books { stored: 0, reserved: bytes };
        state.add(share, part);
        drop(state);
        Ok(Charge::new(self, share, part))
    }

    /// Enters a file of `bytes` that is there already; the only entry that may exceed the capacity. It counts for the
    /// rest until it is known better.
    pub fn found(self: &Arc<Self>, bytes: u64) -> Charge {
        let part = Books { stored: bytes, reserved: 0 };
        self.state.lock().add(Share::REST, part);
        Charge::new(self, Share::REST, part)
    }

    fn room(&self, state: &State, purpose: Purpose) -> u64 {
        let limit = match purpose {
            Purpose::Admit => state.limit.saturating_sub(self.headroom),
            Purpose::Reclaim => state.limit,
        };
        limit.saturating_sub(state.books.total())
    }

    fn room_below_ceiling(&self, state: &State, share: Share, purpose: Purpose) -> u64 {
        let ceiling = self.ceilings[share.index()];
        let limit = match purpose {
            Purpose::Admit => ceiling.most.saturating_sub(ceiling.headroom),
            Purpose::Reclaim => ceiling.most,
        };
        limit.saturating_sub(state.shares[share.index()].total())
    }
}

impl State {
    fn add(&mut self, share: Share, part: Books) {
        for books in [&mut self.books, &mut self.shares[share.index()]] {
            books.stored += part.stored;
            books.reserved += part.reserved;
        }
    }

    fn take(&mut self, share: Share, part: Books) {
        for books in [&mut self.books, &mut self.shares[share.index()]] {
            books.stored -= part.stored;
            books.reserved -= part.reserved;
        }
    }
}

/// What forbids a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// All together have what they may have, at present.
    Capacity,
    /// The share has.
    Ceiling,
}

/// Bytes of the ledger that belong to one file; given back on drop.
pub struct Charge {
    ledger: Arc<Ledger>,
    // Locked before the ledger's books, never the other way round.
    part: Mutex<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    share: Share,
    books: Books,
}

impl Charge {
    fn new(ledger: &Arc<Ledger>, share: Share, books: Books) -> Self {
        Self { ledger: Arc::clone(ledger), part: Mutex::new(Part { share, books }) }
    }

    /// This file's bytes.
    pub fn books(&self) -> Books {
        self.part.lock().books
    }

    /// The file turned out to belong to this share; may exceed its ceiling.
    pub fn assign(&self, share: Share) {
        let mut part = self.part.lock();
        let mut state = self.ledger.state.lock();
        state.take(part.share, part.books);
        state.add(share, part.books);
        part.share = share;
    }

    /// `bytes` of the promised ones have been written; at most what is promised.
    pub fn settle(&self, bytes: u64) {
        let mut part = self.part.lock();
        debug_assert!(bytes <= part.books.reserved, "settled more than was reserved");
        let bytes = bytes.min(part.books.reserved);
        let Books { stored, reserved } = part.books;
        self.replace(&mut part, Books { stored: stored + bytes, reserved: reserved - bytes });
    }

    /// Makes the charge `bytes` stored and nothing reserved. Shrinking always succeeds; growing needs room and leaves
    /// everything as it was when there is none.
    pub fn close_at(&self, bytes: u64) -> Result<(), NoRoom> {
        let mut part = self.part.lock();
        let mut state = self.ledger.state.lock();
        if let Some(more) = bytes.checked_sub(part.books.total())
            && more > 0
            && (more > self.ledger.room(&state, Purpose::Reclaim)
                || more > self.ledger.room_below_ceiling(&state, part.share, Purpose::Reclaim))
        {
            return Err(NoRoom);
        }
        state.take(part.share, part.books);
        part.books = Books { stored: bytes, reserved: 0 };
        state.add(part.share, part.books);
        Ok(())
    }

    fn replace(&self, part: &mut Part, books: Books) {
        let mut state = self.ledger.state.lock();
        state.take(part.share, part.books);
        state.add(part.share, books);
        part.books = books;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Part { share, books } = *self.part.get_mut();
        self.ledger.state.lock().take(share, books);
    }
}

/// The capacity is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

#[cfg(test)]
mod tests;
