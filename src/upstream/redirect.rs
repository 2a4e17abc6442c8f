//! Where a redirect leads (RFC 9110 §10.2.2, §15.4).
//!
//! Strict: an http(s) URL with a host, or an absolute path on the same server. Whoever sends anything else is not followed.
//! Pure; who may be asked is a matter of the access rules.

use http::header::{HeaderMap, LOCATION};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, StatusCode};

use super::Failure;
use crate::config::{Scheme, ServerUrl};

/// Whether the resource is said to be elsewhere. 300 leaves a choice, and 304 to 306 mean something else.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// The server and the path that an answer for `target` redirects to.
pub(super) fn location(
    headers: &HeaderMap,
    target: &ServerUrl,
) -> Result<(ServerUrl, PathAndQuery), Failure> {
    let mut fields = headers.get_all(LOCATION).iter();
    let found = match (fields.next(), fields.next()) {
        (Some(field), None) => parse(field, target),
        _ => None,
    };
    found.ok_or_else(|| Failure::protocol("it redirects without a Location that can be followed"))
}

fn parse(field: &HeaderValue, target: &ServerUrl) -> Option<(ServerUrl, PathAndQuery)> {
    let text = field.to_str().ok()?;
    // A fragment is for whoever shows the resource.
    let text = text.split_once('#').map_or(text, |(url, _)| url);
    if text.starts_with("//") {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let server = match (uri.scheme_str(), uri.authority()) {
        (None, None) if text.starts_with('/') => target.clone(),
        (Some("http"), Some(authority)) => {
            ServerUrl::from_authority(Scheme::Http, authority.as_str()).ok()?
        }
        (Some("https"), Some(authority)) => {
            ServerUrl::from_authority(Scheme::Https, authority.as_str()).ok()?
        }
        _ => return None,
    };
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Some((server, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let target: ServerUrl = "http://s1.test:8000".parse().unwrap();
        let table = [
            ("http://store.test/a/b?x=1", Some("http://store.test /a/b?x=1")),
            ("https://store.test:8443/a#part", Some("https://store.test:8443 /a")),
            ("http://[::1]:81/a", Some("http://[::1]:81 /a")),
            ("http://store.test", Some("http://store.test /")),
            ("/elsewhere?y", Some("http://s1.test:8000 /elsewhere?y")),
            ("//store.test/a", None),
            ("elsewhere", None),
            ("", None),
            ("ftp://store.test/a", None),
            ("http://user:pass@store.test/a", None),
            ("http://store.test:0/a", None),
            ("http://0x7f.1/a", None),
            ("http://", None),
        ];
        for (text, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, text.parse().unwrap());
            let found = location(&headers, &target).ok().map(|(server, path)| format!("{server} {path}"));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert!(location(&HeaderMap::new(), &target).is_err());
        let mut both = HeaderMap::new();
        both.append(LOCATION, HeaderValue::from_static("/a"));
        both.append(LOCATION, HeaderValue::from_static("/b"));
        assert!(location(&both, &target).is_err());
    }
}
