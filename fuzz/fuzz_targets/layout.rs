//! Paths: what is taken for an object names its checksum, and is no file with a meaning of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use substratum::layout::cvmfs::{self, Mutable};
use substratum::layout::{Layout, bazel, debian, object, oci};

fuzz_target!(|path: &str| {
    if let Some(named) = object(path) {
        assert!(path.starts_with('/'));
        assert!(path.is_ascii() && path.split('/').skip(1).all(|segment| !matches!(segment, "" | "." | "..")));
        assert_eq!(oci::resource(path), None, "for everybody, or for those whom a registry lets have it");
        match named.layout {
            Layout::Cvmfs => assert!(path.contains(named.repository)),
            Layout::Debian => return assert!(debian::is_file(path)),
            Layout::Bazel => return assert!(bazel::is_entry(path)),
        }
        // By its path alone it might be some other file of the repository, but nothing that has a meaning of its own.
        let other = cvmfs::mutable(path);
        assert!(matches!(other, Some(Mutable::Data { repository } | Mutable::Meta { repository }) if repository == named.repository));
    }
    if oci::resource(path).is_some() {
        let dots = |segment: &str| matches!(segment, "." | "..");
        assert!(path.is_ascii() && !path.contains(['%', '?', '\\']) && !path.split('/').any(dots));
    }
});
