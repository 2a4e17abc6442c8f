//! A client's own conditional request, evaluated against a representation that we hold (RFC 9110 §13.2.2, 9111 §4.3.2).
//!
//! Only `If-None-Match` and `If-Modified-Since`: `If-Match` and `If-Unmodified-Since` are the origin's to judge.

use std::time::SystemTime;

use http::header::{self, HeaderMap};

use super::date::DateField;
use super::entity_tag::{EntityTag, TagList};

/// What identifies the representation that would be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// Its `ETag`.
    pub tag: Option<EntityTag<'a>>,
    /// Its `Last-Modified`, or where there is none its `Date` (RFC 9111 §4.3.2).
    pub modified: Option<SystemTime>,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No condition, or one that holds: send the representation.
    Send,
    /// 304: the client has it already.
    NotModified,
}

/// Evaluates the conditions of a GET or HEAD request. `If-None-Match` makes `If-Modified-Since` void, even when it
/// is malformed; a malformed date is ignored.
pub fn evaluate(request: &HeaderMap, held: Validators<'_>) -> Condition {
    let not_modified = match TagList::read(request, header::IF_NONE_MATCH) {
        Some(list) => list.names(held.tag),
        None => match (DateField::read(request, header::IF_MODIFIED_SINCE), held.modified) {
            (DateField::At(since), Some(modified)) => modified <= since,
            _ => false,
        },
    };
    if not_modified { Condition::NotModified } else { Condition::Send }
}

/// Removes from a 304 what describes content that is not sent (RFC 9110 §15.4.5).
pub fn strip_for_not_modified(headers: &mut HeaderMap) {
    for name in [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_RANGE,
    ] {
        headers.remove(name);
    }
    // Last-Modified guides the update of the client's copy only where there is no tag.
    if headers.contains_key(header::ETAG) {
        headers.remove(header::LAST_MODIFIED);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::header::{HeaderName, HeaderValue};

    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn check(fields: &[(HeaderName, &'static str)], tag: Option<&str>, expected: Condition) {
        let mut request = HeaderMap::new();
        for (name, value) in fields {
            request.append(name, HeaderValue::from_static(value));
        }
        let held = Validators {
            tag: tag.and_then(|tag| EntityTag::parse(tag.as_bytes())),
            modified: Some(UNIX_EPOCH + Duration::from_secs(784_111_777)),
        };
        assert_eq!(evaluate(&request, held), expected, "{fields:?} against {tag:?}");
    }

    #[test]
    fn precedence_and_comparison() {
        use Condition::{NotModified, Send};
        let (inm, ims) = (header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE);
        let tag = Some("\"a\"");
        check(&[], tag, Send);
        check(&[(inm.clone(), "\"a\"")], tag, NotModified);
        check(&[(inm.clone(), "W/\"a\"")], tag, NotModified);
        check(&[(inm.clone(), "\"a\"")], Some("W/\"a\""), NotModified);
        check(&[(inm.clone(), "\"b\"")], tag, Send);
        check(&[(inm.clone(), "*")], tag, NotModified);
        check(&[(inm.clone(), "*")], None, NotModified);
        check(&[(inm.clone(), "\"a\"")], None, Send);
        check(&[(ims.clone(), BEFORE)], tag, Send);
        check(&[(ims.clone(), AT)], tag, NotModified);
        check(&[(ims.clone(), AFTER)], tag, NotModified);
        check(&[(ims.clone(), "yesterday")], tag, Send);
        check(&[(inm.clone(), "\"b\""), (ims.clone(), AFTER)], tag, Send);
        check(&[(inm.clone(), "\"a\""), (ims.clone(), BEFORE)], tag, NotModified);
        check(&[(inm, "junk"), (ims, AFTER)], tag, Send);
    }
}
