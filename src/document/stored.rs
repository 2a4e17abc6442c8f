//! A complete response as the store holds it, with everything parsed once that lookups ask about.
//!
//! Invariants: the fields are end-to-end fields without `Age` and `Content-Length`, and with a valid `Date`;
//! the body is complete and, for a manifest, undamaged. A stored response never changes: updates make new ones.

use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::freshness::{Exchange, Freshness, Remaining};
use super::hop;
use super::manifest::Revision;
use super::reuse::Facts;
use super::terms::Terms;
use super::validation;
use super::vary::Selection;
use crate::response::date::DateField;
use crate::response::entity_tag::EntityTag;

/// Memory of an entry beyond the bytes of its fields and body: the structures themselves and the table's own.
const OVERHEAD: usize = 600;

/// Fields that say how long something is fresh.
const FRESHNESS_FIELDS: [HeaderName; 4] =
    [header::CACHE_CONTROL, header::EXPIRES, header::DATE, header::PRAGMA];

/// One stored response.
#[derive(Clone, Debug)]
pub struct Stored {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    directives: ResponseDirectives,
    freshness: Freshness,
    selection: Selection,
    revision: Option<Revision>,
    modified: Option<SystemTime>,
    date: SystemTime,
    rests_until: Option<SystemTime>,
}

impl Stored {
    /// A response with these fields as received (`Age` included) and this body, complete.
    pub fn new(
        status: StatusCode,
        mut headers: HeaderMap,
        body: Bytes,
        selection: Selection,
        terms: &Terms,
        at: Exchange,
    ) -> Self {
        let directives = ResponseDirectives::read(&headers);
        let freshness = Freshness::of(status, &headers, &directives, terms, at);
        let modified = DateField::read(&headers, header::LAST_MODIFIED).at();
        let date = DateField::read(&headers, header::DATE).at().unwrap_or(at.received);
        hop::remove_hop_by_hop(&mut headers);
        headers.remove(header::AGE);
        headers.remove(header::CONTENT_LENGTH);
        date_if_missing(&mut headers, at.received);
        Self {
            status,
            headers,
            body,
            directives,
            freshness,
            selection,
            revision: None,
            modified,
            date,
            rests_until: None,
        }
    }

    /// The same, with this body.
    pub fn with_body(&self, body: Bytes) -> Self {
        Self { body, ..self.clone() }
    }

    /// The same, known to be a manifest of this revision.
    pub fn with_revision(self, revision: Revision) -> Self {
        Self { revision: Some(revision), ..self }
    }

    /// The same, and until then the upstream is not asked again on behalf of requests it can stand in for.
    pub fn resting_until(&self, until: SystemTime) -> Self {
        Self { rests_until: Some(until), ..self.clone() }
    }

    /// The fields after a 304 with these (as received): §3.2, with the 304's own `Age` and `Date`.
    pub fn fields_confirmed_by(&self, mut not_modified: HeaderMap) -> HeaderMap {
        hop::remove_hop_by_hop(&mut not_modified);
        let mut headers = self.headers.clone();
        // A 304 without Date is dated on arrival, not when the stored response was.
        headers.remove(header::DATE);
        validation::update(&mut headers, &not_modified);
        if let Some(age) = not_modified.remove(header::AGE) {
            headers.insert(header::AGE, age);
        }
        headers
    }

    /// This content, as fresh as `other` is and varying as it does: for when a mirror sends an older manifest.
    pub fn as_fresh_as(&self, other: &Self) -> Self {
        let mut headers = self.headers.clone();
        for name in &FRESHNESS_FIELDS {
            headers.remove(name);
            for value in other.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        Self {
            headers,
            directives: other.directives,
            freshness: other.freshness,
            selection: other.selection.clone(),
            date: other.date,
            rests_until: other.rests_until,
            ..self.clone()
        }
    }

    /// Status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// End-to-end fields, without `Age` and `Content-Length`.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Freshness.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// The requests it may answer.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// For a manifest, where it stands.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// `Last-Modified`.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// `Date`: the origin's, or the time of arrival.
    pub fn date(&self) -> SystemTime {
        self.date
    }

    /// `ETag`, when well-formed.
    pub fn tag(&self) -> Option<EntityTag<'_>> {
        EntityTag::read(&self.headers, header::ETAG)
    }

    /// Whether the upstream failed so recently that it is left alone.
    pub fn rests(&self, now: SystemTime) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// Whether it can ever be of use: now, after validation, or when the upstream fails.
    pub fn is_of_use(&self, terms: &Terms, now: SystemTime) -> bool {
        let fresh = matches!(self.freshness.remaining(now), Remaining::Fresh(_));
        let lasting = validation::has_validator(&self.headers) || terms.accept_stale();
        // An error without a lifetime must not displace the good copy that may have to stand in.
        fresh || (self.status.is_success() && lasting)
    }

    /// What decisions about reuse rest upon.
    pub fn facts<'a>(&'a self, asked: &'a RequestDirectives, now: SystemTime) -> Facts<'a> {
        Facts { freshness: &self.freshness, directives: &self.directives, asked, now }
    }

    /// Bytes of memory, roughly.
    pub fn weight(&self) -> usize {
        let fields: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        OVERHEAD + fields + self.body.len() + self.selection.weight()
    }
}

/// Dates a response that came without a usable `Date` (RFC 9110 §6.6.1).
pub fn date_if_missing(headers: &mut HeaderMap, received: SystemTime) {
    if DateField::read(headers, header::DATE).at().is_none()
        && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(received))
    {
        headers.insert(header::DATE, date);
    }
}
