//! How much the tier may use while others fill the same file system: a reserve always stays free.
//!
//! What is available is measured twice a second and before each new file. When it falls below the reserve, the limit in
//! the ledger falls as well: first nothing is written, then the oldest segments go. It never takes the last bytes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::faults::Faults;
use super::ledger::{Books, Ledger};

/// After segments went for it, the limit stays for so long: some file systems free space late, and what they have not
/// freed yet must not be asked for a second time.
const SETTLE: Duration = Duration::from_secs(3);

/// See the module.
pub struct Space {
    path: PathBuf,
    reserve: AtomicU64,
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hold_until: Option<Instant>,
    told: bool,
}

impl Space {
    /// Of the file system of `path`, where `reserve` bytes stay free.
    pub fn new(path: &Path, reserve: u64, faults: Faults) -> Self {
        Self { path: path.to_owned(), reserve: AtomicU64::new(reserve), faults, state: Mutex::default() }
    }

    /// Lets another number of bytes stay free.
    pub fn set_reserve(&self, bytes: u64) {
        self.reserve.store(bytes, Ordering::Relaxed);
    }

    /// Measures and adapts the limit. What cannot be measured is left as it was.
    pub fn measure(&self, ledger: &Ledger, now: Instant) {
        let mut state = self.state.lock();
        if state.hold_until.is_some_and(|until| now < until) {
            return;
        }
        let Ok(stat) = rustix::fs::statvfs(&self.path) else { return };
        let available = self.faults.available(stat.f_bavail.saturating_mul(stat.f_frsize));
        let reserve = self.reserve.load(Ordering::Relaxed);
        let limit = limit(ledger.books(), available, reserve).min(ledger.capacity());
        ledger.set_limit(limit);
        let is_short = limit < ledger.capacity();
        if is_short != std::mem::replace(&mut state.told, is_short) {
            let (path, capacity) = (self.path.display(), ledger.capacity());
            if is_short {
                tracing::warn!(%path, limit, capacity, available, "the file system is nearly full: the disk cache uses less");
            } else {
                tracing::info!(%path, capacity, "the disk cache may use its whole capacity again");
            }
        }
    }

    /// Segments went because of the limit.
    pub fn made_room(&self, now: Instant) {
        self.state.lock().hold_until = Some(now + SETTLE);
    }
}

/// What may be used of a file system where `available` bytes are free and `reserve` have to stay so.
fn limit(books: Books, available: u64, reserve: u64) -> u64 {
    (books.stored + available).saturating_sub(reserve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_stays_free() {
        let check = |stored, available, reserve, expected| {
            assert_eq!(limit(Books { stored, reserved: 7 }, available, reserve), expected);
        };
        check(0, 1000, 100, 900);
        check(500, 1000, 100, 1400);
        check(500, 100, 100, 500);
        check(500, 60, 100, 460);
        check(50, 0, 100, 0);
    }

    #[test]
    fn the_limit_stays_for_a_while_after_segments_went_for_it() {
        struct Full;
        impl super::super::faults::Interference for Full {
            fn judge(&self, _: super::super::faults::Operation) -> super::super::faults::Verdict {
                super::super::faults::Verdict::Go
            }
            fn available(&self, _: u64) -> u64 {
                60
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let space = Space::new(folder.path(), 100, Faults::of(std::sync::Arc::new(Full)));
        let ledger = Ledger::new(1000, 0, &[super::super::ledger::Ceiling::NONE]);
        let files = [ledger.found(500), ledger.found(100)];
        let start = Instant::now();
        space.measure(&ledger, start);
        assert_eq!((ledger.limit(), ledger.excess()), (560, 40));
        let [_kept, dropped] = files;
        drop(dropped);
        space.made_room(start);
        space.measure(&ledger, start + SETTLE / 2);
        assert_eq!((ledger.limit(), ledger.excess()), (560, 0));
        space.measure(&ledger, start + SETTLE);
        assert_eq!(ledger.limit(), 460);
    }
}
