//! The house rules that no compiler checks: who may know whom, how files look, and that what is written beside the
//! code is true of it.

mod layers;
mod papers;
mod reference;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
struct File {
    /// From the root, with forward slashes.
    path: String,
    text: String,
}

impl File {
    fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// Whether nothing of it goes into the program.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Numbered lines up to the unit tests at its end, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = (1..).zip(self.before_tests().lines());
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn before_tests(&self) -> &str {
        self.text.split_once("\n#[cfg(test)]\nmod tests {").map_or(&self.text, |(code, _)| code)
    }
}

/// All files below `folder` with this ending, in a fixed order.
fn files(folder: &str, ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let mut paths: Vec<String> =
        found.iter().filter_map(|path| path.strip_prefix(root()).ok()?.to_str()).map(str::to_owned).collect();
    paths.retain(|path| path.ends_with(ending));
    paths.sort();
    assert!(!paths.is_empty(), "no *{ending} below {folder}");
    paths.iter().map(|path| File::read(path)).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// Every Rust file.
fn sources() -> Vec<File> {
    let mut all = files("src", ".rs");
    all.extend(files("tests/integration", ".rs"));
    all
}

/// Fails with all findings at once.
#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
