//! What may be stored, and for which requests it counts (RFC 9111 §3, §4.1).

use http::{Method, StatusCode};

use super::{fields, rows};
use crate::document::cache_control::{RequestDirectives, ResponseDirectives};
use crate::document::storable::{Asked, storable};
use crate::document::vary::Selection;

pub const TABLES: &[&str] = &[STORABLE, VARY];

/// section | status | response | request | `stored` or why not
const STORABLE: &str = "
9111 §3 | 200 | cache-control: max-age=5 | | stored
9111 §3 | 200 | expires: Sun, 06 Nov 1994 08:49:37 GMT | | stored
9111 §3 | 200 | | | stored
9111 §3 | 203 | | | stored
9111 §3 | 204 | | | stored
9111 §3 | 300 | | | stored
9111 §3 | 301 | | | stored
9111 §3 | 308 | | | stored
9111 §3 | 404 | | | stored
9111 §3 | 405 | | | stored
9111 §3 | 410 | | | stored
9111 §3 | 414 | | | stored
9111 §3 | 501 | | | stored
9111 §3 | 302 | | | no_lifetime
9111 §3 | 303 | | | no_lifetime
9111 §3 | 307 | | | no_lifetime
9111 §3 | 400 | | | no_lifetime
9111 §3 | 403 | | | no_lifetime
9111 §3 | 429 | | | no_lifetime
9111 §3 | 500 | | | no_lifetime
9111 §3 | 502 | | | no_lifetime
9111 §3 | 503 | | | no_lifetime
9111 §3 | 504 | | | no_lifetime
9111 §3 | 302 | cache-control: max-age=5 | | stored
9111 §3 | 307 | cache-control: max-age=5 | | stored
9111 §3 | 302 | expires: 0 | | stored
9111 §3 | 403 | cache-control: max-age=5 | | stored
9111 §3 | 503 | cache-control: max-age=5 | | stored
9111 §3 | 503 | cache-control: public | | stored
9111 §3 | 206 | cache-control: max-age=5 | | status
9111 §3 | 304 | cache-control: max-age=5 | | status
9111 §3 | 103 | cache-control: max-age=5 | | status
9111 §5.2.2.5 | 200 | cache-control: no-store | | no_store
9111 §5.2.2.5 | 200 | cache-control: NO-STORE | | no_store
9111 §5.2.2.5 | 200 | cache-control: max-age=5, no-store | | no_store
9111 §5.2.2.5 | 200 | cache-control: max-age=5 ; cache-control: no-store | | no_store
9111 §5.2.2.5 | 200 | cache-control: public, no-store | | no_store
9111 §5.2.2.7 | 200 | cache-control: private | | private
9111 §5.2.2.7 | 200 | cache-control: Private, max-age=5 | | private
9111 §5.2.2.7 | 200 | cache-control: private=\"x-a\" | | private
9111 §5.2.2.7 | 200 | cache-control: public, private | | private
9111 §5.2.2.3 | 200 | cache-control: must-understand, no-store, max-age=5 | | stored
9111 §5.2.2.3 | 599 | cache-control: must-understand, no-store, max-age=5 | | stored
9111 §5.2.2.3 | 299 | cache-control: must-understand, max-age=5 | | status
9111 §5.2.2.3 | 299 | cache-control: must-understand, no-store | | status
9111 §5.2.1.5 | 200 | cache-control: max-age=5 | cache-control: no-store | request_no_store
9111 §5.2.1.5 | 200 | cache-control: max-age=5 | cache-control: No-Store | request_no_store
9111 §3.5 | 200 | cache-control: max-age=5 | authorization: Basic x | authorization
9111 §3.5 | 200 | cache-control: public | authorization: Basic x | stored
9111 §3.5 | 200 | cache-control: s-maxage=5 | authorization: Basic x | stored
9111 §3.5 | 200 | cache-control: must-revalidate, max-age=5 | authorization: Basic x | stored
9111 §3.5 | 200 | cache-control: proxy-revalidate, max-age=5 | authorization: Basic x | authorization
9111 §3.5 | 200 | cache-control: s-maxage=x | authorization: Basic x | authorization
9111 §3.5 | 200 | cache-control: public, private | authorization: Basic x | private
9111 §5.2.2.4 | 200 | cache-control: no-cache | | stored
9111 §4.1 | 200 | vary: * | | vary
9111 §4.1 | 200 | vary: accept, * | | vary
9111 §4.1 | 200 | vary: accept ; vary: * | | vary
9111 §4.1 | 200 | vary: a b | | vary
9111 §4.1 | 200 | vary: accept | | stored
";

/// section | response's `Vary` | request that was answered | request | `same` or `other`
const VARY: &str = "
9111 §4.1 | | a: 1 | a: 2 | same
9111 §4.1 | vary: a | a: 1 | a: 1 | same
9111 §4.1 | vary: a | a: 1 | a: 2 | other
9111 §4.1 | vary: a | a: 1 | | other
9111 §4.1 | vary: a | | a: 1 | other
9111 §4.1 | vary: a | | | same
9111 §4.1 | vary: a | | b: 1 | same
9111 §4.1 | vary: A | a: 1 | a: 1 | same
9111 §4.1 | vary: A | a: 1 | a: 2 | other
9111 §4.1 | vary: a | A: 1 | a: 1 | same
9111 §4.1 | vary: a, b | a: 1 ; b: 2 | b: 2 ; a: 1 | same
9111 §4.1 | vary: b, a | a: 1 ; b: 2 | a: 1 ; b: 2 | same
9111 §4.1 | vary: a, b | a: 1 ; b: 2 | a: 1 ; b: 3 | other
9111 §4.1 | vary: a, b | a: 1 ; b: 2 | a: 1 | other
9111 §4.1 | vary: a ; vary: b | a: 1 ; b: 2 | a: 1 ; b: 2 | same
9111 §4.1 | vary: a ; vary: b | a: 1 ; b: 2 | a: 1 ; b: 3 | other
9111 §4.1 | vary: a, a | a: 1 | a: 1 | same
9111 §4.1 | vary: a,, b | a: 1 | a: 1 | same
9111 §4.1 | vary: a | a: 1, 2 | a: 1 ; a: 2 | same
9111 §4.1 | vary: a | a: 1 ; a: 2 | a: 1,2 | same
9111 §4.1 | vary: a | a: 1,2 | a: 1 , 2 | same
9111 §4.1 | vary: a | a: 1, 2 | a: 2, 1 | other
9111 §4.1 | vary: a | a: 12 | a: 1 ; a: 2 | other
9111 §4.1 | vary: a | a: gzip | a: GZIP | other
9111 §4.1 | vary: a | a: 1 | a: 1 ; c: 9 | same
9111 §4.1 | vary: accept-encoding | accept-encoding: gzip | accept-encoding: br | other
9111 §4.1 | vary: accept-encoding | accept-encoding: gzip | | other
";

#[test]
fn storing() {
    for row in rows(STORABLE) {
        let (response, request) = (fields(row[2]), fields(row[3]));
        let asked = RequestDirectives::read(&request);
        let asked = Asked { method: &Method::GET, headers: &request, directives: &asked };
        let status = StatusCode::from_bytes(row[1].as_bytes()).unwrap();
        let verdict = storable(asked, status, &response, &ResponseDirectives::read(&response));
        assert_eq!(verdict.map_or_else(|why| why.reason().as_str(), |_| "stored"), row[4], "{row:?}");
    }
}

#[test]
fn other_methods_store_nothing() {
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let (headers, asked) = (fields("cache-control: max-age=5"), RequestDirectives::default());
        let asked = Asked { method: &method, headers: &headers, directives: &asked };
        let verdict = storable(asked, StatusCode::OK, &headers, &ResponseDirectives::read(&headers));
        assert!(verdict.is_err(), "{method}");
    }
}

#[test]
fn selection() {
    for row in rows(VARY) {
        let selection = Selection::of(&fields(row[1]), &fields(row[2])).unwrap();
        let found = if selection.matches(&fields(row[3])) { "same" } else { "other" };
        assert_eq!(found, row[4], "{row:?}");
    }
}
