//! Monitoring plugs in: a real Prometheus scrapes the program, and what we ship for it fits the metrics there are.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::binary::{Binary, config_text};
use crate::support::client::Client;
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::peer::{self, Peer};
use crate::support::{LOOK_AGAIN, PATIENCE};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every query of the dashboard, with its variables filled in.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/substratum.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> =
        targets.map(|target| target["expr"].as_str().unwrap().replace("$instance", ".*")).collect();
    assert!(queries.len() >= panels.len(), "every panel asks for something");
    queries
}

/// Escapes a query for a URL.
fn escaped(query: &str) -> String {
    query
        .bytes()
        .map(|c| if c.is_ascii_alphanumeric() { char::from(c).to_string() } else { format!("%{c:02X}") })
        .collect()
}

/// The first row of an instant query; `None` while there is none.
async fn query(prometheus: SocketAddr, query: &str) -> Option<Value> {
    let answer = Client::of(prometheus).ask(format!("/api/v1/query?query={}", escaped(query))).await.unwrap();
    // While it starts.
    if answer.status() == 503 {
        return None;
    }
    let result: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(result["status"], "success", "{query}: {result}");
    let rows = result["data"]["result"].as_array().unwrap().clone();
    rows.into_iter().next()
}

#[tokio::test]
async fn prometheus_scrapes_and_answers() {
    let Some(program) = peer::find("prometheus") else { return };
    let object = Object::generate(9, 10_000);
    let stratum = Origin::new().object(&object).run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    for _ in 0..3 {
        binary.client().ask(stratum.url(&object.path())).await.unwrap();
    }
    let admin = binary.admin_address().await;
    let prometheus = Peer::prometheus(&program, admin, &root().join("deploy/prometheus"));
    let hits = "substratum_requests_total{job=\"substratum\",outcome=\"memory_hit\"}";
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            match query(prometheus.address(), hits).await {
                Some(row) if row["value"][1] == "2" => return row,
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    });
    let row = seen.await.unwrap_or_else(|_| panic!("Prometheus never saw two hits at {admin}"));
    assert_eq!(row["metric"]["instance"], admin.to_string());
    assert!(query(prometheus.address(), "up{job=\"substratum\"} == 1").await.is_some());
    // Each query is one that Prometheus understands; those of levels have a value at once.
    for expression in dashboard_queries() {
        let row = query(prometheus.address(), &expression).await;
        if expression.starts_with("sum by (instance) (substratum_") {
            assert!(row.is_some(), "{expression} finds nothing");
        }
    }
}

/// Names of ours, or of the process, in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("substratum_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_dashboard_asks_for_metrics_and_labels_that_exist() {
    let stratum = Origin::new().run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let text = binary.admin().await.ask("/metrics").await.unwrap().body;
    let text = String::from_utf8_lossy(&text).into_owned();
    let exists = |name: &str| {
        text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
    };
    let value = |label: &str, value: &str| text.contains(&format!("{label}=\"{value}\""));
    let mut known = 0;
    for query in dashboard_queries() {
        for name in named(&query) {
            assert!(exists(&name), "{name} in {query}");
            known += 1;
        }
        for label in ["outcome", "reason", "source"] {
            for operator in ["=~\"", "!~\"", "=\""] {
                let selector = format!("{label}{operator}");
                let selected = query.split(selector.as_str()).skip(1);
                for word in selected.flat_map(|rest| rest.split('"').next().unwrap().split('|')) {
                    assert!(value(label, word), "there is no {label}=\"{word}\": {query}");
                }
            }
        }
    }
    assert!(known > 20, "{known}");
}

/// Alerts, their tests, the runbook, and what the page says of troubles name one another.
#[test]
fn every_alert_has_a_test_and_a_runbook_entry() {
    let alerts = read("deploy/prometheus/alerts.yml");
    let blocks: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    let names: BTreeSet<&str> = blocks.iter().map(|block| block.lines().next().unwrap().trim()).collect();
    assert_eq!(names.len(), blocks.len(), "a name twice");
    let operate = read("docs/operate.md");
    let entries: BTreeSet<&str> = operate
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|name| name.starts_with("Substratum"))
        .collect();
    assert_eq!(names, entries, "docs/operate.md has an entry for each alert, and no other");
    let tests = read("deploy/prometheus/alerts_test.yml");
    for block in blocks {
        let name = block.lines().next().unwrap().trim();
        let link = format!("runbook: \"docs/operate.md#{}\"", name.to_ascii_lowercase());
        assert!(block.contains(&link), "{name} leads to {link}");
        let cases: Vec<&str> =
            tests.split("alertname: ").skip(1).filter(|case| case.lines().next() == Some(name)).collect();
        assert!(
            cases.iter().any(|case| case.split("alertname: ").next().unwrap().contains("exp_labels")),
            "{name} is never shown to fire"
        );
    }
    let troubles = read("src/admin/trouble.rs");
    for name in troubles.split('"').filter(|word| word.starts_with("Substratum")) {
        assert!(names.contains(name), "the page speaks of {name}, which is no alert");
    }
}

#[test]
fn the_alerts_fire_when_they_should() {
    let Some(promtool) = peer::find("promtool") else { return };
    let output = Command::new(promtool)
        .args(["test", "rules", "alerts_test.yml"])
        .current_dir(root().join("deploy/prometheus"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}
