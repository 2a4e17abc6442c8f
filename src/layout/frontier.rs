//! The Frontier layout: queries for conditions data, whose parameters stand in the path.
//!
//! Source: the Frontier clients, which ask for `/<servlet>/Frontier/type=frontier_request:1:DEFAULT&encoding=...&p1=...`
//! (older ones write `?` for the last slash; `frontier_file` asks for files).

/// Segments that a servlet path may have before `Frontier`; deployments use one.
const MAX_SERVLET_SEGMENTS: usize = 4;

/// Whether this is a Frontier query: `/<servlet>/Frontier`, then `/` or `?`, then `type=frontier_`.
pub fn is_query(path_and_query: &str) -> bool {
    let Some(mut rest) = path_and_query.strip_prefix('/') else { return false };
    for depth in 0..=MAX_SERVLET_SEGMENTS {
        let Some(end) = rest.find(['/', '?']) else { return false };
        let (segment, behind) = (&rest[..end], &rest[end + 1..]);
        if segment == "Frontier" {
            return depth > 0 && is_parameters(behind);
        }
        if !is_plain(segment) || rest.as_bytes()[end] == b'?' {
            return false;
        }
        rest = behind;
    }
    false
}

/// `type=frontier_...`, of which nothing may be taken for a path: the values are encoded without slashes.
fn is_parameters(text: &str) -> bool {
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
    use super::*;

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
            assert_eq!(is_query(path), expected, "{path}");
        }
    }
}
