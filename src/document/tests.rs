//! Plays: an origin that follows a script, requests, and the claims. Time is passed in; nothing sleeps.

mod changing;
mod collapsing;
mod manifests;
mod operators;
mod parts;
mod passing;
mod reusing;
mod slow;
mod standing_in;
mod tables;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use http::header::HeaderName;
use http_body::Frame;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::config::ByteSize;
use crate::metrics::Metrics;

/// 2027-01-15, later than the publication times of the tests' manifests.
const START: u64 = 1_800_000_000;

const MAX_SIZE: u64 = 10_000;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn fields(fields: Fields<'_>) -> HeaderMap {
    let parse = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().map(parse) {
        headers.append(name, value);
    }
    headers
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START + second)
}

/// A body in pieces.
#[derive(Debug)]
struct Pieces {
    pieces: VecDeque<Bytes>,
    end: End,
}

#[derive(Debug)]
enum End {
    Clean,
    Broken,
    /// More comes when the sender sends it, and the end when the sender goes.
    Later(mpsc::UnboundedReceiver<&'static str>),
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Gone;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Gone>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut self.end {
            End::Clean => Poll::Ready(None),
            End::Broken => Poll::Ready(Some(Err(Gone("broken")))),
            End::Later(more) => more
                .poll_recv(cx)
                .map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))),
        }
    }
}

/// The origin's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Gone(&'static str);

type Upstream = Result<Response<Pieces>, Gone>;

/// What the origin answers.
fn says(status: u16, headers: Fields<'_>, body: impl AsRef<[u8]>) -> Upstream {
    ends(status, headers, &[body.as_ref()], End::Clean)
}

fn ends(status: u16, headers: Fields<'_>, pieces: &[&[u8]], end: End) -> Upstream {
    let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let mut response = Response::new(Pieces { pieces, end });
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = fields(headers);
    Ok(response)
}

fn cc(value: &str) -> (&str, &str) {
    ("cache-control", value)
}

/// An origin that gives its answers in order, and the cache before it.
struct Play {
    documents: Documents<Gone>,
    metrics: Metrics,
    script: Arc<Mutex<VecDeque<Upstream>>>,
    asked: Arc<Mutex<Vec<UpstreamRequest>>>,
}

/// What a client got.
#[derive(Debug, PartialEq)]
struct Got {
    status: u16,
    body: Result<String, Failure<Gone>>,
    headers: HeaderMap,
    outcome: Outcome,
    cache_status: String,
}

impl Got {
    fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        self.body.as_deref().unwrap()
    }
}

impl Play {
    fn new() -> Self {
        Self::with_policy(Policy::default())
    }

    fn with_rules(rules: &[DocumentRule]) -> Self {
        Self::with(rules, Policy::default())
    }

    fn with_policy(policy: Policy) -> Self {
        Self::with(&[], policy)
    }

    fn with(rules: &[DocumentRule], policy: Policy) -> Self {
        let metrics = Metrics::new().unwrap();
        let memory = config::Memory {
            documents: ByteSize::mib(8),
            max_document: ByteSize(MAX_SIZE),
            ..config::Memory::default()
        };
        let documents =
            Documents::with_policy(&memory, rules, None, policy, metrics.document.clone()).unwrap();
        Self { documents, metrics, script: Arc::default(), asked: Arc::default() }
    }

    fn then(&self, upstream: Upstream) -> &Self {
        self.script.lock().push_back(upstream);
        self
    }

    /// Number of requests the origin saw.
    fn requests(&self) -> usize {
        self.asked.lock().len()
    }

    fn last_request(&self) -> UpstreamRequest {
        self.asked.lock().last().unwrap().clone()
    }

    fn request(target: &str, headers: Fields<'_>) -> DocumentRequest {
        let key = DocumentKey::new("stratum.example", target);
        let scope = "stratum.example".into();
        DocumentRequest { method: Method::GET, key, scope, headers: fields(headers) }
    }

    /// The request is answered `second` seconds into the play.
    async fn ask(&self, request: DocumentRequest, second: u64) -> Result<Got, Failure<Gone>> {
        let (script, asked) = (self.script.clone(), self.asked.clone());
        let fetch = move |request: UpstreamRequest| async move {
            asked.lock().push(request);
            script.lock().pop_front().expect("the origin's script is at its end")
        };
        got(self.documents.answer(request, fetch, at(second)).await).await
    }

    async fn get(&self, target: &str, headers: Fields<'_>, second: u64) -> Result<Got, Failure<Gone>> {
        self.ask(Self::request(target, headers), second).await
    }

    /// Asks, with an origin that answers when told to.
    fn ask_held(&self, request: DocumentRequest, second: u64) -> Held {
        let (release, held) = oneshot::channel::<Upstream>();
        let (arrived, arrival) = oneshot::channel();
        let (documents, asked) = (self.documents.clone(), self.asked.clone());
        let client = tokio::spawn(async move {
            let fetch = move |request: UpstreamRequest| async move {
                asked.lock().push(request);
                let _ = arrived.send(());
                held.await.unwrap_or(Err(Gone("origin gone")))
            };
            got(documents.answer(request, fetch, at(second)).await).await
        });
        Held { client, arrival, release }
    }

    /// A barrier: until that many requests wait for another's fetch.
    async fn until_waiting(&self, number: i64) {
        while self.metrics.document.waiting.get() != number {
            tokio::task::yield_now().await;
        }
    }
}

struct Held {
    client: tokio::task::JoinHandle<Result<Got, Failure<Gone>>>,
    arrival: oneshot::Receiver<()>,
    release: oneshot::Sender<Upstream>,
}

async fn got<B>(answer: Result<Answer<B, Gone>, Failure<Gone>>) -> Result<Got, Failure<Gone>>
where
    B: Body<Data = Bytes, Error = Gone> + Unpin,
{
    let answer = answer?;
    let cache_status = answer.cache_status.render("t").to_str().unwrap().trim_start_matches("t; ").to_owned();
    let (head, body) = answer.response.into_parts();
    let body = body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    Ok(Got {
        status: head.status.as_u16(),
        body,
        headers: head.headers,
        outcome: answer.outcome,
        cache_status,
    })
}
