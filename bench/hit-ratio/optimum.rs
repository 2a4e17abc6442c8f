//! What a cache that knows the future would hit. With sizes the true optimum cannot be computed in reasonable time;
//! these are two approximations: one is good in bytes, the other in objects.

use std::collections::{BTreeSet, HashMap};

use super::policies::{Answer, Policy};
use super::traces::Trace;

const NEVER: usize = usize::MAX;
/// Candidates looked at for each eviction.
const SAMPLE: usize = 64;

/// For each request, when its object is wanted next.
fn next_uses(trace: &Trace) -> Vec<usize> {
    let mut next = vec![NEVER; trace.requests.len()];
    let mut later = vec![NEVER; trace.sizes.len()];
    for (at, request) in trace.requests.iter().enumerate().rev() {
        next[at] = later[request.object as usize];
        later[request.object as usize] = at;
    }
    next
}

/// Belady's rule: whatever is wanted last goes, also when it is the new object itself. Sizes do not matter to it.
pub struct Furthest {
    capacity: u64,
    used: u64,
    next: Vec<usize>,
    // Next use, size.
    objects: HashMap<u32, (usize, u64)>,
    by_next: BTreeSet<(usize, u32)>,
}

impl Furthest {
    pub fn new(trace: &Trace, capacity: u64) -> Self {
        let (objects, by_next) = (HashMap::new(), BTreeSet::new());
        Self { capacity, used: 0, next: next_uses(trace), objects, by_next }
    }
}

impl Policy for Furthest {
    fn request(&mut self, at: usize, object: u32, size: u64) -> Answer {
        let next = self.next[at];
        let old = self.objects.insert(object, (next, size));
        self.by_next.insert((next, object));
        if let Some((old, _)) = old {
            self.by_next.remove(&(old, object));
            return Answer::Hit;
        }
        self.used += size;
        while self.used > self.capacity {
            let Some((_, last)) = self.by_next.pop_last() else { break };
            self.used -= self.objects.remove(&last).map_or(0, |(_, size)| size);
        }
        Answer::Miss
    }
}

/// Of a sample, what would occupy most bytes for the longest time until its next use goes.
pub struct Heaviest {
    capacity: u64,
    used: u64,
    next: Vec<usize>,
    // Place in `kept`.
    places: HashMap<u32, usize>,
    kept: Vec<Kept>,
    rng: fastrand::Rng,
}

struct Kept {
    object: u32,
    size: u64,
    next: usize,
}

impl Heaviest {
    pub fn new(trace: &Trace, capacity: u64) -> Self {
        let rng = fastrand::Rng::with_seed(1);
        Self { capacity, used: 0, next: next_uses(trace), places: HashMap::new(), kept: Vec::new(), rng }
    }

    fn evict(&mut self, at: usize) {
        let newest = self.kept.len() - 1;
        let sample = (0..SAMPLE).map(|_| self.rng.usize(..self.kept.len())).chain([newest]);
        let cost = |kept: &Kept| match kept.next {
            NEVER => f64::INFINITY,
            next => (next - at) as f64 * kept.size as f64,
        };
        let candidates: Vec<usize> = sample.collect();
        let worst =
            candidates.into_iter().max_by(|&a, &b| cost(&self.kept[a]).total_cmp(&cost(&self.kept[b])));
        let Some(worst) = worst else { return };
        let gone = self.kept.swap_remove(worst);
        self.used -= gone.size;
        self.places.remove(&gone.object);
        if let Some(moved) = self.kept.get(worst) {
            self.places.insert(moved.object, worst);
        }
    }
}

impl Policy for Heaviest {
    fn request(&mut self, at: usize, object: u32, size: u64) -> Answer {
        let next = self.next[at];
        if let Some(&place) = self.places.get(&object) {
            self.kept[place].next = next;
            return Answer::Hit;
        }
        self.places.insert(object, self.kept.len());
        self.kept.push(Kept { object, size, next });
        self.used += size;
        while self.used > self.capacity {
            self.evict(at);
        }
        Answer::Miss
    }
}
