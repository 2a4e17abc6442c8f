//! How source files look.

use super::{File, none, root, sources};

/// Lines of a file without its unit tests. Longer ones are more than one state of mind.
const LONGEST: usize = 400;

/// Lines of a file's header.
const LONGEST_HEADER: usize = 15;

/// Files that are longer, up to how many lines, and why they may be.
const LONG: [(&str, usize, &str); 1] = [("src/cache/disk/tests.rs", 900, "a flat list of tests")];

#[test]
fn files_open_with_their_job() {
    let mut findings = Vec::new();
    for file in sources() {
        let header = file.text.lines().take_while(|line| line.starts_with("//!")).count();
        // The crate's own documentation is a page.
        if header == 0 || header > LONGEST_HEADER && file.path != "src/lib.rs" {
            findings
                .push(format!("{}: opens with {header} lines of //!, not 1 to {LONGEST_HEADER}", file.path));
        }
    }
    none(&findings);
}

#[test]
fn files_are_short() {
    let mut findings = Vec::new();
    let sources = sources();
    let lines = |file: &File| file.before_tests().lines().count();
    for file in &sources {
        let exception = LONG.iter().find(|(path, ..)| *path == file.path);
        let most = exception.map_or(LONGEST, |(_, most, _)| *most);
        let lines = lines(file);
        if lines > most {
            findings.push(format!("{}: {lines} lines, more than {most}: split it by noun", file.path));
        }
    }
    for (path, ..) in LONG {
        if !sources.iter().any(|file| file.path == path && lines(file) > LONGEST) {
            findings.push(format!("{path} needs no exception any more"));
        }
    }
    none(&findings);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("], ["#[ig", "nore"]];
    let marks = marks.map(|halves| halves.concat());
    let mut findings = Vec::new();
    for file in sources() {
        for (number, line) in (1..).zip(file.text.lines()) {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none(&findings);
}

/// One line maps a file, one has the allocator give back. The compiler denies anything else; this denies taking the denial back.
#[test]
fn two_lines_are_unsafe() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "(unsafe_code"];
    let mut found = Vec::new();
    for file in sources().iter().filter(|file| !file.path.ends_with("tidy/sources.rs")) {
        for line in file.text.lines().filter(|line| words.iter().any(|word| line.contains(word))) {
            found.push((file.path.clone(), line.trim().to_owned()));
        }
    }
    let reason = "#[allow(unsafe_code, reason = \"see above\")]";
    let allowed = [
        ("src/allocator.rs", reason),
        ("src/allocator.rs", "unsafe {"),
        ("src/page_cache.rs", reason),
        ("src/page_cache.rs", "let map = unsafe { options.map(&**file)? };"),
    ];
    assert_eq!(found, allowed.map(|(path, line)| (path.to_owned(), line.to_owned())));
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""), "Cargo.toml no longer denies unsafe code");
}

#[test]
fn exceptions_from_lints_have_reasons() {
    let mut findings = Vec::new();
    for file in sources() {
        let mut rest = file.text.as_str();
        while let Some((_, behind)) = rest.split_once("[allow(") {
            let attribute = behind.split(")]").next().unwrap_or(behind);
            if !attribute.contains("reason =") && !file.path.ends_with("tidy/sources.rs") {
                findings.push(format!("{}: allow({attribute}) without a reason", file.path));
            }
            rest = behind;
        }
    }
    none(&findings);
}
