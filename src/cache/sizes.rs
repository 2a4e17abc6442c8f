//! Sizes that change while the cache runs: by another configuration, or because the machine has less memory to give.

use std::sync::Arc;
use std::time::Duration;

use super::memory::Memory;
use super::{Cache, Pressure, Restraint, gauge};
use crate::config;

impl Cache {
    /// Takes over sizes and limits that may change while it runs; what is stored and what is on its way stays. Returns when
    /// memory of another capacity has taken over what fits: about a microsecond an object.
    pub fn adjust(&self, memory: &config::Memory, objects: &config::Objects, disk: Option<&config::Disk>) {
        self.limits.store(Arc::new(objects.clone()));
        if let Some((tier, config)) = self.disk.as_ref().zip(disk) {
            tier.adjust(config);
        }
        let mut configured = self.configured.lock();
        let held_back = self.memory.load().capacity() < configured.capacity.bytes();
        *configured = memory.clone();
        self.metrics.memory_capacity.set(gauge(memory.capacity.bytes()));
        let wanted = memory.capacity.bytes();
        let capacity = if held_back { wanted.min(self.memory.load().capacity()) } else { wanted };
        self.replace_memory(&configured, capacity);
    }

    /// Begins with a memory tier of `capacity`, less than it is configured, while so many bytes are taken in all.
    pub fn begin_with(&self, restraint: &mut Restraint, capacity: u64, taken: u64) {
        let configured = self.configured.lock();
        restraint.begun(taken);
        self.replace_memory(&configured, capacity);
    }

    /// Gives up memory, or takes some back, as `restraint` decides; the new capacity, if it is another one. Blocking, like
    /// [`Cache::adjust`].
    pub fn restrain(
        &self,
        restraint: &mut Restraint,
        now: Duration,
        pressure: Option<Pressure>,
    ) -> Option<u64> {
        let configured = self.configured.lock();
        let tier = self.memory.load_full();
        let (allowed, (_, weight)) = (tier.capacity(), tier.usage());
        drop(tier);
        let next = restraint.next(now, pressure, configured.capacity.bytes(), allowed, weight);
        (next != allowed).then(|| {
            if next < allowed {
                self.metrics.memory_given_up.inc_by(weight.saturating_sub(next));
            }
            self.replace_memory(&configured, next);
            next
        })
    }

    /// A memory tier of `capacity` bytes in place of the one there is. The lock on what is configured keeps others away.
    fn replace_memory(&self, configured: &config::Memory, capacity: u64) {
        let config = config::Memory {
            capacity: config::ByteSize(capacity),
            max_object: configured.max_object.min(config::ByteSize(capacity / 4)),
            ..configured.clone()
        };
        let tier = Arc::new(Memory::in_place_of(&self.memory.load_full(), &config));
        self.memory.store(Arc::clone(&tier));
        tier.take_over();
        self.memory.store(Arc::new(tier.alone()));
        self.metrics.memory_allowed.set(gauge(capacity));
    }
}
