//! What a registry's answer to HEAD of a blob or a manifest comes to. Pure.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Answer, Consent, DOCKER_CONTENT_DIGEST};
use crate::cache::{FillError, Why};
use crate::layout::oci;

/// Bytes of a media type that is remembered.
const LONGEST_TYPE: usize = 255;

/// The answer about the path `asked`. Consent shows the digest, in a field or in the path of where it
/// redirects to: a page that asks for a login, or points to one, may say 200 or 307 just as well. A redirect to a registry is none:
/// that one may refuse. What shows nothing is left to the client.
pub(super) fn judge(asked: &str, status: StatusCode, headers: &HeaderMap, hex: &str) -> Answer {
    let field = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let shows = |name: &HeaderName| field(name).is_some_and(|value| value.contains(hex));
    let leads_to_it = || {
        let location =
            field(&LOCATION).and_then(|location| location.split(['?', '#']).next()).unwrap_or_default();
        let behind = location.split_once("://").map_or(location, |(_, behind)| behind);
        let path = plain(&behind[behind.find('/').unwrap_or(behind.len())..]);
        path.contains(hex) && !path.contains(asked) && !names_a_registry(&path)
    };
    let redirects =
        matches!(status, StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT);
    match status {
        StatusCode::OK if shows(&DOCKER_CONTENT_DIGEST) || shows(&ETAG) => {
            let len = field(&CONTENT_LENGTH).and_then(|len| len.parse().ok());
            // A copy: what the client library hands out keeps the whole head in memory.
            let media_type = headers.get(CONTENT_TYPE).filter(|value| value.len() <= LONGEST_TYPE);
            let media_type = media_type.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
            Answer::Consents(Consent::now(media_type, len))
        }
        _ if redirects && leads_to_it() => Answer::Consents(Consent::now(None, None)),
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Answer::Silent(FillError::new(Why::Unavailable, format!("the registry answered {status}")))
        }
        _ => Answer::Refuses,
    }
}

/// A path as servers may read it: unescaped, without empty segments and a slash at its end.
fn plain(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => bytes.push((high << 4 | low) as u8),
            None => bytes.push(*first),
        }
        rest = if escaped.is_some() { &rest[3..] } else { behind };
    }
    let path = String::from_utf8_lossy(&bytes);
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .fold(String::new(), |path, segment| path + "/" + segment)
}

/// Whether a path leads to a registry, behind whatever prefix.
fn names_a_registry(path: &str) -> bool {
    path.match_indices("/v2/").any(|(at, _)| oci::resource(&path[at..]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn consent_shows_the_digest() {
        let asked = format!("/v2/a/blobs/sha256:{HEX}");
        let table = [
            (200, Some(("docker-content-digest", "sha256:HEX")), "yes"),
            (200, Some(("etag", "\"sha256:HEX\"")), "yes"),
            (200, Some(("docker-content-digest", "sha256:def")), "no"),
            (200, None, "no"),
            (204, Some(("etag", "\"sha256:HEX\"")), "no"),
            (
                307,
                Some(("location", "https://store.test/docker/registry/v2/blobs/sha256/HE/HEX/data?signed")),
                "yes",
            ),
            (307, Some(("location", "/blobs/sha256:HEX")), "yes"),
            (301, Some(("location", "https://hub.test/v2/a/blobs/sha256:HEX")), "no"),
            (302, Some(("location", "https://login.test/hub/v2/a/blobs/sha256:HEX")), "no"),
            (307, Some(("location", "https://other.test/v2/b/a/blobs/sha256:HEX")), "no"),
            (302, Some(("location", "https://login.test/?next=/v2/a/blobs/sha256:HEX")), "no"),
            (302, Some(("location", "/login#HEX")), "no"),
            (307, Some(("location", "/v2/a/blobs/sha256%3AHEX")), "no"),
            (307, Some(("location", "/hub/v2/other/a/blobs/sha256:HEX")), "no"),
            (307, Some(("location", "/v2/other/blobs/sha256:HEX/")), "no"),
            (307, Some(("location", "//v2//other/blobs/sha256:HEX")), "no"),
            (308, Some(("location", "https://store.test/blobs/sha256:HEX")), "no"),
            (304, Some(("etag", "\"sha256:HEX\"")), "no"),
            (401, Some(("docker-content-digest", "sha256:HEX")), "no"),
            (404, None, "no"),
            (429, None, "silence"),
            (503, None, "silence"),
        ];
        for (status, field, expected) in table {
            let mut headers: HeaderMap = HeaderMap::new();
            headers.extend(field.map(|(name, value)| {
                (HeaderName::from_static(name), value.replace("HEX", HEX).parse().unwrap())
            }));
            let told = match judge(&asked, StatusCode::from_u16(status).unwrap(), &headers, HEX) {
                Answer::Consents(_) => "yes",
                Answer::Refuses => "no",
                Answer::Silent(_) => "silence",
            };
            assert_eq!(told, expected, "{status} {field:?}");
        }
    }
}
