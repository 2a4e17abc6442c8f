//! Fields that belong to one connection (RFC 9110 §7.6.1, RFC 9111 §3.1): never stored, never forwarded.
//!
//! Everything else, known or not, goes through as received. Pure; objects use it as well.

use http::header::{self, HeaderMap, HeaderName};

/// Hop-by-hop by specification or by old habit, whether or not `Connection` names them.
const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
];

/// Fields meant for every recipient, which `Connection` must not name (RFC 9110 §7.6.1: "MUST NOT"). Obeying such a
/// nomination would let a peer turn `Cache-Control: private` into a storable answer, or one length into another.
const NEVER_NOMINATED: [HeaderName; 12] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::VARY,
];

/// Fields of a request that only one exchange with us can mean: the next hop is addressed anew and gets no body.
const REQUEST_ONLY: [HeaderName; 3] = [header::HOST, header::EXPECT, header::CONTENT_LENGTH];

/// What a client's GET or HEAD says to the next hop. Without `Host`: whoever sends it derives that from the target.
pub fn forwardable_request(mut headers: HeaderMap) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    for name in &REQUEST_ONLY {
        headers.remove(name);
    }
    headers
}

/// Removes the connection's fields, of either direction.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The fields that `Connection` names, as far as it may.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|c| *c == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !NEVER_NOMINATED.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn check(fields: &[(&'static str, &'static str)], left: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, left, "{fields:?}");
    }

    #[test]
    fn hop_by_hop() {
        check(
            &[("connection", "close"), ("keep-alive", "timeout=5"), ("proxy-connection", "x"), ("x-a", "1")],
            &["x-a"],
        );
        check(
            &[("te", "trailers"), ("upgrade", "h2c"), ("transfer-encoding", "chunked"), ("via", "1.1 a")],
            &["via"],
        );
        check(&[("proxy-authorization", "Basic x"), ("proxy-authenticate", "Basic")], &[]);
        check(&[("connection", "X-A, x-b ,, @bad"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")], &["x-c"]);
        check(&[("connection", "x-a"), ("connection", "x-b"), ("x-a", "1"), ("x-b", "2")], &[]);
        check(
            &[("connection", "Cache-Control, vary"), ("cache-control", "private"), ("vary", "a")],
            &["cache-control", "vary"],
        );
    }

    #[test]
    fn requests() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("host", "a"), ("expect", "100-continue"), ("cvmfs-info", "x"), ("x-unknown", "y")]
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let headers = forwardable_request(headers);
        assert_eq!(headers.len(), 2);
        assert!(headers.contains_key("cvmfs-info") && headers.contains_key("x-unknown"));
    }
}
