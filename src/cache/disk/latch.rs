//! Something that happens once and can be waited for.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// See the module.
#[derive(Default)]
pub struct Latch {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    /// It has happened.
    pub fn set(&self) {
        *self.is_set.lock() = true;
        self.changed.notify_all();
    }

    /// Whether it has happened.
    #[cfg(test)]
    pub fn is_set(&self) -> bool {
        *self.is_set.lock()
    }

    /// Waits for it, but no longer than `patience`.
    pub fn wait(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut is_set = self.is_set.lock();
        while !*is_set && !self.changed.wait_until(&mut is_set, until).timed_out() {}
    }
}
