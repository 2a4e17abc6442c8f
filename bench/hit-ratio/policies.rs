//! What the tier is compared with: LRU and FIFO over whole objects, and the W-TinyLFU of the moka crate.
//!
//! None of them pays for headers, blocks or segments: each may use every byte of the capacity.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Whether an object was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Hit,
    Miss,
}

/// Something that keeps objects.
pub trait Policy {
    /// The request at place `at` of the trace; what is not there is offered for keeping.
    fn request(&mut self, at: usize, object: u32, size: u64) -> Answer;
}

/// The longest unused goes first.
pub struct Lru {
    capacity: u64,
    used: u64,
    // Last use, size.
    objects: HashMap<u32, (usize, u64)>,
    by_use: BTreeMap<usize, u32>,
}

impl Lru {
    pub fn new(capacity: u64) -> Self {
        Self { capacity, used: 0, objects: HashMap::new(), by_use: BTreeMap::new() }
    }
}

impl Policy for Lru {
    fn request(&mut self, at: usize, object: u32, size: u64) -> Answer {
        let last = self.objects.insert(object, (at, size));
        self.by_use.insert(at, object);
        if let Some((last, _)) = last {
            self.by_use.remove(&last);
            return Answer::Hit;
        }
        self.used += size;
        while self.used > self.capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.used -= self.objects.remove(&oldest).map_or(0, |(_, size)| size);
        }
        Answer::Miss
    }
}

/// The longest stored goes first.
pub struct Fifo {
    capacity: u64,
    used: u64,
    objects: HashMap<u32, u64>,
    order: VecDeque<u32>,
}

impl Fifo {
    pub fn new(capacity: u64) -> Self {
        Self { capacity, used: 0, objects: HashMap::new(), order: VecDeque::new() }
    }
}

impl Policy for Fifo {
    fn request(&mut self, _: usize, object: u32, size: u64) -> Answer {
        if self.objects.contains_key(&object) {
            return Answer::Hit;
        }
        self.objects.insert(object, size);
        self.order.push_back(object);
        self.used += size;
        while self.used > self.capacity {
            let Some(oldest) = self.order.pop_front() else { break };
            self.used -= self.objects.remove(&oldest).unwrap_or(0);
        }
        Answer::Miss
    }
}

/// moka, weighed in bytes, as the memory tier uses it.
pub struct TinyLfu(moka::sync::Cache<u32, u32>);

impl TinyLfu {
    pub fn new(capacity: u64) -> Self {
        Self(moka::sync::Cache::builder().max_capacity(capacity).weigher(|_, &size| size).build())
    }
}

impl Policy for TinyLfu {
    fn request(&mut self, _: usize, object: u32, size: u64) -> Answer {
        if self.0.get(&object).is_some() {
            return Answer::Hit;
        }
        self.0.insert(object, u32::try_from(size).unwrap_or(u32::MAX));
        // It decides later otherwise, and would hit what it is about to refuse.
        self.0.run_pending_tasks();
        Answer::Miss
    }
}
