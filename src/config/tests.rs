//! The table of keys, the defaults, the shipped files and the documentation agree.

use super::keys::{Absent, Key, Shape, TABLES, Table};
use super::*;

const SITE: &str = include_str!("../../config/site.toml");
const NODE: &str = include_str!("../../config/node.toml");
const DOCUMENTATION: &str = include_str!("../../docs/configuration.md");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("test.toml"))
}

fn all_keys() -> impl Iterator<Item = (&'static Table, &'static Key)> {
    TABLES.into_iter().flat_map(|table| table.keys.iter().map(move |key| (table, *key)))
}

#[test]
fn written_defaults_are_the_defaults() {
    let mut text = String::new();
    for table in TABLES.into_iter().filter(|table| table.shape == Shape::Once && table.name != "disk") {
        text.push_str(&format!("{table}\n"));
        for key in table.keys {
            if let Absent::Value(value) = key.absent {
                text.push_str(&format!("{} = {value}\n", key.name));
            }
        }
    }
    assert_eq!(parse(&text).unwrap(), Config::default());
}

#[test]
fn every_key_of_the_table_is_read() {
    for (table, key) in all_keys() {
        // No key takes a date, so that reading it must end in a fault about it.
        let error = parse(&format!("{table}\n{} = 2000-01-01\n", key.name)).unwrap_err().to_string();
        let complaint = format!(" {}: 2000-01-01 is a date or time; expected", key.name);
        assert!(error.contains(&complaint), "{error}");
    }
}

#[test]
fn the_shipped_files_are_right_and_name_every_key() {
    for (name, text) in [("site.toml", SITE), ("node.toml", NODE)] {
        let config = Config::parse(text, Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings(), [], "{name}");
        for (table, key) in all_keys() {
            assert!(names_key(text, table, key), "{name} does not name {table} {}", key.name);
        }
    }
}

/// Whether `key = ...` stands below `table`, either of them perhaps commented out.
fn names_key(text: &str, table: &Table, key: &Key) -> bool {
    let lines = text.lines().map(|line| line.trim_start_matches(['#', ' ']));
    let header = table.to_string();
    let mut inside = false;
    for line in lines {
        if line.starts_with('[') {
            inside = line.starts_with(&header);
        }
        if inside && line.strip_prefix(key.name).is_some_and(|rest| rest.starts_with(" =")) {
            return true;
        }
    }
    false
}

#[test]
fn lines_commented_out_are_right_too() {
    // A comment that is a key or a header has no space behind its `#`.
    let uncomment = |text: &str| {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest.to_owned(),
            _ => line.to_owned(),
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    for (name, text) in [("site.toml", SITE), ("node.toml", NODE)] {
        Config::parse(&uncomment(text), Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_documentation_has_the_table_of_keys() {
    for table in TABLES {
        let mut rows = String::from("| key | meaning | values | default |\n|---|---|---|---|\n");
        for key in table.keys {
            let absent = match key.absent {
                Absent::Value(value) => format!("`{value}`"),
                Absent::Words(words) => words.to_owned(),
                Absent::Required => "must be given".to_owned(),
            };
            rows.push_str(&format!("| `{}` | {} | {} | {absent} |\n", key.name, key.meaning, key.accepts));
        }
        let heading = format!("\n## `{table}`");
        let section = DOCUMENTATION.split(&heading).nth(1).unwrap_or_default().split("\n## ").next().unwrap();
        assert!(section.contains(&rows), "docs/configuration.md needs, below{heading}:\n{rows}");
    }
}

#[test]
fn the_built_in_cache_lies_in_the_users_cache_folder() {
    let check = |xdg: Option<&str>, home: Option<&str>, expected: Option<&str>| {
        let config = Config::with_cache_folder(xdg.map(PathBuf::from), home.map(PathBuf::from));
        assert_eq!(config.disk.as_ref().map(|disk| disk.path.as_path()), expected.map(Path::new));
        assert_eq!(check::contradictions(&config), []);
    };
    check(Some("/x"), Some("/home/u"), Some("/x/substratum"));
    check(None, Some("/home/u"), Some("/home/u/.cache/substratum"));
    check(Some(""), Some("/home/u"), Some("/home/u/.cache/substratum"));
    check(Some("relative"), None, None);
    check(None, None, None);
}

#[test]
fn a_file_that_is_no_configuration_is_not_read_to_its_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(10 * MAX_FILE).unwrap();
    let error = Config::load(file.path()).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }), "{error}");
}
