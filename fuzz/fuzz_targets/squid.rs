//! Configurations of squid: what comes of them is a good configuration, and so is what comes of the effective one.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use substratum::cli::import_squid::{Source, import};
use substratum::config::Config;

fuzz_target!(|input: &str| {
    // squid.conf, customize.sh and an included file, one after the other; an empty one is not there.
    let mut texts = input.split('\0');
    let squid_conf = texts.next().filter(|text| !text.is_empty());
    let customize = texts.next().filter(|text| !text.is_empty());
    let included = texts.next().unwrap_or_default();
    let source = Source {
        squid_conf: squid_conf.map(|text| ("squid.conf", text)),
        customize: customize.map(|text| ("customize.sh", text)),
    };
    // Includes itself, too, where it wants.
    let files = |pattern: &str| pattern.contains("inc").then(|| vec![("inc.conf".to_owned(), included.to_owned())]);
    let Ok(imported) = import(source, &files) else { return };
    let first = Config::parse(&imported.toml, Path::new("first.toml")).expect("a good configuration");
    for note in &imported.notes {
        assert!(!note.text.contains('\n'), "a note of several lines: {note:?}");
    }
    // Nothing becomes allowed, or forbidden, by reading the rules once more from where they are all together.
    let again = Source { squid_conf: Some(("effective", &imported.effective)), customize: None };
    if let Ok(again) = import(again, &files) {
        let again = Config::parse(&again.toml, Path::new("again.toml")).expect("a good configuration");
        if imported.is_exact() {
            assert_eq!(again.access, first.access, "{}", imported.effective);
        }
    }
});
