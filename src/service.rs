//! One request from start to end. The page to read first.
//!
//! A request is parsed and judged ([`request::parse`]). An object is looked up: bytes that are here are answered without
//! waiting; otherwise the request reads along with a fill, which it starts when nobody did. A document goes through
//! [`Documents::answer`]. Every end of every way is a [`Response`] from [`Heads`], and every answer's [`Tally`] is kept until
//! its last byte.

mod answering;
mod behind;
mod change;
mod document;
mod fetching;
mod held;
mod lasting;
mod object;
mod recheck;
mod registry;
mod remainder;
mod shares;
mod singly;
mod tokens;
mod tunnel;
mod turns;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use answering::Answering;
use arc_swap::ArcSwap;
use behind::Urgency;
use change::Change;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use object::ObjectRequest;
use prometheus::IntCounter;
pub use recheck::Rechecks;
pub use registry::Consents;
pub use shares::{Bounds, Reached, Share, Shares};
pub use tokens::{Token, Tokens, challenge, token};
use tokio_rustls::TlsAcceptor;
pub use tunnel::{Bequest, Legacy, Tunnel, Tunnels};
pub use turns::{ClientNetwork, Turns};

use crate::access::{Access, Denial};
use crate::cache::{Cache, FillError};
use crate::config::{self, ServerUrl};
use crate::document::{DocumentKey, DocumentRequest, Documents};
use crate::fetch::{HedgeBudget, Refusals};
use crate::layout;
use crate::outcome::Outcome;
use crate::request::{self, Refusal, Target, Verb};
use crate::response::body::Body;
use crate::response::{Heads, whole};
use crate::tally::{Activity, Recorder, Tally};
use crate::upstream::{Client, Upstreams};

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
    /// Tunnels, of all workers.
    pub tunnels: Arc<Tunnels>,
    /// Whom registries let have what, for all workers.
    pub consents: Arc<Consents>,
    /// Tokens that registries give to everybody, for all workers.
    pub tokens: Arc<Tokens>,
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
    /// What the connection is to be after its last answer.
    bequest: Bequest,
    lifetime: Lifetime,
}

/// How many requests are answered on a connection.
struct Lifetime {
    asked: AtomicU64,
    /// Connections that have come to their end.
    ended: IntCounter,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        // A tunnel ends when it ends.
        let worker = &*self.current.load();
        if *request.method() == Method::CONNECT || !self.is_last(worker) {
            return self.answer(worker, request);
        }
        self.lifetime.ended.inc();
        self.answer(worker, request).closing()
    }
}

/// Where a resource is said to be, and by whom.
#[derive(Clone)]
struct Place {
    client: IpAddr,
    urgency: Urgency,
    named: Option<ServerUrl>,
    repository: Option<Box<str>>,
    path: PathAndQuery,
    /// What a refusal means, of a document.
    refusals: Refusals,
    /// Of the client's fields, those that a registry must see; `None` where no registry is asked for an object.
    fields: Option<HeaderMap>,
    /// The image for which everybody's token is obtained if its registry wants one.
    anonymous: Option<Box<str>>,
}

impl Service {
    /// The service of a connection from `client`.
    pub fn new(
        current: Arc<Current>,
        client: IpAddr,
        activity: Arc<Activity>,
        bequest: Bequest,
        ended: IntCounter,
    ) -> Self {
        let lifetime = Lifetime { asked: AtomicU64::new(0), ended };
        Self { current, client, activity, admitted_by: AtomicU64::new(0), bequest, lifetime }
    }

    /// Whether this request is the last one that is answered on its connection.
    fn is_last(&self, worker: &Worker) -> bool {
        let max = worker.listen.max_requests as u64;
        max > 0 && self.lifetime.asked.fetch_add(1, Ordering::Relaxed) + 1 >= max
    }

    /// The same for what this process asks of itself, which no rule for clients concerns.
    pub fn of_ourselves(self) -> Self {
        Self { admitted_by: AtomicU64::new(OURSELVES), ..self }
    }

    fn admitted(&self, worker: &Worker) -> Result<(), Denial> {
        let by = self.admitted_by.load(Ordering::Relaxed);
        if by != worker.generation && by != OURSELVES {
            worker.access.client(self.client)?;
            self.admitted_by.store(worker.generation, Ordering::Relaxed);
        }
        Ok(())
    }

    fn answer(&self, worker: &Arc<Worker>, mut request: Request<Incoming>) -> Answering {
        let mut tally = Tally::open(&worker.recorder, &self.activity, self.client, &request);
        if request.extensions().get::<OnUpgrade>().is_some() {
            let connection = hyper::upgrade::on(&mut request);
            if *request.method() == Method::CONNECT {
                return self.tunnel(worker, &request, connection, tally);
            }
            *self.bequest.lock() = Some(Box::new(Legacy { connection, tunnel: None }));
        }
        let asked = match self.admitted(worker) {
            Ok(()) => request::parse(&request, &worker.access, worker.heads.mark()),
            Err(denial) => Err(Refusal::Denied(denial)),
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(refusal) => return worker.refused(&refusal, tally),
        };
        // Made for those who are not answered at once.
        let place = |repository: Option<&str>| Place {
            client: self.client,
            urgency: Urgency::of(request.headers()),
            named: asked.named.clone(),
            repository: repository.map(Box::from),
            path: asked.path.clone().into_owned(),
            refusals: Refusals::Answer,
            fields: None,
            anonymous: asked.anonymous.map(Box::from),
        };
        match &asked.target {
            Target::Object(object) => {
                tally.of_repository(object.repository);
                let wants_check = request::wants_no_cache(request.headers());
                if !wants_check
                    && let Some((response, outcome)) =
                        worker.at_hand(asked.verb, request.headers(), &object.name, object.repository, || {
                            place(Some(object.repository))
                        })
                {
                    return Answering::ready(finish(response, outcome, tally));
                }
                let object = ObjectRequest {
                    verb: asked.verb,
                    name: object.name,
                    account: object.repository.into(),
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
            Target::Guarded(guarded) => {
                let account = guarded.image();
                tally.of_repository(&account);
                let object = ObjectRequest {
                    verb: asked.verb,
                    name: guarded.content.name,
                    account: account.into(),
                    headers: request.headers().clone(),
                    place: Place { fields: Some(registry::fields(request.headers())), ..place(None) },
                };
                let headers = self.with_client_address(request.headers());
                let worker = Arc::clone(worker);
                Answering::Working(Box::pin(async move {
                    let mut tally = tally;
                    let (response, outcome) = worker.guarded(object, headers, &mut tally).await;
                    finish(response, outcome, tally)
                }))
            }
            Target::Document(mutable) => {
                let repository = mutable.and_then(|m| m.repository());
                if let Some(repository) = repository {
                    tally.of_repository(repository);
                }
                // Those who name a server have chosen.
                let group = repository.or_else(|| match asked.named {
                    Some(_) => None,
                    None => layout::archive(asked.path.path()),
                });
                if let Verb::Write(_) = asked.verb {
                    let (worker, verb, place) = (Arc::clone(worker), asked.verb, place(group));
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
                    scope: worker.upstreams.scope(asked.named.as_ref(), group),
                    headers: self.with_client_address(request.headers()),
                };
                let refusals = match repository {
                    Some(_) => Refusals::Trouble,
                    None => Refusals::Answer,
                };
                let place = Place { refusals, ..place(group) };
                let (worker, verb) = (Arc::clone(worker), asked.verb);
                Answering::Working(Box::pin(async move {
                    let mut tally = tally;
                    let (response, outcome) = worker.document(verb, document, place, &mut tally).await;
                    finish(response, outcome, tally)
                }))
            }
        }
    }

    fn tunnel(
        &self,
        worker: &Arc<Worker>,
        request: &Request<Incoming>,
        connection: OnUpgrade,
        tally: Tally,
    ) -> Answering {
        let target = match self.admitted(worker) {
            Ok(()) => request::tunnel(request, &worker.access, worker.heads.mark()),
            Err(denial) => Err(Refusal::Denied(denial)),
        };
        match target {
            Ok(target) => {
                let (worker, bequest, client) = (Arc::clone(worker), Arc::clone(&self.bequest), self.client);
                Answering::Working(Box::pin(async move {
                    worker.tunnel((client, &target), connection, &bequest, tally).await
                }))
            }
            Err(refusal) => {
                *self.bequest.lock() = Some(Box::new(Legacy { connection, tunnel: None }));
                worker.refused(&refusal, tally)
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

impl Worker {
    /// What is to be done about once a second.
    pub fn tick(&self) {
        self.recorder.flush();
        self.upstreams.follow();
    }

    fn refused(&self, refusal: &Refusal, mut tally: Tally) -> Answering {
        tally.because(refusal.reason());
        let (response, outcome) = self.heads.refusal(refusal);
        Answering::ready(finish(whole(response, None), outcome, tally))
    }
}

fn finish(response: Response<Body>, outcome: Outcome, mut tally: Tally) -> Response<Body> {
    tally.answered(outcome, response.status(), response.headers());
    response.map(|body| body.with_tally(tally))
}
