//! The memory tier: verified objects under W-TinyLFU, weighed in bytes (moka).
//!
//! The digest is its own hash: names are uniform, and only names whose bytes were seen can enter.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::object::MemoryObject;
use crate::config;
use crate::digest::ObjectName;

/// Bytes an entry costs beside its body: the table's node, deque links, the key and the reference-counted parts.
const ENTRY_OVERHEAD: u64 = 600;

/// Objects in memory, bounded by their weight.
pub struct Memory {
    objects: Option<moka::sync::Cache<ObjectName, Arc<MemoryObject>, BuildHasherDefault<NameHasher>>>,
    max_object: u64,
}

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
        Self { objects, max_object: config.max_object.bytes() }
    }

    /// The object, counted as used.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<MemoryObject>> {
        self.objects.as_ref()?.get(name)
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
