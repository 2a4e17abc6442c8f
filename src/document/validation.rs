//! Asking whether a stored response still holds, and what a 304 changes (RFC 9111 §4.3, §3.2). Pure.

use http::header::{self, HeaderMap, HeaderName};

use crate::response::date::DateField;
use crate::response::entity_tag::EntityTag;

/// What makes a request conditional or partial.
const CONDITIONS: [HeaderName; 6] = [
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// Fields of the stored body, which a 304 does not bring anew.
const NOT_UPDATED: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    header::AGE,
];

/// Whether the request has conditions that only the origin may judge (RFC 9110 §13.1.1, §13.1.4).
pub fn is_for_the_origin(request: &HeaderMap) -> bool {
    request.contains_key(header::IF_MATCH) || request.contains_key(header::IF_UNMODIFIED_SINCE)
}

/// Makes a request ask for the whole document, whatever its client has already.
pub fn remove_conditions(request: &mut HeaderMap) {
    for name in &CONDITIONS {
        request.remove(name);
    }
}

/// Makes a request ask whether the response with these fields still holds; nothing is added when that has no
/// usable validator.
pub fn add_conditions(request: &mut HeaderMap, stored: &HeaderMap) {
    if let (Some(_), Some(value)) = (EntityTag::read(stored, header::ETAG), stored.get(header::ETAG)) {
        request.insert(header::IF_NONE_MATCH, value.clone());
    }
    if let (DateField::At(_), Some(value)) =
        (DateField::read(stored, header::LAST_MODIFIED), stored.get(header::LAST_MODIFIED))
    {
        request.insert(header::IF_MODIFIED_SINCE, value.clone());
    }
}

/// The tag of a response, if it promises that equal tags mean equal bytes.
pub fn strong_tag(headers: &HeaderMap) -> Option<EntityTag<'_>> {
    EntityTag::read(headers, header::ETAG).filter(|tag| tag.is_strong())
}

/// Whether a response with these fields can be validated.
pub fn has_validator(stored: &HeaderMap) -> bool {
    EntityTag::read(stored, header::ETAG).is_some()
        || DateField::read(stored, header::LAST_MODIFIED).at().is_some()
}

/// Whether a 304 speaks of the stored response (§4.3.4): its validators, as far as it has any, are the stored ones.
pub fn confirms(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    if let Some(told) = EntityTag::read(not_modified, header::ETAG) {
        return EntityTag::read(stored, header::ETAG).is_some_and(|held| {
            if told.is_strong() && held.is_strong() {
                told.matches_strongly(held)
            } else {
                told.matches_weakly(held)
            }
        });
    }
    let modified = |headers| DateField::read(headers, header::LAST_MODIFIED).at();
    match (modified(not_modified), modified(stored)) {
        (Some(told), Some(held)) => told == held,
        _ => true,
    }
}

/// Takes the fields of a 304 into the stored ones (§3.2): each replaces all lines of its name. Both sides are
/// already without hop-by-hop fields.
pub fn update(stored: &mut HeaderMap, not_modified: &HeaderMap) {
    for name in not_modified.keys() {
        if NOT_UPDATED.contains(name) {
            continue;
        }
        stored.remove(name);
        for value in not_modified.get_all(name) {
            stored.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn map(fields: Fields<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");

    #[test]
    fn conditions() {
        let check = |stored: Fields<'_>, expected: Fields<'_>| {
            let mut request = map(&[("if-none-match", "\"own\""), ("range", "bytes=0-1"), ("x-a", "1")]);
            remove_conditions(&mut request);
            assert_eq!(has_validator(&map(stored)), !expected.is_empty());
            add_conditions(&mut request, &map(stored));
            let mut wanted = map(expected);
            wanted.insert("x-a", "1".parse().unwrap());
            assert_eq!(request, wanted, "{stored:?}");
        };
        check(&[], &[]);
        check(&[("etag", "\"a\"")], &[("if-none-match", "\"a\"")]);
        check(&[("etag", "W/\"a\"")], &[("if-none-match", "W/\"a\"")]);
        check(&[MODIFIED], &[("if-modified-since", MODIFIED.1)]);
        check(
            &[("etag", "\"a\""), MODIFIED],
            &[("if-none-match", "\"a\""), ("if-modified-since", MODIFIED.1)],
        );
        check(&[("etag", "bare")], &[]);
        check(&[("etag", "\"a\""), ("etag", "\"b\"")], &[]);
        check(&[("last-modified", "yesterday")], &[]);
    }

    #[test]
    fn confirmation() {
        let check = |told: Fields<'_>, held: Fields<'_>, expected| {
            assert_eq!(confirms(&map(told), &map(held)), expected, "{told:?} of {held:?}");
        };
        let other = ("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT");
        check(&[], &[("etag", "\"a\"")], true);
        check(&[("etag", "\"a\"")], &[("etag", "\"a\"")], true);
        check(&[("etag", "W/\"a\"")], &[("etag", "\"a\"")], true);
        check(&[("etag", "\"b\"")], &[("etag", "\"a\"")], false);
        check(&[("etag", "\"b\"")], &[MODIFIED], false);
        check(&[MODIFIED], &[MODIFIED], true);
        check(&[other], &[MODIFIED], false);
        check(&[other], &[("etag", "\"a\"")], true);
        check(&[("etag", "\"a\""), other], &[("etag", "\"a\""), MODIFIED], true);
    }

    #[test]
    fn updates() {
        let mut stored = map(&[
            ("cache-control", "max-age=1"),
            ("cache-control", "public"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("x-old", "1"),
            ("x-both", "1"),
        ]);
        let told = [
            ("cache-control", "max-age=2"),
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("age", "9"),
            ("expires", "0"),
            ("x-both", "2"),
            ("x-both", "3"),
        ];
        update(&mut stored, &map(&told));
        let expected = [
            ("cache-control", "max-age=2"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("x-old", "1"),
            ("x-both", "2"),
            ("x-both", "3"),
            ("expires", "0"),
        ];
        assert_eq!(stored, map(&expected));
    }
}
