//! One request while it is being answered, and the answers it can get.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header, response};

use super::body::{AnswerBody, PassBody};
use super::cache_control::RequestDirectives;
use super::clock::Clock;
use super::failure::Failure;
use super::flow::Flow;
use super::freshness::Exchange;
use super::keeping::{Intake, KeepBody};
use super::partial::NewPart;
use super::refresh::{Document, Job, ManifestStanding, UpstreamRequest, passed_on};
use super::shelf::Shelf;
use super::storable::{Asked, NotStored};
use super::stored::Stored;
use super::terms::Terms;
use super::{Answer, DocumentRequest, hop, reply, reuse};
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::response::cache_status::{CacheStatus, Detail, Forward, Forwarded, Handling, Kept, Sharing};

/// A request while it is being answered.
pub struct Asking {
    /// The request.
    pub request: DocumentRequest,
    /// Its directives.
    pub directives: RequestDirectives,
    /// The operator's word about the document.
    pub terms: Terms,
    /// The time.
    pub clock: Clock,
}

impl Asking {
    /// A request that came at `now`.
    pub fn new(request: DocumentRequest, terms: Terms, now: SystemTime) -> Self {
        let directives = RequestDirectives::read(&request.headers);
        Self { request, directives, terms, clock: Clock::starting_at(now) }
    }

    /// The refresh on its behalf.
    pub fn job(&self, stored: Option<Arc<Stored>>, stand_in: Option<Arc<Stored>>) -> Job {
        Job {
            key: self.request.key.clone(),
            scope: self.request.scope.clone(),
            headers: self.request.headers.clone(),
            directives: self.directives,
            stored,
            stand_in,
            terms: self.terms,
            clock: self.clock,
        }
    }

    /// Not those who demand a reload: they must not get what was asked for before they came. Nor those whose answer
    /// could hardly be shared.
    pub fn shares_refreshes(&self) -> bool {
        let personal = self.directives.no_store || self.request.headers.contains_key(header::AUTHORIZATION);
        !self.directives.demands_reload() && !personal
    }

    /// Whether an answer that another request caused will do for this one.
    pub fn may_share(&self, stored: &Stored) -> bool {
        stored.selection().matches(&self.request.headers)
            && reuse::may_share(stored.facts(&self.directives, self.clock.now()))
    }

    fn reply<B, E>(&self, stored: &Stored) -> Response<AnswerBody<B, E>> {
        reply::reply(stored, &self.request.method, &self.request.headers, self.clock.now())
            .map(AnswerBody::Complete)
    }

    fn ttl(&self, stored: &Stored) -> i64 {
        stored.freshness().remaining(self.clock.now()).ttl()
    }

    /// An answer from the store.
    pub fn hit<B, E>(&self, stored: &Stored, outcome: Outcome) -> Answer<B, E> {
        Answer { response: self.reply(stored), outcome, cache_status: CacheStatus::hit(self.ttl(stored)) }
    }

    /// An answer from parts of a document.
    pub fn hit_of<B, E>(&self, head: &Stored, response: Response<Bytes>) -> Answer<B, E> {
        let cache_status = CacheStatus { detail: Some(Detail::Parts), ..CacheStatus::hit(self.ttl(head)) };
        Answer { response: response.map(AnswerBody::Complete), outcome: Outcome::DocumentHit, cache_status }
    }

    /// An answer that upstream has just sent or confirmed.
    pub fn document<B, E>(&self, document: &Document, reason: Forward, sharing: Sharing) -> Answer<B, E> {
        let outcome = match (sharing, document.answered) {
            (Sharing::Collapsed, _) => Outcome::DocumentCollapsed,
            (Sharing::Alone, StatusCode::NOT_MODIFIED) => Outcome::DocumentRevalidated,
            (Sharing::Alone, _) => Outcome::DocumentMiss,
        };
        let kept = if document.kept.is_ok() { Kept::Stored } else { Kept::NotStored };
        let forwarded = Forwarded { reason, status: Some(document.answered), kept, sharing };
        let detail = match (document.standing, document.kept) {
            (ManifestStanding::Replaced, _) => Some(Reason::OlderManifest),
            (ManifestStanding::AsReceived, Err(reason)) => Some(reason.reason()),
            (ManifestStanding::AsReceived, Ok(())) => None,
        };
        let ttl = Some(self.ttl(&document.stored));
        let cache_status =
            CacheStatus { handling: Handling::Forwarded(forwarded), ttl, detail: detail.map(Detail::Why) };
        Answer { response: self.reply(&document.stored), outcome, cache_status }
    }

    /// An answer that still arrives, for one who reads along.
    pub fn flowing<B, E>(
        &self,
        head: &Stored,
        flow: &Flow<E>,
        reason: Forward,
        sharing: Sharing,
    ) -> Answer<B, E> {
        let DocumentRequest { method, headers, .. } = &self.request;
        let response =
            reply::reply_flowing(head, method, headers, self.clock.now(), flow.length(), || flow.read());
        // Whether it will be stored shows only at its end.
        let forwarded = Forwarded { reason, status: Some(head.status()), kept: Kept::NotStored, sharing };
        let cache_status = CacheStatus {
            handling: Handling::Forwarded(forwarded),
            ttl: Some(self.ttl(head)),
            detail: Some(Detail::Why(Reason::SlowBody)),
        };
        Answer {
            response: response
                .map(|body| body.map_or(AnswerBody::Complete(Bytes::new()), AnswerBody::Flowing)),
            outcome: if sharing == Sharing::Collapsed {
                Outcome::DocumentCollapsed
            } else {
                Outcome::DocumentMiss
            },
            cache_status,
        }
    }

    /// An answer that goes to one client and nowhere else.
    pub fn passed<B, E>(
        &self,
        response: Response<PassBody<B>>,
        reason: Forward,
        why: NotStored,
    ) -> Answer<B, E> {
        let cache_status = CacheStatus::forwarded(reason, Some(response.status()));
        Answer {
            response: response.map(AnswerBody::Passing),
            outcome: Outcome::DocumentMiss,
            cache_status: cache_status.because(why.reason()),
        }
    }

    /// Sends the client's own request for a range on, and keeps the part that comes, if it may be kept and there is room.
    pub async fn pass_and_keep<F, Fut, B, E>(
        self,
        shelf: &Arc<Shelf>,
        fetch: F,
        reason: Forward,
    ) -> Result<Answer<B, E>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
    {
        let requested = self.clock.now();
        let headers = hop::forwardable_request(self.request.headers.clone());
        let request = UpstreamRequest { method: self.request.method.clone(), headers };
        let (head, body) = fetch(request).await.map_err(Failure::Upstream)?.into_parts();
        let at = Exchange { requested, received: self.clock.now() };
        let cache_status = CacheStatus::forwarded(reason, Some(head.status));
        let intake = self.intake(shelf, &head, at);
        let response = passed_on(head, PassBody::new(body), at.received);
        Ok(match intake {
            None => {
                let cache_status = cache_status.because(Reason::Range);
                Answer { response: response.map(AnswerBody::Passing), outcome: Outcome::Pass, cache_status }
            }
            Some(intake) => Answer {
                response: response.map(|body| AnswerBody::Keeping(Box::new(KeepBody::new(body, intake)))),
                outcome: Outcome::DocumentMiss,
                // Whether it will be stored shows only at its end.
                cache_status: cache_status.because(Reason::Part),
            },
        })
    }

    fn intake(self, shelf: &Arc<Shelf>, head: &response::Parts, at: Exchange) -> Option<Intake> {
        let Self { request: DocumentRequest { key, headers, .. }, directives, terms, .. } = self;
        let asked = Asked { method: &Method::GET, headers: &headers, directives: &directives };
        let part = NewPart::of(asked, head, at, shelf.max_size)?;
        let mut reservation = shelf.budget.reservation();
        reservation.grow(part.range.end - part.range.start).ok()?;
        Some(Intake { shelf: Arc::clone(shelf), key, headers, directives, terms, part, reservation })
    }

    /// Sends the client's own request on, and its answer back, touching nothing.
    pub async fn pass<F, Fut, B, E>(
        self,
        fetch: F,
        reason: Forward,
        why: Reason,
    ) -> Result<Answer<B, E>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
    {
        let headers = hop::forwardable_request(self.request.headers);
        let request = UpstreamRequest { method: self.request.method, headers };
        let (head, body) = fetch(request).await.map_err(Failure::Upstream)?.into_parts();
        let cache_status = CacheStatus::forwarded(reason, Some(head.status)).because(why);
        let response = passed_on(head, PassBody::new(body), self.clock.now());
        Ok(Answer { response: response.map(AnswerBody::Passing), outcome: Outcome::Pass, cache_status })
    }
}
