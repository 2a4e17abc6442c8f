//! When a client's connection last moved, and whether anything is under way on it: written by who serves it, read by the sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::task::AtomicWaker;

use super::Recorder;

/// No second of any clock.
const NONE: u32 = u32::MAX;

/// One connection's. Seconds are the recorder's.
#[derive(Debug)]
pub struct Activity {
    /// The recorder's.
    epoch: Instant,
    last: AtomicU32,
    /// When a head began that has not ended. Set for the few that come in several pieces.
    head_since: AtomicU32,
    asked: AtomicBool,
    /// Requests being answered. Written by one thread.
    answering: AtomicU32,
    /// Part of a request has come, or part of what was written has not been taken.
    unsettled: AtomicBool,
    /// The second of the last movement when it was told to rest.
    rest: AtomicU32,
    server: AtomicWaker,
}

impl Activity {
    /// A connection that moves now.
    pub fn new(recorder: &Recorder) -> Arc<Self> {
        let activity = Self {
            epoch: recorder.epoch,
            last: AtomicU32::new(0),
            head_since: AtomicU32::new(NONE),
            asked: AtomicBool::new(false),
            answering: AtomicU32::new(0),
            unsettled: AtomicBool::new(false),
            rest: AtomicU32::new(NONE),
            server: AtomicWaker::new(),
        };
        activity.touch_now();
        Arc::new(activity)
    }

    /// Now, in the seconds that the others are told in.
    pub fn seconds(&self) -> u32 {
        seconds(self.epoch, Instant::now())
    }

    /// Seconds since the last movement.
    pub fn idle(&self, now: u32) -> u32 {
        now.saturating_sub(self.last.load(Ordering::Relaxed))
    }

    /// Seconds that the client has taken for the head it is sending, and for nothing else.
    pub fn in_head(&self, now: u32) -> u32 {
        match self.head_since.load(Ordering::Relaxed) {
            NONE => 0,
            since => now.saturating_sub(since).min(self.idle(now)),
        }
    }

    /// Whether a request has come yet.
    pub fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether a request came whose answer's last byte has not been handed to the connection.
    pub fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed) > 0
    }

    /// The sweep is about to close the connection, since its client takes nothing.
    pub fn stalled(&self) {
        self.last.store(NONE, Ordering::Relaxed);
    }

    /// The beginning of a head came.
    pub fn head_began(&self) {
        self.head_since.store(seconds(self.epoch, Instant::now()), Ordering::Relaxed);
    }

    /// The rest of it came.
    pub fn head_ended(&self) {
        self.head_since.store(NONE, Ordering::Relaxed);
    }

    /// The client took some bytes, or sent many.
    pub fn touch_now(&self) {
        self.touch(seconds(self.epoch, Instant::now()));
    }

    /// Whether the socket has taken all that was written, and all that came was whole requests.
    pub fn settle(&self, settled: bool) {
        self.unsettled.store(!settled, Ordering::Relaxed);
    }

    /// Tells who serves the connection to let go of what only requests need, unless something is under way, or it was told.
    pub fn tell_to_rest(&self) {
        let last = self.last.load(Ordering::Relaxed);
        if !self.is_busy() && self.rest.swap(last, Ordering::Relaxed) != last {
            self.server.wake();
        }
    }

    /// When it last moved, if it was told to rest and nothing has come or begun since.
    pub fn rests_since(&self) -> Option<u32> {
        let last = self.last.load(Ordering::Relaxed);
        (self.rest.load(Ordering::Relaxed) == last && !self.is_busy()).then_some(last)
    }

    /// Ready when told to rest, with nothing come or begun since. To be asked when there is nothing else to do.
    pub fn poll_rest(&self, cx: &Context<'_>) -> Poll<()> {
        self.server.register(cx.waker());
        if self.rests_since().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_busy(&self) -> bool {
        self.is_answering() || self.unsettled.load(Ordering::Relaxed)
    }

    pub(super) fn request_began(&self, second: u32) {
        self.asked.store(true, Ordering::Relaxed);
        self.answering.store(self.answering.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.touch(second);
    }

    pub(super) fn request_ended(&self) {
        self.answering.store(self.answering.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.last.load(Ordering::Relaxed) == NONE
    }

    pub(super) fn touch(&self, second: u32) {
        self.last.store(second, Ordering::Relaxed);
    }
}

/// Whole seconds from one to the other.
pub(super) fn seconds(epoch: Instant, instant: Instant) -> u32 {
    u32::try_from(instant.saturating_duration_since(epoch).as_secs()).unwrap_or(NONE)
}
