//! Paths: what is taken for an object names its checksum, and is no file with a meaning of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use substratum::layout::cvmfs::{self, Mutable};
use substratum::layout::object;

fuzz_target!(|path: &str| {
    if let Some(named) = object(path) {
        assert!(path.starts_with('/') && path.contains(named.repository));
        assert!(!path.contains("..") && path.is_ascii());
        // By its path alone it might be some other file of the repository, but nothing that has a meaning of its own.
        let other = cvmfs::mutable(path);
        assert!(matches!(other, Some(Mutable::Data { repository } | Mutable::Meta { repository }) if repository == named.repository));
    }
});
