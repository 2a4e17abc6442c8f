//! Requests and bytes by repository: exact for those that are asked for most, together for all others.
//!
//! Names come from requests, so nothing here grows with them: a worker knows [`table::SEATS`] repositories, and `/metrics` names
//! [`NAMED`] of them ([`board`]). Each worker counts in a table of its own, whose lock nobody else takes but a scrape.

mod board;
mod table;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Metric, MetricFamily, MetricType};

use self::board::Board;
pub use self::board::OTHER;
use self::table::Table;
pub use self::table::{Counts, Seat};
use super::request::{Family, labelled};

/// Repositories that are named in metrics; the others are `other`.
pub const NAMED: usize = 20;

/// One worker's handle. A clone adds to the same table; [`RepositoryMetrics::for_worker`] brings a new one.
#[derive(Clone)]
pub struct RepositoryMetrics {
    own: Arc<Mutex<Table>>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Of all workers that ever were: counters never go back.
    tables: Mutex<Vec<Arc<Mutex<Table>>>>,
    board: Mutex<Board>,
}

impl RepositoryMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let own = Arc::new(Mutex::new(Table::new()));
        let board = Mutex::new(Board::new(Instant::now()));
        let shared = Arc::new(Shared { tables: Mutex::new(vec![own.clone()]), board });
        registry.register(Box::new(Collected { families: families()?, shared: shared.clone() }))?;
        Ok(Self { own, shared })
    }

    /// A handle with a table of its own; once a worker.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        let own = Arc::new(Mutex::new(Table::new()));
        self.shared.tables.lock().push(own.clone());
        Self { own, shared: self.shared.clone() }
    }

    /// The place at which requests for a repository are counted.
    #[must_use]
    pub fn seat(&self, repository: &str) -> Seat {
        self.own.lock().seat(repository)
    }

    /// Counts a request that has ended.
    pub fn finished(&self, seat: Seat, counts: Counts) {
        self.own.lock().add(seat, counts);
    }

    /// The repositories that are named, [`OTHER`] not among them.
    pub fn named(&self) -> Vec<Box<str>> {
        self.shared.rows().into_iter().map(|(name, _)| name).filter(|name| &**name != OTHER).collect()
    }
}

impl Shared {
    fn rows(&self) -> Vec<(Box<str>, Counts)> {
        let mut all = table::Sum::default();
        for table in self.tables.lock().iter() {
            table.lock().add_to(&mut all);
        }
        self.board.lock().rows(&all, Instant::now())
    }
}

/// The collector.
struct Collected {
    families: [Family; 3],
    shared: Arc<Shared>,
}

fn families() -> Result<[Family; 3], prometheus::Error> {
    let family = |name: &str, help: &str| Family::new(name, help, &["repository"], MetricType::COUNTER);
    Ok([
        family(
            "substratum_repository_requests_total",
            "Requests that ended, for the repositories asked for most; all others are \"other\". A rise tells which \
             experiment's jobs have become more.",
        )?,
        family(
            "substratum_repository_hits_total",
            "Of these, the ones that no upstream was waited for. A fall against the requests tells whose software is new, \
             or does not fit.",
        )?,
        family(
            "substratum_repository_body_bytes_total",
            "Bytes of bodies sent for them. The rate tells who uses the tier.",
        )?,
    ])
}

impl Collector for Collected {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().map(Family::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let rows = self.shared.rows();
        let parts: [fn(&Counts) -> u64; 3] =
            [|counts| counts.requests, |counts| counts.hits, |counts| counts.body_bytes];
        let filled = self.families.iter().zip(parts).map(|(family, part)| {
            let metrics = rows.iter().map(|(name, counts)| counter(name, part(counts)));
            family.filled(metrics.collect())
        });
        filled.collect()
    }
}

fn counter(name: &str, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = labelled("repository", name);
    metric.set_counter(counter);
    metric
}

#[cfg(test)]
mod tests {
    use super::table::SEATS;
    use super::*;
    use crate::metrics::Metrics;

    const ONE: Counts = Counts { requests: 1, hits: 1, body_bytes: 100 };

    #[test]
    fn workers_are_added_up() {
        let metrics = Metrics::new().unwrap();
        for _ in 0..2 {
            let worker = metrics.repository.for_worker();
            for name in ["a.example", "b.example", "a.example"] {
                worker.finished(worker.seat(name), ONE);
            }
        }
        let text = metrics.render().unwrap();
        for line in [
            "substratum_repository_requests_total{repository=\"a.example\"} 4",
            "substratum_repository_hits_total{repository=\"b.example\"} 2",
            "substratum_repository_body_bytes_total{repository=\"a.example\"} 400",
            "substratum_repository_requests_total{repository=\"other\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert_eq!(metrics.repository.named(), ["a.example".into(), "b.example".into()]);
    }

    #[test]
    fn names_from_requests_are_bounded() {
        let metrics = Metrics::new().unwrap();
        for n in 0..10 * SEATS {
            metrics.repository.finished(metrics.repository.seat(&format!("r{n}.example")), ONE);
        }
        let text = metrics.render().unwrap();
        let rows: Vec<_> =
            text.lines().filter(|line| line.starts_with("substratum_repository_requests_total{")).collect();
        assert_eq!(rows.len(), NAMED + 1);
        let value = |row: &&str| row.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        assert_eq!(rows.iter().map(value).sum::<u64>(), 10 * SEATS as u64, "no request is lost");
    }
}
