//! A spawned task that ends with its owner.

use std::future::Future;

use tokio::task::AbortHandle;

/// Aborts its task when dropped.
#[derive(Debug)]
pub(super) struct OwnedTask(AbortHandle);

impl OwnedTask {
    /// Spawns onto the runtime of the current worker.
    pub(super) fn spawn<F>(future: F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(tokio::spawn(future).abort_handle())
    }

    /// Whether the task has come to its end, by itself or with its runtime.
    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
