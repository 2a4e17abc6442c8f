//! The URL shapes that `[access] targets` can name. Strict, so that a proxy that is open to a whole network
//! is good for nothing but the traffic it is there for.
//!
//! Sources: `layout/` `cvmfs.rs`, `frontier.rs`, `debian.rs`, `bazel.rs`.

use crate::layout;
pub(super) use crate::layout::bazel::is_entry as is_bazel;
pub(super) use crate::layout::debian::is_file as is_debian;
pub(super) use crate::layout::frontier::is_query as is_frontier;

/// Whether `path` (without a query) is an object or one of the other files of a CVMFS stratum.
pub(super) fn is_cvmfs(path: &str) -> bool {
    layout::cvmfs::object(path).is_some() || layout::cvmfs::mutable(path).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Beginnings of what is served, followed by what might lead out of it.
    const PATHS: &str = concat!(
        r"(/cvmfs/(a\.b/(data|api|\.cvmfs)|info/v1)|/atlr/Frontier/type=frontier_|(/x)?/(dists|pool)/|(/x)?)",
        r"(/|%2[fF]|%5c|\.|%2[eE]|x){0,6}(\.json|\.deb|/cas/[0-9a-f]{64})?",
    );

    proptest! {
        #[test]
        fn no_shape_leads_out_of_its_tree(path in PATHS) {
            if is_cvmfs(&path) || is_frontier(&path) || is_debian(&path) || is_bazel(&path) {
                let decoded = ["%2e", "%2f", "%5c"].iter().zip([".", "/", "/"]);
                let decoded =
                    decoded.fold(path.to_ascii_lowercase(), |path, (from, to)| path.replace(from, to));
                prop_assert!(!decoded.split('/').any(|part| matches!(part, "." | "..")), "{}", path);
            }
        }
    }

    #[test]
    fn cvmfs() {
        let table = [
            ("/cvmfs/a.b/data/49/bf00112233445566778899aabbccddeeff0a1bC", true),
            ("/cvmfs/a.b/.cvmfspublished", true),
            ("/cvmfs/a.b/api/v1.0/geo/site/x,y", true),
            ("/cvmfs/info/v1/repositories.json", true),
            ("/cvmfs/a.b/", false),
            ("/cvmfs/a.b/api/../../x", false),
            ("/cvmfs/a.b/index.html", false),
            ("/", false),
            ("", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_cvmfs(path), expected, "{path}");
        }
    }
}
