//! One at a time for each key: whoever comes with the same key waits, whoever comes with another does not.
//!
//! Only keys that somebody holds or waits for are remembered: as many as there are requests in progress.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::held::{Held, Table};

/// Whose turn it is, for each key.
pub struct Singly<K>(Arc<Table<K, Semaphore>>);

/// The turn of one, until dropped.
pub struct Single<K: Copy + Eq + Hash> {
    _permit: OwnedSemaphorePermit,
    _turn: Held<K, Semaphore>,
}

impl<K> Default for Singly<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + Hash> Singly<K> {
    /// The turn for this key; `None` when others have it for longer than `patience`.
    pub async fn turn(&self, key: K, patience: Duration) -> Option<Single<K>> {
        let turn = self.0.hold(key, || Semaphore::new(1));
        let permit = timeout(patience, Arc::clone(&turn.value).acquire_owned()).await.ok()?.ok()?;
        Some(Single { _permit: permit, _turn: turn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn those_with_the_same_key_wait_and_nobody_else() {
        let turns = Arc::new(Singly::default());
        let first = turns.turn(1, PATIENCE).await;
        assert!(first.is_some());
        assert!(turns.turn(1, PATIENCE).await.is_none(), "in time");
        assert!(turns.turn(2, Duration::ZERO).await.is_some());
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.turn(1, PATIENCE).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert_eq!(turns.0.len(), 1);
        drop(first);
        assert!(waiting.await.unwrap());
        assert_eq!(turns.0.len(), 0);
    }
}
