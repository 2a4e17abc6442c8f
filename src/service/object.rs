//! An object, from lookup to answer: at hand, on disk, from a fill.
//!
//! Until its head is sent, whatever proves bad or missing is replaced unseen: another fill is joined or led.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::RANGE;
use http::{HeaderMap, Response};

use super::behind::Urgency;
use super::fetching::note_first;
use super::{Place, Worker};
use crate::cache::disk::{DiskObject, ReadError};
use crate::cache::{CHUNK, FillError, FillReader, Lookup, MemoryObject, Object, Ready, Recheck, Why};
use crate::digest::ObjectName;
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::request::Verb;
use crate::response::body::{Body, DiskSource, READ_PATIENCE, Remainder};
use crate::response::{Selection, whole};
use crate::tally::Tally;
use crate::upstream::Wanted;

/// How often a request looks an object up again after the fill it joined failed, or after bytes at rest proved bad.
pub(super) const LOOKUPS: usize = 3;

/// A request for an object, detached from its head.
pub(super) struct ObjectRequest {
    pub verb: Verb,
    pub name: ObjectName,
    /// In whose name it is stored: a repository, or what stands for one.
    pub account: Box<str>,
    pub headers: HeaderMap,
    pub place: Place,
}

impl Worker {
    /// The answer, if the bytes are in memory, or on disk and in the page cache. `place` is for what of them proves bad.
    pub(super) fn at_hand(
        self: &Arc<Self>,
        verb: Verb,
        headers: &HeaderMap,
        name: &ObjectName,
        account: &str,
        place: impl FnOnce() -> Place,
    ) -> Option<(Response<Body>, Outcome)> {
        if let Some(object) = self.cache.in_memory(name) {
            return Some(self.answer_from_memory(verb, headers, name, object, Outcome::MemoryHit));
        }
        let object = self.cache.on_disk(name, account)?;
        match object.try_read(0, CHUNK) {
            // All of it: the object moves up into memory.
            Ok(Some(first)) if first.len() as u64 == object.len() => {
                let whole = self.cache.promote(*name, first, object.stored_at());
                Some(self.answer_from_memory(verb, headers, name, whole, Outcome::DiskHit))
            }
            Ok(Some(first)) => {
                let (first, outcome) = (Some(first), Outcome::DiskHit);
                let remainder = |len| self.remainder(*name, len, account, place());
                Some(self.answer_from_disk(verb, headers, name, (object, first), remainder, outcome))
            }
            // Would block, or is bad: both are dealt with where waiting is allowed.
            Ok(None) | Err(_) => None,
        }
    }

    fn answer_from_memory(
        &self,
        verb: Verb,
        headers: &HeaderMap,
        name: &ObjectName,
        object: Arc<MemoryObject>,
        outcome: Outcome,
    ) -> (Response<Body>, Outcome) {
        let len = object.len();
        let age = age(object.stored_at());
        let (head, selection) = self.heads.object(verb, headers, name, Some(len), age, outcome);
        let body = match selection {
            Selection::Nothing => Body::empty(),
            Selection::Whole => Body::memory(object, 0, len),
            Selection::Part(part) => Body::memory(object, part.start, part.end - part.start),
            Selection::Parts(parts) => Body::parts(&parts, |part| {
                Body::memory(Arc::clone(&object), part.start, part.end - part.start)
            }),
        };
        (head.map(|()| body), outcome)
    }

    /// An object read from disk as it is sent, with its first bytes, where they were read already.
    fn answer_from_disk(
        &self,
        verb: Verb,
        headers: &HeaderMap,
        name: &ObjectName,
        (object, first): (DiskObject, Option<bytes::Bytes>),
        remainder: impl FnOnce(u64) -> Remainder,
        outcome: Outcome,
    ) -> (Response<Body>, Outcome) {
        let (len, age) = (object.len(), age(object.stored_at()));
        let (head, selection) = self.heads.object(verb, headers, name, Some(len), age, outcome);
        let source = |offset, first, remainder| {
            DiskSource::new(Arc::clone(&self.cache), *name, object.clone(), offset, first, remainder)
        };
        let body = match selection {
            Selection::Nothing => Body::empty(),
            Selection::Whole => Body::disk(source(0, first, Some(remainder(len))), len),
            Selection::Part(part) => {
                Body::disk(source(part.start, None, Some(remainder(len))), part.end - part.start)
            }
            // Each of several would have to wait for the disk, and for the rest of it.
            Selection::Parts(parts) => {
                Body::parts(&parts, |part| Body::disk(source(part.start, None, None), part.end - part.start))
            }
        };
        (head.map(|()| body), outcome)
    }

    /// An object whose bytes are not at hand.
    pub(super) async fn object(
        self: Arc<Self>,
        request: ObjectRequest,
        wants_check: bool,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        let mut fetched = Outcome::Miss;
        let mut why = None;
        let mut readable = true;
        if wants_check {
            match self.rechecks.run(&self.cache, request.name).await {
                Recheck::Good(object) => return self.at_rest(&request, object, Outcome::Reload).await,
                Recheck::Bad => fetched = Outcome::Repair,
                Recheck::Absent => {}
            }
        }
        if request.verb == Verb::Head && self.cache.find(&request.name).is_none() {
            return self.object_head(&request, tally).await;
        }
        let place = &request.place;
        let sources = self.upstreams.scope(place.named.as_ref(), place.repository.as_deref());
        let share = self.cache.share(Some(&request.account));
        let mut last = None;
        for _ in 0..LOOKUPS {
            let lookup = match readable {
                true => self.cache.lookup(&request.name, share, &sources),
                false => self.cache.lookup_past_disk(&request.name, share, &sources),
            };
            let (mut reader, outcome, leads) = match lookup {
                Lookup::Hit(object) => match self.readable(&request.name, object).await {
                    Ok(object) => return self.at_rest(&request, object, Outcome::DiskHit).await,
                    Err(error) => {
                        if self.cache.unreadable(&request.name, &error) {
                            fetched = Outcome::Repair;
                        }
                        readable = false;
                        continue;
                    }
                },
                Lookup::Full => {
                    last = Some(too_many());
                    break;
                }
                Lookup::Join(reader) => (reader, Outcome::Collapsed, false),
                Lookup::Lead(writer, reader) => {
                    let first = self.lead(&request.name, place, writer);
                    note_first(first.as_ref(), tally);
                    why = Some(match fetched {
                        Outcome::Repair => Reason::Damaged,
                        _ => self.cache.why_absent(&request.name),
                    });
                    (reader, fetched, true)
                }
            };
            let ready = reader.ready().await;
            if place.urgency == Urgency::Background {
                // The worker has just verified it, and whoever came meanwhile need not wait for the sending as well.
                tokio::task::yield_now().await;
            }
            match ready {
                Ok(ready) => {
                    let (mut response, outcome) =
                        self.answer_from_fill(&request, reader, ready, outcome).await;
                    if let Some(why) = why.filter(|_| leads) {
                        tally.because(why);
                        self.heads.explain_object(response.headers_mut(), outcome, why);
                    }
                    return (response, outcome);
                }
                // Another client's host is not ours: a joined fill's failure is not our answer.
                Err(error) if !leads && error.why != Why::Abandoned => last = Some(error),
                Err(error) => {
                    last = Some(error);
                    break;
                }
            }
        }
        let error = last.unwrap_or_else(irreplaceable);
        self.failed(&request, &error, tally)
    }

    pub(super) fn failed(
        &self,
        request: &ObjectRequest,
        error: &FillError,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        tally.because(error.why.reason());
        let (response, outcome) = self.heads.failure(error);
        (whole(response, Some(request.verb)), outcome)
    }

    /// HEAD for an object that is not here. Replicators ask for every object of a repository this way: their questions
    /// are passed on, rather than fetching it all.
    async fn object_head(&self, request: &ObjectRequest, tally: &mut Tally) -> (Response<Body>, Outcome) {
        let fetch = self.fetch(&request.place, Wanted::Object(request.name.hash64()));
        let asked = match self.turns.begin(request.place.client, request.place.urgency, fetch).await {
            Ok((fetch, _turn)) => fetch.object_head().await,
            Err(crowded) => Err(crowded.into()),
        };
        match asked {
            Ok(len) => {
                let (verb, headers) = (request.verb, &request.headers);
                let (mut head, _) = self.heads.object(verb, headers, &request.name, len, 0, Outcome::Pass);
                tally.because(Reason::Head);
                self.heads.explain_object(head.headers_mut(), Outcome::Pass, Reason::Head);
                (head.map(|()| Body::empty()), Outcome::Pass)
            }
            Err(error) => self.failed(request, &error, tally),
        }
    }

    /// The answer from a fill that has something to show.
    async fn answer_from_fill(
        self: &Arc<Self>,
        request: &ObjectRequest,
        mut reader: FillReader,
        ready: Ready,
        outcome: Outcome,
    ) -> (Response<Body>, Outcome) {
        match ready {
            Ready::Complete(object) => self.at_rest(request, object, outcome).await,
            Ready::Streaming { len } => {
                let mut headers = request.headers.clone();
                // What is read once from start to end has no several stretches; all of it is right, too.
                if asks_for_several(&headers) {
                    headers.remove(RANGE);
                }
                let (head, selection) =
                    self.heads.object(request.verb, &headers, &request.name, len, 0, outcome);
                let body = match selection {
                    Selection::Nothing => Body::empty(),
                    Selection::Whole | Selection::Parts(_) => Body::fill(reader, len),
                    Selection::Part(part) => {
                        reader.seek(part.start);
                        Body::fill(reader, Some(part.end - part.start))
                    }
                };
                (head.map(|()| body), outcome)
            }
        }
    }

    /// The answer from an object in a tier, which may have to be waited for.
    async fn at_rest(
        self: &Arc<Self>,
        request: &ObjectRequest,
        object: Object,
        outcome: Outcome,
    ) -> (Response<Body>, Outcome) {
        let (verb, headers, name) = (request.verb, &request.headers, &request.name);
        match object {
            Object::Memory(object) => self.answer_from_memory(verb, headers, name, object, outcome),
            Object::Disk(object) => {
                let remainder = |len| self.remainder(*name, len, &request.account, request.place.clone());
                self.answer_from_disk(verb, headers, name, (object, None), remainder, outcome)
            }
        }
    }

    /// Waits until the first bytes of a stored object are read, so that a bad record is found before the head is sent;
    /// an object of one chunk moves up into memory.
    async fn readable(&self, name: &ObjectName, object: Object) -> Result<Object, ReadError> {
        let Object::Disk(object) = object else {
            return Ok(object);
        };
        let reading = object.clone();
        let read = tokio::task::spawn_blocking(move || reading.read(0, CHUNK));
        let waiting = read.abort_handle();
        let Ok(read) = tokio::time::timeout(READ_PATIENCE, read).await else {
            // One that has not begun yet need not begin.
            waiting.abort();
            self.cache.disk_is_slow();
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        };
        match read {
            Ok(Ok(first)) if first.len() as u64 == object.len() => {
                Ok(Object::Memory(self.cache.promote(*name, first, object.stored_at())))
            }
            Ok(Ok(_)) => Ok(Object::Disk(object)),
            Ok(Err(error)) => Err(error),
            // The runtime is going away, and the connection with it.
            Err(_) => Ok(Object::Disk(object)),
        }
    }
}

pub(super) fn too_many() -> FillError {
    FillError::new(Why::Overload, "too many downloads at once: `max_fills` in [objects]")
}

pub(super) fn irreplaceable() -> FillError {
    FillError::new(Why::Storage, "the stored bytes are bad and could not be replaced")
}

fn asks_for_several(headers: &HeaderMap) -> bool {
    headers.get(RANGE).is_some_and(|range| range.as_bytes().contains(&b','))
}

/// Seconds since `stored_at`.
fn age(stored_at: u32) -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    u32::try_from(now).unwrap_or(u32::MAX).saturating_sub(stored_at)
}
