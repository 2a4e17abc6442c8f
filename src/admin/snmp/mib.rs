//! Which figure stands under which name of squid's MIB (`mib.txt`), from the metrics. Pure.
//!
//! What has no counterpart here is left out, rather than told as 0: ICP, DNS, peers, median times.

use std::time::SystemTime;

use prometheus::proto::{MetricFamily, MetricType};

/// `enterprises.nlanr.squid`
pub const ROOT: [u32; 8] = [1, 3, 6, 1, 4, 1, 3495, 1];

/// A figure as SNMP knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Integer(i32),
    /// Begins again at 0 after 2^32 - 1.
    Counter32(u32),
    /// Stays at 2^32 - 1.
    Gauge32(u32),
    /// Hundredths of seconds.
    TimeTicks(u32),
    Text(String),
    NoSuchObject,
    NoSuchInstance,
    EndOfMibView,
}

/// Names and their values, in order.
pub struct Mib(Vec<(Vec<u32>, Value)>);

impl Mib {
    /// What the metrics say.
    pub fn of(name: &str, families: &[MetricFamily], now: SystemTime) -> Self {
        let all = Figures(families);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since = |at: f64| Value::TimeTicks(((now.as_secs_f64() - at).max(0.0) * 100.0) as u64 as u32);
        let disk = all.sum("substratum_disk_capacity_bytes") > 0.0;
        let (objects, hits) =
            (if disk { "substratum_disk_objects" } else { "substratum_memory_objects" }, HITS);
        let open = all.sum("process_open_fds");
        let failed = |outcome: &str| !matches!(outcome, "ok" | "not_modified" | "not_found" | "cancelled");
        let mut rows = vec![
            row("1.1", kib(all.sum("substratum_memory_bytes"))),
            row("1.2", kib(all.sum("substratum_disk_stored_bytes"))),
            row("1.3", since(all.sum("process_start_time_seconds"))),
            row("2.2", Value::Text("substratum".to_owned())),
            row("2.3", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
            row("2.5.1", mib(all.sum("substratum_memory_capacity_bytes"))),
            row("2.5.2", mib(all.sum("substratum_disk_capacity_bytes"))),
            row("2.6", Value::Text(name.to_owned())),
            row("3.1.3", kib(all.sum("process_resident_memory_bytes"))),
            row("3.1.4", integer(all.sum("process_cpu_seconds_total"))),
            row("3.1.7", gauge(all.sum(objects))),
            row("3.1.10", gauge(all.sum("process_max_fds") - open)),
            row("3.1.12", gauge(open)),
            row("3.1.13", gauge(all.sum("process_max_fds"))),
            row("3.2.1.1", counter(all.sum("substratum_requests_total"))),
            row(
                "3.2.1.2",
                counter(all.sum_if("substratum_requests_total", "outcome", |word| hits.contains(&word))),
            ),
            row(
                "3.2.1.3",
                counter(all.sum_if("substratum_requests_total", "outcome", |word| ERRORS.contains(&word))),
            ),
            row("3.2.1.5", counter(all.sum("substratum_response_body_bytes_total") / KIB)),
            row("3.2.1.10", integer(all.sum("substratum_upstream_requests_total"))),
            row("3.2.1.11", integer(all.sum_if("substratum_upstream_requests_total", "outcome", failed))),
            row("3.2.1.12", counter(all.sum("substratum_upstream_received_bytes_total") / KIB)),
            row("3.2.1.14", gauge(all.sum("substratum_disk_stored_bytes") / KIB)),
            row("3.2.1.15", gauge(all.sum("substratum_connections"))),
        ];
        let oldest = all.sum("substratum_disk_oldest_segment_timestamp_seconds");
        if oldest > 0.0 {
            rows.push(row("3.1.8", since(oldest)));
        }
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(rows)
    }

    /// The value of exactly this name.
    pub fn get(&self, name: &[u32]) -> &Value {
        match self.0.binary_search_by(|(known, _)| known.as_slice().cmp(name)) {
            Ok(at) => &self.0[at].1,
            Err(_) => {
                // The object is what stands before the last arc of a name we have.
                let object = |known: &[u32]| name.starts_with(&known[..known.len() - 1]);
                let known = self.0.iter().any(|(known, _)| object(known));
                if known { &Value::NoSuchInstance } else { &Value::NoSuchObject }
            }
        }
    }

    /// The first name behind this one, and its value.
    pub fn next<'a>(&'a self, name: &'a [u32]) -> (&'a [u32], &'a Value) {
        let at = self.0.partition_point(|(known, _)| known.as_slice() <= name);
        self.0.get(at).map_or((name, &Value::EndOfMibView), |(name, value)| (name, value))
    }
}

/// Words of `outcome` that squid would count as hits.
const HITS: [&str; 7] =
    ["memory_hit", "disk_hit", "collapsed", "reload", "document_hit", "document_collapsed", "document_stale"];
/// Words that it would count as errors.
const ERRORS: [&str; 3] = ["upstream_error", "bad_request", "overload"];

const KIB: f64 = 1024.0;

fn row(place: &str, value: Value) -> (Vec<u32>, Value) {
    let arcs = place.split('.').filter_map(|arc| arc.parse().ok());
    (ROOT.into_iter().chain(arcs).chain([0]).collect(), value)
}

fn integer(value: f64) -> Value {
    Value::Integer(value as i32)
}

fn kib(bytes: f64) -> Value {
    integer(bytes / KIB)
}

fn mib(bytes: f64) -> Value {
    integer(bytes / KIB / KIB)
}

fn counter(value: f64) -> Value {
    Value::Counter32(value as u64 as u32)
}

fn gauge(value: f64) -> Value {
    Value::Gauge32(value as u32)
}

struct Figures<'a>(&'a [MetricFamily]);

impl Figures<'_> {
    fn sum(&self, family: &str) -> f64 {
        self.sum_if(family, "", |_| true)
    }

    /// Of those whose label fits.
    fn sum_if(&self, family: &str, label: &str, fits: impl Fn(&str) -> bool) -> f64 {
        let Some(family) = self.0.iter().find(|found| found.name() == family) else { return 0.0 };
        let values = family.get_metric().iter().filter(|metric| {
            let labels = metric.get_label();
            labels.iter().filter(|pair| pair.name() == label).all(|pair| fits(pair.value()))
        });
        let value = |metric: &prometheus::proto::Metric| match family.get_field_type() {
            MetricType::GAUGE => metric.get_gauge().get_value(),
            _ => metric.get_counter().get_value(),
        };
        values.map(value).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Metrics;
    use crate::outcome::Outcome;

    fn name(place: &str) -> Vec<u32> {
        row(place, Value::NoSuchObject).0
    }

    #[test]
    fn figures_are_those_of_the_metrics() {
        let metrics = Metrics::new().unwrap();
        let zero = Duration::ZERO;
        for outcome in [Outcome::MemoryHit, Outcome::Collapsed, Outcome::Miss, Outcome::UpstreamError] {
            metrics.request.finished(outcome, 200, 2048, zero, zero);
        }
        for (outcome, count) in [("ok", 5), ("reset", 2)] {
            metrics.upstream.requests.with_label_values(&["http://a", outcome]).inc_by(count);
        }
        metrics.upstream.received.with_label_values(&["http://a"]).inc_by(3 << 10);
        metrics.cache.memory_bytes.set(7 << 10);
        metrics.cache.memory_objects.set(3);
        let mib = Mib::of("site", &metrics.registry.gather(), SystemTime::now());
        for (place, expected) in [
            ("3.2.1.1", Value::Counter32(4)),
            ("3.2.1.2", Value::Counter32(2)),
            ("3.2.1.3", Value::Counter32(1)),
            ("3.2.1.5", Value::Counter32(8)),
            ("3.2.1.10", Value::Integer(7)),
            ("3.2.1.11", Value::Integer(2)),
            ("3.2.1.12", Value::Counter32(3)),
            ("1.1", Value::Integer(7)),
            ("3.1.7", Value::Gauge32(3)),
            ("2.6", Value::Text("site".to_owned())),
            ("3.1.8", Value::NoSuchObject),
        ] {
            assert_eq!(*mib.get(&name(place)), expected, "{place}");
        }
    }

    #[test]
    fn a_walk_sees_every_name_once_and_in_order() {
        let mib = Mib::of("site", &Metrics::new().unwrap().registry.gather(), SystemTime::now());
        let mut at = vec![1];
        let mut seen = Vec::new();
        loop {
            let (name, value) = mib.next(&at);
            if *value == Value::EndOfMibView {
                break;
            }
            assert!(name > at.as_slice());
            seen.push(name.to_vec());
            at = name.to_vec();
        }
        assert_eq!(seen.len(), mib.0.len());
        assert!(seen.len() > 20);
    }

    #[test]
    fn counters_begin_again_and_gauges_stay() {
        assert_eq!(counter(4_294_967_300.0), Value::Counter32(4));
        assert_eq!(gauge(4_294_967_300.0), Value::Gauge32(u32::MAX));
        assert_eq!(gauge(-1.0), Value::Gauge32(0));
        assert_eq!(integer(1e12), Value::Integer(i32::MAX));
    }
}
