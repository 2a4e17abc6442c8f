//! Documents: whatever is not named by a checksum. RFC 9111, in full, for a shared cache.
//!
//! ```text
//! answer -> origin's conditions, HEAD of nothing stored                 pass
//!        -> a range of nothing stored: from parts, or passed on and kept    partial, keeping
//!        -> stored and fresh (document/reuse.rs)                        hit
//!        -> else join the refresh under way, or lead one                flight, refresh
//!        -> the refresh fails, and the stored copy may stand in         stale
//! ```
//! Pure parts: `cache_control`, `freshness`, `parts`, `storable`, `vary`, `reuse`, `validation`, `manifest`, `hop`, `reply`.
//! State: `store` (variants by URL), `partial` (parts of some), `watermark` (newest manifests), `flight` (refreshes under
//! way); `disk` outlives them.
//! Invariants: only complete bodies are in the store; a manifest never goes back in time while its mark counts; a refresh
//! is its own task, so that a leader that goes away harms nobody.

mod asking;
mod body;
mod budget;
pub mod cache_control;
mod change;
mod clock;
pub mod disk;
mod failure;
mod flight;
mod flow;
pub mod freshness;
pub mod hop;
mod keeping;
mod key;
pub mod manifest;
mod partial;
pub mod parts;
mod policy;
mod refresh;
mod reply;
pub mod reuse;
mod sharing;
mod shelf;
mod slow;
pub mod storable;
mod store;
mod stored;
pub mod terms;
#[cfg(test)]
mod tests;
pub mod validation;
pub mod vary;
mod watermark;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Response};
use http_body::Body;

use self::asking::Asking;
pub use self::body::{AnswerBody, PassBody};
use self::disk::{Keeper, Place};
pub use self::failure::Failure;
use self::flight::{FlightLimits, Flights};
pub use self::key::{DocumentKey, Kind};
pub use self::policy::Policy;
pub use self::refresh::UpstreamRequest;
use self::refresh::mark_key;
use self::reuse::Reuse;
use self::sharing::Landed;
use self::shelf::Shelf;
use self::store::Lookup;
use self::stored::Stored;
pub use self::watermark::ManifestStatus;
use self::watermark::Standing;
use crate::config::{self, DocumentRule};
use crate::metrics::DocumentMetrics;
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::response::cache_status::{CacheStatus, Forward};

/// The cache of documents. Cheap to clone; one for all workers. `E` is the upstream's error, shared by all who wait.
pub struct Documents<E> {
    shelf: Arc<Shelf>,
    flights: Arc<Flights<Landed<E>>>,
    keeper: Option<Arc<Keeper>>,
}

impl<E> Clone for Documents<E> {
    fn clone(&self) -> Self {
        Self { shelf: self.shelf.clone(), flights: self.flights.clone(), keeper: self.keeper.clone() }
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

impl<E> Documents<E>
where
    E: Clone + Send + Sync + 'static,
{
    /// A cache with the default [`Policy`]. What `place` holds is loaded while requests are answered.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(
        memory: &config::Memory,
        rules: &[DocumentRule],
        place: Option<Place>,
        metrics: DocumentMetrics,
    ) -> io::Result<Self> {
        Self::with_policy(memory, rules, place, Policy::default(), metrics)
    }

    /// The same with another [`Policy`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn with_policy(
        memory: &config::Memory,
        rules: &[DocumentRule],
        place: Option<Place>,
        policy: Policy,
        metrics: DocumentMetrics,
    ) -> io::Result<Self> {
        let limits = FlightLimits { flights: policy.max_flights, waiters: policy.max_waiters };
        // Where nothing is kept, and nothing was, there is nothing to clear away either.
        let place = place.filter(|place| place.bound > 0 || place.folder.exists());
        let desk = place.as_ref().and_then(|place| place.desk(&metrics.disk));
        let shelf = Arc::new(Shelf::new(memory, rules, policy, desk.clone(), metrics));
        let keeper = place.map(|place| Keeper::start(place, desk, Arc::clone(&shelf))).transpose()?;
        Ok(Self { shelf, flights: Arc::new(Flights::new(limits)), keeper: keeper.map(Arc::new) })
    }

    /// Waits until everything on its way to the disk is there or given up. Blocks.
    pub fn flush(&self) {
        self.keeper.iter().for_each(|keeper| keeper.flush());
    }

    /// Writes what is to be written to the disk, and nothing afterwards. Blocks.
    pub fn close(&self) {
        self.keeper.iter().for_each(|keeper| keeper.close());
    }

    /// What is on disk, if anything is kept there.
    pub fn on_disk(&self) -> Option<disk::Usage> {
        self.keeper.as_ref().map(|keeper| keeper.usage())
    }

    /// The same documents under other rules. `[memory] documents` stays what it was.
    pub fn under(&self, memory: &config::Memory, rules: &[DocumentRule]) -> Self {
        Self {
            shelf: Arc::new(self.shelf.under(memory, rules)),
            flights: Arc::clone(&self.flights),
            keeper: self.keeper.clone(),
        }
    }

    /// Forgets all that is stored of a document; whether there was anything.
    pub fn forget(&self, key: &DocumentKey) -> bool {
        self.shelf.forget(key)
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
        let terms = self.shelf.terms(&request.key);
        let asking = Asking::new(request, terms, now);
        if validation::is_for_the_origin(&asking.request.headers) {
            return asking.pass(fetch, Forward::Request, Reason::Conditional).await;
        }
        let (stored, reason) = match self.look_up(&asking) {
            Found::Answer(answer) => return Ok(answer),
            Found::Meanwhile(stored) => {
                let answer = self.meanwhile(&asking, &stored);
                self.refresh_behind(&asking, stored, fetch);
                return Ok(answer);
            }
            Found::Ask(stored, reason) => (stored, reason),
        };
        let reason = match self.look_for_parts(&asking, stored.is_some(), reason) {
            Ok(answer) => return Ok(answer),
            Err(reason) => reason,
        };
        if asking.directives.only_if_cached {
            return Err(Failure::OnlyIfCached);
        }
        if stored.is_none() && asking.request.method == Method::HEAD {
            return asking.pass(fetch, reason, Reason::Head).await;
        }
        if stored.is_none() && asking.request.headers.contains_key(header::RANGE) {
            return self.part(asking, fetch, reason).await;
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
            Reuse::Ask(_) if self.may_serve_meanwhile(asking, &stored) => Found::Meanwhile(stored),
            Reuse::Ask(reason) => Found::Ask(Some(stored), reason),
        }
    }

    /// The answer from parts, if they have what is asked for; else why the upstream is asked.
    fn look_for_parts<B>(
        &self,
        asking: &Asking,
        stored: bool,
        reason: Forward,
    ) -> Result<Answer<B, E>, Forward> {
        let DocumentRequest { method, key, headers, .. } = &asking.request;
        if stored || method != Method::GET || !headers.contains_key(header::RANGE) {
            return Err(reason);
        }
        let partial = self.shelf.partials.find(key, headers).ok_or(reason)?;
        let now = asking.clock.now();
        match reuse::decide(partial.head.facts(&asking.directives, now)) {
            Reuse::Ask(reason) => Err(reason),
            Reuse::Fresh | Reuse::AcceptedStale => {
                let response = partial.reply(headers, now).ok_or(Forward::Partial)?;
                Ok(asking.hit_of(&partial.head, response))
            }
        }
    }

    /// Passes the request for a range on, and keeps what comes if it may be kept.
    async fn part<F, Fut, B>(
        &self,
        asking: Asking,
        fetch: F,
        reason: Forward,
    ) -> Result<Answer<B, E>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Unpin,
    {
        // A manifest must be judged whole.
        if matches!(asking.request.key.kind(), Kind::Manifest { .. }) {
            return asking.pass(fetch, reason, Reason::Range).await;
        }
        asking.pass_and_keep(&self.shelf, fetch, reason).await
    }

    fn may_stand_in(&self, asking: &Asking, stored: &Stored) -> bool {
        let facts = stored.facts(&asking.directives, asking.clock.now());
        reuse::may_stand_in(facts, asking.terms.stale_if_error)
    }

    fn may_serve_meanwhile(&self, asking: &Asking, stored: &Stored) -> bool {
        let facts = stored.facts(&asking.directives, asking.clock.now());
        asking.shares_refreshes() && reuse::may_serve_meanwhile(facts, asking.terms.stale_while_revalidate)
    }

    /// The stored response, or the newest manifest in its place.
    fn newest(&self, asking: &Asking, stored: Arc<Stored>) -> Arc<Stored> {
        let Some(key) = mark_key(&asking.request.key, &asking.request.scope) else { return stored };
        match self.shelf.watermarks.standing(&key, &stored, asking.clock.now()) {
            Standing::Newest => stored,
            Standing::Older(newest) => Arc::new(newest.as_fresh_as(&stored)),
        }
    }

    fn meanwhile<B>(&self, asking: &Asking, stored: &Arc<Stored>) -> Answer<B, E> {
        let mut answer = asking.hit(&self.newest(asking, stored.clone()), Outcome::DocumentStale);
        answer.cache_status = answer.cache_status.because(Reason::StaleWhileRevalidate);
        answer
    }

    fn stale<B>(&self, asking: &Asking, stored: &Arc<Stored>) -> Answer<B, E> {
        self.shelf.metrics.stale.inc();
        let mut answer = asking.hit(&self.newest(asking, stored.clone()), Outcome::DocumentStale);
        answer.cache_status = answer.cache_status.because(Reason::StaleIfError);
        answer
    }
}

/// What a look-up says.
enum Found<B, E> {
    Answer(Answer<B, E>),
    /// Stale, and to be sent all the same while a new one is fetched.
    Meanwhile(Arc<Stored>),
    Ask(Option<Arc<Stored>>, Forward),
}
