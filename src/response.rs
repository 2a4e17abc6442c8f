//! Outcomes -> responses: the heads of answers, and THE table from errors to statuses.
//!
//! Statuses follow what CVMFS clients do with them (cvmfs `network/download.cc`): 5xx, 400 and 404 send a client to
//! its next stratum through the same proxy; any other 4xx sends it to its next proxy. So an upstream's trouble is
//! 502 or 504, and our own trouble is 421, never 5xx.

pub mod body;
pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod entity_tag;
pub mod fields;
pub mod multipart;
pub mod range;

use std::ops::Range;

use body::Body;
use bytes::Bytes;
use cache_status::{CacheStatus, Detail, Forward, Forwarded, Handling, Kept, Sharing};
use conditional::{Condition, Validators};
use entity_tag::EntityTag;
use http::header::{
    ACCEPT_RANGES, AGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, RANGE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use multipart::Multipart;
use range::{IfRangeValidators, Portion};

use crate::cache::{FillError, Why};
use crate::config::WriteMethod;
use crate::digest::ObjectName;
use crate::document;
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::request::{Refusal, Verb};
use crate::syntax::Flaw;

/// Field of site tooling: `HIT from name`, `MISS from name`.
pub static X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// RFC 9211.
pub static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// RFC 9209.
pub static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The methods that are always served.
const READ_ONLY: &str = "GET, HEAD";

/// Writes heads in the name of one cache. All values that do not depend on the request are made once.
pub struct Heads {
    name: String,
    via: HeaderValue,
    /// Tells this very process from any other, also of the same name: a `Via` comment, parentheses included.
    mark: String,
    marked_via: HeaderValue,
    hit: HeaderValue,
    miss: HeaderValue,
    /// Methods that are served.
    allow: HeaderValue,
    /// What answers with an object say whatever the object, indexed by `Outcome as usize`. To copy such a map costs less
    /// than to insert its fields anew.
    objects: [HeaderMap; Outcome::ALL.len()],
}

/// Which bytes of an object an answer carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// None: HEAD, 304, 416.
    Nothing,
    /// All.
    Whole,
    /// These.
    Part(Range<u64>),
    /// Several stretches, with what stands around them.
    Parts(Multipart),
}

impl Heads {
    /// Heads in the name of `name`, an RFC 9110 token.
    pub fn new(name: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        let mark = format!("(substratum-{:016x})", fastrand::u64(..));
        let via = lasting(format!("1.1 {name}"))?;
        let hit = lasting(format!("HIT from {name}"))?;
        let miss = lasting(format!("MISS from {name}"))?;
        // With room for the fields of the object itself: the copies have as much.
        let mut objects = Outcome::ALL.map(|_| HeaderMap::with_capacity(10));
        for outcome in Outcome::ALL {
            let status = lasting(object_status(outcome).render(name))?;
            objects[outcome as usize].extend([
                (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
                (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
                (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
                (VIA, via.clone()),
                (X_CACHE.clone(), if outcome.is_hit() { hit.clone() } else { miss.clone() }),
                (CACHE_STATUS.clone(), status),
            ]);
        }
        Ok(Self {
            marked_via: lasting(format!("1.1 {name} {mark}"))?,
            name: name.to_owned(),
            via,
            mark,
            hit,
            miss,
            allow: HeaderValue::from_static(READ_ONLY),
            objects,
        })
    }

    /// The same, where these methods are served as well.
    pub fn allowing(self, methods: &[WriteMethod]) -> Result<Self, http::header::InvalidHeaderValue> {
        let more: String = methods.iter().map(|method| format!(", {}", method.as_str())).collect();
        Ok(Self { allow: lasting(format!("{READ_ONLY}{more}"))?, ..self })
    }

    /// Our `Via` member on requests: with the mark by which a request that comes back is known.
    pub fn request_via(&self) -> &HeaderValue {
        &self.marked_via
    }

    /// The mark.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The head of an object's answer: 200, 206, 304 or 416, and the bytes that belong to it.
    /// `len` is unknown only while a source without `Content-Length` is still sending; ranges are then ignored
    /// (RFC 9110 §14.2 allows it). `age` is in seconds since the bytes were verified.
    pub fn object(
        &self,
        verb: Verb,
        request: &HeaderMap,
        name: &ObjectName,
        len: Option<u64>,
        age: u32,
        outcome: Outcome,
    ) -> (Response<()>, Selection) {
        let etag = etag(name);
        let selection = match len {
            _ if conditions(request, &etag) == Condition::NotModified => None,
            // Ranges are defined for GET alone (RFC 9110 §14.2).
            Some(len) if verb == Verb::Get && request.contains_key(RANGE) => {
                let held = IfRangeValidators { tag: EntityTag::parse(etag.as_bytes()), ..Default::default() };
                Some(range::portion(request, len, held))
            }
            _ => Some(Portion::Whole),
        };
        let mut response = Response::new(());
        *response.headers_mut() = self.objects[outcome as usize].clone();
        let headers = response.headers_mut();
        let (status, selection) = match (selection, len) {
            (None, _) => {
                headers.remove(CONTENT_TYPE);
                (StatusCode::NOT_MODIFIED, Selection::Nothing)
            }
            (Some(Portion::Unsatisfiable), Some(len)) => {
                headers.insert(CONTENT_RANGE, range::unsatisfied_range(len));
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                (StatusCode::RANGE_NOT_SATISFIABLE, Selection::Nothing)
            }
            (Some(Portion::Part(part)), Some(len)) => {
                headers.insert(CONTENT_RANGE, range::content_range(&part, len));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
                (StatusCode::PARTIAL_CONTENT, Selection::Part(part))
            }
            (Some(Portion::Parts(parts)), Some(len)) => {
                let parts = Multipart::new(parts, len, headers.get(CONTENT_TYPE), fastrand::u64(..));
                headers.insert(CONTENT_TYPE, parts.content_type());
                headers.insert(CONTENT_LENGTH, HeaderValue::from(parts.body_len()));
                (StatusCode::PARTIAL_CONTENT, Selection::Parts(parts))
            }
            (Some(_), len) => {
                if let Some(len) = len {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
                }
                (StatusCode::OK, Selection::Whole)
            }
        };
        headers.insert(ETAG, etag);
        headers.insert(AGE, HeaderValue::from(age));
        *response.status_mut() = status;
        let selection = if verb == Verb::Head { Selection::Nothing } else { selection };
        (response, selection)
    }

    /// Says on an object's head why it was fetched, where the outcome alone does not.
    pub fn explain_object(&self, headers: &mut HeaderMap, outcome: Outcome, why: Reason) {
        let status = object_status(outcome);
        if status.reason().is_some_and(|told| told != why) {
            headers.insert(CACHE_STATUS.clone(), status.because(why).render(&self.name));
        }
    }

    /// Adds what is said on every answer to a document's head.
    pub fn sign_document(&self, headers: &mut HeaderMap, status: &CacheStatus, outcome: Outcome) {
        headers.append(VIA, self.via.clone());
        headers.insert(X_CACHE.clone(), self.x_cache(outcome));
        headers.append(CACHE_STATUS.clone(), status.render(&self.name));
    }

    fn x_cache(&self, outcome: Outcome) -> HeaderValue {
        if outcome.is_hit() { self.hit.clone() } else { self.miss.clone() }
    }

    /// The answer to a request that is not served.
    pub fn refusal(&self, refusal: &Refusal) -> (Response<Bytes>, Outcome) {
        let (status, error, outcome) = match refusal {
            Refusal::Malformed(_) => (StatusCode::BAD_REQUEST, "http_request_error", Outcome::BadRequest),
            Refusal::Flawed(flaw) => {
                let status = match flaw {
                    Flaw::TargetTooLong => StatusCode::URI_TOO_LONG,
                    Flaw::HeadTooLong | Flaw::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    Flaw::LengthRequired => StatusCode::LENGTH_REQUIRED,
                    Flaw::ContentTooLong => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::BAD_REQUEST,
                };
                (status, "http_request_error", Outcome::BadRequest)
            }
            Refusal::Expectation => {
                (StatusCode::EXPECTATION_FAILED, "http_request_error", Outcome::BadRequest)
            }
            Refusal::Method | Refusal::Immutable => {
                (StatusCode::METHOD_NOT_ALLOWED, "http_request_error", Outcome::BadRequest)
            }
            Refusal::Denied(_) => (StatusCode::FORBIDDEN, "http_request_denied", Outcome::Denied),
            Refusal::Loop => (StatusCode::BAD_GATEWAY, "proxy_loop_detected", Outcome::UpstreamError),
        };
        let mut response =
            self.trouble(status, error, &refusal.to_string(), CacheStatus::refused(refusal.reason()));
        match refusal {
            Refusal::Method => drop(response.headers_mut().insert(ALLOW, self.allow.clone())),
            Refusal::Immutable => {
                drop(response.headers_mut().insert(ALLOW, HeaderValue::from_static(READ_ONLY)));
            }
            _ => {}
        }
        // Content that came with it, read as the next request, would be somebody's smuggled one.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        (response, outcome)
    }

    /// The answer when no source brought the resource.
    pub fn failure(&self, failure: &FillError) -> (Response<Bytes>, Outcome) {
        let (status, error) = match failure.why {
            Why::NotFound => (StatusCode::NOT_FOUND, "destination_not_found"),
            Why::Unavailable => (StatusCode::BAD_GATEWAY, "destination_unavailable"),
            Why::Corrupt => (StatusCode::BAD_GATEWAY, "http_protocol_error"),
            Why::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "http_response_timeout"),
            Why::Forbidden => (StatusCode::FORBIDDEN, "destination_ip_prohibited"),
            Why::Overload | Why::Abandoned | Why::Overrun | Why::Storage => {
                (StatusCode::MISDIRECTED_REQUEST, "proxy_internal_error")
            }
        };
        let why = failure.why.reason();
        let told = match failure.why {
            Why::Overload | Why::Forbidden => CacheStatus::refused(why),
            _ => CacheStatus::failed(Forward::UriMiss, why),
        };
        let response = self.trouble(status, error, &format!("{}: {failure}", why.as_str()), told);
        let outcome = match failure.why {
            Why::NotFound => Outcome::Miss,
            Why::Forbidden => Outcome::Denied,
            Why::Overload => Outcome::Overload,
            _ => Outcome::UpstreamError,
        };
        (response, outcome)
    }

    /// Says on the answer that opens a tunnel who does so.
    pub fn sign_tunnel(&self, headers: &mut HeaderMap) {
        headers.insert(VIA, self.via.clone());
    }

    /// The answer when a tunnel could not be opened. What the client has sent ahead is lost with the connection.
    pub fn tunnel_failure(&self, failure: &FillError) -> (Response<Bytes>, Outcome) {
        let (mut response, outcome) = self.failure(failure);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        (response, outcome)
    }

    /// The answer when a document could not be had.
    pub fn document_failure(&self, failure: &document::Failure<FillError>) -> (Response<Bytes>, Outcome) {
        use document::Failure;
        let (status, error) = match failure {
            Failure::Upstream(failure) => return self.failure(failure),
            Failure::Length { .. } => (StatusCode::BAD_GATEWAY, "http_response_incomplete"),
            Failure::Status(_) => (StatusCode::BAD_GATEWAY, "destination_unavailable"),
            Failure::ForeignNotModified | Failure::BadManifest => {
                (StatusCode::BAD_GATEWAY, "http_protocol_error")
            }
            Failure::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "http_response_timeout"),
            Failure::OnlyIfCached => (StatusCode::GATEWAY_TIMEOUT, "http_request_error"),
            Failure::Overload | Failure::Interrupted => {
                (StatusCode::MISDIRECTED_REQUEST, "proxy_internal_error")
            }
        };
        let outcome = match failure {
            Failure::Overload => Outcome::Overload,
            Failure::OnlyIfCached => Outcome::DocumentMiss,
            _ => Outcome::UpstreamError,
        };
        let reason = failure.reason().unwrap_or_else(|upstream| upstream.why.reason());
        let told = match failure {
            Failure::Overload | Failure::OnlyIfCached => CacheStatus::refused(reason),
            _ => CacheStatus::failed(Forward::Miss, reason),
        };
        (self.trouble(status, error, &failure.to_string(), told), outcome)
    }

    fn trouble(&self, status: StatusCode, error: &str, text: &str, told: CacheStatus) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(format!("{text}\n")));
        *response.status_mut() = status;
        let length = HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VIA, self.via.clone());
        headers.insert(X_CACHE.clone(), self.miss.clone());
        headers.insert(CACHE_STATUS.clone(), told.render(&self.name));
        if let Ok(value) = HeaderValue::try_from(format!("{}; error={error}", self.name)) {
            headers.insert(PROXY_STATUS.clone(), value);
        }
        response
    }
}

/// A value that every worker copies for every answer. Leaked, so that copying counts no holders: such a count would
/// travel between their cores. There are few, made once, and needed for as long as the process lives.
fn lasting(text: impl AsRef<[u8]>) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from_static(Box::leak(Box::from(text.as_ref()))))
}

fn etag(name: &ObjectName) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(name.quoted()))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn conditions(request: &HeaderMap, etag: &HeaderValue) -> Condition {
    // An object has no date: without a tag to compare there is no condition, and nearly all requests are without.
    if !request.contains_key(IF_NONE_MATCH) {
        return Condition::Send;
    }
    let held = Validators { tag: EntityTag::parse(etag.as_bytes()), modified: None };
    conditional::evaluate(request, held)
}

/// How an object's outcome reads in `Cache-Status`.
fn object_status(outcome: Outcome) -> CacheStatus {
    let forwarded = |sharing| {
        Handling::Forwarded(Forwarded { reason: Forward::UriMiss, status: None, kept: Kept::Stored, sharing })
    };
    let (handling, detail) = match outcome {
        Outcome::MemoryHit => (Handling::Hit, Some(Detail::Memory)),
        Outcome::DiskHit => (Handling::Hit, Some(Detail::Disk)),
        Outcome::Reload => (Handling::Hit, Some(Detail::Rehashed)),
        Outcome::Repair => (forwarded(Sharing::Alone), Some(Detail::Why(Reason::Damaged))),
        Outcome::Collapsed => (forwarded(Sharing::Collapsed), None),
        _ => (forwarded(Sharing::Alone), None),
    };
    CacheStatus { handling, ttl: None, detail }
}

/// A response whose whole body is at hand, as one with a body of ours.
pub fn whole(response: Response<Bytes>, verb: Option<Verb>) -> Response<Body> {
    response.map(|bytes| if verb == Some(Verb::Head) { Body::empty() } else { Body::once(bytes) })
}
