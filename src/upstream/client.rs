//! One request to one candidate: a connection, the request, the head of the answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::pool::{Lease, Pools};
use super::stream::Exchanges;
use super::{Candidate, Content, Failure, Form, Upstream, UpstreamBody, Upstreams, framing, redirect};
use crate::config::{ByteSize, ServerUrl};
use crate::metrics::UpstreamMetrics;

/// The upstream side of one worker. It owns the connections, whose tasks run on the runtime that
/// [`Client::send`] is called on; clones share them.
#[derive(Clone)]
pub struct Client {
    upstreams: Arc<Upstreams>,
    pools: Arc<Pools>,
}

/// What is asked, whomever it is put to.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method; safe ones only for [`Client::send`].
    pub method: Method,
    /// As received, byte for byte.
    pub path_and_query: PathAndQuery,
    /// End-to-end fields only. `Host` is added, in place of any that is there, and `Proxy-Authorization` for a parent that
    /// wants it; nothing else is.
    pub headers: HeaderMap,
    /// Redirects that are followed.
    pub redirects: usize,
}

impl Client {
    /// What is counted about upstreams.
    pub fn metrics(&self) -> &UpstreamMetrics {
        self.upstreams.metrics()
    }

    /// A client without connections.
    pub fn new(upstreams: Arc<Upstreams>) -> Self {
        let pools = Pools::new(upstreams.limits(), upstreams.metrics().idle.clone());
        Self { upstreams, pools }
    }

    /// The same client over other servers. Its connections go with it where they would have been opened alike.
    pub fn over(&self, upstreams: Arc<Upstreams>) -> Self {
        if upstreams.shares_connections_with(&self.upstreams) {
            Self { upstreams, pools: Arc::clone(&self.pools) }
        } else {
            Self::new(upstreams)
        }
    }

    /// Another server, to which an answer of `from` points, if the access rules allow it.
    ///
    /// # Errors
    /// [`Failure::Forbidden`].
    pub fn elsewhere(&self, from: &Candidate, server: ServerUrl) -> Result<Candidate, Failure> {
        self.upstreams.redirected(from, server)
    }

    /// Sends one request and returns the head of its answer, with the body still on its way.
    ///
    /// The turn for a connection and then the connection itself are waited for no longer than `connect_timeout`, and
    /// all of it ends at `deadline`. A kept-alive connection that breaks before the head came is replaced by a fresh one, once
    /// and unseen. Dropping the future closes the connection.
    pub async fn send(
        &self,
        candidate: &Candidate,
        request: Outgoing,
        deadline: Instant,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let waiting = Waiting::begin(&candidate.upstream);
        let result = self.send_following(candidate, request, deadline).await;
        match result {
            Ok(answer) => {
                waiting.answered();
                Ok(answer)
            }
            Err(failure) if failure.is_timeout() => {
                let hurried = Instant::now() >= deadline
                    && waiting.since.elapsed() < self.upstreams.limits().first_byte_timeout / 2;
                Err(if hurried { Failure::NoTimeLeft } else { failure })
            }
            Err(failure) => {
                waiting.forget();
                Err(failure)
            }
        }
    }

    /// Follows redirects, each to where the access rules allow. What comes of it is put down to who redirected.
    async fn send_following(
        &self,
        candidate: &Candidate,
        request: Outgoing,
        deadline: Instant,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let mut answer = self.connect_and_send(candidate, request.clone(), deadline).await?;
        let (mut candidate, mut request) = (candidate.clone(), request);
        while request.redirects > 0 && redirect::is_redirect(answer.status()) {
            let (server, path) = redirect::location(answer.headers(), candidate.target())?;
            // Credentials are for the server that the client means.
            if server != *candidate.target() {
                request.headers.remove(header::AUTHORIZATION);
            }
            candidate = self.upstreams.redirected(&candidate, server)?;
            request = Outgoing { path_and_query: path, redirects: request.redirects - 1, ..request };
            self.metrics().redirects.inc();
            answer = self.connect_and_send(&candidate, request.clone(), deadline).await?;
        }
        Ok(answer)
    }

    async fn connect_and_send(
        &self,
        candidate: &Candidate,
        request: Outgoing,
        deadline: Instant,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let peer = &candidate.upstream.peer;
        let metrics = self.upstreams.metrics();
        let connected_by = deadline.min(Instant::now() + self.upstreams.limits().connect_timeout);
        let mut permit = self.pools.permit(peer, connected_by).await?;
        if let Some(connection) = permit.kept(connected_by).await {
            metrics.reused.inc();
            let doubt = permit.doubt(self.upstreams.limits().first_byte_timeout / 2);
            let lease = permit.lease(connection, Exchanges::Several);
            match self.exchange(lease, candidate, request.clone(), deadline).await {
                Err(Broken { failure: Failure::Reset, lease }) if request.method.is_safe() => {
                    metrics.repeated.inc();
                    permit = lease.close();
                }
                Err(Broken { failure, .. }) if failure.is_timeout() => return Err(failure),
                result => {
                    doubt.dispelled();
                    return result.map_err(|broken| broken.failure);
                }
            }
        }
        let connected_by = deadline.min(Instant::now() + self.upstreams.limits().connect_timeout);
        let connection = self.upstreams.connector().open(peer, Exchanges::Several, connected_by).await?;
        metrics.opened.inc();
        let lease = permit.lease(connection, Exchanges::Several);
        self.exchange(lease, candidate, request, deadline).await.map_err(|broken| broken.failure)
    }

    async fn exchange(
        &self,
        mut lease: Lease,
        candidate: &Candidate,
        request: Outgoing,
        deadline: Instant,
    ) -> Result<Response<UpstreamBody>, Broken> {
        let request = match compose(candidate, request, Content::Nothing) {
            Ok(request) => request,
            Err(failure) => return Err(Broken { failure, lease }),
        };
        let sent = Instant::now();
        let answer = match timeout_at(deadline, lease.connection.sender.send_request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Broken { failure: Failure::from_head(&error), lease }),
            Err(_) => return Err(Broken { failure: Failure::FirstByteTimeout, lease }),
        };
        match self.begun(answer, sent) {
            Ok(answer) => Ok(self.streaming(candidate, answer, lease)),
            Err(failure) => Err(Broken { failure, lease }),
        }
    }

    /// Sends one request that may change something: once, on a connection of its own. `content` is taken when the connection is
    /// there, so that who finds it untouched may try another way. It may take its time, but not pause for `silence`; no longer may the
    /// answer be waited for after its end.
    pub async fn send_once(
        &self,
        candidate: &Candidate,
        request: Outgoing,
        content: &mut Option<Content>,
        silence: Duration,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let peer = &candidate.upstream.peer;
        let connected_by = Instant::now() + self.upstreams.limits().connect_timeout;
        let permit = self.pools.permit(peer, connected_by).await?;
        let connection = self.upstreams.connector().open(peer, Exchanges::One, connected_by).await?;
        self.metrics().opened.inc();
        let mut lease = permit.lease(connection, Exchanges::One);
        let content = content.take().unwrap_or_default();
        let progress = content.progress();
        let mut request = compose(candidate, request, content)?;
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        let sent = Instant::now();
        let answer = {
            let mut answer = pin!(lease.connection.sender.send_request(request));
            loop {
                let before = progress.frames();
                match timeout_at(Instant::now() + silence, &mut answer).await {
                    Ok(Err(_)) if progress.is_missing() => return Err(Failure::ContentMissing),
                    Ok(answer) => break answer.map_err(|error| Failure::from_head(&error))?,
                    Err(_) if progress.frames() > before => {}
                    Err(_) if progress.is_missing() => return Err(Failure::ContentMissing),
                    Err(_) => return Err(Failure::FirstByteTimeout),
                }
            }
        };
        Ok(self.streaming(candidate, self.begun(answer, sent)?, lease))
    }

    /// An answer whose head has come, if it is fit to be read.
    fn begun(&self, answer: Response<Incoming>, sent: Instant) -> Result<Response<Incoming>, Failure> {
        self.metrics().first_byte.observe(sent.elapsed().as_secs_f64());
        framing::check(&answer)?;
        check_length(&answer, self.upstreams.limits().max_body)?;
        Ok(answer)
    }

    fn streaming(
        &self,
        candidate: &Candidate,
        answer: Response<Incoming>,
        lease: Lease,
    ) -> Response<UpstreamBody> {
        let upstream = Arc::clone(&candidate.upstream);
        answer.map(|incoming| UpstreamBody::new(incoming, lease, upstream, self.upstreams.limits()))
    }
}

/// A wait for the head of an answer. Dropped, it was in vain: time ran out, or somebody else was quicker.
struct Waiting<'a> {
    upstream: Option<&'a Upstream>,
    since: Instant,
}

impl<'a> Waiting<'a> {
    fn begin(upstream: &'a Upstream) -> Self {
        Self { upstream: Some(upstream), since: Instant::now() }
    }

    fn answered(mut self) {
        if let Some(upstream) = self.upstream.take() {
            upstream.observe_first_byte(self.since.elapsed());
        }
    }

    /// It ended for a reason that says nothing about time.
    fn forget(mut self) {
        self.upstream = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(upstream) = self.upstream {
            upstream.observe_vain(self.since.elapsed());
        }
    }
}

/// An exchange without an answer; the connection is of no more use, its permit may be.
struct Broken {
    failure: Failure,
    lease: Lease,
}

/// The request as the candidate wants it: origin-form to the server itself, absolute-form to a cache (RFC
/// 9112 §3.2).
fn compose(candidate: &Candidate, request: Outgoing, content: Content) -> Result<Request<Content>, Failure> {
    let Outgoing { method, path_and_query, mut headers, redirects: _ } = request;
    let target = candidate.target();
    let authority = target.authority();
    let unusable = |_| Failure::Dns { host: target.host.as_ref().into(), reason: "not a host name".into() };
    let host = HeaderValue::try_from(authority.as_str()).map_err(|error| unusable(error.into()))?;
    headers.insert(header::HOST, host);
    if let Some(authorization) = &candidate.upstream.authorization {
        headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    let uri = match candidate.form {
        Form::Origin => Uri::from(path_and_query),
        Form::Absolute(_) => Uri::builder()
            .scheme(target.scheme.as_str())
            .authority(authority)
            .path_and_query(path_and_query)
            .build()
            .map_err(unusable)?,
    };
    let mut composed = Request::new(content);
    *composed.method_mut() = method;
    *composed.uri_mut() = uri;
    *composed.headers_mut() = headers;
    Ok(composed)
}

/// Refuses what would be broken off anyway.
fn check_length<B: Body>(answer: &Response<B>, max: ByteSize) -> Result<(), Failure> {
    match answer.body().size_hint().exact() {
        Some(length) if length > max.bytes() => {
            Err(Failure::protocol("its body is longer than upstream.max_body"))
        }
        _ => Ok(()),
    }
}
