//! What is written beside the code: the links and paths in it lead somewhere, and it names keys and metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use substratum::config::{Config, keys};

use super::{File, files, none, root};
use crate::support::binary::{Binary, config_text};
use crate::support::origin::Origin;

/// What people read: the documents at the root and below docs/.
fn documents() -> Vec<File> {
    let mut all = vec![File::read("README.md"), File::read("CHANGELOG.md")];
    all.extend(files("docs", ".md"));
    all
}

/// What stands between backticks, outside of blocks of code.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn links_lead_to_files() {
    let mut findings = Vec::new();
    for document in documents() {
        let folder = root().join(&document.path).parent().map(Path::to_owned).unwrap_or_default();
        for link in document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or(link);
            if !link.contains("://") && !path.is_empty() && !folder.join(path).exists() {
                findings.push(format!("{}: {link} leads nowhere", document.path));
            }
        }
    }
    none(&findings);
}

#[test]
fn paths_exist() {
    const FOLDERS: [&str; 7] = ["src/", "docs/", "config/", "deploy/", "tests/", "bench/", ".ci/"];
    let mut findings = Vec::new();
    let mut texts = documents();
    texts.push(File::read("src/lib.rs"));
    for document in texts {
        for path in quoted(&document.text) {
            let is_path = FOLDERS.iter().any(|folder| path.starts_with(folder));
            if is_path && !path.contains(['*', ' ', '<']) && !root().join(path).exists() {
                findings.push(format!("{}: there is no {path}", document.path));
            }
        }
    }
    none(&findings);
}

/// `documents::what_may_be_kept_is_kept` and the like: plays that a document calls as witnesses.
#[test]
fn plays_exist() {
    let mut findings = Vec::new();
    for document in documents() {
        for (play, name) in quoted(&document.text).into_iter().filter_map(|text| text.split_once("::")) {
            let path = format!("tests/integration/{play}.rs");
            let is_name =
                |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if is_name(play)
                && is_name(name)
                && root().join(&path).exists()
                && !File::read(&path).text.contains(&format!("fn {name}("))
            {
                findings.push(format!("{}: {path} has no play {name}", document.path));
            }
        }
    }
    none(&findings);
}

/// `[listen] max_connections` and the like.
#[test]
fn keys_exist() {
    let known: BTreeSet<String> = keys::TABLES
        .iter()
        .flat_map(|table| table.keys.iter().map(move |key| format!("{table} {}", key.name)))
        .collect();
    let mut findings = Vec::new();
    for document in documents() {
        for text in
            quoted(&document.text).into_iter().filter(|text| text.starts_with('[') && !text.contains('"'))
        {
            let mut words = text.split(' ');
            let (table, key) = (words.next(), words.next());
            let named = table.zip(key).map(|(table, key)| format!("{table} {key}"));
            if named.is_some_and(|named| !known.contains(&named)) {
                findings.push(format!("{}: there is no key {text}", document.path));
            }
        }
    }
    none(&findings);
}

#[test]
fn shipped_configurations_are_right() {
    for file in files("config", ".toml") {
        let config = Config::load(&root().join(&file.path)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings(), [], "{}", file.path);
    }
    // In containers, probes come from outside.
    for file in files("deploy", ".toml") {
        let config = Config::load(&root().join(&file.path)).unwrap_or_else(|error| panic!("{error}"));
        let warnings = config.warnings();
        let places: Vec<_> = warnings.iter().map(|warning| warning.place.key.name).collect();
        assert_eq!(places, ["admin"], "{}", file.path);
    }
}

/// A metric as `/metrics` shows it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    kind: String,
    /// Names of labels and their values.
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// All metrics of a running tier: those with labels appear only once something uses them. The request may not have ended
/// when the answer is here, but is named already.
async fn shown() -> BTreeMap<String, Shown> {
    let stratum = Origin::new().revision("images.test.local", 2).run();
    let folder = tempfile::tempdir().unwrap();
    let text = config_text(&[&stratum], Some(folder.path()))
        + "[[quotas]]\nrepository = 'a.test.local'\n[[warm]]\nrepository = 'images.test.local'\n";
    let binary = Binary::serve(&text).await;
    binary.client().ask(stratum.url("/cvmfs/images.test.local/.cvmfspublished")).await.unwrap();
    let text = binary.admin().await.ask("/metrics").await.unwrap();
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    let mut metrics: BTreeMap<String, Shown> = BTreeMap::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((series, labels)) = line.split_once('{') {
            let parts = ["_bucket", "_sum", "_count"];
            let base = parts
                .iter()
                .find_map(|part| series.strip_suffix(part).filter(|name| metrics.contains_key(*name)));
            let metric = metrics.entry(base.unwrap_or(series).to_owned()).or_default();
            for label in
                labels.split('}').next().unwrap_or_default().split("\",").filter(|label| !label.is_empty())
            {
                let (name, value) = label.split_once("=\"").unwrap();
                if name != "le" {
                    metric
                        .labels
                        .entry(name.to_owned())
                        .or_default()
                        .insert(value.trim_end_matches('"').to_owned());
                }
            }
        }
    }
    metrics
}

/// Label values that depend on the configuration, the build or what is asked for.
const OPEN_LABELS: [&str; 3] = ["repository", "upstream", "version"];

/// Label values that docs/reference.md explains.
const EXPLAINED_ELSEWHERE: [&str; 1] = ["substratum_request_reasons_total"];

#[tokio::test]
async fn the_list_of_metrics_is_complete() {
    let shown = shown().await;
    let mut findings = Vec::new();
    let mut listed = BTreeSet::new();
    let list = File::read("docs/metrics.md");
    for row in list.text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else {
            findings.push(format!("not name, type, labels, meaning: {row}"));
            continue;
        };
        let name = name.trim_matches('`');
        listed.insert(name);
        let Some(metric) = shown.get(name) else {
            findings.push(format!("{name} is listed, but there is none"));
            continue;
        };
        let names: BTreeSet<&str> = quoted(labels).into_iter().collect();
        if kind != metric.kind || names != metric.labels.keys().map(String::as_str).collect() {
            findings.push(format!("{name} is listed as a {kind} with {names:?}, but is {metric:?}"));
        }
        let words: BTreeSet<&str> = quoted(meaning).into_iter().collect();
        for (label, values) in
            metric.labels.iter().filter(|(label, _)| !OPEN_LABELS.contains(&label.as_str()))
        {
            if EXPLAINED_ELSEWHERE.contains(&name) {
                continue;
            }
            let unsaid = values.iter().filter(|value| !words.contains(value.as_str()));
            findings.extend(unsaid.map(|value| format!("{name}: nothing is said about {label}=\"{value}\"")));
        }
    }
    let missing = shown.keys().filter(|name| !listed.contains(name.as_str()));
    findings.extend(missing.map(|name| format!("docs/metrics.md does not list {name}")));
    none(&findings);
}

#[tokio::test]
async fn metrics_named_elsewhere_exist() {
    let shown = shown().await;
    let known = |name: &str| {
        let parts = ["", "_bucket", "_sum", "_count"];
        parts.iter().any(|part| name.strip_suffix(part).is_some_and(|base| shown.contains_key(base)))
    };
    let mut texts = documents();
    texts.extend(files("deploy/prometheus", ".yml"));
    texts.extend(files("deploy/grafana", ".json"));
    let mut findings = Vec::new();
    for file in texts {
        for rest in file.text.split("substratum_").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let name = format!("substratum_{}", &rest[..end]);
            if end > 0 && !known(&name) {
                findings.push(format!("{}: there is no metric {name}", file.path));
            }
        }
    }
    none(&findings);
}
