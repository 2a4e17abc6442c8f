//! The last hour as lines to be drawn: rates, shares and quantiles. Pure.

use std::cmp::Reverse;

use serde::Serialize;

use super::history::{INTERVAL, View};
use super::repositories;

/// What `/history` tells.
#[derive(Serialize)]
pub(super) struct Graphs {
    interval_seconds: u64,
    /// Unix times; each line has a value for every one.
    times: Vec<f64>,
    graphs: Vec<Graph>,
}

#[derive(Serialize)]
struct Graph {
    id: &'static str,
    title: &'static str,
    /// What to see in it.
    meaning: &'static str,
    unit: &'static str,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    label: String,
    /// Drawn as a limit, not as something that was measured.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    limit: bool,
    values: Vec<Option<f64>>,
}

/// CVMFS clients leave after so many seconds without a byte.
const CLIENTS_LEAVE: f64 = 5.0;
/// Lines of one graph: more could not be told apart.
const LINES: usize = 7;

const MEMORY: &[&str] = &["memory_hit", "reload"];
const DISK: &[&str] = &["disk_hit"];
const SHARED: &[&str] = &["collapsed", "document_collapsed"];
const DOCUMENTS: &[&str] = &["document_hit", "document_stale"];
const FETCHED: &[&str] =
    &["miss", "repair", "document_miss", "document_revalidated", "document_change", "pass", "tunnel"];
const FAILED: &[&str] = &["upstream_error"];
const REFUSED: &[&str] = &["denied", "bad_request", "overload"];
const STALE: &[&str] = &["document_stale"];

impl Graphs {
    pub(super) fn of(view: &View) -> Self {
        let graphs = vec![
            Graph {
                id: "throughput",
                title: "Sent to clients",
                meaning: "Bytes of bodies. What is not in the second line came from the caches.",
                unit: "B/s",
                lines: vec![
                    line("sent", rate(view, "substratum_response_body_bytes_total", None)),
                    line(
                        "of it fetched for the request",
                        rate(view, "substratum_response_body_bytes_total", Some(&[FETCHED])),
                    ),
                ],
            },
            Graph {
                id: "hits",
                title: "Answered without an upstream",
                meaning: "Share of all requests, by tier. A fall of all: new software, or a cache that was lost.",
                unit: "%",
                lines: [
                    ("memory", MEMORY),
                    ("disk", DISK),
                    ("another's download", SHARED),
                    ("documents", DOCUMENTS),
                ]
                .map(|(label, outcomes)| line(label, share(view, outcomes)))
                .into(),
            },
            Graph {
                id: "requests",
                title: "Requests by outcome",
                meaning: "Failed: every source failed. Refused: not allowed, malformed, or too much at once.",
                unit: "/s",
                lines: [
                    ("from the caches", &[MEMORY, DISK, SHARED, DOCUMENTS][..]),
                    ("fetched", &[FETCHED]),
                    ("failed", &[FAILED]),
                    ("refused", &[REFUSED]),
                    ("stale documents", &[STALE]),
                ]
                .map(|(label, outcomes)| line(label, rate(view, "substratum_requests_total", Some(outcomes))))
                .into(),
            },
            Graph {
                id: "first_byte",
                title: "Wait for the first byte",
                meaning: "Of 100 requests, 50 and 99 waited no longer. At 5 s clients leave.",
                unit: "s",
                lines: vec![
                    line("store, 50 of 100", quantiles(view, "store", 0.5)),
                    line("store, 99", quantiles(view, "store", 0.99)),
                    line("upstream, 50 of 100", quantiles(view, "upstream", 0.5)),
                    line("upstream, 99", quantiles(view, "upstream", 0.99)),
                    Line {
                        limit: true,
                        ..line("clients leave", vec![Some(CLIENTS_LEAVE); view.spans().len()])
                    },
                ],
            },
            Graph {
                id: "fills",
                title: "Downloads in progress",
                meaning: "A steady rise: upstreams have become slow.",
                unit: "",
                lines: vec![
                    line("downloads", view.levels("substratum_fills")),
                    line("requests that read from them", view.levels("substratum_fill_readers")),
                ],
            },
            Graph {
                id: "room",
                title: "Room in use",
                meaning: "Both fill up and stay full: the oldest goes for the newest.",
                unit: "%",
                lines: vec![
                    line(
                        "memory",
                        portion(view, &["substratum_memory_bytes"], "substratum_memory_capacity_bytes"),
                    ),
                    line(
                        "disk",
                        portion(
                            view,
                            &["substratum_disk_stored_bytes", "substratum_disk_reserved_bytes"],
                            "substratum_disk_capacity_bytes",
                        ),
                    ),
                ],
            },
            Graph {
                id: "upstreams",
                title: "Requests to upstreams that failed",
                meaning: "Those that failed most. Others were asked instead; the table of upstreams tells why.",
                unit: "/s",
                lines: failing(view),
            },
            Graph {
                id: "repositories",
                title: "Sent, by repository",
                meaning: "Bytes of bodies, for those that had most in the hour.",
                unit: "B/s",
                lines: largest(view),
            },
        ];
        Self {
            interval_seconds: INTERVAL.as_secs(),
            times: view.times.iter().skip(1).map(|at| at.round()).collect(),
            graphs,
        }
    }
}

fn line(label: impl Into<String>, values: Vec<Option<f64>>) -> Line {
    // Three digits are more than can be seen.
    let values = values.into_iter().map(|value| value.map(rounded)).collect();
    Line { label: label.into(), limit: false, values }
}

fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// Rises a second of a family's counters: of some outcomes, or of all.
fn rate(view: &View, family: &str, outcomes: Option<&[&[&str]]>) -> Vec<Option<f64>> {
    let rises = rises(view, family, outcomes);
    rises.into_iter().zip(view.spans()).map(|(rise, span)| Some(rise? / span?)).collect()
}

fn rises(view: &View, family: &str, outcomes: Option<&[&[&str]]>) -> Vec<Option<f64>> {
    let wanted = |label: &str| outcomes.is_none_or(|sets| sets.iter().any(|set| set.contains(&label)));
    let labels = view.labels(family).into_iter().filter(|label| wanted(label));
    let keys: Vec<_> = labels.map(|label| format!("{family} {label}")).collect();
    view.sum(keys.iter().map(String::as_str))
}

/// Per cent of all requests; unknown while there are none.
fn share(view: &View, outcomes: &[&str]) -> Vec<Option<f64>> {
    let part = rises(view, "substratum_requests_total", Some(&[outcomes]));
    let all = rises(view, "substratum_requests_total", None);
    let share = |(part, all): (Option<f64>, Option<f64>)| Some(100.0 * part? / all.filter(|all| *all > 0.0)?);
    part.into_iter().zip(all).map(share).collect()
}

/// Per cent of a capacity; unknown without one.
fn portion(view: &View, used: &[&str], capacity: &str) -> Vec<Option<f64>> {
    let mut sum = vec![Some(0.0); view.spans().len()];
    for key in used {
        for (sum, level) in sum.iter_mut().zip(view.levels(key)) {
            *sum = sum.zip(level).map(|(a, b)| a + b);
        }
    }
    let capacity = view.levels(capacity);
    sum.into_iter()
        .zip(capacity)
        .map(|(used, all)| Some(100.0 * used? / all.filter(|all| *all > 0.0)?))
        .collect()
}

/// Of the requests that ended in each interval.
fn quantiles(view: &View, source: &str, quantile: f64) -> Vec<Option<f64>> {
    let family = format!("substratum_request_first_byte_seconds {source}");
    let mut buckets: Vec<(f64, Vec<Option<f64>>)> = view
        .labels(&family)
        .into_iter()
        .filter_map(|bound| Some((bound.parse().ok()?, view.rises(&format!("{family} {bound}")))))
        .collect();
    buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let at = |place: usize| -> Vec<(f64, f64)> {
        buckets.iter().filter_map(|(bound, rises)| Some((*bound, rises[place]?))).collect()
    };
    (0..view.spans().len()).map(|place| quantile_of(&at(place), quantile)).collect()
}

/// As Prometheus' `histogram_quantile`: linear within a bucket; above the last bound, that bound.
fn quantile_of(cumulative: &[(f64, f64)], quantile: f64) -> Option<f64> {
    let total = cumulative.last()?.1;
    if total <= 0.0 {
        return None;
    }
    let rank = quantile * total;
    let place = cumulative.iter().position(|(_, count)| *count >= rank)?;
    let (below, before) = if place == 0 { (0.0, 0.0) } else { cumulative[place - 1] };
    let (bound, count) = cumulative[place];
    if bound.is_infinite() {
        return Some(below);
    }
    Some(below + (bound - below) * (rank - before) / (count - before).max(f64::MIN_POSITIVE))
}

/// The repositories that most bytes were sent for in the hour.
fn largest(view: &View) -> Vec<Line> {
    let key = |name: &str| format!("{} {name}", repositories::BYTES);
    let mut names: Vec<_> =
        view.labels(repositories::BYTES).into_iter().map(|name| (view.growth(&key(name)), name)).collect();
    names.retain(|(bytes, _)| *bytes > 0);
    names.sort_by_key(|(bytes, _)| Reverse(*bytes));
    let per_second = |name: &str| {
        view.rises(&key(name)).into_iter().zip(view.spans()).map(|(rise, span)| Some(rise? / span?)).collect()
    };
    names.into_iter().take(LINES).map(|(_, name)| line(name, per_second(name))).collect()
}

/// Words of `substratum_upstream_requests_total` that do not speak against a server.
const HARMLESS: [&str; 7] =
    ["ok", "not_modified", "redirect", "not_found", "http_4xx", "behind", "cancelled"];

/// The upstreams that failed most in the hour.
fn failing(view: &View) -> Vec<Line> {
    let family = "substratum_upstream_requests_total";
    let labels = view.labels(family);
    let split: Vec<(&str, &str)> = labels.iter().filter_map(|label| label.split_once(' ')).collect();
    let mut names: Vec<&str> = split.iter().map(|(_, upstream)| *upstream).collect();
    names.sort_unstable();
    names.dedup();
    let rises = |name: &str| {
        let bad = split.iter().filter(|(outcome, upstream)| *upstream == name && !HARMLESS.contains(outcome));
        let keys: Vec<_> = bad.map(|(outcome, _)| format!("{family} {outcome} {name}")).collect();
        view.sum(keys.iter().map(String::as_str))
    };
    let mut all: Vec<(f64, &str, Vec<Option<f64>>)> = names
        .into_iter()
        .map(|name| (name, rises(name)))
        .map(|(name, rises)| (rises.iter().flatten().sum::<f64>(), name, rises))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let spans = view.spans();
    let per_second = |rises: Vec<Option<f64>>| {
        rises.into_iter().zip(&spans).map(|(rise, span)| Some(rise? / (*span)?)).collect()
    };
    all.into_iter().take(LINES).map(|(_, name, rises)| line(name, per_second(rises))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::admin::history::History;
    use crate::metrics::Metrics;
    use crate::outcome::Outcome;

    fn values(graphs: &Value, id: &str, label: &str) -> Value {
        let graph = graphs["graphs"].as_array().unwrap().iter().find(|graph| graph["id"] == id).unwrap();
        let line = graph["lines"].as_array().unwrap().iter().find(|line| line["label"] == label).unwrap();
        line["values"].clone()
    }

    #[test]
    fn rates_shares_and_failures() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        let bad = metrics.upstream.requests.with_label_values(&["http://b", "reset"]);
        metrics.upstream.requests.with_label_values(&["http://a", "ok"]).inc();
        metrics.upstream.requests.with_label_values(&["http://a", "reset"]);
        history.note(100.0, &metrics.registry.gather());
        for outcome in [Outcome::MemoryHit, Outcome::MemoryHit, Outcome::MemoryHit, Outcome::Miss] {
            metrics.request.finished(outcome, 200, 1000, Duration::from_millis(2), Duration::from_millis(3));
        }
        bad.inc_by(20);
        metrics.cache.memory_bytes.set(25);
        metrics.cache.memory_capacity.set(100);
        history.note(110.0, &metrics.registry.gather());
        history.note(120.0, &metrics.registry.gather());

        let graphs = serde_json::to_value(Graphs::of(&history.view())).unwrap();
        assert_eq!(graphs["times"], json!([110.0, 120.0]));
        assert_eq!(values(&graphs, "throughput", "sent"), json!([400.0, 0.0]));
        assert_eq!(values(&graphs, "hits", "memory"), json!([75.0, null]));
        assert_eq!(values(&graphs, "requests", "fetched"), json!([0.1, 0.0]));
        assert_eq!(values(&graphs, "room", "memory"), json!([25.0, 25.0]));
        assert_eq!(values(&graphs, "room", "disk"), json!([null, null]));
        assert_eq!(values(&graphs, "upstreams", "http://b"), json!([2.0, 0.0]));
        assert_eq!(values(&graphs, "upstreams", "http://a"), json!([0.0, 0.0]));
        assert_eq!(values(&graphs, "first_byte", "clients leave"), json!([5.0, 5.0]));
        // Between 1 and 2.5 ms, of the three from the store.
        assert_eq!(values(&graphs, "first_byte", "store, 50 of 100"), json!([0.00175, null]));
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let buckets = [(0.1, 50.0), (1.0, 90.0), (f64::INFINITY, 100.0)];
        for (quantile, expected) in [(0.25, 0.05), (0.5, 0.1), (0.7, 0.55), (0.95, 1.0)] {
            assert!((quantile_of(&buckets, quantile).unwrap() - expected).abs() < 1e-9, "{quantile}");
        }
        assert_eq!(quantile_of(&[(1.0, 0.0)], 0.5), None);
        assert_eq!(quantile_of(&[], 0.5), None);
    }

    #[test]
    fn every_outcome_is_in_one_line() {
        for outcome in Outcome::ALL {
            let word = outcome.as_str();
            let sets = [MEMORY, DISK, SHARED, DOCUMENTS, FETCHED, FAILED, REFUSED];
            assert_eq!(sets.iter().filter(|set| set.contains(&word)).count(), 1, "{word}");
        }
    }

    #[test]
    fn nothing_known_is_nothing_drawn() {
        let graphs = serde_json::to_value(Graphs::of(&History::default().view())).unwrap();
        assert_eq!(graphs["times"], json!([]));
        assert_eq!(values(&graphs, "throughput", "sent"), json!([]));
    }
}
