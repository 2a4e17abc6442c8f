//! Hashing stored objects anew when a client asks for it, without letting it crowd out anything else.
//!
//! A request with `no-cache` costs its sender nothing, and us the reading of the whole object. So few are hashed at a time,
//! waiting is cancelled with the client's connection, and what was found good a moment ago is not hashed again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::cache::{Cache, Recheck};
use crate::digest::ObjectName;

/// Objects hashed at the same time.
const AT_ONCE: usize = 2;

/// How long, and for how many objects, a good result is remembered. Clients repeat such a request once, at once.
const GOOD_FOR: Duration = Duration::from_secs(5);
const REMEMBERED: u64 = 10_000;

/// The queue of rechecks; one for all workers.
pub struct Rechecks {
    turns: Arc<Semaphore>,
    good: moka::sync::Cache<ObjectName, ()>,
}

impl Default for Rechecks {
    fn default() -> Self {
        let good = moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(GOOD_FOR).build();
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), good }
    }
}

impl Rechecks {
    /// Hashes what is stored under `name`, when it is this request's turn.
    pub async fn run(&self, cache: &Arc<Cache>, name: ObjectName) -> Recheck {
        if self.good.contains_key(&name)
            && let Some(object) = cache.find(&name)
        {
            return Recheck::Good(object);
        }
        // Never closed; and without a turn the object counts as not looked at.
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return Recheck::Absent;
        };
        let cache = Arc::clone(cache);
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            cache.recheck(&name)
        });
        let checked = checked.await.unwrap_or(Recheck::Absent);
        if let Recheck::Good(_) = checked {
            self.good.insert(name, ());
        }
        checked
    }
}
