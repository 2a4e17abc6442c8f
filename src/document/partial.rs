//! Documents of which only parts are here: kept by URL until they are whole (RFC 9111 §3.3, §3.4).
//!
//! Only parts that share a strong validator come together; a part of anything else takes the place of what was here. One
//! variant for each URL, bounded in bytes all together.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Response, StatusCode, response};
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;

use super::cache_control::ResponseDirectives;
use super::freshness::Exchange;
use super::key::DocumentKey;
use super::parts::{Parts, content_range};
use super::refresh::announced_length;
use super::reply;
use super::storable::{Asked, storable};
use super::stored::Stored;
use super::terms::Terms;
use super::validation;

/// A document of which parts are here.
#[derive(Clone)]
pub struct Partial {
    /// The head, as the whole will have it; its body is empty.
    pub head: Arc<Stored>,
    parts: Parts,
}

impl Partial {
    /// The answer to a GET for a range, if the parts have what it asks for.
    pub fn reply(&self, request: &HeaderMap, now: SystemTime) -> Option<Response<Bytes>> {
        reply::reply_partial(&self.head, &self.parts, request, now)
    }

    fn weight(&self) -> usize {
        self.head.weight() + self.parts.weight()
    }
}

/// A part that arrives and may be kept when it is there.
pub struct NewPart {
    /// Its place.
    pub range: Range<u64>,
    total: u64,
    /// End-to-end fields as received, `Age` included, as a 200 would have them.
    headers: HeaderMap,
    at: Exchange,
}

impl NewPart {
    /// What of an answer to `asked` may be kept: a part with a strong validator, or all of it at once. `max` bounds the
    /// whole document.
    pub fn of(asked: Asked<'_>, head: &response::Parts, at: Exchange, max: u64) -> Option<Self> {
        let length = announced_length(&head.headers)?;
        let (range, total) = match head.status {
            StatusCode::OK => (0..length, length),
            StatusCode::PARTIAL_CONTENT => content_range(&head.headers)?,
            _ => return None,
        };
        if range.end - range.start != length || length == 0 || total > max {
            return None;
        }
        let mut headers = head.headers.clone();
        headers.remove(header::CONTENT_RANGE);
        let directives = ResponseDirectives::read(&headers);
        storable(asked, StatusCode::OK, &headers, &directives).ok()?;
        let part = Self { range, total, headers, at };
        let strong = validation::strong_tag(&part.headers).is_some();
        // The answer to a request with If-Range may lack fields that whoever asked has already (RFC 9110 §15.3.7).
        let complete_head = !asked.headers.contains_key(header::IF_RANGE) || head.status == StatusCode::OK;
        (strong || (part.is_whole() && complete_head)).then_some(part)
    }

    /// When its head came.
    pub fn received(&self) -> SystemTime {
        self.at.received
    }

    fn is_whole(&self) -> bool {
        self.range == (0..self.total)
    }
}

/// Documents of which parts are here.
pub struct Partials {
    entries: Cache<DocumentKey, Arc<Partial>>,
}

impl Partials {
    /// At most `capacity` bytes, everything counted.
    pub fn new(capacity: u64) -> Self {
        let weigh = |key: &DocumentKey, partial: &Arc<Partial>| {
            u32::try_from(key.weight() + partial.weight()).unwrap_or(u32::MAX)
        };
        Self { entries: Cache::builder().max_capacity(capacity).weigher(weigh).build() }
    }

    /// The parts that `request` selects.
    pub fn find(&self, key: &DocumentKey, request: &HeaderMap) -> Option<Arc<Partial>> {
        self.entries.get(key).filter(|partial| partial.head.selection().matches(request))
    }

    /// Takes a part in. Returned is the whole document, once it is whole; then nothing is left here.
    pub fn add(
        &self,
        key: &DocumentKey,
        asked: Asked<'_>,
        part: NewPart,
        bytes: &Bytes,
        terms: &Terms,
    ) -> Option<Stored> {
        let mut whole = None;
        self.entries.entry_by_ref(key).and_compute_with(|entry| {
            let here = entry.map(|entry| entry.into_value());
            let existed = here.is_some();
            let Some(partial) = combined(here, asked, part, bytes, terms) else { return Op::Nop };
            match partial.parts.whole() {
                Some(body) => {
                    whole = Some(partial.head.with_body(body));
                    if existed { Op::Remove } else { Op::Nop }
                }
                None => Op::Put(Arc::new(partial)),
            }
        });
        whole
    }

    /// Forgets the parts of a document; whether there were any.
    pub fn forget(&self, key: &DocumentKey) -> bool {
        // Most documents never have any: `get` takes no lock.
        self.entries.contains_key(key)
            && matches!(
                self.entries.entry_by_ref(key).and_compute_with(|_| Op::Remove),
                CompResult::Removed(_)
            )
    }

    /// Bytes held; may lag behind the last few changes.
    pub fn weight(&self) -> u64 {
        self.entries.weighted_size()
    }
}

/// What is here with a new part in it, or the new part alone; `None` when that is of no use.
fn combined(
    here: Option<Arc<Partial>>,
    asked: Asked<'_>,
    part: NewPart,
    bytes: &Bytes,
    terms: &Terms,
) -> Option<Partial> {
    let NewPart { range, total, headers, at } = part;
    let fits = |partial: &Arc<Partial>| {
        let same = |held| validation::strong_tag(&headers).is_some_and(|new| new.matches_strongly(held));
        partial.parts.total() == total
            && partial.head.selection().matches(asked.headers)
            && validation::strong_tag(partial.head.headers()).is_some_and(same)
    };
    let (headers, mut parts) = match here.filter(fits) {
        Some(partial) => (partial.head.fields_confirmed_by(headers), partial.parts.clone()),
        None if asked.headers.contains_key(header::IF_RANGE) => return None,
        None => (headers, Parts::of(total)),
    };
    parts.add(range.start, bytes).ok()?;
    let directives = ResponseDirectives::read(&headers);
    let selection = storable(asked, StatusCode::OK, &headers, &directives).ok()?;
    let head = Stored::new(StatusCode::OK, headers, Bytes::new(), selection, terms, at);
    Some(Partial { head: Arc::new(head), parts })
}
