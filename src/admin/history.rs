//! The last hour, kept in memory: what the metrics said every 10 s. From it come the graphs of the page and what needs
//! attention.
//!
//! Bounded: [`SAMPLES`] looks at [`COLUMNS`] values of 8 bytes. Reading costs serving nothing: it is what a scrape does.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use tokio::task;
use tokio::time::{self, MissedTickBehavior};

use super::Admin;

/// Between two looks.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// An hour, both ends included.
const SAMPLES: usize = 361;
/// Ten upstreams need about 400. Above it, what is new is not remembered.
const COLUMNS: usize = 4096;

/// What is remembered: every label of these, in the order of the labels' names.
const FAMILIES: [&str; 21] = [
    "substratum_requests_total",
    "substratum_repository_requests_total",
    "substratum_repository_hits_total",
    "substratum_repository_body_bytes_total",
    "substratum_response_body_bytes_total",
    "substratum_request_first_byte_seconds",
    "substratum_connections_refused_total",
    "substratum_fills",
    "substratum_fill_readers",
    "substratum_memory_bytes",
    "substratum_memory_capacity_bytes",
    "substratum_disk_stored_bytes",
    "substratum_disk_reserved_bytes",
    "substratum_disk_capacity_bytes",
    "substratum_disk_write_errors_total",
    "substratum_bad_at_rest_total",
    "substratum_document_stale_total",
    "substratum_document_manifest_damages_total",
    "substratum_log_dropped_lines_total",
    "substratum_upstream_requests_total",
    "substratum_upstream_healthy",
];

/// The ring of looks.
#[derive(Default)]
pub(super) struct History(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    columns: HashMap<String, usize>,
    samples: VecDeque<Sample>,
}

struct Sample {
    /// Unix time in seconds.
    at: f64,
    /// Columns that were added later are missing at the end.
    values: Box<[f64]>,
}

/// Looks every [`INTERVAL`], the first time at once, until it is dropped. A look that hangs is waited for.
pub(super) async fn keep(admin: Arc<Admin>, history: Arc<History>) {
    let mut ticks = time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (admin, history) = (Arc::clone(&admin), Arc::clone(&history));
        let look = task::spawn_blocking(move || {
            admin.status.sample();
            history.note(unix(SystemTime::now()), &admin.metrics.registry.gather());
        });
        if let Err(error) = look.await {
            tracing::error!(%error, "the metrics could not be read for the page");
        }
    }
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl History {
    /// Takes note of what the metrics say at a time.
    pub(super) fn note(&self, at: f64, families: &[MetricFamily]) {
        let mut ring = self.0.lock();
        let mut values = vec![f64::NAN; ring.columns.len()];
        for family in families.iter().filter(|family| FAMILIES.contains(&family.name())) {
            for metric in family.get_metric() {
                read(family, metric, |key, value| ring.put(&mut values, key, value));
            }
        }
        ring.samples.push_back(Sample { at, values: values.into() });
        if ring.samples.len() > SAMPLES {
            ring.samples.pop_front();
        }
    }

    /// A copy to compute with, so that nobody waits meanwhile.
    pub(super) fn view(&self) -> View {
        let ring = self.0.lock();
        let column =
            |at: usize| ring.samples.iter().map(|s| s.values.get(at).copied().unwrap_or(f64::NAN)).collect();
        View {
            times: ring.samples.iter().map(|sample| sample.at).collect(),
            columns: ring.columns.iter().map(|(key, &at)| (key.clone(), column(at))).collect(),
        }
    }
}

impl Ring {
    fn put(&mut self, values: &mut Vec<f64>, key: String, value: f64) {
        let next = self.columns.len();
        let at = match self.columns.get(&key) {
            Some(&at) => at,
            None if next < COLUMNS => *self.columns.entry(key).or_insert(next),
            None => return,
        };
        if at >= values.len() {
            values.resize(at + 1, f64::NAN);
        }
        values[at] = value;
    }
}

/// `name`, `name label label`; for the buckets of a histogram `name label 0.5`, cumulative as in Prometheus.
fn read(family: &MetricFamily, metric: &Metric, mut put: impl FnMut(String, f64)) {
    let mut key = family.name().to_owned();
    for label in metric.get_label() {
        key.push(' ');
        key.push_str(label.value());
    }
    match family.get_field_type() {
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            for bucket in histogram.get_bucket() {
                put(format!("{key} {}", bucket.upper_bound()), bucket.cumulative_count() as f64);
            }
            put(format!("{key} inf"), histogram.get_sample_count() as f64);
        }
        MetricType::GAUGE => put(key, metric.get_gauge().get_value()),
        _ => put(key, metric.get_counter().get_value()),
    }
}

/// Columns of values, all as long as there are times; not a number where a value was not known yet.
pub(super) struct View {
    pub(super) times: Vec<f64>,
    pub(super) columns: HashMap<String, Vec<f64>>,
}

impl View {
    /// A value at each time but the first.
    pub(super) fn levels(&self, key: &str) -> Vec<Option<f64>> {
        let known = |value: &f64| value.is_finite().then_some(*value);
        match self.columns.get(key) {
            Some(column) => column.iter().skip(1).map(known).collect(),
            None => self.nothing(),
        }
    }

    /// How much a counter rose between each two times; unknown where it went back.
    pub(super) fn rises(&self, key: &str) -> Vec<Option<f64>> {
        let Some(column) = self.columns.get(key) else { return self.nothing() };
        let rise = |pair: &[f64]| Some(pair[1] - pair[0]).filter(|rise| rise.is_finite() && *rise >= 0.0);
        column.windows(2).map(rise).collect()
    }

    /// How much a counter rose in all; one that was not there at the first look began at 0.
    pub(super) fn growth(&self, key: &str) -> u64 {
        let Some(column) = self.columns.get(key) else { return 0 };
        let first = column.first().copied().filter(|value| value.is_finite()).unwrap_or(0.0);
        column.last().map_or(0, |last| (last - first).max(0.0) as u64)
    }

    /// The sum of the rises of several counters; those that are unknown count for nothing.
    pub(super) fn sum<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Vec<Option<f64>> {
        let mut sum = self.nothing();
        for key in keys {
            for (sum, rise) in sum.iter_mut().zip(self.rises(key)) {
                *sum = match (*sum, rise) {
                    (Some(a), Some(b)) => Some(a + b),
                    (a, b) => a.or(b),
                };
            }
        }
        sum
    }

    /// Seconds between each two times; none where the clock was set back.
    pub(super) fn spans(&self) -> Vec<Option<f64>> {
        self.times.windows(2).map(|pair| Some(pair[1] - pair[0]).filter(|span| *span > 0.0)).collect()
    }

    /// Names of the columns of a family, sorted: what stands behind its name.
    pub(super) fn labels<'v>(&'v self, family: &str) -> Vec<&'v str> {
        let behind = |key: &'v String| key.strip_prefix(family)?.strip_prefix(' ');
        let mut labels: Vec<_> = self.columns.keys().filter_map(behind).collect();
        labels.sort_unstable();
        labels
    }

    fn nothing(&self) -> Vec<Option<f64>> {
        vec![None; self.times.len().saturating_sub(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn an_hour_and_no_more_is_kept() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        for look in 0..SAMPLES + 40 {
            metrics.cache.bad_at_rest.inc();
            history.note(look as f64 * 10.0, &metrics.registry.gather());
        }
        let view = history.view();
        assert_eq!((view.times.len(), view.times[0]), (SAMPLES, 400.0));
        assert_eq!(view.times[SAMPLES - 1] - view.times[0], 3600.0);
        assert_eq!(view.rises("substratum_bad_at_rest_total"), vec![Some(1.0); SAMPLES - 1]);
        assert!(view.columns.keys().all(|key| FAMILIES.contains(&key.split(' ').next().unwrap())));
    }

    #[test]
    fn what_appears_later_was_unknown_before() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        history.note(0.0, &metrics.registry.gather());
        let requests = metrics.upstream.requests.with_label_values(&["http://a", "ok"]);
        history.note(10.0, &metrics.registry.gather());
        requests.inc_by(7);
        history.note(20.0, &metrics.registry.gather());
        let view = history.view();
        // Labels stand in the order of their names: outcome, upstream.
        assert_eq!(view.labels("substratum_upstream_requests_total"), ["ok http://a"]);
        assert_eq!(view.rises("substratum_upstream_requests_total ok http://a"), [None, Some(7.0)]);
        assert_eq!(view.levels("substratum_nothing"), [None, None]);
    }

    #[test]
    fn every_family_exists() {
        let metrics = Metrics::new().unwrap();
        metrics.upstream.requests.with_label_values(&["http://a", "ok"]);
        metrics.upstream.healthy.with_label_values(&["http://a"]);
        let gathered = metrics.registry.gather();
        for name in FAMILIES {
            assert!(gathered.iter().any(|family| family.name() == name), "{name}");
        }
    }

    #[test]
    fn columns_are_bounded() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        for n in 0..COLUMNS + 10 {
            metrics.upstream.requests.with_label_values(&[format!("http://{n}").as_str(), "ok"]);
        }
        history.note(0.0, &metrics.registry.gather());
        assert_eq!(history.view().columns.len(), COLUMNS);
    }
}
