//! The body of an upstream's answer, still on its way.
//!
//! It ends complete or with a [`Failure`], never quietly short. Silence is bounded by `stall_timeout`,
//! counted only while the reader waits: a slow reader is not the upstream's fault. The connection goes back
//! to the pool when the end was reached, and is closed when the body is dropped before it.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, timeout_at};

use super::pool::Lease;
use super::{Failure, Upstream};
use crate::config;

/// Bytes of a document that are waited for before its head is passed on: a manifest has less than one KiB, a whitelist few.
const READ_AHEAD: usize = 64 << 10;

/// The body of an upstream's answer. Its frames hold at most 256 KiB, often less: what one read brought.
pub struct UpstreamBody {
    incoming: Incoming,
    /// There until the end is reached, in good order or not.
    lease: Option<Lease>,
    upstream: Arc<Upstream>,
    content_length: Option<u64>,
    received: u64,
    /// More than this is never taken.
    max: u64,
    /// Came before anybody asked; see [`UpstreamBody::read_ahead`].
    ahead: VecDeque<Bytes>,
    patience: Patience,
}

impl UpstreamBody {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        upstream: Arc<Upstream>,
        limits: &config::Upstream,
    ) -> Self {
        let content_length = incoming.size_hint().exact();
        let mut body = Self {
            incoming,
            lease: Some(lease),
            upstream,
            content_length,
            received: 0,
            max: limits.max_body.bytes(),
            ahead: VecDeque::new(),
            patience: Patience::new(limits.stall_timeout, limits.min_rate.bytes()),
        };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    /// Bytes that the whole body has; `None` where only its end tells (chunked, or until the connection
    /// closes). 0 for an answer to HEAD and for statuses without a body.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Bytes that have come so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Allows less silence, where `limit` is less, until its first bytes have come.
    pub fn begin_within(&mut self, limit: Duration) {
        self.patience.first = Some(limit);
    }

    /// Waits for its bytes until all or 64 KiB of them are there, for `patience` at most: so a source that fails early
    /// can be replaced before anybody has seen anything of it. Silence for the latter half of it is a failure, slowness is
    /// not.
    pub async fn read_ahead(&mut self, patience: Duration) -> Result<(), Failure> {
        let until = Instant::now() + patience;
        let mut read = 0;
        while read < READ_AHEAD {
            let since = Instant::now();
            match timeout_at(until, self.arriving()).await {
                Ok(Some(Ok(frame))) => {
                    // Trailers are not passed on.
                    let Ok(bytes) = frame.into_data() else { continue };
                    read += bytes.len();
                    self.ahead.push_back(bytes);
                }
                Ok(Some(Err(failure))) => return Err(failure),
                Ok(None) => return Ok(()),
                Err(_) if since.elapsed() < patience / 2 => return Ok(()),
                Err(_) => {
                    self.lease = None;
                    return Err(Failure::Stalled { after: since.elapsed() });
                }
            }
        }
        Ok(())
    }

    async fn arriving(&mut self) -> Option<Result<Frame<Bytes>, Failure>> {
        poll_fn(|context| self.poll_arriving(context)).await
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("upstream", &self.upstream.label)
            .field("content_length", &self.content_length)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.ahead.pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => self.poll_arriving(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() && self.ahead.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.incoming.size_hint();
        let ahead: u64 = self.ahead.iter().map(|bytes| bytes.len() as u64).sum();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + ahead);
        }
        hint.set_lower(hint.lower() + ahead);
        hint
    }
}

impl UpstreamBody {
    /// The next frame that comes from the connection.
    fn poll_arriving(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self;
        if this.lease.is_none() {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) else {
            let after = ready!(this.patience.poll_lost(context));
            this.lease = None;
            return Poll::Ready(Some(Err(Failure::Stalled { after })));
        };
        let came = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        if let (Some(after), Some(Ok(_))) = (this.patience.renew(came), &frame) {
            this.lease = None;
            return Poll::Ready(Some(Err(Failure::Stalled { after })));
        }
        match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.received += length;
                if this.received > this.max {
                    this.lease = None;
                    return Poll::Ready(Some(Err(Failure::protocol(
                        "its body is longer than upstream.max_body",
                    ))));
                }
                this.upstream.counters.received.inc_by(length);
                if this.incoming.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.lease = None;
                Poll::Ready(Some(Err(Failure::from_body(&error, this.content_length, this.received))))
            }
            None => {
                this.finish();
                Poll::Ready(None)
            }
        }
    }
}

/// Waits that the rate is judged over, at least: a single one may have been the reader's, who did not come back for long.
const FEWEST_WAITS: u32 = 4;

/// A bound on silence that costs no timer while frames keep coming: the timer is set at the first wait, and
/// when it rings it is set again unless the current wait has lasted long enough.
struct Patience {
    limit: Duration,
    /// Bytes a second below which a body counts as stalled, however often something comes. Only time spent waiting for
    /// the upstream counts.
    min_rate: u64,
    /// Another limit for the first wait.
    first: Option<Duration>,
    waiting_since: Option<Instant>,
    /// Time waited and bytes that came since the rate was last judged.
    waited: Duration,
    waits: u32,
    came: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(limit: Duration, min_rate: u64) -> Self {
        Self {
            limit,
            min_rate,
            first: None,
            waiting_since: None,
            waited: Duration::ZERO,
            waits: 0,
            came: 0,
            timer: None,
        }
    }

    /// `came` bytes came. The time waited for them, when it is too long for so few.
    fn renew(&mut self, came: usize) -> Option<Duration> {
        self.first = None;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
            self.waits += 1;
        }
        self.came += came as u64;
        if self.waited < self.limit || self.waits < FEWEST_WAITS {
            return None;
        }
        self.waits = 0;
        let (waited, came) = (std::mem::take(&mut self.waited), std::mem::take(&mut self.came));
        (came < waited.as_secs() * self.min_rate).then_some(waited)
    }

    /// Ready with the limit when the current wait has reached it.
    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Duration> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let limit = self.first.map_or(self.limit, |first| first.min(self.limit));
        let until = since + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= until {
                return Poll::Ready(limit);
            }
            timer.as_mut().reset(until);
        }
    }
}
