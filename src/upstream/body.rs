//! The body of an upstream's answer, still on its way.
//!
//! It ends complete or with a [`Failure`], never quietly short. Silence is bounded by `stall_timeout`,
//! counted only while the reader waits: a slow reader is not the upstream's fault. The connection goes back
//! to the pool when the end was reached, and is closed when the body is dropped before it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::pool::Lease;
use super::{Failure, Upstream};

/// The body of an upstream's answer. Its frames hold at most 256 KiB, often less: what one read brought.
pub struct UpstreamBody {
    incoming: Incoming,
    /// There until the end is reached, in good order or not.
    lease: Option<Lease>,
    upstream: Arc<Upstream>,
    content_length: Option<u64>,
    received: u64,
    patience: Patience,
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, upstream: Arc<Upstream>, stall: Duration) -> Self {
        let content_length = incoming.size_hint().exact();
        let mut body = Self {
            incoming,
            lease: Some(lease),
            upstream,
            content_length,
            received: 0,
            patience: Patience::new(stall),
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
        let this = &mut *self;
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

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Bytes a second below which a body counts as stalled, however often something comes: what clients themselves demand
/// (cvmfs `CVMFS_LOW_SPEED_LIMIT`). Only time spent waiting for the upstream counts.
const LOWEST_RATE: u64 = 1024;

/// Waits that the rate is judged over, at least: a single one may have been the reader's, who did not come back for long.
const FEWEST_WAITS: u32 = 4;

/// A bound on silence that costs no timer while frames keep coming: the timer is set at the first wait, and
/// when it rings it is set again unless the current wait has lasted long enough.
struct Patience {
    limit: Duration,
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
    fn new(limit: Duration) -> Self {
        Self {
            limit,
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
        (came < waited.as_secs() * LOWEST_RATE).then_some(waited)
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
