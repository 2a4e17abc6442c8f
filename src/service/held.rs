//! What several have in common by a key: made for the first of them, forgotten with the last.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// By key, each with the number of those who hold it.
pub struct Table<K, V>(Mutex<HashMap<K, (usize, Arc<V>)>>);

/// One of those who hold it.
pub struct Held<K: Copy + Eq + Hash, V> {
    table: Arc<Table<K, V>>,
    key: K,
    /// It.
    pub value: Arc<V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    /// What there is by this key, or what is made now.
    pub fn hold(self: &Arc<Self>, key: K, make: impl FnOnce() -> V) -> Held<K, V> {
        let mut table = self.0.lock();
        let (holders, value) = table.entry(key).or_insert_with(|| (0, Arc::new(make())));
        *holders += 1;
        Held { table: Arc::clone(self), key, value: Arc::clone(value) }
    }

    /// Keys that somebody holds.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl<K: Copy + Eq + Hash, V> Drop for Held<K, V> {
    fn drop(&mut self) {
        let mut table = self.table.0.lock();
        if let Entry::Occupied(mut entry) = table.entry(self.key) {
            let (holders, _) = entry.get_mut();
            *holders -= 1;
            if *holders == 0 {
                entry.remove();
            }
        }
    }
}
