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
use crate::access_log::Role as LogRole;
use crate::cache::disk::{DiskObject, ReadError};
use crate::cache::{CHUNK, Cache, FillReader, Lookup, MemoryObject, Object, Ready, Recheck, Why};
use crate::config::{self, ServerUrl};
use crate::digest::ObjectName;
use crate::document::{Answer, DocumentKey, DocumentKind, DocumentRequest, Documents};
use crate::fetch::Fetch;
use crate::layout::cvmfs::Mutable;
use crate::outcome::Outcome;
use crate::request::{self, Asked, Refusal, Target, Verb};
use crate::response::body::{Body, DiskSource};
use crate::response::{Heads, Selection, whole};
use crate::tally::{Activity, Recorder, Tally};
use crate::upstream::{Client, Role, RouteKind, RouteQuery, Upstreams};

/// How often a request looks an object up again after the fill it joined failed, or after bytes at rest proved bad.
const LOOKUPS: usize = 3;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Everything a worker thread needs to answer requests. The caches and rules are shared by all workers, the connections
/// and the recorder are its own.
pub struct Worker {
    /// Objects.
    pub cache: Arc<Cache>,
    /// Documents.
    pub documents: Arc<Documents>,
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
}

/// The service of one client connection.
#[derive(Clone)]
pub struct Service {
    worker: Arc<Worker>,
    client: IpAddr,
    activity: Arc<Activity>,
    /// Decided once: the rule looks at the address only.
    admitted: Result<(), Denial>,
}

/// An answer on its way. What is at hand needs neither an allocation nor a wait.
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

impl<B> tower::Service<Request<B>> for Service {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        self.answer(&request)
    }
}

/// A request for an object, detached from its head.
struct ObjectRequest {
    verb: Verb,
    name: ObjectName,
    headers: HeaderMap,
    named: Option<ServerUrl>,
    repository: Box<str>,
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
            Ok(()) => request::parse(request, &worker.access, worker.heads.name()),
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
                    repository: object.repository.into(),
                    path: asked.path.clone(),
                    named: asked.named,
                };
                let worker = Arc::clone(worker);
                Answering::Working(Box::pin(async move {
                    let mut tally = tally;
                    let (response, outcome) = worker.object(object, wants_check, &mut tally).await;
                    finish(response, outcome, tally)
                }))
            }
            Target::Document(mutable) => {
                let document = self.document_request(&asked, *mutable, request);
                let repository = mutable.and_then(|m| m.repository()).map(Box::from);
                let (named, path) = (asked.named, asked.path.clone());
                let worker = Arc::clone(worker);
                Answering::Working(Box::pin(async move {
                    let (response, outcome) = worker.document(document, named, repository, path).await;
                    finish(response, outcome, tally)
                }))
            }
        }
    }

    fn document_request<B>(
        &self,
        asked: &Asked<'_>,
        mutable: Option<Mutable<'_>>,
        request: &Request<B>,
    ) -> DocumentRequest {
        let mut headers = request.headers().clone();
        // The geo service looks at the last address when it does not know the cache's name.
        if let Ok(client) = HeaderValue::try_from(self.client.to_string()) {
            headers.append(X_FORWARDED_FOR.clone(), client);
        }
        let kind = match mutable {
            Some(Mutable::Manifest { repository }) => DocumentKind::Manifest { repository: repository.into() },
            Some(_) => DocumentKind::Cvmfs,
            None => DocumentKind::Other,
        };
        DocumentRequest {
            verb: asked.verb,
            key: DocumentKey::new(asked.named.as_ref(), asked.path),
            headers,
            kind,
        }
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
            return Some(self.from_memory(verb, headers, name, object, Outcome::MemoryHit));
        }
        let object = self.cache.disk()?.get(name)?;
        match object.try_read(0, CHUNK) {
            Ok(Some(first)) => Some(self.from_disk(verb, headers, name, object, first)),
            // Would block, or is bad: both are dealt with where waiting is allowed.
            Ok(None) | Err(_) => None,
        }
    }

    fn from_memory(
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
    fn from_disk(
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
            let whole = Arc::new(MemoryObject::new(vec![first], object.stored_at()));
            if self.cache.memory_takes(len) {
                self.cache.promote(*name, Arc::clone(&whole));
            }
            return self.from_memory(verb, headers, name, whole, outcome);
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
        if wants_check {
            match self.recheck(request.name).await {
                Recheck::Good(object) => return self.at_rest(&request, object, Outcome::Reload).await,
                Recheck::Bad => fetched = Outcome::Repair,
                Recheck::Absent => {}
            }
        }
        let mut last = None;
        for _ in 0..LOOKUPS {
            let (mut reader, outcome, leads) = match self.cache.lookup(&request.name) {
                Lookup::Hit(object) => match self.readable(&request.name, object).await {
                    Ok(object) => return self.at_rest(&request, object, Outcome::DiskHit).await,
                    Err(_) => {
                        self.cache.remove_bad(&request.name);
                        fetched = Outcome::Repair;
                        continue;
                    }
                },
                Lookup::Join(reader) => (reader, Outcome::Collapsed, false),
                Lookup::Lead(writer, reader) => {
                    let fetch = self.fetch(
                        request.named.as_ref(),
                        Some(&request.repository),
                        RouteKind::Object,
                        &request.path,
                    );
                    self.note_upstream(&fetch, tally);
                    tokio::spawn(fetch.object(writer));
                    (reader, fetched, true)
                }
            };
            match reader.ready().await {
                Ok(ready) => return self.from_fill(&request, reader, ready, outcome).await,
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
            crate::cache::FillError::new(Why::Storage, "the stored bytes are bad and could not be replaced")
        });
        let (response, outcome) = self.heads.failure(&error);
        (whole(response, Some(request.verb)), outcome)
    }

    /// The answer from a fill that has something to show.
    async fn from_fill(
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
                self.from_memory(request.verb, &request.headers, &request.name, object, outcome)
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
                let whole = Arc::new(MemoryObject::new(vec![first], object.stored_at()));
                if self.cache.memory_takes(object.len()) {
                    self.cache.promote(*name, Arc::clone(&whole));
                }
                Ok(Object::Memory(whole))
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
    async fn document(
        self: Arc<Self>,
        request: DocumentRequest,
        named: Option<ServerUrl>,
        repository: Option<Box<str>>,
        path: PathAndQuery,
    ) -> (Response<Body>, Outcome) {
        let verb = request.verb;
        let worker = Arc::clone(&self);
        let fetch = move |headers: HeaderMap| async move {
            let fetch = worker.fetch(named.as_ref(), repository.as_deref(), RouteKind::Document, &path);
            fetch.document(verb.method(), headers).await
        };
        let (mut response, status, outcome) =
            match self.documents.answer(request, fetch, SystemTime::now()).await {
                Answer::Complete { response, status, outcome } => {
                    (whole(response, Some(verb)), status, outcome)
                }
                Answer::Streaming { response, status, outcome } => {
                    let response = response.map(|body| match verb {
                        Verb::Get => Body::upstream(body),
                        Verb::Head => Body::empty(),
                    });
                    (response, status, outcome)
                }
                Answer::Failed(error) => {
                    let (response, outcome) = self.heads.failure(&error);
                    return (whole(response, Some(verb)), outcome);
                }
            };
        self.heads.sign_document(response.headers_mut(), &status, outcome);
        (response, outcome)
    }

    fn fetch(
        &self,
        named: Option<&ServerUrl>,
        repository: Option<&str>,
        kind: RouteKind,
        path: &PathAndQuery,
    ) -> Fetch {
        Fetch {
            client: self.client.clone(),
            candidates: self.upstreams.route(RouteQuery { named, repository, kind }),
            path: path.clone(),
            via: self.heads.via().clone(),
            head_deadline: self.upstream.head_deadline,
            verify_first_patience: self.objects.verify_first_patience,
        }
    }

    fn note_upstream(&self, fetch: &Fetch, tally: &mut Tally) {
        if let Some(first) = fetch.candidates.first() {
            let role = match first.upstream.role() {
                Role::Parent => LogRole::Parent,
                Role::Mirror | Role::Named => LogRole::Direct,
            };
            tally.asked(role, &first.upstream.url().authority());
        }
    }
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
