//! Which replacement keeps what: made traces through the real disk tier, beside other policies and an offline optimum.
//!
//! `cargo bench --bench hit-ratio -- [--capacity MIB] [--trace WORD] [--alone]` prints a table for each trace, with
//! `--alone` for the tier only; seeds are fixed.
//! The tier is the product's own `Disk` in a temporary folder (on a RAM disk where `TMPDIR` says so): with its threads,
//! its files and its overheads. Not here: speed. What the tables say: docs/replacement.md.

mod optimum;
mod policies;
mod sizes;
mod tier;
mod traces;

use optimum::{Furthest, Heaviest};
use policies::{Answer, Fifo, Lru, Policy, TinyLfu};
use tier::Tier;
use traces::{Part, Trace};

/// What one policy made of one trace.
#[derive(Default)]
struct Score {
    counted: Ratio,
    before: Ratio,
    after: Ratio,
    passing: Ratio,
    base: Ratio,
}

/// Hits and requests, by number and by bytes.
#[derive(Default)]
struct Ratio {
    requests: u64,
    hits: u64,
    bytes: u64,
    hit_bytes: u64,
}

impl Ratio {
    fn add(&mut self, size: u64, answer: Answer) {
        self.requests += 1;
        self.bytes += size;
        if answer == Answer::Hit {
            self.hits += 1;
            self.hit_bytes += size;
        }
    }

    fn objects(&self) -> f64 {
        percent(self.hits, self.requests)
    }

    fn by_bytes(&self) -> f64 {
        percent(self.hit_bytes, self.bytes)
    }
}

/// Whether the other policies play, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Shown,
    Left,
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn play(trace: &Trace, policy: &mut dyn Policy) -> Score {
    let mut score = Score::default();
    for (at, request) in trace.requests.iter().enumerate() {
        let size = trace.sizes[request.object as usize];
        let answer = policy.request(at, request.object, size);
        match request.part {
            Part::WarmUp => continue,
            Part::Steady => score.base.add(size, answer),
            Part::Before => score.before.add(size, answer),
            Part::After => score.after.add(size, answer),
            Part::Passing => score.passing.add(size, answer),
        }
        score.counted.add(size, answer);
    }
    score
}

fn row(name: &str, score: &Score, amplification: Option<f64>) {
    let amplification = amplification.map_or("-".to_owned(), |factor| format!("{factor:.2}"));
    let loss = if score.before.requests > 0 {
        format!("{:.1}", score.before.objects() - score.after.objects())
    } else {
        "-".to_owned()
    };
    let base = if score.passing.requests > 0 && score.base.requests > 0 {
        format!("{:.1}", score.base.objects())
    } else {
        "-".to_owned()
    };
    println!(
        "| {name} | {:.1} | {:.1} | {base} | {loss} | {amplification} |",
        score.counted.objects(),
        score.counted.by_bytes()
    );
}

fn compare(trace: &Trace, capacity: u64, others: Others) {
    println!("\n### {}\n", trace.name);
    println!(
        "{} requests, {} objects of {} MiB\n",
        trace.requests.len(),
        trace.sizes.len(),
        trace.mebibytes()
    );
    println!(
        "| | objects hit, % | bytes hit, % | objects hit outside of scans and releases, % | lost to the scan, points | bytes written for each admitted |"
    );
    println!("|---|---|---|---|---|---|");
    let mut tier = Tier::open(capacity);
    let score = play(trace, &mut tier);
    row("Substratum", &score, Some(tier.amplification()));
    eprintln!("{}", tier.close());
    if others == Others::Left {
        return;
    }
    let others: [(&str, Box<dyn Policy>); 5] = [
        ("LRU", Box::new(Lru::new(capacity))),
        ("FIFO", Box::new(Fifo::new(capacity))),
        ("W-TinyLFU (moka)", Box::new(TinyLfu::new(capacity))),
        ("offline: furthest next use goes", Box::new(Furthest::new(trace, capacity))),
        ("offline: furthest times size goes, sampled", Box::new(Heaviest::new(trace, capacity))),
    ];
    for (name, mut policy) in others {
        row(name, &play(trace, &mut *policy), None);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let mebibytes: u64 = after("--capacity").and_then(|text| text.parse().ok()).unwrap_or(1024);
    let capacity = mebibytes << 20;
    let alone = arguments.iter().any(|argument| argument == "--alone");
    let others = if alone { Others::Left } else { Others::Shown };
    println!("Capacity: {mebibytes} MiB, segments of {} KiB.", Tier::segment(capacity) >> 10);
    for (word, make) in traces::ALL {
        if after("--trace").is_none_or(|wanted| wanted == word) {
            compare(&make(capacity), capacity, others);
        }
    }
}
