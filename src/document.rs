//! Documents: whatever is not named by a checksum. RFC 9111, in full, for a shared cache.
//!
//! ```text
//! answer -> origin's conditions, a range or HEAD of nothing stored      pass
//!        -> stored and fresh (document/reuse.rs)                        hit
//!        -> else join the refresh under way, or lead one                flight, refresh
//!        -> the refresh fails, and the stored copy may stand in         stale
//! ```
//! Pure parts: `cache_control`, `freshness`, `storable`, `vary`, `reuse`, `validation`, `manifest`, `hop`, `reply`.
//! State: `store` (variants by URL), `watermark` (newest manifests), `flight` (refreshes under way).
//! Invariants: only complete bodies are stored; a manifest never goes back in time while its mark counts; a refresh
//! is its own task, so that a leader that goes away harms nobody.

mod body;
pub mod cache_control;
mod failure;
mod flight;
pub mod freshness;
pub mod hop;
mod key;
pub mod manifest;
mod policy;
mod refresh;
mod reply;
pub mod reuse;
mod shelf;
pub mod storable;
mod store;
mod stored;
#[cfg(test)]
mod tests;
pub mod validation;
pub mod vary;
mod watermark;

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;

pub use self::body::{AnswerBody, PassBody};
use self::cache_control::RequestDirectives;
pub use self::failure::Failure;
use self::flight::{Flight, FlightLimits, Flights, Join};
pub use self::key::{DocumentKey, Kind};
pub use self::policy::Policy;
pub use self::refresh::UpstreamRequest;
use self::refresh::{Clock, Document, Job, ManifestStanding, Refreshed, mark_key, passed_on};
use self::reuse::Reuse;
use self::shelf::Shelf;
use self::store::Lookup;
use self::stored::Stored;
use self::watermark::Standing;
use crate::config;
use crate::metrics::DocumentMetrics;
use crate::outcome::Outcome;
use crate::response::cache_status::{CacheStatus, Forward, Forwarded, Handling, Kept, Sharing};

/// The cache of documents. Cheap to clone; one for all workers. `E` is the upstream's error, shared by all who wait.
pub struct Documents<E> {
    shelf: Arc<Shelf>,
    flights: Arc<Flights<Landed<E>>>,
}

impl<E> Clone for Documents<E> {
    fn clone(&self) -> Self {
        Self { shelf: self.shelf.clone(), flights: self.flights.clone() }
    }
}

/// A request for a document.
#[derive(Clone, Debug)]
pub struct DocumentRequest {
    /// GET or HEAD.
    pub method: Method,
    /// The document.
    pub key: DocumentKey,
    /// Which hosts' manifests may stand for one another: the mirror group's name, or the authority of a host that is
    /// in none. Never something that clients can choose for a host that others use.
    pub scope: Arc<str>,
    /// Fields, as the client sent them.
    pub headers: HeaderMap,
}

/// An answer: end-to-end fields with `Date`, `Age` and `Content-Length` where due.
#[derive(Debug)]
pub struct Answer<B> {
    /// The response.
    pub response: Response<AnswerBody<B>>,
    /// For metrics and the access log.
    pub outcome: Outcome,
    /// For the client.
    pub cache_status: CacheStatus,
}

/// What those who waited for a refresh get.
#[derive(Clone)]
enum Landed<E> {
    Document(Document),
    /// Nothing that could be shared: everybody fetches for themselves.
    Nothing,
    Failed(Failure<E>),
}

/// A request while it is being answered.
struct Asking {
    request: DocumentRequest,
    directives: RequestDirectives,
    clock: Clock,
}

impl<E> Documents<E>
where
    E: Clone + Send + Sync + 'static,
{
    /// An empty cache with the default [`Policy`].
    pub fn new(config: &config::Documents, metrics: DocumentMetrics) -> Self {
        Self::with_policy(config, Policy::default(), metrics)
    }

    /// An empty cache.
    pub fn with_policy(config: &config::Documents, policy: Policy, metrics: DocumentMetrics) -> Self {
        let limits = FlightLimits { flights: policy.max_flights, waiters: policy.max_waiters };
        Self { shelf: Arc::new(Shelf::new(config, policy, metrics)), flights: Arc::new(Flights::new(limits)) }
    }

    /// Answers a request, from the store or with the help of `fetch`, which is called at most once, and mostly in a
    /// task of its own. `now` is the wall clock at the time of the call.
    ///
    /// # Errors
    /// [`Failure`] when nothing can be sent; an error in a passed body only shows when that is read.
    pub async fn answer<F, Fut, B>(
        &self,
        request: DocumentRequest,
        fetch: F,
        now: SystemTime,
    ) -> Result<Answer<B>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        let directives = RequestDirectives::read(&request.headers);
        let asking = Asking { request, directives, clock: Clock::starting_at(now) };
        if validation::is_for_the_origin(&asking.request.headers) {
            return asking.pass(fetch, Forward::Request, Outcome::Pass).await;
        }
        let (stored, reason) = match self.look_up(&asking) {
            Found::Answer(answer) => return Ok(answer),
            Found::Ask(stored, reason) => (stored, reason),
        };
        if asking.directives.only_if_cached {
            return Err(Failure::OnlyIfCached);
        }
        if stored.is_none() && asking.request.method == Method::HEAD {
            return asking.pass(fetch, reason, Outcome::Pass).await;
        }
        if stored.is_none() && asking.request.headers.contains_key(header::RANGE) {
            return asking.pass(fetch, reason, Outcome::Pass).await;
        }
        self.refreshed(asking, stored, reason, fetch).await
    }

    fn look_up<B>(&self, asking: &Asking) -> Found<B> {
        let stored = match self.shelf.store.find(&asking.request.key, &asking.request.headers) {
            Lookup::Nothing => return Found::Ask(None, Forward::UriMiss),
            Lookup::OtherVariants => return Found::Ask(None, Forward::VaryMiss),
            Lookup::Found(stored) => stored,
        };
        let now = asking.clock.now();
        match reuse::decide(stored.facts(&asking.directives, now)) {
            Reuse::Fresh | Reuse::AcceptedStale => {
                Found::Answer(asking.hit(&self.newest(asking, stored), Outcome::DocumentHit))
            }
            Reuse::Ask(_) if stored.rests(now) && self.may_stand_in(asking, &stored) => {
                Found::Answer(self.stale(asking, &stored))
            }
            Reuse::Ask(reason) => Found::Ask(Some(stored), reason),
        }
    }

    async fn refreshed<F, Fut, B>(
        &self,
        asking: Asking,
        stored: Option<Arc<Stored>>,
        reason: Forward,
        fetch: F,
    ) -> Result<Answer<B>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        let job = asking.job(stored.clone(), stored.clone().filter(|one| self.may_stand_in(&asking, one)));
        let join = if asking.shares_refreshes() { self.flights.join(&job.key) } else { Join::Full };
        let refreshed = match join {
            Join::Lead(flight) => {
                // Another flight may have landed between the look-up and now.
                if let Found::Answer(answer) = self.look_up(&asking) {
                    return Ok(answer);
                }
                self.lead(flight, job, fetch).await
            }
            Join::Wait(waiter) => {
                let waiting = self.shelf.waiting();
                let landed = waiter.landed().await;
                drop(waiting);
                match landed {
                    Some(Landed::Document(document)) if asking.may_share(&document.stored) => {
                        return Ok(asking.document(&document, reason, Sharing::Collapsed));
                    }
                    // An answer that only the leader could replace by a stored one is fetched again.
                    Some(Landed::Failed(failure)) if job.stand_in.is_some() || !failure.has_answer() => {
                        Refreshed::Failed(failure)
                    }
                    Some(_) => job.run(&self.shelf, fetch).await,
                    None => match self.look_up(&asking) {
                        Found::Answer(answer) => return Ok(answer),
                        Found::Ask(..) => job.run(&self.shelf, fetch).await,
                    },
                }
            }
            Join::Full => job.run(&self.shelf, fetch).await,
            Join::Crowded => return Err(Failure::Overload),
        };
        match refreshed {
            Refreshed::Document(document) => Ok(asking.document(&document, reason, Sharing::Alone)),
            Refreshed::Passed { response, reason: why } => Ok(asking.passed(response, reason, why.as_str())),
            Refreshed::Failed(failure) => match stored {
                Some(stored) if self.may_stand_in(&asking, &stored) => Ok(self.stale(&asking, &stored)),
                _ => Err(failure),
            },
        }
    }

    /// Runs the refresh in a task of its own, which ends by itself: the upstream bounds the time to the head, and
    /// [`Policy::patience`] the time for the body.
    async fn lead<F, Fut, B>(&self, flight: Flight<Landed<E>>, job: Job, fetch: F) -> Refreshed<B, E>
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        let shelf = self.shelf.clone();
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            let refreshed = job.run(&shelf, fetch).await;
            flight.land(Landed::of(&refreshed));
            // The leader may have gone; a response that was to be passed on to it ends here.
            let _ = sender.send(refreshed);
        });
        receiver.await.unwrap_or(Refreshed::Failed(Failure::Interrupted))
    }

    fn may_stand_in(&self, asking: &Asking, stored: &Stored) -> bool {
        let bound = self.shelf.stand_in_bound(&asking.request.key);
        reuse::may_stand_in(stored.facts(&asking.directives, asking.clock.now()), bound)
    }

    /// The stored response, or the newest manifest in its place.
    fn newest(&self, asking: &Asking, stored: Arc<Stored>) -> Arc<Stored> {
        let Some(key) = mark_key(&asking.request.key, &asking.request.scope) else { return stored };
        match self.shelf.watermarks.standing(&key, &stored, asking.clock.now()) {
            Standing::Newest => stored,
            Standing::Older(newest) => Arc::new(newest.as_fresh_as(&stored)),
        }
    }

    fn stale<B>(&self, asking: &Asking, stored: &Arc<Stored>) -> Answer<B> {
        self.shelf.metrics.stale.inc();
        let mut answer = asking.hit(&self.newest(asking, stored.clone()), Outcome::DocumentStale);
        answer.cache_status.detail = Some("stale-if-error");
        answer
    }
}

/// What a look-up says.
enum Found<B> {
    Answer(Answer<B>),
    Ask(Option<Arc<Stored>>, Forward),
}

impl<E: Clone> Landed<E> {
    fn of<B>(refreshed: &Refreshed<B, E>) -> Self {
        match refreshed {
            Refreshed::Document(document) if is_shareable(document) => Self::Document(document.clone()),
            Refreshed::Document(_) | Refreshed::Passed { .. } => Self::Nothing,
            Refreshed::Failed(failure) => Self::Failed(failure.clone()),
        }
    }
}

/// What is not kept for want of use may be shared all the same; what may not be kept may not.
fn is_shareable(document: &Document) -> bool {
    matches!(document.kept, Ok(()) | Err(storable::NotStored::NoUse))
}

impl Asking {
    fn job(&self, stored: Option<Arc<Stored>>, stand_in: Option<Arc<Stored>>) -> Job {
        Job {
            key: self.request.key.clone(),
            scope: self.request.scope.clone(),
            headers: self.request.headers.clone(),
            directives: self.directives,
            stored,
            stand_in,
            clock: self.clock,
        }
    }

    /// Not those who demand a reload: they must not get what was asked for before they came. Nor those whose answer
    /// could hardly be shared.
    fn shares_refreshes(&self) -> bool {
        let personal = self.directives.no_store || self.request.headers.contains_key(header::AUTHORIZATION);
        !self.directives.demands_reload() && !personal
    }

    fn may_share(&self, stored: &Stored) -> bool {
        stored.selection().matches(&self.request.headers)
            && reuse::may_share(stored.facts(&self.directives, self.clock.now()))
    }

    fn reply<B>(&self, stored: &Stored) -> Response<AnswerBody<B>> {
        reply::reply(stored, &self.request.method, &self.request.headers, self.clock.now())
            .map(AnswerBody::Complete)
    }

    fn ttl(&self, stored: &Stored) -> i64 {
        stored.freshness().remaining(self.clock.now()).ttl()
    }

    fn hit<B>(&self, stored: &Stored, outcome: Outcome) -> Answer<B> {
        Answer { response: self.reply(stored), outcome, cache_status: CacheStatus::hit(self.ttl(stored)) }
    }

    fn document<B>(&self, document: &Document, reason: Forward, sharing: Sharing) -> Answer<B> {
        let outcome = match (sharing, document.answered) {
            (Sharing::Collapsed, _) => Outcome::DocumentCollapsed,
            (Sharing::Alone, StatusCode::NOT_MODIFIED) => Outcome::DocumentRevalidated,
            (Sharing::Alone, _) => Outcome::DocumentMiss,
        };
        let kept = if document.kept.is_ok() { Kept::Stored } else { Kept::NotStored };
        let forwarded = Forwarded { reason, status: Some(document.answered), kept, sharing };
        let detail = match (document.standing, document.kept) {
            (ManifestStanding::Replaced, _) => Some("older-manifest"),
            (ManifestStanding::AsReceived, Err(reason)) => Some(reason.as_str()),
            (ManifestStanding::AsReceived, Ok(())) => None,
        };
        let ttl = Some(self.ttl(&document.stored));
        let cache_status = CacheStatus { handling: Handling::Forwarded(forwarded), ttl, detail };
        Answer { response: self.reply(&document.stored), outcome, cache_status }
    }

    fn passed<B>(&self, response: Response<PassBody<B>>, reason: Forward, detail: &'static str) -> Answer<B> {
        let cache_status = CacheStatus::forwarded(reason, Some(response.status()));
        Answer {
            response: response.map(AnswerBody::Passing),
            outcome: Outcome::DocumentMiss,
            cache_status: CacheStatus { detail: Some(detail), ..cache_status },
        }
    }

    /// Sends the client's own request on, and its answer back, touching nothing.
    async fn pass<F, Fut, B, E>(
        self,
        fetch: F,
        reason: Forward,
        outcome: Outcome,
    ) -> Result<Answer<B>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
    {
        let headers = hop::forwardable_request(self.request.headers);
        let request = UpstreamRequest { method: self.request.method, headers };
        let (head, body) = fetch(request).await.map_err(Failure::Upstream)?.into_parts();
        let cache_status = CacheStatus::forwarded(reason, Some(head.status));
        let response = passed_on(head, PassBody::new(body), self.clock.now());
        Ok(Answer { response: response.map(AnswerBody::Passing), outcome, cache_status })
    }
}
