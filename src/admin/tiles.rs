//! The handful of figures that answer "does it work, and for how many?" at a glance. Pure.

use serde_json::{Map, Value};

use super::history::View;
use crate::config::ByteSize;

/// A figure in large type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// What it is of.
    pub(super) note: String,
}

const REQUESTS: &str = "substratum_requests_total";
const BYTES: &str = "substratum_response_body_bytes_total";
/// Words of `outcome` for what no upstream was asked for on its own.
const HERE: [&str; 7] =
    ["memory_hit", "disk_hit", "collapsed", "reload", "document_hit", "document_collapsed", "document_stale"];
/// Intervals that count as now: a minute.
const NOW: usize = 6;

/// What to show of the last hour and of the status.
pub(super) fn glance(view: &View, status: &Map<String, Value>) -> Vec<Tile> {
    let rate = |family| per_second(view, family);
    let number =
        |table: &str, key: &str| status.get(table).and_then(|table| table.get(key)).and_then(Value::as_u64);
    let mut tiles = vec![
        tile("Requests", rate(REQUESTS).map(|rate| format!("{} /s", short(rate))), "in the last minute"),
        tile("Answered here", here(view), "of the requests in the last hour"),
        tile("Sent", rate(BYTES).map(|rate| format!("{}/s", ByteSize(rate as u64))), "in the last minute"),
        tile("Clients", status.get("connections").map(Value::to_string), "connections now"),
    ];
    for (label, table, used) in [("Memory", "memory", "used_bytes"), ("Disk", "disk", "stored_bytes")] {
        if let (Some(used), Some(all)) = (number(table, used), number(table, "capacity_bytes"))
            && let Some(percent) = (used * 100).checked_div(all)
        {
            tiles.push(tile(label, Some(format!("{percent} %")), &format!("full, of {}", ByteSize(all))));
        }
    }
    tiles
}

fn tile(label: &'static str, value: Option<String>, note: &str) -> Tile {
    Tile { label, value: value.unwrap_or_else(|| "-".to_owned()), note: note.to_owned() }
}

fn keys(view: &View, family: &str) -> Vec<String> {
    view.labels(family).into_iter().map(|label| format!("{family} {label}")).collect()
}

/// Over the last minute; unknown before the second look.
fn per_second(view: &View, family: &str) -> Option<f64> {
    let keys = keys(view, family);
    let rises = view.sum(keys.iter().map(String::as_str));
    let known =
        rises.iter().zip(view.spans()).rev().take(NOW).filter_map(|(rise, span)| Some(((*rise)?, span?)));
    let (sum, time) = known.fold((0.0, 0.0), |(sum, time), (rise, span)| (sum + rise, time + span));
    (time > 0.0).then(|| sum / time)
}

/// Per cent of the hour's requests.
fn here(view: &View) -> Option<String> {
    let growth = |keys: &[String]| keys.iter().map(|key| view.growth(key)).sum::<u64>();
    let all = growth(&keys(view, REQUESTS));
    let here = growth(&HERE.map(|word| format!("{REQUESTS} {word}")));
    Some(format!("{} %", (here * 100).checked_div(all)?))
}

fn short(rate: f64) -> String {
    if rate >= 10.0 || rate == 0.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::admin::history::History;
    use crate::metrics::Metrics;
    use crate::outcome::Outcome;

    fn shown(history: &History, status: Value) -> Vec<String> {
        let tiles = glance(&history.view(), status.as_object().unwrap());
        tiles.into_iter().map(|tile| format!("{}: {} {}", tile.label, tile.value, tile.note)).collect()
    }

    #[test]
    fn figures_of_the_last_minute_and_hour() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        let look = |at: f64| history.note(at, &metrics.registry.gather());
        look(0.0);
        for n in 0..60 {
            let outcome = if n % 4 == 0 { Outcome::Miss } else { Outcome::Collapsed };
            metrics.request.finished(outcome, 200, 2048, Duration::ZERO, Duration::ZERO);
        }
        look(10.0);
        let status = json!({
            "connections": 17,
            "memory": { "used_bytes": 1 << 20, "capacity_bytes": 4 << 20 },
            "disk": { "stored_bytes": 0, "capacity_bytes": 1 << 30 },
        });
        let expected = [
            "Requests: 6.0 /s in the last minute",
            "Answered here: 75 % of the requests in the last hour",
            "Sent: 12 KiB/s in the last minute",
            "Clients: 17 connections now",
            "Memory: 25 % full, of 4 MiB",
            "Disk: 0 % full, of 1 GiB",
        ];
        assert_eq!(shown(&history, status), expected);
    }

    #[test]
    fn nothing_known_is_a_dash() {
        let expected = [
            "Requests: - in the last minute",
            "Answered here: - of the requests in the last hour",
            "Sent: - in the last minute",
            "Clients: 0 connections now",
        ];
        assert_eq!(shown(&History::default(), json!({ "connections": 0 })), expected);
    }

    #[test]
    fn words_exist() {
        for word in HERE {
            assert!(Outcome::ALL.iter().any(|outcome| outcome.as_str() == word), "{word}");
        }
    }
}
