//! Keys given by environment variables: `SUBSTRATUM_<TABLE>_<KEY>`, and three that frontier-squid's container knows.
//!
//! A variable counts instead of the file. Its text is turned into the TOML that would stand in the file, so that it is read,
//! checked and complained about like anything else. Tables that may stand several times cannot be given this way. Names
//! that begin with no table of ours are not looked at: Kubernetes invents such for every service. Of the process's
//! environment this reads the names it knows; it is passed in, so that tests need not change it.

use super::keys::{self, Accepts, Key, Shape, Table};
use super::print::quoted;

/// What all names begin with.
const PREFIX: &str = "SUBSTRATUM_";

/// One of frontier-squid's variables.
struct Squid {
    variable: &'static str,
    /// The key it stands for.
    key: &'static Key,
    /// Its text in our words.
    translate: fn(&str) -> String,
}

static SQUID: [Squid; 3] = [
    Squid { variable: "SQUID_IPRANGE", key: &keys::access::CLIENTS, translate: str::to_owned },
    Squid { variable: "SQUID_CACHE_MEM", key: &keys::memory::CAPACITY, translate: binary },
    Squid { variable: "SQUID_CACHE_DISK", key: &keys::disk::CAPACITY, translate: mebibytes },
];

/// The variables that concern us.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    given: Vec<Given>,
    /// Variables that name no key, and why.
    wrong: Vec<(String, String)>,
}

/// A key that a variable gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    pub(super) key: &'static Key,
    pub(super) variable: String,
    /// `value = ...`
    pub(super) toml: String,
}

impl Environment {
    /// That of this process. What is not UTF-8 is no value of any key.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        }))
    }

    /// Of these variables. An empty one is as good as none.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut found = Self::default();
        let mut squid = Vec::new();
        for (variable, value) in variables {
            if value.is_empty() {
                continue;
            }
            if let Some(known) = SQUID.iter().find(|known| known.variable == variable) {
                squid.push(given(known.key, variable, &(known.translate)(&value)));
            } else if let Some(name) = variable.strip_prefix(PREFIX)
                && let Some((table, rest)) = table_of(name)
            {
                match key_of(table, rest) {
                    Ok(key) => found.given.push(given(key, variable, &value)),
                    Err(why) => found.wrong.push((variable, why)),
                }
            }
        }
        // Our own names count before frontier-squid's.
        squid.retain(|theirs| found.given.iter().all(|ours| ours.key != theirs.key));
        found.given.extend(squid);
        found.given.sort_by(|a, b| a.variable.cmp(&b.variable));
        found.wrong.sort();
        found
    }

    pub(super) fn given(&self) -> &[Given] {
        &self.given
    }

    pub(super) fn wrong(&self) -> &[(String, String)] {
        &self.wrong
    }
}

/// The variable that gives this key.
pub fn variable(key: &Key) -> String {
    format!("{PREFIX}{}_{}", key.table, key.name).to_ascii_uppercase()
}

/// `MEMORY_CAPACITY` -> the table, and what stands behind it.
fn table_of(name: &str) -> Option<(&'static Table, &str)> {
    keys::TABLES.into_iter().find_map(|table| {
        let rest = name.strip_prefix(&*table.name.to_ascii_uppercase())?;
        Some((table, rest.strip_prefix('_')?))
    })
}

fn key_of(table: &'static Table, name: &str) -> Result<&'static Key, String> {
    if table.shape == Shape::Many {
        return Err(format!("{table} may stand several times, and can be given in a file only"));
    }
    let key = table.keys.iter().find(|key| key.name.to_ascii_uppercase() == name);
    key.copied().ok_or_else(|| {
        let known: Vec<_> = table.keys.iter().map(|key| variable(key)).collect();
        format!("{table} has no such key; known: {}", known.join(", "))
    })
}

fn given(key: &'static Key, variable: String, text: &str) -> Given {
    let text = text.trim();
    let value = match &key.accepts {
        Accepts::Count(..) if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) => text.to_owned(),
        Accepts::Switch if matches!(text, "true" | "false") => text.to_owned(),
        Accepts::List(_) | Accepts::NonEmptyList(_) => {
            let items = text.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty());
            let items: Vec<_> = items.map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
        // Of the wrong type, if need be: that is found out where it is read.
        _ => quoted(text),
    };
    Given { key, variable, toml: format!("value = {value}") }
}

/// Squid's units are powers of two, whatever they are called: `256 MB` are 256 MiB.
fn binary(text: &str) -> String {
    let (number, unit) =
        text.trim().split_at(text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    match unit.to_ascii_lowercase().as_str() {
        "kb" => format!("{number}KiB"),
        "mb" => format!("{number}MiB"),
        "gb" => format!("{number}GiB"),
        "bytes" | "byte" => number.trim().to_owned(),
        _ => text.to_owned(),
    }
}

/// Squid's `cache_dir` counts in MB.
fn mebibytes(text: &str) -> String {
    match text.trim().bytes().all(|c| c.is_ascii_digit()) {
        true => format!("{} MiB", text.trim()),
        false => binary(text),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{ByteSize, Config, Loaded};

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse_with(text, Path::new("site.toml"), &Environment::of(variables))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_counts_instead_of_the_file() {
        let file =
            "[memory]\ncapacity = \"1 GiB\"\n[listen]\nworkers = 3\n[[parents]]\nurl = \"http://p:1\"\n";
        let loaded = parse(
            file,
            &[
                ("SUBSTRATUM_MEMORY_CAPACITY", "2 GiB"),
                ("SUBSTRATUM_LISTEN_MAX_CONNECTIONS", "77"),
                ("SUBSTRATUM_UPSTREAM_DIRECT", "false"),
                ("SUBSTRATUM_UPSTREAM_CONNECT_TIMEOUT", "3 s"),
                ("SUBSTRATUM_ACCESS_CLIENTS", "10.0.0.0/8, 192.0.2.7 ::1"),
                ("SUBSTRATUM_DISK_PATH", "/cache"),
                ("SUBSTRATUM_DISK_CAPACITY", "10 GiB"),
                ("SUBSTRATUM_LOG_ACCESS", "json"),
                ("SUBSTRATUM_LISTEN_NAME", ""),
            ],
        );
        let config = loaded.unwrap().config;
        assert_eq!(config.memory.capacity, ByteSize::gib(2));
        assert_eq!(config.memory.max_object, ByteSize::mib(32), "what depends on it follows");
        assert_eq!((config.listen.workers, config.listen.max_connections), (3, 77));
        assert!(!config.upstream.direct);
        assert_eq!(config.access.clients.len(), 3);
        assert_eq!(
            config.disk.unwrap().path,
            Path::new("/cache"),
            "there is a table although the file has none"
        );
    }

    #[test]
    fn frontier_squids_variables_mean_what_they_mean_there() {
        let squid = [
            ("SQUID_IPRANGE", "10.0.0.0/8 fc00::/7"),
            ("SQUID_CACHE_MEM", "256 MB"),
            ("SQUID_CACHE_DISK", "10000"),
            ("SUBSTRATUM_DISK_PATH", "/cache"),
        ];
        let config = parse("", &squid).unwrap().config;
        assert_eq!(config.memory.capacity, ByteSize::mib(256));
        assert_eq!(config.disk.unwrap().capacity, ByteSize::mib(10_000));
        assert_eq!(config.access.clients.len(), 2);
        let both = [("SQUID_CACHE_MEM", "256 MB"), ("SUBSTRATUM_MEMORY_CAPACITY", "1 GiB")];
        assert_eq!(parse("", &both).unwrap().config.memory.capacity, ByteSize::gib(1));
        for (text, expected) in [("4 GB", "4 GiB"), ("512KB", "512KiB"), ("77 bytes", "77"), ("much", "much")]
        {
            assert_eq!(binary(text), expected);
        }
    }

    #[test]
    fn faults_name_the_variable() {
        let table = [
            (
                ("SUBSTRATUM_MEMORY_CAPACITY", "much"),
                "SUBSTRATUM_MEMORY_CAPACITY: [memory] capacity: \"much\" ",
            ),
            (
                ("SUBSTRATUM_LISTEN_WORKERS", "0"),
                "SUBSTRATUM_LISTEN_WORKERS: [listen] workers: 0 is out of range",
            ),
            (
                ("SUBSTRATUM_LISTEN_WORKERS", "two"),
                "SUBSTRATUM_LISTEN_WORKERS: [listen] workers: \"two\" is a string",
            ),
            (
                ("SUBSTRATUM_UPSTREAM_DIRECT", "no"),
                "SUBSTRATUM_UPSTREAM_DIRECT: [upstream] direct: \"no\" is a string",
            ),
            (
                ("SUBSTRATUM_ACCESS_CLIENTS", "10.0.0.0/8,x"),
                "SUBSTRATUM_ACCESS_CLIENTS: [access] clients: \"x\" ",
            ),
            (("SQUID_CACHE_MEM", "lots"), "SQUID_CACHE_MEM: [memory] capacity: \"lots\" "),
            (
                ("SUBSTRATUM_MEMORY_SIZE", "1"),
                "SUBSTRATUM_MEMORY_SIZE: [memory] has no such key; known: SUBSTRATUM_MEM",
            ),
            (
                ("SUBSTRATUM_MIRRORS_URLS", "x"),
                "SUBSTRATUM_MIRRORS_URLS: [[mirrors]] may stand several times",
            ),
            // A contradiction between a variable and the file.
            (
                ("SUBSTRATUM_UPSTREAM_HEAD_DEADLINE", "1 s"),
                "SUBSTRATUM_UPSTREAM_HEAD_DEADLINE: [upstream] head_deadline: 1 s",
            ),
        ];
        for ((name, value), expected) in table {
            let error = parse("[upstream]\nfirst_byte_timeout = \"2 s\"", &[(name, value)]).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = parse("[memory]\ncapacity = 7.5", &[("SUBSTRATUM_LISTEN_WORKERS", "0")]).unwrap_err();
        let lines: Vec<_> = error.lines().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["site.toml:2:12", "SUBSTRATUM_LISTEN_WORKERS"]);
    }

    #[test]
    fn other_variables_are_not_looked_at() {
        let others = [
            ("SUBSTRATUM_SERVICE_HOST", "10.0.0.1"),
            ("SUBSTRATUM_PORT", "tcp://10.0.0.1:3128"),
            ("HOME", "/"),
        ];
        assert_eq!(parse("", &others).unwrap().config, Config::default());
    }
}
