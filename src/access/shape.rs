//! The URL shapes that `[access] targets` can name. Strict, so that a proxy that is open to a whole network
//! is good for nothing but the traffic it is there for.
//!
//! Sources: `layout/cvmfs.rs`, `layout/frontier.rs`.

use crate::layout;
pub(super) use crate::layout::frontier::is_query as is_frontier;

/// Whether `path` (without a query) is an object or one of the other files of a CVMFS stratum.
pub(super) fn is_cvmfs(path: &str) -> bool {
    layout::object(path).is_some() || layout::cvmfs::mutable(path).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Beginnings of what is served, followed by what might lead out of it.
    const PATHS: &str = concat!(
        r"(/cvmfs/(a\.b/(data|api|\.cvmfs)|info/v1)|/atlr/Frontier/type=frontier_)",
        r"(/|%2[fF]|%5c|\.|%2[eE]|x){0,6}(\.json)?",
    );

    proptest! {
        #[test]
        fn no_shape_leads_out_of_its_tree(path in PATHS) {
            if is_cvmfs(&path) || is_frontier(&path) {
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
