//! From a stored response to the answer for one request: conditionals, ranges, `Age`, lengths.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::parts::Parts;
use super::stored::Stored;
use crate::response::conditional::{self, Condition, Validators};
use crate::response::multipart::Multipart;
use crate::response::range::{self, IfRangeValidators, Portion};

/// Answers a GET or HEAD from a complete stored response. The body is empty for HEAD, while `Content-Length` says
/// what GET would bring.
pub fn reply(stored: &Stored, method: &Method, request: &HeaderMap, now: SystemTime) -> Response<Bytes> {
    let body = stored.body();
    let (selected, mut headers) = select(stored, method, request, body.len() as u64);
    headers.insert(header::AGE, HeaderValue::from(stored.freshness().age(now).as_secs()));
    let (status, body) = match selected {
        Selected::NotModified => (StatusCode::NOT_MODIFIED, Bytes::new()),
        Selected::Portion(Portion::Whole) => (stored.status(), body.clone()),
        // Within the body, whose length is a usize.
        Selected::Portion(Portion::Part(part)) => {
            (StatusCode::PARTIAL_CONTENT, body.slice(part.start as usize..part.end as usize))
        }
        Selected::Portion(Portion::Parts(parts)) => {
            let media = headers.get(header::CONTENT_TYPE);
            let parts = Multipart::new(parts, body.len() as u64, media, fastrand::u64(..));
            headers.insert(header::CONTENT_TYPE, parts.content_type());
            (StatusCode::PARTIAL_CONTENT, parts.of(body))
        }
        Selected::Portion(Portion::Unsatisfiable) => (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new()),
    };
    // RFC 9110 §8.6: no length with 204; in a 304 it would be that of the 200, which helps nobody.
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    assembled(status, headers, if *method == Method::HEAD { Bytes::new() } else { body })
}

/// Answers from a response whose `length` bytes are still arriving: ranges are ignored. `None` stands for no body.
pub fn reply_flowing<T>(
    head: &Stored,
    method: &Method,
    request: &HeaderMap,
    now: SystemTime,
    length: u64,
    body: impl FnOnce() -> T,
) -> Response<Option<T>> {
    let (selected, mut headers) = select(head, &Method::HEAD, request, length);
    headers.insert(header::AGE, HeaderValue::from(head.freshness().age(now).as_secs()));
    if selected == Selected::NotModified {
        return assembled(StatusCode::NOT_MODIFIED, headers, None);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    assembled(head.status(), headers, (*method == Method::GET).then(body))
}

/// Answers a GET for a range from `parts` of a response; `None` when they do not have what it takes. Several ranges are
/// answered from complete responses only.
pub fn reply_partial(
    head: &Stored,
    parts: &Parts,
    request: &HeaderMap,
    now: SystemTime,
) -> Option<Response<Bytes>> {
    let (selected, mut headers) = select(head, &Method::GET, request, parts.total());
    headers.insert(header::AGE, HeaderValue::from(head.freshness().age(now).as_secs()));
    let (status, body) = match selected {
        Selected::NotModified => return Some(assembled(StatusCode::NOT_MODIFIED, headers, Bytes::new())),
        Selected::Portion(Portion::Part(part)) => (StatusCode::PARTIAL_CONTENT, parts.read(part)?),
        Selected::Portion(Portion::Unsatisfiable) => (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new()),
        Selected::Portion(Portion::Whole | Portion::Parts(_)) => return None,
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Some(assembled(status, headers, body))
}

#[derive(Debug, PartialEq)]
enum Selected {
    NotModified,
    Portion(Portion),
}

/// What to send, and the fields that go with it. Conditionals come before ranges (RFC 9110 §13.2.2), and ranges are
/// for GET alone (§14.2); both only for a 200.
fn select(stored: &Stored, method: &Method, request: &HeaderMap, length: u64) -> (Selected, HeaderMap) {
    let mut headers = stored.headers().clone();
    if stored.status() != StatusCode::OK {
        return (Selected::Portion(Portion::Whole), headers);
    }
    let validators =
        Validators { tag: stored.tag(), modified: Some(stored.modified().unwrap_or(stored.date())) };
    if conditional::evaluate(request, validators) == Condition::NotModified {
        conditional::strip_for_not_modified(&mut headers);
        return (Selected::NotModified, headers);
    }
    if *method != Method::GET {
        return (Selected::Portion(Portion::Whole), headers);
    }
    let held =
        IfRangeValidators { tag: stored.tag(), modified: stored.modified(), date: Some(stored.date()) };
    let portion = range::portion(request, length, held);
    match &portion {
        Portion::Whole | Portion::Parts(_) => {}
        Portion::Part(part) => {
            headers.insert(header::CONTENT_RANGE, range::content_range(part, length));
        }
        Portion::Unsatisfiable => {
            headers.insert(header::CONTENT_RANGE, range::unsatisfied_range(length));
            headers.remove(header::CONTENT_TYPE);
        }
    }
    (Selected::Portion(portion), headers)
}

fn assembled<T>(status: StatusCode, headers: HeaderMap, body: T) -> Response<T> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::header::HeaderName;

    use super::super::freshness::Exchange;
    use super::super::terms::Terms;
    use super::super::vary::Selection;
    use super::*;

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn map(fields: Fields<'_>) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
        };
        fields.iter().map(parse).collect()
    }

    /// A stored `0123456789`, asked for 7 seconds after its arrival.
    fn ask(status: u16, response: Fields<'_>, method: Method, request: Fields<'_>) -> Response<Bytes> {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let received = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let exchange = Exchange { requested: received, received };
        let body = Bytes::from_static(if status == 204 { b"" } else { b"0123456789" });
        let status = StatusCode::from_u16(status).unwrap();
        let stored =
            Stored::new(status, map(response), body, Selection::default(), &Terms::default(), exchange);
        reply(&stored, &method, &map(request), received + Duration::from_secs(7))
    }

    fn check(response: &Response<Bytes>, status: u16, body: &str, fields: &[(&str, Option<&str>)]) {
        assert_eq!(response.status(), status);
        assert_eq!(response.body(), body);
        for (name, expected) in fields {
            let value = response.headers().get(*name).map(|value| value.to_str().unwrap());
            assert_eq!(value, *expected, "{name} of {response:?}");
        }
    }

    const PLAIN: Fields<'_> = &[
        ("etag", "\"a\""),
        ("content-type", "text/plain"),
        ("x-unknown", "kept"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];

    #[test]
    fn whole() {
        let fields = [
            ("age", Some("7")),
            ("date", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            ("content-length", Some("10")),
            ("x-unknown", Some("kept")),
            ("connection", None),
            ("x-hop", None),
        ];
        check(&ask(200, PLAIN, Method::GET, &[]), 200, "0123456789", &fields);
        check(&ask(200, PLAIN, Method::HEAD, &[]), 200, "", &fields);
        check(&ask(404, PLAIN, Method::GET, &[("if-none-match", "*")]), 404, "0123456789", &fields);
        check(&ask(204, PLAIN, Method::GET, &[]), 204, "", &[("content-length", None)]);
        check(&ask(200, &[("age", "5")], Method::GET, &[]), 200, "0123456789", &[("age", Some("12"))]);
    }

    #[test]
    fn not_modified() {
        let fields =
            [("age", Some("7")), ("etag", Some("\"a\"")), ("content-type", None), ("content-length", None)];
        for method in [Method::GET, Method::HEAD] {
            let answer = ask(200, PLAIN, method, &[("if-none-match", "W/\"a\""), ("range", "bytes=0-1")]);
            check(&answer, 304, "", &fields);
        }
        // Without Last-Modified, the Date is what If-Modified-Since is compared with.
        let since = [("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];
        check(&ask(200, &[], Method::GET, &since), 304, "", &[]);
        let before = [("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")];
        check(&ask(200, &[], Method::GET, &before), 200, "0123456789", &[]);
    }

    #[test]
    fn ranges() {
        let range = |value| [("range", value)];
        let part =
            [("content-range", Some("bytes 2-3/10")), ("content-length", Some("2")), ("etag", Some("\"a\""))];
        check(&ask(200, PLAIN, Method::GET, &range("bytes=2-3")), 206, "23", &part);
        check(
            &ask(200, PLAIN, Method::GET, &[("range", "bytes=2-3"), ("if-range", "\"a\"")]),
            206,
            "23",
            &part,
        );
        let whole = [("content-range", None), ("content-length", Some("10"))];
        check(
            &ask(200, PLAIN, Method::GET, &[("range", "bytes=2-3"), ("if-range", "\"b\"")]),
            200,
            "0123456789",
            &whole,
        );
        check(&ask(200, PLAIN, Method::HEAD, &range("bytes=2-3")), 200, "", &whole);
        check(&ask(404, PLAIN, Method::GET, &range("bytes=2-3")), 404, "0123456789", &whole);
        let none = [("content-range", Some("bytes */10")), ("content-length", Some("0"))];
        check(&ask(200, PLAIN, Method::GET, &range("bytes=10-")), 416, "", &none);
    }
}
