//! Memory of bodies that are being read, before the store's own bound takes over.
//!
//! Invariant: the reservations alive never exceed the budget; one that would is refused, and its body passes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that all bodies being read may hold together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget {
    left: Arc<AtomicU64>,
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        Self { left: Arc::new(AtomicU64::new(bytes)) }
    }

    /// An empty reservation.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

/// Bytes held; given back on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: u64,
}

impl Reservation {
    /// Takes `bytes` more.
    pub fn grow(&mut self, bytes: u64) -> Result<(), NoRoom> {
        // Only the count is shared; nothing is published through it.
        let taken = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map_err(|_| NoRoom)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes as much as is missing to `total` bytes.
    pub fn grow_to(&mut self, total: u64) -> Result<(), NoRoom> {
        self.grow(total.saturating_sub(self.bytes))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_share_and_return() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.reservation(), budget.reservation());
        assert_eq!((one.grow(6), two.grow(5), two.grow(4)), (Ok(()), Err(NoRoom), Ok(())));
        drop(one);
        assert_eq!((two.grow_to(4), two.grow_to(10), two.grow_to(11)), (Ok(()), Ok(()), Err(NoRoom)));
        drop(two);
        assert_eq!(budget.reservation().grow(10), Ok(()));
    }
}
