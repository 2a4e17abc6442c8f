//! One at a time for each key: whoever comes with the same key waits, whoever comes with another does not.
//!
//! Only keys that somebody holds or waits for are remembered: as many as there are requests in progress.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Whose turn it is, for each key.
pub struct Singly<K>(Mutex<HashMap<K, Arc<Semaphore>>>);

/// The turn of one, until dropped.
pub struct Single<'all, K: Copy + Eq + Hash> {
    all: &'all Singly<K>,
    key: K,
    turn: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K> Default for Singly<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash> Singly<K> {
    /// The turn for this key; `None` when others have it for longer than `patience`.
    pub async fn turn(&self, key: K, patience: Duration) -> Option<Single<'_, K>> {
        let turn = Arc::clone(self.0.lock().entry(key).or_insert_with(|| Arc::new(Semaphore::new(1))));
        // Forgets the key again, whatever comes.
        let mut single = Single { all: self, key, turn: Some(Arc::clone(&turn)), permit: None };
        single.permit = Some(timeout(patience, turn.acquire_owned()).await.ok()?.ok()?);
        Some(single)
    }
}

impl<K: Copy + Eq + Hash> Drop for Single<'_, K> {
    fn drop(&mut self) {
        self.permit = None;
        let mut turns = self.all.0.lock();
        self.turn = None;
        if let Entry::Occupied(entry) = turns.entry(self.key)
            && Arc::strong_count(entry.get()) == 1
        {
            entry.remove();
        }
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
        assert_eq!(turns.0.lock().len(), 1);
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(turns.0.lock().is_empty());
    }
}
