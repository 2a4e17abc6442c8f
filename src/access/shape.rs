//! The URL shapes that `[access] targets` can name. Strict, so that a proxy that is open to a whole network
//! is good for nothing but the traffic it is there for.
//!
//! Sources: `layout/cvmfs.rs`; the Frontier clients, which ask for
//! `/<servlet>/Frontier/type=frontier_request:1:DEFAULT&encoding=...&p1=...` (older ones write `?` for the
//! last slash; `frontier_file` asks for files).

use crate::layout;

/// Segments that a servlet path may have before `Frontier`; deployments use one.
const MAX_SERVLET_SEGMENTS: usize = 4;

/// Whether `path` (without a query) is an object or one of the other files of a CVMFS stratum.
pub(super) fn is_cvmfs(path: &str) -> bool {
    layout::object(path).is_some() || layout::cvmfs::mutable(path).is_some()
}

/// Whether this is a Frontier query: `/<servlet>/Frontier`, then `/` or `?`, then `type=frontier_`.
pub(super) fn is_frontier(path_and_query: &str) -> bool {
    let Some(mut rest) = path_and_query.strip_prefix('/') else { return false };
    for depth in 0..=MAX_SERVLET_SEGMENTS {
        let Some(end) = rest.find(['/', '?']) else { return false };
        let (segment, behind) = (&rest[..end], &rest[end + 1..]);
        if segment == "Frontier" {
            return depth > 0 && is_query(behind);
        }
        if !is_plain(segment) || rest.as_bytes()[end] == b'?' {
            return false;
        }
        rest = behind;
    }
    false
}

/// `type=frontier_...`, of which nothing may be taken for a path: the values are encoded without slashes.
fn is_query(text: &str) -> bool {
    let escaped_slash = || {
        let lower = text.to_ascii_lowercase();
        lower.contains("%2f") || lower.contains("%5c")
    };
    text.starts_with("type=frontier_") && !text.contains(['/', '\\', '#']) && !escaped_slash()
}

/// A path segment that means the same to every server: nothing escaped, no dots alone.
fn is_plain(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
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

    #[test]
    fn frontier() {
        let table = [
            ("/atlr/Frontier/type=frontier_request:1:DEFAULT&encoding=BLOBzip5&p1=eNp1.k8-_", true),
            ("/FrontierProd/Frontier?type=frontier_request:1:DEFAULT&encoding=BLOB&p1=x", true),
            ("/dune_prod/Frontier/type=frontier_file:1:DEFAULT&encoding=BLOB&p1=get%253ffolder", true),
            ("/a/b/c/Frontier/type=frontier_request:1", true),
            ("/a/b/c/d/e/Frontier/type=frontier_request:1", false),
            ("/Frontier/type=frontier_request:1", false),
            ("/atlr/Frontier/", false),
            ("/atlr/Frontier", false),
            ("/atlr/Frontier/../secret?type=frontier_", false),
            ("/atlr/Frontier/type=frontier_request/../../secret", false),
            ("/atlr/Frontier/type=frontier_request%2F..%2F..%2Fsecret", false),
            ("/atlr/Frontier/admin", false),
            ("/atlr/FrontierX/type=frontier_request:1", false),
            ("/atlr/frontier/type=frontier_request:1", false),
            ("/../Frontier/type=frontier_request:1", false),
            ("//Frontier/type=frontier_request:1", false),
            ("/%61/Frontier/type=frontier_request:1", false),
            ("/secret?x/Frontier/type=frontier_request:1", false),
            ("atlr/Frontier/type=frontier_request:1", false),
            ("", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_frontier(path), expected, "{path}");
        }
    }
}
