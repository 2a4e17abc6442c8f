//! The memory tier: verified objects under W-TinyLFU, weighed in bytes (moka).
//!
//! The digest is its own hash: names are uniform, and only names whose bytes were seen can enter.
//!
//! A tier of another capacity takes the place of an older one without losing what fits: until everything was taken over,
//! what is not found in the new one is looked for in the old one.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::object::MemoryObject;
use crate::config;
use crate::digest::ObjectName;

/// Bytes an entry costs beside its body: the table's node, deque links, the key and the reference-counted parts.
const ENTRY_OVERHEAD: u64 = 600;

/// Objects in memory, bounded by their weight.
pub struct Memory {
    objects: Option<Objects>,
    capacity: u64,
    max_object: u64,
    /// Whose place it takes, until everything was taken over.
    previous: Option<Arc<Memory>>,
}

type Objects = moka::sync::Cache<ObjectName, Arc<MemoryObject>, BuildHasherDefault<NameHasher>>;

impl Memory {
    /// A tier of the configured capacity; none at capacity 0.
    pub fn new(config: &config::Memory) -> Self {
        let capacity = config.capacity.bytes();
        let objects = (capacity > 0).then(|| {
            moka::sync::Cache::builder()
                .max_capacity(capacity)
                .weigher(|_, object: &Arc<MemoryObject>| {
                    u32::try_from(object.len() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
                })
                .build_with_hasher(BuildHasherDefault::default())
        });
        Self { objects, capacity, max_object: config.max_object.bytes(), previous: None }
    }

    /// A tier that is to take the place of `previous`: at first empty, if the capacity is another one, but nothing is
    /// missing.
    pub fn in_place_of(previous: &Arc<Self>, config: &config::Memory) -> Self {
        if previous.capacity == config.capacity.bytes() {
            return Self { max_object: config.max_object.bytes(), ..previous.alone() };
        }
        Self { previous: Some(Arc::clone(previous)), ..Self::new(config) }
    }

    /// Takes over what the previous tier has and this one has room for, first what was asked for again since it came. Takes about
    /// a microsecond an object.
    pub fn take_over(&self) {
        let (Some(objects), Some(previous)) = (&self.objects, &self.previous) else { return };
        let mut left = self.capacity;
        // What was asked for counts until something had to go.
        let all_fits = previous.usage().1 <= left;
        let mut later = Vec::new();
        for (name, object) in previous.objects.iter().flatten() {
            if object.is_wanted() {
                if !all_fits {
                    object.forget_wanted();
                }
                left = left.saturating_sub(object.len() + ENTRY_OVERHEAD);
                self.take(objects, previous, *name, object);
            } else {
                later.push(*name);
            }
        }
        for name in later {
            let Some(object) = previous.objects.as_ref().and_then(|there| there.get(&name)) else { continue };
            // Beyond its room it would only be weighed against what is here already.
            if let Some(rest) = left.checked_sub(object.len() + ENTRY_OVERHEAD) {
                left = rest;
                self.take(objects, previous, name, object);
            }
        }
    }

    fn take(&self, objects: &Objects, previous: &Self, name: ObjectName, object: Arc<MemoryObject>) {
        if object.len() > self.max_object || objects.contains_key(&name) {
            return;
        }
        objects.insert(name, object);
        // It may have proved bad meanwhile; then it must not come back.
        if previous.objects.as_ref().is_none_or(|there| !there.contains_key(&name)) {
            objects.invalidate(&name);
        }
    }

    /// The same tier without the previous one.
    pub fn alone(&self) -> Self {
        let Self { objects, capacity, max_object, .. } = self;
        Self { objects: objects.clone(), capacity: *capacity, max_object: *max_object, previous: None }
    }

    /// The object, counted as used.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<MemoryObject>> {
        let found = self.objects.as_ref().and_then(|objects| objects.get(name));
        match (&found, &self.previous) {
            (Some(object), _) => object.want(),
            (None, Some(previous)) => return previous.get(name),
            (None, None) => {}
        }
        found
    }

    /// Whether the object is here; not counted as a use.
    pub fn has(&self, name: &ObjectName) -> bool {
        self.objects.as_ref().is_some_and(|objects| objects.contains_key(name))
            || self.previous.as_ref().is_some_and(|previous| previous.has(name))
    }

    /// Whether an object of `len` bytes belongs here.
    pub fn takes(&self, len: u64) -> bool {
        self.objects.is_some() && len <= self.max_object
    }

    /// Offers an object whose digest was verified; one that is too large is left out.
    pub fn insert(&self, name: ObjectName, object: Arc<MemoryObject>) {
        if let Some(objects) = &self.objects
            && object.len() <= self.max_object
        {
            objects.insert(name, object);
        }
    }

    /// Drops an object; readers that hold it keep it.
    pub fn remove(&self, name: &ObjectName) {
        if let Some(objects) = &self.objects {
            objects.invalidate(name);
        }
        if let Some(previous) = &self.previous {
            previous.remove(name);
            // Perhaps it was taken over between the two.
            if let Some(objects) = &self.objects {
                objects.invalidate(name);
            }
        }
    }

    /// Bytes that it may hold.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Number of objects and their weight in bytes, after pending evictions.
    pub fn usage(&self) -> (u64, u64) {
        match &self.objects {
            Some(objects) => {
                objects.run_pending_tasks();
                (objects.entry_count(), objects.weighted_size())
            }
            None => (0, 0),
        }
    }
}

/// Takes the 64 bits that [`ObjectName`] offers as they are.
#[derive(Default)]
pub struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached by `ObjectName`; any other key still gets a usable hash (FNV-1a).
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = self.0.rotate_left(32) ^ bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;
    use crate::digest::Algorithm;
    use bytes::Bytes;

    #[test]
    fn weight_stays_within_capacity() {
        let memory = Memory::new(&config::Memory {
            capacity: ByteSize::mib(1),
            max_object: ByteSize::kib(256),
            ..config::Memory::default()
        });
        for i in 0..1000u32 {
            let bytes = Bytes::from(vec![i as u8; 4096]);
            let name = ObjectName::of(Algorithm::Sha1, &i.to_le_bytes());
            memory.insert(name, Arc::new(MemoryObject::new(vec![bytes], 0)));
        }
        let (count, weight) = memory.usage();
        assert!(weight <= 1 << 20, "{weight}");
        assert!(count >= 200, "{count}");
    }

    #[test]
    fn a_tier_of_another_capacity_takes_over_what_fits() {
        let config = |capacity| config::Memory {
            capacity,
            max_object: ByteSize::kib(256),
            ..config::Memory::default()
        };
        let object = |i: u32| (ObjectName::of(Algorithm::Sha1, &i.to_le_bytes()), vec![i as u8; 4096]);
        let old = Arc::new(Memory::new(&config(ByteSize::mib(1))));
        for i in 0..100 {
            let (name, bytes) = object(i);
            old.insert(name, Arc::new(MemoryObject::new(vec![Bytes::from(bytes)], 0)));
        }
        old.usage();
        let larger = Memory::in_place_of(&old, &config(ByteSize::mib(2)));
        let (bad, _) = object(7);
        assert!((0..100).all(|i| larger.get(&object(i).0).is_some()), "nothing is missing meanwhile");
        larger.remove(&bad);
        larger.take_over();
        let larger = Arc::new(larger.alone());
        assert_eq!(larger.usage().0, 99);
        assert!(larger.get(&bad).is_none(), "what was removed does not come back");
        let smaller = Memory::in_place_of(&larger, &config(ByteSize::kib(100)));
        smaller.take_over();
        let (count, weight) = smaller.alone().usage();
        assert!((15..=25).contains(&count) && weight <= 100 << 10, "{count} {weight}");
        // What was asked for again goes last.
        let hot = [3, 50, 98];
        assert!(hot.iter().all(|&i| larger.get(&object(i).0).is_some()));
        let small = Memory::in_place_of(&larger, &config(ByteSize::kib(20)));
        small.take_over();
        let small = small.alone();
        assert!(
            small.usage().0 == 4 && hot.iter().all(|&i| small.get(&object(i).0).is_some()),
            "{:?}",
            small.usage()
        );
        let none = Memory::in_place_of(&larger, &config(ByteSize(0)));
        none.take_over();
        assert!(none.alone().get(&object(1).0).is_none() && !none.takes(1));
        let same = Memory::in_place_of(&larger, &config(ByteSize::mib(2)));
        assert!(same.previous.is_none() && same.get(&object(1).0).is_some());
    }

    #[test]
    fn large_objects_are_left_out() {
        let memory = Memory::new(&config::Memory {
            capacity: ByteSize::mib(1),
            max_object: ByteSize::kib(4),
            ..config::Memory::default()
        });
        let name = ObjectName::of(Algorithm::Sha1, b"x");
        memory.insert(name, Arc::new(MemoryObject::new(vec![Bytes::from(vec![0; 4097])], 0)));
        assert!(memory.get(&name).is_none());
        assert!(!memory.takes(4097));
    }
}
