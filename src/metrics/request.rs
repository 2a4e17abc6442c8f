//! Metrics of requests: how many, how they ended, how long they took.
//!
//! Every request touches them, so each worker adds to cells of its own: no cache line travels between cores.
//! `/metrics` adds the workers up.

mod cells;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use self::cells::Cells;
use crate::outcome::Outcome;
use crate::reason::Reason;

/// One worker's handle. A clone adds to the same cells; [`RequestMetrics::for_worker`] brings new ones.
#[derive(Clone)]
pub struct RequestMetrics {
    own: Arc<Cells>,
    /// Of all workers that ever were: counters never go back. As many as workers are started.
    all: Arc<Mutex<Vec<Arc<Cells>>>>,
}

impl RequestMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let own = Arc::new(Cells::default());
        let all = Arc::new(Mutex::new(vec![own.clone()]));
        registry.register(Box::new(Sum { families: Family::all()?, all: all.clone() }))?;
        Ok(Self { own, all })
    }

    /// A handle with cells of its own; once a worker.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        let own = Arc::new(Cells::default());
        self.all.lock().push(own.clone());
        Self { own, all: self.all.clone() }
    }

    /// Counts a request as in flight until the guard is dropped.
    #[must_use]
    pub fn start(&self) -> InFlight {
        self.own.in_flight.fetch_add(1, Relaxed);
        InFlight(self.own.clone())
    }

    /// Requests that ended so far, of all workers, indexed by `Outcome as usize`.
    pub fn ended(&self) -> [u64; Outcome::ALL.len()] {
        Cells::sum(&self.all.lock()).requests.map(|cell| cell.into_inner())
    }

    /// Requests being answered, by all workers.
    pub fn in_flight(&self) -> u64 {
        Cells::sum(&self.all.lock()).in_flight.into_inner().try_into().unwrap_or(0)
    }

    /// Counts why a request that has ended was no plain hit.
    pub fn explained(&self, reason: Reason) {
        self.own.reasons.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts a request that has ended, its body included. `status` is 0 when no head was sent; both times start
    /// when the head of the request was read.
    pub fn finished(
        &self,
        outcome: Outcome,
        status: u16,
        body_bytes: u64,
        first_byte: Duration,
        total: Duration,
    ) {
        let cells = &*self.own;
        cells.requests[outcome as usize].fetch_add(1, Relaxed);
        cells.body_bytes[outcome as usize].fetch_add(body_bytes, Relaxed);
        cells.classes[class(status)].fetch_add(1, Relaxed);
        cells.first_byte[source(outcome) as usize].observe(&FIRST_BYTE_BOUNDS, first_byte);
        cells.duration.observe(&DURATION_BOUNDS, total);
    }
}

/// A request in flight.
pub struct InFlight(Arc<Cells>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Whom a request had to wait for: what tells slow disks from slow upstreams.
#[derive(Clone, Copy)]
enum Source {
    Store,
    Upstream,
    Refused,
}

fn source(outcome: Outcome) -> Source {
    match outcome {
        Outcome::Denied | Outcome::BadRequest | Outcome::Overload => Source::Refused,
        hit if hit.is_hit() => Source::Store,
        _ => Source::Upstream,
    }
}

/// Index into [`CLASSES`].
fn class(status: u16) -> usize {
    match status / 100 {
        hundreds @ 1..=5 => usize::from(hundreds),
        _ => 0,
    }
}

/// The collector: the sum over all workers.
struct Sum {
    families: [Family; 7],
    all: Arc<Mutex<Vec<Arc<Cells>>>>,
}

/// Name, help and type of a metric.
pub(super) struct Family {
    desc: Desc,
    kind: MetricType,
}

impl Family {
    pub(super) fn new(
        name: &str,
        help: &str,
        labels: &[&str],
        kind: MetricType,
    ) -> Result<Self, prometheus::Error> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())?;
        Ok(Self { desc, kind })
    }

    pub(super) fn desc(&self) -> &Desc {
        &self.desc
    }

    /// In the order in which [`Sum::collect`] fills them.
    fn all() -> Result<[Self; 7], prometheus::Error> {
        let family = Self::new;
        Ok([
            family(
                "substratum_requests_total",
                "Requests that ended, by what the caches contributed. A rise of \"miss\" without new software \
                 means that the cache is too small or was lost; of \"upstream_error\", that upstreams fail.",
                &["outcome"],
                MetricType::COUNTER,
            )?,
            family(
                "substratum_request_reasons_total",
                "Requests that were no plain hits, by why: docs/reference.md tells for each word what it means and what \
                 to do.",
                &["reason"],
                MetricType::COUNTER,
            )?,
            family(
                "substratum_response_body_bytes_total",
                "Bytes of bodies sent to clients. Its rate is what the tier delivers.",
                &["outcome"],
                MetricType::COUNTER,
            )?,
            family(
                "substratum_responses_total",
                "Answers by class of status; \"none\": the client left before its answer began. A rise of \
                 \"5xx\" makes clients try another stratum or another proxy.",
                &["class"],
                MetricType::COUNTER,
            )?,
            family(
                "substratum_request_first_byte_seconds",
                "From the request read to the first byte of its answer, by whom it waited for. Clients leave at \
                 5 s: a rise there, for \"upstream\", means that all mirrors are slow.",
                &["source"],
                MetricType::HISTOGRAM,
            )?,
            family(
                "substratum_request_duration_seconds",
                "From the request read to the end of its answer; slow clients lengthen it, too.",
                &[],
                MetricType::HISTOGRAM,
            )?,
            family(
                "substratum_requests_in_flight",
                "Requests being answered. A steady rise means that answers do not end: look at the upstreams.",
                &[],
                MetricType::GAUGE,
            )?,
        ])
    }

    pub(super) fn filled(&self, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        family
    }
}

impl Collector for Sum {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().map(|family| &family.desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let sum = Cells::sum(&self.all.lock());
        let outcomes = Outcome::ALL.map(Outcome::as_str);
        let [requests, reasons, bodies, responses, first_byte, duration, in_flight] = &self.families;
        vec![
            requests.filled(counters("outcome", &outcomes, &sum.requests)),
            reasons.filled(counters("reason", &Reason::ALL.map(Reason::as_str), &sum.reasons.0)),
            bodies.filled(counters("outcome", &outcomes, &sum.body_bytes)),
            responses.filled(counters("class", &CLASSES, &sum.classes)),
            first_byte.filled(
                SOURCES
                    .iter()
                    .zip(&sum.first_byte)
                    .map(|(source, cells)| {
                        let mut metric = labelled("source", source);
                        metric.set_histogram(cells.histogram(&FIRST_BYTE_BOUNDS));
                        metric
                    })
                    .collect(),
            ),
            duration.filled(vec![{
                let mut metric = Metric::default();
                metric.set_histogram(sum.duration.histogram(&DURATION_BOUNDS));
                metric
            }]),
            in_flight.filled(vec![{
                let mut gauge = Gauge::default();
                gauge.set_value(sum.in_flight.load(Relaxed) as f64);
                Metric::from_gauge(gauge)
            }]),
        ]
    }
}

fn counters(label: &str, values: &[&str], cells: &[cells::Cell]) -> Vec<Metric> {
    values
        .iter()
        .zip(cells)
        .map(|(value, cell)| {
            let mut counter = Counter::default();
            counter.set_value(cell.load(Relaxed) as f64);
            let mut metric = labelled(label, value);
            metric.set_counter(counter);
            metric
        })
        .collect()
}

pub(super) fn labelled(label: &str, value: &str) -> Metric {
    let mut pair = LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(value.to_owned());
    Metric::from_label(vec![pair])
}

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const SOURCES: [&str; 3] = ["store", "upstream", "refused"];

/// Upper bounds. Dense around 5 s, where clients leave.
const FIRST_BYTE_BOUNDS: [Duration; 16] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(1_500),
    Duration::from_millis(2_500),
    Duration::from_millis(4_000),
    Duration::from_millis(5_000),
    Duration::from_millis(10_000),
];
/// Upper bounds. Large objects to slow clients take minutes.
const DURATION_BOUNDS: [Duration; 12] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(2_500),
    Duration::from_millis(5_000),
    Duration::from_millis(10_000),
    Duration::from_millis(30_000),
    Duration::from_millis(60_000),
    Duration::from_millis(300_000),
];

#[cfg(test)]
mod tests;
