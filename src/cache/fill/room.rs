//! Memory of all fills together: each sets aside what it may hold before it holds it, so that none waits for another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::IntGauge;

/// What is set aside, of all workers.
#[derive(Debug)]
pub struct Room {
    taken: AtomicU64,
    /// Shows it.
    gauge: IntGauge,
}

/// One fill's part. Given back when dropped.
#[derive(Debug)]
pub struct Claim {
    room: Arc<Room>,
    bytes: u64,
}

impl Room {
    /// Nothing is set aside.
    pub fn new(gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU64::new(0), gauge })
    }

    /// Sets `bytes` aside, unless there would be more than `most`. Several workers never pass it together.
    pub fn claim(self: &Arc<Self>, bytes: u64, most: u64) -> Option<Claim> {
        self.take(bytes, most).then(|| Claim { room: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: u64, most: u64) -> bool {
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(bytes).filter(|taken| *taken <= most)
        });
        if taken.is_ok() {
            self.gauge.add(shown(bytes));
        }
        taken.is_ok()
    }
}

fn shown(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Claim {
    /// The same for `more` bytes; whether there were so many.
    pub fn grow(&mut self, more: u64, most: u64) -> bool {
        let taken = self.room.take(more, most);
        self.bytes += if taken { more } else { 0 };
        taken
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.gauge.sub(shown(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_is() {
        let room = Room::new(IntGauge::new("room", "room").unwrap());
        let first = room.claim(6, 10);
        assert!(first.is_some() && room.claim(5, 10).is_none());
        let mut second = room.claim(3, 10);
        let grown = second.as_mut().is_some_and(|claim| claim.grow(1, 10) && !claim.grow(1, 10));
        assert_eq!((grown, room.gauge.get()), (true, 10));
        assert!(room.claim(u64::MAX, u64::MAX).is_none());
        drop(first);
        assert!(room.claim(6, 10).is_some());
        drop(second);
        assert_eq!(room.gauge.get(), 0);
    }
}
