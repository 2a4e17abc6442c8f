//! One request from start to end. The page to read first.
//!
//! A request is parsed and judged ([`request::parse`]). An object is looked up: bytes that are here are answered without
//! waiting; otherwise the request reads along with a fill, which it starts when nobody did. A document goes through
//! [`Documents::answer`]. Every end of every way is a [`Response`] from [`Heads`], and every answer's [`Tally`] is kept until
//! its last byte.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use crate::access::{Access, Denial};
use crate::cache::disk::{DiskObject, ReadError};
use crate::cache::{CHUNK, Cache, FillError, FillReader, Lookup, MemoryObject, Object, Ready, Recheck, Why};
use crate::config::{self, Scheme, ServerUrl};
use crate::digest::ObjectName;
use crate::document::{DocumentKey, DocumentRequest, Documents, UpstreamRequest};
use crate::fetch::{Fetch, HedgeBudget};
use crate::outcome::Outcome;
use crate::request::{self, Refusal, Target, Verb};
use crate::response::body::{Body, DiskSource};
use crate::response::{Heads, Selection, whole};
use crate::tally::{Activity, Recorder, Tally};
use crate::upstream::{Client, RouteKind, RouteQuery, Upstreams};

/// How often a request looks an object up again after the fill it joined failed, or after bytes at rest proved bad.
const LOOKUPS: usize = 3;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Everything a worker thread needs to answer requests. The caches and rules are shared by all workers, the connections
/// and the recorder are its own.
pub struct Worker {
    /// Objects.
    pub cache: Arc<Cache>,
    /// Documents.
    pub documents: Documents<FillError>,
    /// Rules.
    pub access: Arc<Access>,
    /// Whom to ask.
    pub upstreams: Arc<Upstreams>,
    /// Connections to them.
    pub client: Client,
    /// Heads of answers.
    pub heads: Arc<Heads>,
    /// Metrics and log.
    pub recorder: Arc<Recorder>,
    /// `[objects]`
    pub objects: config::Objects,
    /// `[upstream]`
    pub upstream: config::Upstream,
    /// Early second requests, of all workers.
    pub hedges: Arc<HedgeBudget>,
}

/// The service of one client connection. Not through an adapter to tower: that clones the service for each request.
pub struct Service {
    worker: Arc<Worker>,
    client: IpAddr,
    activity: Arc<Activity>,
    /// Decided once: the rule looks at the address only.
    admitted: Result<(), Denial>,
}

/// An answer on its way. What is at hand needs neither an allocation nor a wait.
#[allow(clippy::large_enum_variant, reason = "the large variant is the frequent one, and must not allocate")]
pub enum Answering {
    /// At hand.
    Ready(Option<Response<Body>>),
    /// Waits for a disk, a fill or an upstream.
    Working(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<Body>, std::convert::Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Ready(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            Self::Working(working) => working.as_mut().poll(cx).map(Ok),
        }
    }
}

impl<B> hyper::service::Service<Request<B>> for Service {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn call(&self, request: Request<B>) -> Answering {
        self.answer(&request)
    }
}

/// A request for an object, detached from its head.
struct ObjectRequest {
    verb: Verb,
    name: ObjectName,
    headers: HeaderMap,
    place: Place,
}

/// Where a resource is said to be.
struct Place {
    named: Option<ServerUrl>,
    repository: Option<Box<str>>,
    path: PathAndQuery,
}

impl Service {
    /// The service of a connection from `client`.
    pub fn new(worker: Arc<Worker>, client: IpAddr, activity: Arc<Activity>) -> Self {
        let admitted = worker.access.client(client);
        Self { worker, client, activity, admitted }
    }

    fn answer<B>(&self, request: &Request<B>) -> Answering {
        let worker = &self.worker;
        let tally = Tally::open(&worker.recorder, &self.activity, self.client, request);
        let asked = match &self.admitted {
            Ok(()) => request::parse(request, &worker.access, worker.heads.mark()),
            Err(denial) => Err(Refusal::Denied(denial.clone())),
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(refusal) => {
                let (response, outcome) = worker.heads.refusal(&refusal);
                return Answering::ready(finish(whole(response, None), outcome, tally));
            }
        };
        match &asked.target {
            Target::Object(object) => {
                let wants_check = request::wants_no_cache(request.headers());
                if !wants_check
                    && let Some(response) = worker.at_hand(asked.verb, request.headers(), &object.name)
                {
                    let (response, outcome) = response;
                    return Answering::ready(finish(response, outcome, tally));
                }
                let object = ObjectRequest {
                    verb: asked.verb,
                    name: object.name,
                    headers: request.headers().clone(),
                    place: Place {
                        repository: Some(object.repository.into()),
                        path: asked.path.clone(),
                        named: asked.named.clone(),
                    },
                };
                let worker = Arc::clone(worker);
                Answering::Working(Box::pin(async move {
                    let mut tally = tally;
                    let (response, outcome) = worker.object(object, wants_check, &mut tally).await;
                    finish(response, outcome, tally)
                }))
            }
            Target::Document(mutable) => {
                let repository = mutable.and_then(|m| m.repository());
                let document = DocumentRequest {
                    method: asked.verb.method(),
                    key: document_key(asked.named.as_ref(), asked.path),
                    scope: worker.upstreams.scope(asked.named.as_ref(), repository),
                    headers: self.with_client_address(request.headers()),
                };
                let (named, path) = (asked.named.clone(), asked.path.clone());
                let place = Place { named, repository: repository.map(Box::from), path };
                let worker = Arc::clone(worker);
                Answering::Working(Box::pin(async move {
                    let (response, outcome) = worker.document(document, place).await;
                    finish(response, outcome, tally)
                }))
            }
        }
    }

    /// The geo service looks at the last address when it does not know the cache's name.
    fn with_client_address(&self, headers: &HeaderMap) -> HeaderMap {
        let mut headers = headers.clone();
        if let Ok(client) = HeaderValue::try_from(self.client.to_string()) {
            headers.append(X_FORWARDED_FOR.clone(), client);
        }
        headers
    }
}

impl Answering {
    fn ready(response: Response<Body>) -> Self {
        Self::Ready(Some(response))
    }
}

impl Worker {
    /// The answer, if the bytes are in memory, or on disk and in the page cache.
    fn at_hand(
        self: &Arc<Self>,
        verb: Verb,
        headers: &HeaderMap,
        name: &ObjectName,
    ) -> Option<(Response<Body>, Outcome)> {
        if let Some(object) = self.cache.in_memory(name) {
            return Some(self.answer_from_memory(verb, headers, name, object, Outcome::MemoryHit));
        }
        let object = self.cache.disk()?.get(name)?;
        match object.try_read(0, CHUNK) {
            Ok(Some(first)) => Some(self.answer_from_disk(verb, headers, name, object, first)),
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
        };
        (head.map(|()| body), outcome)
    }

    /// `first` are the object's first bytes; when they are all, the object moves up into memory.
    fn answer_from_disk(
        self: &Arc<Self>,
        verb: Verb,
        headers: &HeaderMap,
        name: &ObjectName,
        object: DiskObject,
        first: bytes::Bytes,
    ) -> (Response<Body>, Outcome) {
        let len = object.len();
        let outcome = Outcome::DiskHit;
        if first.len() as u64 == len {
            let whole = self.cache.promote(*name, first, object.stored_at());
            return self.answer_from_memory(verb, headers, name, whole, outcome);
        }
        let age = age(object.stored_at());
        let (head, selection) = self.heads.object(verb, headers, name, Some(len), age, outcome);
        let source = |offset, first| DiskSource::new(Arc::clone(&self.cache), *name, object, offset, first);
        let body = match selection {
            Selection::Nothing => Body::empty(),
            Selection::Whole => Body::disk(source(0, Some(first)), len),
            Selection::Part(part) => Body::disk(source(part.start, None), part.end - part.start),
        };
        (head.map(|()| body), outcome)
    }

    /// An object whose bytes are not at hand.
    async fn object(
        self: Arc<Self>,
        request: ObjectRequest,
        wants_check: bool,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        let mut fetched = Outcome::Miss;
        let mut readable = true;
        if wants_check {
            match self.recheck(request.name).await {
                Recheck::Good(object) => return self.at_rest(&request, object, Outcome::Reload).await,
                Recheck::Bad => fetched = Outcome::Repair,
                Recheck::Absent => {}
            }
        }
        if request.verb == Verb::Head && self.cache.find(&request.name).is_none() {
            return self.object_head(&request).await;
        }
        let mut last = None;
        for _ in 0..LOOKUPS {
            let lookup = match readable {
                true => self.cache.lookup(&request.name),
                false => self.cache.lookup_past_disk(&request.name),
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
                Lookup::Join(reader) => (reader, Outcome::Collapsed, false),
                Lookup::Lead(writer, reader) => {
                    let fetch = self.fetch(&request.place, RouteKind::Object);
                    if let Some(first) = fetch.candidates.first() {
                        tally.asked(first.upstream.role(), &first.upstream.url().authority());
                    }
                    tokio::spawn(fetch.object(writer));
                    (reader, fetched, true)
                }
            };
            match reader.ready().await {
                Ok(ready) => return self.answer_from_fill(&request, reader, ready, outcome).await,
                // Another client's host may lack what ours has: a joined fill's failure is not our answer.
                Err(error) if !leads && matches!(error.why, Why::NotFound | Why::Unavailable) => {
                    last = Some(error);
                }
                Err(error) => {
                    last = Some(error);
                    break;
                }
            }
        }
        let error = last.unwrap_or_else(|| {
            FillError::new(Why::Storage, "the stored bytes are bad and could not be replaced")
        });
        let (response, outcome) = self.heads.failure(&error);
        (whole(response, Some(request.verb)), outcome)
    }

    /// HEAD for an object that is not here. Replicators ask for every object of a repository this way: their questions
    /// are passed on, rather than fetching it all.
    async fn object_head(&self, request: &ObjectRequest) -> (Response<Body>, Outcome) {
        match self.fetch(&request.place, RouteKind::Object).object_head().await {
            Ok(len) => {
                let (verb, headers) = (request.verb, &request.headers);
                let (head, _) = self.heads.object(verb, headers, &request.name, len, 0, Outcome::Pass);
                (head.map(|()| Body::empty()), Outcome::Pass)
            }
            Err(error) => {
                let (response, outcome) = self.heads.failure(&error);
                (whole(response, Some(request.verb)), outcome)
            }
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
                let (head, selection) =
                    self.heads.object(request.verb, &request.headers, &request.name, len, 0, outcome);
                let body = match selection {
                    Selection::Nothing => Body::empty(),
                    Selection::Whole => Body::fill(reader, len),
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
        match object {
            Object::Memory(object) => {
                self.answer_from_memory(request.verb, &request.headers, &request.name, object, outcome)
            }
            Object::Disk(object) => {
                let len = object.len();
                let (head, selection) = self.heads.object(
                    request.verb,
                    &request.headers,
                    &request.name,
                    Some(len),
                    age(object.stored_at()),
                    outcome,
                );
                let (offset, count) = match selection {
                    Selection::Nothing => return (head.map(|()| Body::empty()), outcome),
                    Selection::Whole => (0, len),
                    Selection::Part(part) => (part.start, part.end - part.start),
                };
                let source = DiskSource::new(Arc::clone(&self.cache), request.name, object, offset, None);
                (head.map(|()| Body::disk(source, count)), outcome)
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
        match tokio::task::spawn_blocking(move || reading.read(0, CHUNK)).await {
            Ok(Ok(first)) if first.len() as u64 == object.len() => {
                Ok(Object::Memory(self.cache.promote(*name, first, object.stored_at())))
            }
            Ok(Ok(_)) => Ok(Object::Disk(object)),
            Ok(Err(error)) => Err(error),
            // The runtime is going away, and the connection with it.
            Err(_) => Ok(Object::Disk(object)),
        }
    }

    /// Hashes the stored bytes where blocking harms nobody.
    async fn recheck(&self, name: ObjectName) -> Recheck {
        let cache = Arc::clone(&self.cache);
        tokio::task::spawn_blocking(move || cache.recheck(&name)).await.unwrap_or(Recheck::Absent)
    }

    /// Anything that is not an object.
    async fn document(self: Arc<Self>, request: DocumentRequest, place: Place) -> (Response<Body>, Outcome) {
        let worker = Arc::clone(&self);
        let fetch = move |request: UpstreamRequest| async move {
            worker.fetch(&place, RouteKind::Document).document(request.method, request.headers).await
        };
        match self.documents.answer(request, fetch, SystemTime::now()).await {
            Ok(answer) => {
                let mut response = answer.response.map(Body::document);
                self.heads.sign_document(response.headers_mut(), &answer.cache_status, answer.outcome);
                (response, answer.outcome)
            }
            Err(failure) => {
                let (response, outcome) = self.heads.document_failure(&failure);
                (whole(response, None), outcome)
            }
        }
    }

    fn fetch(&self, place: &Place, kind: RouteKind) -> Fetch {
        let query = RouteQuery { named: place.named.as_ref(), repository: place.repository.as_deref(), kind };
        Fetch {
            client: self.client.clone(),
            candidates: self.upstreams.route(query),
            path: place.path.clone(),
            via: self.heads.request_via().clone(),
            first_byte_budget: self.upstream.first_byte_timeout,
            head_deadline: self.upstream.head_deadline,
            hedges: Arc::clone(&self.hedges),
            verify_first_patience: self.objects.verify_first_patience,
        }
    }
}

/// Documents of plain and of TLS servers are different documents.
fn document_key(named: Option<&ServerUrl>, path: &PathAndQuery) -> DocumentKey {
    let authority = match named {
        None => String::new(),
        Some(server) if server.scheme == Scheme::Http => server.authority(),
        Some(server) => format!("{}:{}", server.scheme.as_str(), server.authority()),
    };
    DocumentKey::new(&authority, path.as_str())
}

fn finish(response: Response<Body>, outcome: Outcome, mut tally: Tally) -> Response<Body> {
    tally.answered(outcome, response.status(), response.headers());
    response.map(|body| body.with_tally(tally))
}

/// Seconds since `stored_at`.
fn age(stored_at: u32) -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    u32::try_from(now).unwrap_or(u32::MAX).saturating_sub(stored_at)
}
