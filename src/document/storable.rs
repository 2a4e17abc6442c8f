//! Whether a response may be stored by a shared cache (RFC 9111 §3), and if not, why.

use http::header::{AUTHORIZATION, EXPIRES, HeaderMap};
use http::{Method, StatusCode};

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::freshness::heuristically_cacheable;
use super::vary::{NeverMatches, Selection};
use crate::reason::Reason;

/// Why a response was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStored {
    /// The request was not a GET.
    Method,
    /// The request said `no-store`.
    RequestNoStore,
    /// The response said `no-store`.
    NoStore,
    /// The response said `private`.
    Private,
    /// The request carried credentials, and the response does not say that it may be shared.
    Authorization,
    /// An interim, partial or 304 response, or one whose status must be understood and is not.
    Status,
    /// Nothing explicit, and a status that must not be cached without.
    NoLifetime,
    /// It may be stored, but could never be reused: stale on arrival, with nothing to validate it by.
    NoUse,
    /// `Vary: *`
    Vary,
    /// The body is larger than `[memory] max_document`.
    TooLarge,
    /// The body took too long to be waited for, and could not be shared while it arrived.
    TooSlow,
    /// Too many bodies were being read at the same time.
    NoRoom,
    /// A manifest that is damaged or is none.
    BadManifest,
}

impl NotStored {
    /// Every reason, for tables of metrics.
    pub const ALL: [Self; 13] = [
        Self::Method,
        Self::RequestNoStore,
        Self::NoStore,
        Self::Private,
        Self::Authorization,
        Self::Status,
        Self::NoLifetime,
        Self::NoUse,
        Self::Vary,
        Self::TooLarge,
        Self::TooSlow,
        Self::NoRoom,
        Self::BadManifest,
    ];

    /// The same in the words that operators read.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Method => Reason::Head,
            Self::RequestNoStore => Reason::RequestNoStore,
            Self::NoStore => Reason::NoStore,
            Self::Private => Reason::Private,
            Self::Authorization => Reason::Authorization,
            Self::Status => Reason::Status,
            Self::NoLifetime => Reason::NoLifetime,
            Self::NoUse => Reason::NoUse,
            Self::Vary => Reason::Vary,
            Self::TooLarge => Reason::TooLarge,
            Self::TooSlow => Reason::SlowBody,
            Self::NoRoom => Reason::NoRoom,
            Self::BadManifest => Reason::BadManifest,
        }
    }
}

/// The side of the request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its fields, as the client sent them.
    pub headers: &'a HeaderMap,
    /// Its directives.
    pub directives: &'a RequestDirectives,
}

/// Decides, and yields what the response varies on.
pub fn storable(
    asked: Asked<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
) -> Result<Selection, NotStored> {
    if asked.method != Method::GET {
        return Err(NotStored::Method);
    }
    if asked.directives.no_store {
        return Err(NotStored::RequestNoStore);
    }
    let understood = understood(status);
    if status.is_informational() || matches!(status.as_u16(), 206 | 304) {
        return Err(NotStored::Status);
    }
    if directives.must_understand && !understood {
        return Err(NotStored::Status);
    }
    // §5.2.2.3: with `must-understand`, `no-store` is meant for caches that do not know the status.
    if directives.no_store && !directives.must_understand {
        return Err(NotStored::NoStore);
    }
    if directives.private {
        return Err(NotStored::Private);
    }
    let shareable = directives.public || directives.must_revalidate || directives.s_maxage.valid().is_some();
    if asked.headers.contains_key(AUTHORIZATION) && !shareable {
        return Err(NotStored::Authorization);
    }
    let explicit = directives.public || directives.gives_lifetime() || headers.contains_key(EXPIRES);
    if !explicit && !heuristically_cacheable(status) {
        return Err(NotStored::NoLifetime);
    }
    Selection::of(headers, asked.headers).map_err(|NeverMatches| NotStored::Vary)
}

/// Statuses whose caching rules this cache implements.
fn understood(status: StatusCode) -> bool {
    heuristically_cacheable(status) || matches!(status.as_u16(), 302 | 303 | 307 | 400..=599)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn map(fields: Fields<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn check(request: Fields<'_>, status: u16, response: Fields<'_>, expected: Result<(), NotStored>) {
        let (request_headers, headers) = (map(request), map(response));
        let asked = Asked {
            method: &Method::GET,
            headers: &request_headers,
            directives: &RequestDirectives::read(&request_headers),
        };
        let directives = ResponseDirectives::read(&headers);
        let verdict = storable(asked, StatusCode::from_u16(status).unwrap(), &headers, &directives);
        assert_eq!(verdict.map(|_| ()), expected, "{request:?} -> {status} {response:?}");
    }

    fn cc(value: &str) -> (&str, &str) {
        ("cache-control", value)
    }

    #[test]
    fn directives() {
        check(&[], 200, &[cc("max-age=9")], Ok(()));
        check(&[], 200, &[], Ok(()));
        check(&[], 200, &[cc("no-cache")], Ok(()));
        check(&[], 200, &[cc("no-store")], Err(NotStored::NoStore));
        check(&[], 200, &[cc("max-age=9, No-Store")], Err(NotStored::NoStore));
        check(&[], 200, &[cc("PRIVATE, max-age=9")], Err(NotStored::Private));
        check(&[], 200, &[cc("private=\"a\", max-age=9")], Err(NotStored::Private));
        check(&[cc("no-store")], 200, &[cc("max-age=9")], Err(NotStored::RequestNoStore));
        check(&[], 200, &[cc("max-age=9"), ("vary", "*")], Err(NotStored::Vary));
        check(&[], 200, &[cc("max-age=9"), ("set-cookie", "a=b")], Ok(()));
        check(&[], 200, &[cc("no-store, must-understand, max-age=9")], Ok(()));
        check(&[], 299, &[cc("no-store, must-understand, max-age=9")], Err(NotStored::Status));
    }

    #[test]
    fn credentials() {
        let auth: Fields<'_> = &[("authorization", "Basic x")];
        check(auth, 200, &[cc("max-age=9")], Err(NotStored::Authorization));
        check(auth, 200, &[], Err(NotStored::Authorization));
        check(auth, 200, &[cc("max-age=9, public")], Ok(()));
        check(auth, 200, &[cc("s-maxage=9")], Ok(()));
        check(auth, 200, &[cc("s-maxage=x")], Err(NotStored::Authorization));
        check(auth, 200, &[cc("max-age=9, must-revalidate")], Ok(()));
        check(auth, 200, &[cc("max-age=9, proxy-revalidate")], Err(NotStored::Authorization));
    }

    #[test]
    fn statuses() {
        for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
            check(&[], status, &[], Ok(()));
        }
        for status in [201, 302, 303, 307, 400, 403, 416, 500, 502, 503, 504, 599] {
            check(&[], status, &[], Err(NotStored::NoLifetime));
            check(&[], status, &[cc("max-age=9")], Ok(()));
            check(&[], status, &[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], Ok(()));
        }
        for status in [100, 206, 304] {
            check(&[], status, &[cc("max-age=9")], Err(NotStored::Status));
        }
    }

    #[test]
    fn other_methods() {
        let headers = HeaderMap::new();
        let directives = RequestDirectives::default();
        let asked = Asked { method: &Method::HEAD, headers: &headers, directives: &directives };
        let verdict = storable(asked, StatusCode::OK, &headers, &ResponseDirectives::default());
        assert_eq!(verdict, Err(NotStored::Method));
    }
}
