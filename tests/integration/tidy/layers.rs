//! Who may know whom: the modules of the crate from the bottom to the top, and words that may not occur in some.

use std::collections::BTreeSet;

use super::{File, files, none};

/// Each module and those it uses. Nothing more is allowed, and what is not used any more must go from here.
const MODULES: [(&str, &[&str]); 28] = [
    ("allowance", &[]),
    ("diagnostics", &[]),
    ("digest", &[]),
    ("outcome", &[]),
    ("reason", &[]),
    ("syntax", &["reason"]),
    ("config", &[]),
    ("page_cache", &[]),
    ("layout", &["digest"]),
    // Label values come from the enums of the parts.
    ("metrics", &["cache", "outcome", "reason"]),
    ("access", &["config", "layout", "reason"]),
    ("cache", &["config", "digest", "metrics", "page_cache", "reason"]),
    ("upstream", &["access", "config", "metrics", "syntax"]),
    ("access_log", &["config", "metrics", "outcome", "reason", "upstream"]),
    ("tally", &["access_log", "metrics", "outcome", "reason", "upstream"]),
    // Of `response` only the parts that are HTTP and nothing else, see below.
    // Of `cache` only what both do with a disk, see below.
    ("document", &["cache", "config", "digest", "layout", "metrics", "outcome", "reason", "response"]),
    ("catalog", &["digest", "document"]),
    ("warm", &["catalog", "config", "digest", "document"]),
    ("request", &["access", "config", "layout", "reason", "syntax"]),
    (
        "response",
        &[
            "access_log",
            "cache",
            "config",
            "digest",
            "document",
            "outcome",
            "reason",
            "request",
            "syntax",
            "tally",
            "upstream",
        ],
    ),
    ("fetch", &["cache", "config", "upstream"]),
    (
        "service",
        &[
            "access", "cache", "config", "digest", "document", "fetch", "layout", "metrics", "outcome",
            "reason", "request", "response", "tally", "upstream",
        ],
    ),
    ("allocator", &[]),
    ("server", &["allocator", "config", "metrics", "page_cache", "request", "service", "syntax", "tally"]),
    ("admin", &["config", "diagnostics", "digest", "metrics"]),
    (
        "app",
        &[
            "access",
            "access_log",
            "admin",
            "allocator",
            "allowance",
            "cache",
            "catalog",
            "config",
            "diagnostics",
            "digest",
            "document",
            "fetch",
            "layout",
            "metrics",
            "response",
            "server",
            "service",
            "tally",
            "upstream",
            "warm",
        ],
    ),
    // The demo brings strata and clients of its own, and reads what the tier counted.
    // `explain` judges a request with the parts that serve.
    (
        "cli",
        &[
            "access",
            "allowance",
            "app",
            "cache",
            "catalog",
            "config",
            "diagnostics",
            "digest",
            "document",
            "layout",
            "metrics",
            "outcome",
            "reason",
            "request",
            "response",
            "server",
            "upstream",
            "warm",
        ],
    ),
    ("lib", &[]),
];

/// `folder or file below src/` -> words its code may not contain, and why.
const ABSENT: [(&str, &[&str], &str); 11] = [
    ("cache", &["http::", "hyper", "HeaderMap", "StatusCode"], "the cache knows no HTTP (invariant I5)"),
    ("upstream", &["ObjectName", "Verifier"], "upstreams bring bytes and do not judge them"),
    ("upstream/health.rs", &["::now()", "async "], "a circuit is pure: time is passed in"),
    ("upstream/absence.rs", &["::now()", "async "], "what a mirror lacks is pure: time is passed in"),
    ("upstream/choice.rs", &["::now()", "async "], "the order is pure: time is passed in"),
    ("document/disk/books.rs", &["::now()", "std::fs"], "counting room is pure: time is passed in"),
    (
        "document/disk/restored.rs",
        &["::now()", "std::fs"],
        "judging what was written is pure: time is passed in",
    ),
    ("layout", &["std::fs", "tokio", "::now()"], "a layout is a pure function"),
    ("digest", &["std::fs", "tokio", "::now()"], "names and digests are pure"),
    ("catalog", &["std::fs", "tokio", "http::", "::now()"], "catalogs are read, not fetched"),
    ("request.rs", &["::now()", "tokio", "std::net::Tcp"], "reading a request is pure"),
];

/// Files that take the time as an argument and touch no file or socket.
const PURE: [&str; 24] = [
    "cache/restraint.rs",
    "syntax.rs",
    "syntax/content.rs",
    "server/intake.rs",
    "upstream/framing.rs",
    "document/parts.rs",
    "document/cache_control.rs",
    "document/freshness.rs",
    "document/storable.rs",
    "document/vary.rs",
    "document/reuse.rs",
    "document/validation.rs",
    "document/manifest.rs",
    "document/hop.rs",
    "document/terms.rs",
    "response/cache_status.rs",
    "response/conditional.rs",
    "response/date.rs",
    "response/entity_tag.rs",
    "response/multipart.rs",
    "response/range.rs",
    "upstream/latency.rs",
    "upstream/rendezvous.rs",
    "upstream/verdict.rs",
];

/// `src/cache/disk.rs` -> `cache`
fn module(file: &File) -> &str {
    let path = file.path.trim_start_matches("src/");
    path.split(['/', '.']).next().unwrap_or(path)
}

/// The names that stand behind `crate::` in a line.
fn mentioned(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        &rest[..end]
    })
}

fn program() -> impl Iterator<Item = File> {
    files("src", ".rs").into_iter().filter(|file| !file.is_test() && file.path != "src/main.rs")
}

#[test]
fn modules_use_what_they_may_and_no_more() {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for file in program() {
        let Some((name, allowed)) = MODULES.iter().find(|(name, _)| *name == module(&file)) else {
            findings.push(format!("{}: a module without a line in {}", file.path, file!()));
            continue;
        };
        for (number, line) in file.code() {
            for other in mentioned(line).filter(|other| other != name) {
                used.insert((*name, other.to_owned()));
                if !allowed.contains(&other) {
                    findings.push(format!("{}:{number}: {name} may not use {other:?}", file.path));
                }
            }
        }
    }
    for (name, allowed) in MODULES {
        for other in allowed {
            if !used.contains(&(name, (*other).to_owned())) {
                findings.push(format!("{name} does not use {other} any more: take it from {}", file!()));
            }
        }
    }
    none(&findings);
}

#[test]
fn documents_use_only_the_pure_parts_of_responses() {
    let mut findings = Vec::new();
    for file in program().filter(|file| module(file) == "document") {
        for (number, line) in file.code() {
            let part = |rest: &str| {
                PURE.iter().any(|pure| {
                    pure.strip_prefix("response/")
                        .and_then(|p| p.strip_suffix(".rs"))
                        .is_some_and(|p| rest.starts_with(p))
                })
            };
            if line.split("crate::response::").skip(1).any(|rest| !part(rest)) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none(&findings);
}

/// The folder, its health and the seam for faults are shared with objects; how objects are kept is not known.
#[test]
fn documents_share_a_disk_with_objects_and_nothing_else() {
    const SHARED: [&str; 6] = ["faults", "blocks", "Change", "Condition", "Health", "Latch"];
    let mut findings = Vec::new();
    for file in program().filter(|file| module(file) == "document") {
        for (number, line) in file.code() {
            let part = |rest: &str| {
                let names = rest.strip_prefix("disk::").unwrap_or_default();
                let end = |name: &str| name.find([':', ';', '}']).unwrap_or(name.len());
                let several = names.strip_prefix('{').map(|names| names.split(", ").collect::<Vec<_>>());
                let names = several.unwrap_or_else(|| vec![names]);
                names.into_iter().all(|name| SHARED.contains(&&name[..end(name)]))
            };
            let is_of_disk = file.path.starts_with("src/document/disk");
            if line.split("crate::cache::").skip(1).any(|rest| !is_of_disk || !part(rest)) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none(&findings);
}

#[test]
fn words_that_belong_elsewhere() {
    let mut findings = Vec::new();
    let mut look = |place: &str, words: &[&str], why: &str| {
        let mut seen = false;
        for file in program() {
            let path = file.path.trim_start_matches("src/");
            if path != place && module(&file) != place {
                continue;
            }
            seen = true;
            for (number, line) in file.code() {
                let found = words.iter().filter(|word| line.contains(**word));
                findings.extend(found.map(|word| format!("{}:{number}: {word}: {why}", file.path)));
            }
        }
        if !seen {
            findings.push(format!("nothing is called {place} any more"));
        }
    };
    for (place, words, why) in ABSENT {
        look(place, words, why);
    }
    for place in PURE {
        look(place, &["::now()", "std::fs", "tokio::", "async "], "pure: no clock, no waiting");
    }
    none(&findings);
}

#[test]
fn only_config_knows_toml_and_the_environment() {
    let mut findings = Vec::new();
    for file in program().filter(|file| module(file) != "config") {
        for (number, line) in file.code() {
            if ["toml::", "env::var"].iter().any(|word| line.contains(word)) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none(&findings);
}
