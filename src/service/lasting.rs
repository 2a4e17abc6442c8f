//! Tables whose entries say themselves how long they are of use; what is of no use is forgotten.

use std::hash::Hash;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

/// What is of use for a while.
pub trait Lasts {
    /// How long from now on.
    fn lasts(&self) -> Duration;
}

/// A table of so many of them; beyond that, those that are least wanted go.
pub fn table<K, V>(most: u64) -> Cache<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Lasts + Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(most).expire_after(AsTheySay).build()
}

struct AsTheySay;

impl<K, V: Lasts> Expiry<K, V> for AsTheySay {
    fn expire_after_create(&self, _: &K, value: &V, _: Instant) -> Option<Duration> {
        Some(value.lasts())
    }

    fn expire_after_update(&self, _: &K, value: &V, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(value.lasts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct For(Duration);

    impl Lasts for For {
        fn lasts(&self) -> Duration {
            self.0
        }
    }

    #[test]
    fn entries_are_forgotten_when_they_say() {
        let table = table(10);
        let (ended, lasting) = (For(Duration::ZERO), For(Duration::from_secs(3600)));
        table.insert(1, ended);
        table.insert(2, lasting);
        table.insert(3, lasting);
        table.insert(3, ended);
        table.insert(4, ended);
        table.insert(4, lasting);
        assert_eq!([1, 2, 3, 4].map(|key| table.contains_key(&key)), [false, true, false, true]);
    }
}
