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

mod asking;
mod body;
mod budget;
pub mod cache_control;
mod clock;
mod failure;
mod flight;
mod flow;
pub mod freshness;
pub mod hop;
mod key;
pub mod manifest;
mod policy;
mod refresh;
mod reply;
pub mod reuse;
mod shelf;
mod slow;
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
use http::{Method, Response};
use http_body::Body;
use tokio::sync::oneshot;

use self::asking::Asking;
pub use self::body::{AnswerBody, PassBody};
pub use self::failure::Failure;
use self::flight::{Flight, FlightLimits, Flights, Join};
use self::flow::Flow;
pub use self::key::{DocumentKey, Kind};
pub use self::policy::Policy;
pub use self::refresh::UpstreamRequest;
use self::refresh::{Document, Job, Refreshed, mark_key};
use self::reuse::Reuse;
use self::shelf::Shelf;
use self::storable::NotStored;
use self::store::Lookup;
use self::stored::Stored;
pub use self::watermark::ManifestStatus;
use self::watermark::Standing;
use crate::config;
use crate::metrics::DocumentMetrics;
use crate::outcome::Outcome;
use crate::response::cache_status::{CacheStatus, Forward, Sharing};

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
pub struct Answer<B, E> {
    /// The response.
    pub response: Response<AnswerBody<B, E>>,
    /// For metrics and the access log.
    pub outcome: Outcome,
    /// For the client.
    pub cache_status: CacheStatus,
}

/// What those who waited for a refresh get.
#[derive(Clone)]
enum Landed<E> {
    Document(Document),
    /// A response that still arrives.
    Flowing(Arc<Stored>, Flow<E>),
    /// Nothing that could be shared: everybody fetches for themselves.
    Nothing,
    Failed(Failure<E>),
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

    /// The newest manifests known, at most so many: those that were confirmed last.
    pub fn manifests(&self, most: usize, now: SystemTime) -> Vec<ManifestStatus> {
        self.shelf.watermarks.latest(most, now)
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
    ) -> Result<Answer<B, E>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        let asking = Asking::new(request, now);
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

    fn look_up<B>(&self, asking: &Asking) -> Found<B, E> {
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
    ) -> Result<Answer<B, E>, Failure<E>>
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
                    Some(Landed::Flowing(head, flow)) if asking.may_share(&head) => {
                        return Ok(asking.flowing(&head, &flow, reason, Sharing::Collapsed));
                    }
                    Some(Landed::Document(document)) if asking.may_share(&document.stored) => {
                        return Ok(asking.document(&document, reason, Sharing::Collapsed));
                    }
                    // An answer that only the leader could replace by a stored one is fetched again.
                    Some(Landed::Failed(failure)) if job.stand_in.is_some() || !failure.has_answer() => {
                        Ended::Failed(failure)
                    }
                    Some(_) => self.alone(job, fetch).await,
                    None => match self.look_up(&asking) {
                        Found::Answer(answer) => return Ok(answer),
                        Found::Ask(..) => self.alone(job, fetch).await,
                    },
                }
            }
            Join::Full => self.alone(job, fetch).await,
            Join::Crowded => return Err(Failure::Overload),
        };
        match refreshed {
            Ended::Flowing(head, flow) => Ok(asking.flowing(&head, &flow, reason, Sharing::Alone)),
            Ended::Document(document) => Ok(asking.document(&document, reason, Sharing::Alone)),
            Ended::Passed(response, why) => Ok(asking.passed(response, reason, why)),
            Ended::Failed(failure) => match stored {
                Some(stored) if self.may_stand_in(&asking, &stored) => Ok(self.stale(&asking, &stored)),
                _ => Err(failure),
            },
        }
    }

    /// Runs the refresh in a task of its own, which ends by itself: the upstream bounds the time to the head,
    /// [`Policy`] the time for the body.
    async fn lead<F, Fut, B>(&self, flight: Flight<Landed<E>>, job: Job, fetch: F) -> Ended<B, E>
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        let shelf = self.shelf.clone();
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            // In all cases the leader may have gone; what was meant for it alone then ends here.
            let refreshed = job.run(&shelf, fetch).await;
            let Refreshed::Slow(slow) = refreshed else {
                let ended = Ended::of(refreshed);
                flight.land(Landed::of(&ended));
                let _ = sender.send(ended);
                return;
            };
            let announce = |head: Arc<Stored>, flow: Flow<E>| {
                flight.announce(Landed::Flowing(head.clone(), flow.clone()));
                let _ = sender.send(Ended::Flowing(head, flow));
            };
            let finished = slow.finish(&job, &shelf, announce).await;
            // Over before anybody hears of its end, as every flight.
            drop(flight);
            finished.tell();
        });
        receiver.await.unwrap_or(Ended::Failed(Failure::Interrupted))
    }

    /// Runs the refresh for one request alone, and only as long as that lives.
    async fn alone<F, Fut, B>(&self, job: Job, fetch: F) -> Ended<B, E>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<E>,
    {
        Ended::of(job.run(&self.shelf, fetch).await)
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

    fn stale<B>(&self, asking: &Asking, stored: &Arc<Stored>) -> Answer<B, E> {
        self.shelf.metrics.stale.inc();
        let mut answer = asking.hit(&self.newest(asking, stored.clone()), Outcome::DocumentStale);
        answer.cache_status.detail = Some("stale-if-error");
        answer
    }
}

/// What a look-up says.
enum Found<B, E> {
    Answer(Answer<B, E>),
    Ask(Option<Arc<Stored>>, Forward),
}

/// How a refresh ended for the one who caused it.
enum Ended<B, E> {
    Document(Document),
    Flowing(Arc<Stored>, Flow<E>),
    Passed(Response<PassBody<B>>, NotStored),
    Failed(Failure<E>),
}

impl<B, E> Ended<B, E> {
    fn of(refreshed: Refreshed<B, E>) -> Self {
        match refreshed {
            Refreshed::Document(document) => Self::Document(document),
            Refreshed::Slow(slow) => Self::Passed(slow.passed_on(), NotStored::TooSlow),
            Refreshed::Passed { response, reason } => Self::Passed(response, reason),
            Refreshed::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl<E: Clone> Landed<E> {
    fn of<B>(ended: &Ended<B, E>) -> Self {
        match ended {
            Ended::Document(document) if is_shareable(document) => Self::Document(document.clone()),
            Ended::Flowing(head, flow) => Self::Flowing(head.clone(), flow.clone()),
            Ended::Document(_) | Ended::Passed(..) => Self::Nothing,
            Ended::Failed(failure) => Self::Failed(failure.clone()),
        }
    }
}

/// What is not kept for want of use may be shared all the same; what may not be kept may not.
fn is_shareable(document: &Document) -> bool {
    matches!(document.kept, Ok(()) | Err(NotStored::NoUse))
}
