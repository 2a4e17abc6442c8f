//! Configurations: what is understood is printed in words that mean the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use substratum::config::Config;

fuzz_target!(|text: &str| {
    let file = Path::new("site.toml");
    if let Ok(config) = Config::parse(text, file) {
        let printed = config.to_string();
        let again = Config::parse(&printed, file).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again.to_string(), printed);
    }
});
