//! One request from start to end. The page to read first.
//!
//! A request is parsed and judged ([`request::parse`]). An object is looked up: bytes that are here are answered without
//! waiting; otherwise the request reads along with a fill, which it starts when nobody did. A document goes through
//! [`Documents::answer`]. Every end of every way is a [`Response`] from [`Heads`], and every answer's [`Tally`] is kept until
//! its last byte.

mod behind;
mod change;
mod document;
mod object;
mod recheck;
mod turns;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use behind::{PRIORITY, Urgency};
use change::Change;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use object::ObjectRequest;
pub use recheck::Rechecks;
use tokio_rustls::TlsAcceptor;
pub use turns::{ClientNetwork, Turns};

use crate::access::{Access, Denial};
use crate::cache::{Cache, FillError};
use crate::config::{self, ServerUrl};
use crate::document::{DocumentKey, DocumentRequest, Documents};
use crate::fetch::{Fetch, HedgeBudget};
use crate::outcome::Outcome;
use crate::request::{self, Refusal, Target, Verb};
use crate::response::body::Body;
use crate::response::{Heads, whole};
use crate::tally::{Activity, Recorder, Tally};
use crate::upstream::{Candidate, Client, RouteQuery, Upstreams, Wanted};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Everything a worker thread needs to answer requests, as one configuration has it. The caches and rules are shared by all
/// workers, the connections and the recorder are its own. It never changes: a reload puts another one in its place
/// ([`Current`]), and what began with this one ends with it.
pub struct Worker {
    /// Which of the process's configurations this is.
    pub generation: u64,
    /// `[listen]`
    pub listen: config::Listen,
    /// TLS towards clients, where it is configured.
    pub tls: Option<TlsAcceptor>,
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
    /// Whose download is next, of all workers.
    pub turns: Arc<Turns>,
    /// Rechecks of stored objects, of all workers.
    pub rechecks: Arc<Rechecks>,
}

/// The worker in force, for one worker thread.
pub type Current = ArcSwap<Worker>;

/// The generation of rules that admits ourselves: all do.
const OURSELVES: u64 = u64::MAX;

/// The service of one client connection. Not through an adapter to tower: that clones the service for each request.
pub struct Service {
    current: Arc<Current>,
    client: IpAddr,
    activity: Arc<Activity>,
    /// The generation of rules that admits the client: they look at the address only. 0: none has yet.
    admitted_by: AtomicU64,
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

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        self.answer(request)
    }
}

/// Where a resource is said to be, and by whom.
struct Place {
    client: IpAddr,
    urgency: Urgency,
    named: Option<ServerUrl>,
    repository: Option<Box<str>>,
    path: PathAndQuery,
}

impl Service {
    /// The service of a connection from `client`.
    pub fn new(current: Arc<Current>, client: IpAddr, activity: Arc<Activity>) -> Self {
        Self { current, client, activity, admitted_by: AtomicU64::new(0) }
    }

    /// The same for what this process asks of itself, which no rule for clients concerns.
    pub fn own(current: Arc<Current>, activity: Arc<Activity>) -> Self {
        let client = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        Self { current, client, activity, admitted_by: AtomicU64::new(OURSELVES) }
    }

    fn admitted(&self, worker: &Worker) -> Result<(), Denial> {
        let by = self.admitted_by.load(Ordering::Relaxed);
        if by != worker.generation && by != OURSELVES {
            worker.access.client(self.client)?;
            self.admitted_by.store(worker.generation, Ordering::Relaxed);
        }
        Ok(())
    }

    fn answer(&self, request: Request<Incoming>) -> Answering {
        let worker = &*self.current.load();
        let mut tally = Tally::open(&worker.recorder, &self.activity, self.client, &request);
        let asked = match self.admitted(worker) {
            Ok(()) => request::parse(&request, &worker.access, worker.heads.mark()),
            Err(denial) => Err(Refusal::Denied(denial)),
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(refusal) => {
                tally.because(refusal.reason());
                let (response, outcome) = worker.heads.refusal(&refusal);
                return Answering::ready(finish(whole(response, None), outcome, tally));
            }
        };
        // Made for those who are not answered at once.
        let place = |repository: Option<&str>| Place {
            client: self.client,
            urgency: Urgency::of(request.headers()),
            named: asked.named.clone(),
            repository: repository.map(Box::from),
            path: asked.path.clone(),
        };
        match &asked.target {
            Target::Object(object) => {
                tally.of_repository(object.repository);
                let wants_check = request::wants_no_cache(request.headers());
                if !wants_check && let Some(response) = worker.at_hand(asked.verb, request.headers(), object)
                {
                    let (response, outcome) = response;
                    return Answering::ready(finish(response, outcome, tally));
                }
                let object = ObjectRequest {
                    verb: asked.verb,
                    name: object.name,
                    headers: request.headers().clone(),
                    place: place(Some(object.repository)),
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
                if let Some(repository) = repository {
                    tally.of_repository(repository);
                }
                if let Verb::Write(_) = asked.verb {
                    let (worker, verb, place) = (Arc::clone(worker), asked.verb, place(repository));
                    let headers = self.with_client_address(request.headers());
                    let change = Change { verb, headers, place, content: request.into_body() };
                    return Answering::Working(Box::pin(async move {
                        let mut tally = tally;
                        let (response, outcome) = worker.change(change, &mut tally).await;
                        finish(response, outcome, tally)
                    }));
                }
                let document = DocumentRequest {
                    method: asked.verb.method(),
                    key: DocumentKey::at(asked.named.as_ref(), asked.path.as_str()),
                    scope: worker.upstreams.scope(asked.named.as_ref(), repository),
                    headers: self.with_client_address(request.headers()),
                };
                let (worker, verb, place) = (Arc::clone(worker), asked.verb, place(repository));
                Answering::Working(Box::pin(async move {
                    let mut tally = tally;
                    let (response, outcome) = worker.document(verb, document, place, &mut tally).await;
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
    /// What it takes to fetch what stands at `place`.
    fn fetch(&self, place: &Place, wanted: Wanted<'_>) -> Fetch {
        let query =
            RouteQuery { named: place.named.as_ref(), repository: place.repository.as_deref(), wanted };
        Fetch {
            client: self.client.clone(),
            candidates: self.upstreams.route(query),
            path: place.path.clone(),
            via: self.heads.request_via().clone(),
            first_byte_budget: self.upstream.first_byte_timeout,
            head_deadline: self.upstream.head_deadline,
            waited: Duration::ZERO,
            redirects: self.upstream.redirects,
            hedges: Arc::clone(&self.hedges),
            priority: match place.urgency {
                Urgency::Usual => None,
                Urgency::Background => Some((PRIORITY.clone(), HeaderValue::from_static("u=7"))),
            },
            verify_first_patience: self.objects.verify_first_patience,
        }
    }
}

/// Tells the log who is asked first.
fn note_first(first: Option<&Candidate>, tally: &mut Tally) {
    if let Some(first) = first {
        tally.asked(first.upstream.role(), &first.upstream.url().authority());
    }
}

fn finish(response: Response<Body>, outcome: Outcome, mut tally: Tally) -> Response<Body> {
    tally.answered(outcome, response.status(), response.headers());
    response.map(|body| body.with_tally(tally))
}
