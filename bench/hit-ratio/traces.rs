//! The traces, each made from a fixed seed for a capacity in bytes.

use super::policies::{Answer, Policy, TinyLfu};
use super::sizes;

/// Which figures a request counts for. All but the first count for the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Fills the cache.
    WarmUp,
    /// Ordinary.
    Steady,
    /// Ordinary, right before a scan.
    Before,
    /// Ordinary, right behind a scan.
    After,
    /// Part of a scan or a release.
    Passing,
}

/// Somebody wants an object.
#[derive(Clone, Copy)]
pub struct Request {
    /// Place in the trace's sizes.
    pub object: u32,
    pub part: Part,
}

/// Requests in their order.
pub struct Trace {
    pub name: &'static str,
    pub sizes: Vec<u64>,
    pub requests: Vec<Request>,
}

/// A word for the command line and the maker.
pub type Maker = (&'static str, fn(u64) -> Trace);

/// Every trace.
pub const ALL: [Maker; 6] = [
    ("zipf", zipf),
    ("scans", scans),
    ("releases", releases),
    ("loop", looping),
    ("drift", drift),
    ("behind-memory", behind_memory),
];

impl Trace {
    fn new(name: &'static str) -> Self {
        Self { name, sizes: Vec::new(), requests: Vec::new() }
    }

    /// All objects together.
    pub fn mebibytes(&self) -> u64 {
        self.sizes.iter().sum::<u64>() >> 20
    }

    fn ask(&mut self, object: u32, part: Part) {
        self.requests.push(Request { object, part });
    }

    /// New objects, of so many bytes together.
    fn objects(&mut self, bytes: u64, rng: &mut fastrand::Rng) -> std::ops::Range<u32> {
        let first = self.sizes.len() as u32;
        let mut sum = 0;
        while sum < bytes {
            let size = sizes::at(rng.f64());
            self.sizes.push(size);
            sum += size;
        }
        first..self.sizes.len() as u32
    }
}

/// Objects of seven times the capacity, the n-th of them wanted in proportion to n^-0.9.
struct Catalogue {
    cumulated: Vec<f64>,
    objects: Vec<u32>,
    rng: fastrand::Rng,
}

impl Catalogue {
    fn new(trace: &mut Trace, capacity: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(7);
        let objects: Vec<u32> = trace.objects(7 * capacity, &mut rng).collect();
        let mut sum = 0.0;
        let cumulated = (1..=objects.len())
            .map(|rank| {
                sum += (rank as f64).powf(-0.9);
                sum
            })
            .collect();
        Self { cumulated, objects, rng }
    }

    fn next(&mut self) -> u32 {
        let total = self.cumulated.last().copied().unwrap_or(0.0);
        let x = self.rng.f64() * total;
        let rank = self.cumulated.partition_point(|&sum| sum < x);
        self.objects[rank.min(self.objects.len() - 1)]
    }

    fn len(&self) -> usize {
        self.objects.len()
    }

    fn ask(&mut self, trace: &mut Trace, count: usize, part: Part) {
        for _ in 0..count {
            let object = self.next();
            trace.ask(object, part);
        }
    }
}

fn zipf(capacity: u64) -> Trace {
    let mut trace = Trace::new("Zipf 0.9");
    let mut catalogue = Catalogue::new(&mut trace, capacity);
    let count = 2 * catalogue.len();
    catalogue.ask(&mut trace, count, Part::WarmUp);
    catalogue.ask(&mut trace, count, Part::Steady);
    trace
}

/// Nobody else asks during a scan: the harder case.
fn scans(capacity: u64) -> Trace {
    let mut trace = Trace::new("Zipf 0.9, three scans of twice the capacity, read once");
    let mut catalogue = Catalogue::new(&mut trace, capacity);
    let (count, window) = (catalogue.len(), 10_000);
    catalogue.ask(&mut trace, 2 * count, Part::WarmUp);
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..3 {
        catalogue.ask(&mut trace, window, Part::Before);
        let scan = trace.objects(2 * capacity, &mut rng);
        scan.for_each(|object| trace.ask(object, Part::Passing));
        catalogue.ask(&mut trace, window, Part::After);
        catalogue.ask(&mut trace, count, Part::Steady);
    }
    trace
}

/// Among other requests, one for one, an image of a twentieth of the capacity is read by forty nodes, each once and in
/// order, begun at different times; then nobody wants it any more.
fn releases(capacity: u64) -> Trace {
    const NODES: usize = 40;
    let mut trace =
        Trace::new("Zipf 0.9, eight releases of a twentieth of the capacity, read once by 40 nodes");
    let mut catalogue = Catalogue::new(&mut trace, capacity);
    let count = catalogue.len();
    catalogue.ask(&mut trace, 2 * count, Part::WarmUp);
    let mut rng = fastrand::Rng::with_seed(13);
    for _ in 0..8 {
        let image = trace.objects(capacity / 20, &mut rng);
        let mut nodes = vec![image.start; NODES];
        let mut running = 1.0;
        while !nodes.is_empty() {
            // One more node begins about every fifth of an image.
            running += NODES as f64 / (8.0 * image.len() as f64);
            let node = rng.usize(..nodes.len().min(running as usize));
            trace.ask(nodes[node], Part::Passing);
            catalogue.ask(&mut trace, 1, Part::Steady);
            nodes[node] += 1;
            if nodes[node] == image.end {
                nodes.remove(node);
            }
        }
        catalogue.ask(&mut trace, count / 4, Part::Steady);
    }
    trace
}

fn looping(capacity: u64) -> Trace {
    let mut trace = Trace::new("A loop of 1.1 times the capacity");
    let objects = trace.objects(capacity / 10 * 11, &mut fastrand::Rng::with_seed(17));
    for turn in 0..12 {
        let part = if turn < 4 { Part::WarmUp } else { Part::Steady };
        objects.clone().for_each(|object| trace.ask(object, part));
    }
    trace
}

/// Every five requests two objects change their places in popularity.
fn drift(capacity: u64) -> Trace {
    let mut trace = Trace::new("Zipf 0.9, popularity drifts");
    let mut catalogue = Catalogue::new(&mut trace, capacity);
    let count = catalogue.len();
    for at in 0..4 * count {
        if at.is_multiple_of(5) {
            let (a, b) = (catalogue.rng.usize(..count), catalogue.rng.usize(..count));
            catalogue.objects.swap(a, b);
        }
        catalogue.ask(&mut trace, 1, if at < 2 * count { Part::WarmUp } else { Part::Steady });
    }
    trace
}

/// What a memory tier of an eighth of the disk's capacity lets through: the hottest objects are seldom asked for.
fn behind_memory(capacity: u64) -> Trace {
    let mut trace = zipf(capacity);
    trace.name = "Zipf 0.9 behind a memory tier of an eighth";
    let mut memory = TinyLfu::new(capacity / 8);
    let mut at = 0;
    let sizes = &trace.sizes;
    trace.requests.retain(|request| {
        at += 1;
        memory.request(at, request.object, sizes[request.object as usize]) == Answer::Miss
    });
    trace
}
