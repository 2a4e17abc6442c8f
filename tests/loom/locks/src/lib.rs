//! The part of `parking_lot` that the modelled code uses, over loom's locks.

use std::ops::{Deref, DerefMut};

/// See `parking_lot::Mutex`.
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Unlocked.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Waits for it. A model in which a holder panicked has failed already.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect("no holder panics")))
    }

    /// Without locking.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().expect("no holder panics")
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// See `parking_lot::MutexGuard`. Empty only while a condition is waited for.
pub struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held")
    }
}

/// See `parking_lot::Condvar`. Time does not pass in a model: who waits for a while waits until called.
#[derive(Default)]
pub struct Condvar(loom::sync::Condvar);

/// See `parking_lot::WaitTimeoutResult`.
pub struct WaitTimeoutResult;

impl WaitTimeoutResult {
    /// Never.
    pub fn timed_out(&self) -> bool {
        false
    }
}

impl Condvar {
    /// Nobody waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a call.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("held");
        guard.0 = Some(self.0.wait(held).expect("no holder panics"));
    }

    /// The same.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: std::time::Instant) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
    }

    /// The same.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: std::time::Duration) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
    }

    /// Calls one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Calls all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
