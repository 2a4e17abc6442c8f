//! An HTTP request head -> what it asks for, or a refusal. Pure; borrows from the head and the rules.
//!
//! Accepts absolute-form (forward proxy) and origin-form (reverse proxy) targets of GET and HEAD, and of documents with the
//! methods that the configuration adds. Refuses whatever two
//! parsers could read differently. Sources: RFC 9112 §3.2 (request target, Host), §6 (framing); RFC 9110 §7.6.3 (Via).

mod registry;

use std::borrow::Cow;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HOST, PRAGMA, TRANSFER_ENCODING, VIA,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
pub use registry::Guarded;

use crate::access::{Access, Denial};
use crate::config::{Authority, Scheme, ServerUrl, WriteMethod};
use crate::layout::cvmfs::{self, Mutable};
use crate::layout::{self, Layout, NamedObject, oci};
use crate::reason::Reason;
use crate::syntax::Flaw;

/// The methods that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET.
    Get,
    /// HEAD: the head of the answer to GET.
    Head,
    /// One that may change what it names, and that the configuration lets through.
    Write(WriteMethod),
}

impl Verb {
    /// As it stands in a request line.
    pub const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Write(WriteMethod::Post) => Method::POST,
            Self::Write(WriteMethod::Put) => Method::PUT,
            Self::Write(WriteMethod::Patch) => Method::PATCH,
            Self::Write(WriteMethod::Delete) => Method::DELETE,
        }
    }
}

/// What a request asks for.
#[derive(Debug)]
pub struct Asked<'r> {
    /// The method.
    pub verb: Verb,
    /// The server named in an absolute-form target, or the registry that is meant; `None` for any other origin-form.
    pub named: Option<ServerUrl>,
    /// Path and query: as received, but for what is told to this cache alone.
    pub path: Cow<'r, PathAndQuery>,
    /// Object or document.
    pub target: Target<'r>,
    /// The image of a registry that wants a token for what everybody may have, and the client shows none.
    pub anonymous: Option<&'r str>,
}

/// The kinds of resource.
#[derive(Debug, PartialEq, Eq)]
pub enum Target<'r> {
    /// Named by its checksum.
    Object(NamedObject<'r>),
    /// Named by its checksum, for those whom a registry lets have it.
    Guarded(Guarded<'r>),
    /// Anything else; with its place in a repository if it has one.
    Document(Option<Mutable<'r>>),
}

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A head that is ambiguous or breaks the rules; the connection is closed.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// A head that the parser was not shown; the connection is closed.
    #[error("malformed request: {}", .0.as_str())]
    Flawed(Flaw),
    /// An expectation other than 100-continue (RFC 9110 §10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// A method that is not served; those that are stand in `Allow`.
    #[error("this method is not served here")]
    Method,
    /// The same, because objects never change.
    #[error("an object never changes: only GET and HEAD are served")]
    Immutable,
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The request came through this cache before.
    #[error("this request passed through this cache already: the caches are configured in a circle")]
    Loop,
}

impl Refusal {
    /// Why, in the words that operators read.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::Malformed,
            Self::Flawed(flaw) => flaw.reason(),
            Self::Expectation => Reason::Expectation,
            Self::Method | Self::Immutable => Reason::Method,
            Self::Denied(denial) => denial.reason(),
            Self::Loop => Reason::Circle,
        }
    }
}

/// Reads the head of a request and applies the access rules to it.
pub fn parse<'r, B>(
    request: &'r Request<B>,
    access: &'r Access,
    own_mark: &str,
) -> Result<Asked<'r>, Refusal> {
    let verb = match *request.method() {
        Method::GET => Verb::Get,
        Method::HEAD => Verb::Head,
        ref other => match access.method(other.as_str()) {
            Some(method) => Verb::Write(method),
            None => return Err(flaw(request).map_or(Refusal::Method, Refusal::Flawed)),
        },
    };
    expectation(verb, request.headers())?;
    framing(verb, request.headers())?;
    let named = named_server(request)?;
    let path = request.uri().path_and_query().ok_or(Refusal::Malformed("the target has no path"))?;
    if !path.as_str().starts_with('/') {
        return Err(Refusal::Malformed("the path must begin with a slash"));
    }
    if !path.as_str().bytes().all(|c| matches!(c, 0x21..=0x7e)) {
        return Err(Refusal::Malformed("the target has characters that must be escaped"));
    }
    // One look at the path: nearly all requests are for objects of CernVM-FS.
    let of_registry = match path.as_str().starts_with(oci::API) {
        true => registry::asked(verb, named.as_ref(), request.headers(), path, access)?,
        false => None,
    };
    let asked = match of_registry {
        Some(asked) => asked,
        None => {
            let target = target(verb, request.headers(), path, access)?;
            Asked { verb, named, path: Cow::Borrowed(path), target, anonymous: None }
        }
    };
    if let Some(named) = &asked.named {
        access.host(named)?;
    }
    if came_through(request.headers(), own_mark) {
        return Err(Refusal::Loop);
    }
    Ok(asked)
}

/// What a path stands for where no registry is asked.
fn target<'r>(
    verb: Verb,
    headers: &HeaderMap,
    path: &'r PathAndQuery,
    access: &Access,
) -> Result<Target<'r>, Refusal> {
    match (path.query(), layout::object(path.path())) {
        (None, Some(object)) if access.objects(object.layout) && is_for_everybody(&object, headers) => {
            if let Verb::Write(_) = verb {
                return Err(Refusal::Immutable);
            }
            Ok(Target::Object(object))
        }
        _ => {
            access.target(path.as_str())?;
            Ok(Target::Document(cvmfs::mutable(path.path())))
        }
    }
}

/// Whether the object may be shared by its name alone: CernVM-FS has no credentials; whoever shows some elsewhere may get
/// what others do not, and reads it as a document.
fn is_for_everybody(object: &NamedObject<'_>, headers: &HeaderMap) -> bool {
    object.layout == Layout::Cvmfs || !headers.contains_key(AUTHORIZATION)
}

/// Reads the head of a CONNECT request and applies the access rules to it (RFC 9110 §9.3.6).
pub fn tunnel<B>(request: &Request<B>, access: &Access, own_mark: &str) -> Result<Authority, Refusal> {
    let uri = request.uri();
    let target = match (uri.authority(), uri.scheme(), uri.path_and_query()) {
        (Some(authority), None, None) => authority.as_str(),
        _ => return Err(Refusal::Malformed("the target of CONNECT must be a host and a port")),
    };
    let target: Authority =
        target.parse().map_err(|_| Refusal::Malformed("the target of CONNECT must be a host and a port"))?;
    expectation(Verb::Get, request.headers())?;
    framing(Verb::Get, request.headers())?;
    let mut hosts = request.headers().get_all(HOST).iter();
    // Many clients leave the port out that is usual for https, or send no field at all.
    let names_target = |host: &HeaderValue| {
        let named = host.to_str().ok().map(|host| ServerUrl::from_authority(Scheme::Https, host));
        matches!(named, Some(Ok(named)) if named == *target.server())
    };
    if !hosts.next().is_none_or(names_target) || hosts.next().is_some() {
        return Err(Refusal::Malformed("the Host field differs from the target of CONNECT"));
    }
    access.tunnel(&target)?;
    if came_through(request.headers(), own_mark) {
        return Err(Refusal::Loop);
    }
    Ok(target)
}

/// A method that nobody serves. A client that sends it itself is refused as well.
const REFUSED: &str = "REFUSED";

/// The head that stands for a flawed one.
pub fn stand_in(flaw: Flaw) -> String {
    format!("{REFUSED} /{} HTTP/1.1\r\n\r\n", flaw.as_str())
}

/// What stands in the books for a head that the parser refused by itself, before anybody here saw it.
pub fn unreadable() -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::from_static("/field");
    if let Ok(method) = REFUSED.parse() {
        *request.method_mut() = method;
    }
    request
}

/// What a stand-in says.
pub fn flaw<B>(request: &Request<B>) -> Option<Flaw> {
    let word = request.uri().path().strip_prefix('/').filter(|_| request.method().as_str() == REFUSED)?;
    Flaw::ALL.into_iter().find(|flaw| flaw.as_str() == word)
}

/// Where there is no content to wait for, 100-continue means nothing; no other expectation exists. Where there is some, to ask for it
/// would take an interim answer, and no client is ever sent one: it sends the request again without (RFC 9110 §10.1.1).
fn expectation(verb: Verb, headers: &HeaderMap) -> Result<(), Refusal> {
    let met = |value: &HeaderValue| {
        !matches!(verb, Verb::Write(_)) && value.as_bytes().eq_ignore_ascii_case(b"100-continue")
    };
    if headers.get_all(EXPECT).iter().all(met) { Ok(()) } else { Err(Refusal::Expectation) }
}

/// GET and HEAD carry no body here: one that did could be framed differently by the next server.
fn framing(verb: Verb, headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::Malformed("a request with Transfer-Encoding"));
    }
    if let Verb::Write(_) = verb {
        // How long its content is was looked at before the parser saw it.
        return Ok(());
    }
    match headers.get(CONTENT_LENGTH) {
        Some(length) if length.as_bytes() != b"0" => {
            Err(Refusal::Malformed("a GET or HEAD with a body (Content-Length)"))
        }
        _ => Ok(()),
    }
}

fn named_server<B>(request: &Request<B>) -> Result<Option<ServerUrl>, Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::Malformed("more than one Host field"));
    }
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err(Refusal::Malformed("HTTP/1.1 without a Host field"));
    }
    let uri = request.uri();
    let Some(authority) = uri.authority() else {
        return match host.map(|h| h.as_bytes()) {
            // The name by which we are called does not matter, its form does.
            Some(host) if !host.iter().all(|c| c.is_ascii_alphanumeric() || b"-._:[]".contains(c)) => {
                Err(Refusal::Malformed("the Host field is not a host name"))
            }
            _ => Ok(None),
        };
    };
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(Refusal::Malformed("the target's scheme is neither http nor https")),
    };
    let named = ServerUrl::from_authority(scheme, authority.as_str())
        .map_err(|_| Refusal::Malformed("the target's host or port is malformed"))?;
    if let Some(host) = host
        && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        let same = host.to_str().ok().and_then(|host| ServerUrl::from_authority(scheme, host).ok());
        if same.as_ref() != Some(&named) {
            return Err(Refusal::Malformed("the Host field differs from the target's host"));
        }
    }
    Ok(Some(named))
}

/// Whether a `Via` member bears this cache's mark as its comment (RFC 9110 §7.6.3). Names do not tell caches apart:
/// they come from host names, and a node's cache and its site's may run on one host.
fn came_through(headers: &HeaderMap, own_mark: &str) -> bool {
    headers
        .get_all(VIA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|member| member.split_whitespace().nth(2) == Some(own_mark))
}

/// Whether the client asks for bytes that were checked just now. CVMFS clients say it once after corrupt data.
pub fn wants_no_cache(headers: &HeaderMap) -> bool {
    let says_no_cache = |name| {
        headers.get_all(name).iter().any(|value: &HeaderValue| {
            value
                .as_bytes()
                .split(|&c| c == b',')
                .any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-cache"))
        })
    };
    says_no_cache(CACHE_CONTROL) || says_no_cache(PRAGMA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Glob, TargetShape};

    fn access() -> Access {
        let config = config::Access {
            clients: vec!["127.0.0.0/8".parse().unwrap()],
            targets: vec![TargetShape::Cvmfs, TargetShape::Bazel],
            hosts: vec![Glob::new("*.good")],
            ports: config::Access::default().ports,
            internal_hosts: vec![],
            methods: vec![config::WriteMethod::Post],
            connect: vec!["x.good:443".parse().unwrap()],
        };
        Access::new(&config, &[], &[], &[])
    }

    fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn verdict(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
        let (request, access) = (request(method, target, fields), access());
        match parse(&request, &access, "(m1)") {
            Ok(asked) => match asked.target {
                Target::Guarded(guarded) => format!("guarded {}", guarded.image()),
                Target::Object(object) => format!("object {}", object.repository),
                Target::Document(Some(mutable)) => format!("document {:?}", mutable.repository()),
                Target::Document(None) => "document".to_owned(),
            },
            Err(Refusal::Malformed(why)) => format!("400 {why}"),
            Err(Refusal::Flawed(flaw)) => format!("400 {}", flaw.as_str()),
            Err(Refusal::Expectation) => "417".to_owned(),
            Err(Refusal::Method) => "405".to_owned(),
            Err(Refusal::Immutable) => "405 for ever".to_owned(),
            Err(Refusal::Denied(_)) => "403".to_owned(),
            Err(Refusal::Loop) => "loop".to_owned(),
        }
    }

    const OBJECT: &str = "/cvmfs/a.b/data/49/bf00112233445566778899aabbccddeeff0a1b";

    #[test]
    fn targets() {
        let host = [("host", "x.good")];
        assert_eq!(verdict("GET", OBJECT, &host), "object a.b");
        assert_eq!(verdict("HEAD", &format!("http://x.good{OBJECT}"), &host), "object a.b");
        assert_eq!(verdict("GET", &format!("http://x.good:80{OBJECT}"), &host), "object a.b");
        assert_eq!(verdict("GET", &format!("http://X.GOOD{OBJECT}"), &host), "object a.b");
        assert_eq!(verdict("GET", &format!("{OBJECT}?x"), &host), "document Some(\"a.b\")");
        assert_eq!(verdict("GET", "/cvmfs/a.b/.cvmfspublished", &host), "document Some(\"a.b\")");
        assert_eq!(verdict("GET", "/other", &host), "403");
        assert_eq!(verdict("GET", &format!("http://x.bad{OBJECT}"), &[("host", "x.bad")]), "403");
        assert_eq!(verdict("POST", OBJECT, &host), "405 for ever");
        assert_eq!(verdict("PUT", OBJECT, &host), "405");
        assert_eq!(verdict("POST", "/cvmfs/a.b/.cvmfs_x", &host), "document Some(\"a.b\")");
        assert_eq!(verdict("PUT", "/cvmfs/a.b/.cvmfs_x", &host), "405");
        assert_eq!(
            verdict("POST", "/cvmfs/a.b/.cvmfs_x", &[("host", "a"), ("expect", "100-continue")]),
            "417"
        );
        assert_eq!(
            verdict("GET", "/cvmfs/a.b/.cvmfs_x", &[("host", "a"), ("expect", "100-continue")]),
            "document Some(\"a.b\")"
        );
    }

    #[test]
    fn layouts_beside_cvmfs_are_used_where_they_are_named() {
        let host = ("host", "x.good");
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let (cas, ac) = (format!("/a/cas/{hex}"), format!("/a/ac/{hex}"));
        assert_eq!(verdict("GET", &cas, &[host]), "object bazel");
        assert_eq!(verdict("GET", &ac, &[host]), "document");
        assert_eq!(verdict("POST", &cas, &[host]), "405 for ever");
        assert_eq!(verdict("PUT", &cas, &[host]), "405");
        assert_eq!(verdict("GET", &cas, &[host, ("authorization", "Basic x")]), "document");
        assert_eq!(verdict("GET", OBJECT, &[host, ("authorization", "Basic x")]), "object a.b");
        assert_eq!(verdict("GET", &format!("/debian/dists/sid/by-hash/SHA256/{hex}"), &[host]), "403");
        assert_eq!(verdict("GET", &format!("/v2/a/blobs/sha256:{hex}"), &[host]), "403");
    }

    #[test]
    fn ambiguity_is_refused() {
        let forward = format!("http://x.good{OBJECT}");
        let cases: [(&str, &[(&str, &str)]); 8] = [
            (OBJECT, &[]),
            (OBJECT, &[("host", "a"), ("host", "a")]),
            (OBJECT, &[("host", "a/b")]),
            (OBJECT, &[("host", "a"), ("content-length", "5")]),
            (OBJECT, &[("host", "a"), ("transfer-encoding", "chunked")]),
            (&forward, &[("host", "y.good")]),
            (&forward, &[("host", "x.good:81")]),
            ("ftp://x.good/", &[("host", "x.good")]),
        ];
        for (target, fields) in cases {
            let got = verdict("GET", target, fields);
            assert!(got.starts_with("400"), "{target} {fields:?}: {got}");
        }
    }

    #[test]
    fn tunnels_lead_where_they_may() {
        type Fields<'a> = &'a [(&'a str, &'a str)];
        let host = [("host", "x.good:443")];
        let table: [(&str, Fields<'_>, &str); 13] = [
            ("x.good:443", &host, "x.good:443"),
            ("X.Good:443", &[("host", "x.good:443")], "x.good:443"),
            ("x.good:443", &[("host", "x.good")], "x.good:443"),
            ("x.good:443", &[], "x.good:443"),
            ("x.good:444", &[("host", "x.good:444")], "403"),
            ("y.good:443", &[("host", "y.good:443")], "403"),
            ("x.good:443", &[("host", "y.good:443")], "400"),
            ("x.good:443", &[("host", "x.good:443"), ("host", "x.good:443")], "400"),
            ("x.good:443", &[("host", "x.good:443"), ("content-length", "5")], "400"),
            ("x.good:443", &[("host", "x.good:443"), ("via", "1.1 me (m1)")], "loop"),
            ("x.good", &[("host", "x.good")], "400"),
            ("0x7f.1:443", &[], "400"),
            ("http://x.good:443/", &host, "400"),
        ];
        for (target, fields, expected) in table {
            let got = match tunnel(&request("CONNECT", target, fields), &access(), "(m1)") {
                Ok(authority) => authority.to_string(),
                Err(Refusal::Malformed(_)) => "400".to_owned(),
                Err(Refusal::Denied(_)) => "403".to_owned(),
                Err(Refusal::Loop) => "loop".to_owned(),
                Err(other) => other.to_string(),
            };
            assert_eq!(got, expected, "{target} {fields:?}");
        }
    }

    #[test]
    fn circles_are_seen() {
        for (via, expected) in [
            ("1.1 me", "object a.b"),
            ("1.1 me (m1)", "loop"),
            ("1.1 other (m2), 1.1 me (m1)", "loop"),
            ("1.1 me (m2)", "object a.b"),
        ] {
            assert_eq!(verdict("GET", OBJECT, &[("host", "x"), ("via", via)]), expected, "{via}");
        }
    }

    #[test]
    fn no_cache_is_read_in_both_fields() {
        let table = [
            ("cache-control", "no-cache", true),
            ("cache-control", "max-age=0, No-Cache", true),
            ("cache-control", "max-age=0", false),
            ("pragma", "no-cache", true),
            ("accept", "no-cache", false),
        ];
        for (name, value, expected) in table {
            assert_eq!(wants_no_cache(request("GET", "/", &[(name, value)]).headers()), expected);
        }
    }
}
