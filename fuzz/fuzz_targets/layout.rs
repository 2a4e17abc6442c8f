//! Paths: what is taken for an object names its checksum, and no path is an object and a document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use substratum::layout::{cvmfs, object};

fuzz_target!(|path: &str| {
    if let Some(named) = object(path) {
        assert!(path.starts_with('/') && path.contains(named.repository));
        assert!(!path.contains("..") && path.is_ascii());
        assert!(cvmfs::mutable(path).is_none());
    }
});
