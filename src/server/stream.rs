//! A client's connection as the HTTP parser sees it: what [`Intake`] lets through.
//!
//! What passes in one read goes through where it lies; the rest waits in a buffer of at most one head and one read. What is
//! dropped without having been shut down is reset: to a client of HTTP/1.0, a body that broke off must not look complete (RFC
//! 9112 §8). A client that closes its sending half still gets its answers (RFC 9112 §6.3): the parser, which takes such an end
//! for the client's, hears of it when they are sent. Whether somebody is still there, only writing can tell; so who ends after a
//! silence, while nothing is there to be written, is taken for gone at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::intake::Intake;
use super::transport::Transport;
use super::zero_copy::Piece;
use crate::page_cache;
use crate::tally::Activity;

/// Bytes of a refused client that are read and thrown away before the end, so that they do not turn the end into a reset
/// that overtakes the answer (RFC 9112 §9.6). Only what is there already: nobody waits for more.
const DISCARDED: usize = 256 << 10;

/// Content of which so much came counts as a movement: it is to come at this rate at least, in bytes each `idle_timeout`.
const MOVEMENT: usize = 1 << 20;

/// Whole seconds without a movement (so up to two of them) within which a client that is done with sending waits for its answer.
/// One that ends after more has lost its patience.
const AT_ONCE: u32 = 1;

/// The connection.
pub struct ClientStream {
    stream: Transport,
    intake: Intake,
    end: End,
    activity: Arc<Activity>,
    /// The sweep knows that a head has begun.
    in_head: bool,
    /// Bytes that came since they were a movement.
    came: usize,
    input: Input,
    /// The client has to take something before more is written.
    blocked: bool,
    /// What was written last was of locked pages.
    gave_pages: bool,
}

/// The client's sending half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    /// It has sent all it will ever send, and an answer is still on its way.
    Ended,
    /// The parser knows.
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// A tunnel goes through: whatever the client sends is somebody else's.
    Tunnel,
    /// Both sides are done in good order.
    ShutDown,
}

impl ClientStream {
    /// Around an accepted connection. Tells `activity` of heads that come slowly and answers that are taken slowly.
    pub fn new(stream: Transport, intake: Intake, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            intake,
            end: End::NotYet,
            activity,
            in_head: false,
            came: 0,
            input: Input::Open,
            blocked: false,
            gave_pages: false,
        }
    }

    /// Waits until something comes, the end included.
    pub async fn something_comes(&self) -> io::Result<()> {
        if !self.intake.ready().is_empty() {
            return Ok(());
        }
        self.stream.tcp().readable().await
    }

    /// Bytes that were read and not used come again.
    pub fn give_back(&mut self, bytes: &[u8]) {
        self.intake.give_back(bytes);
    }

    /// From now on, a tunnel goes through it.
    pub fn carry(&mut self) {
        self.end = End::Tunnel;
    }

    /// What of `all` bytes the socket took: less only of a client that takes them slowly.
    fn note_taken(&mut self, taken: &Poll<io::Result<usize>>, all: impl FnOnce() -> usize) {
        self.note_blocked(taken.is_pending());
        if let Poll::Ready(Ok(taken)) = taken
            && *taken < all()
        {
            self.activity.touch_now();
        }
    }

    fn note_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
        self.note_settled();
    }

    fn note_settled(&mut self) {
        let settled = !self.blocked && self.input == Input::Open && self.intake.is_between_requests();
        self.activity.settle(settled);
    }

    fn note_came(&mut self, n: usize) {
        self.came += n;
        if self.came >= MOVEMENT {
            self.came = 0;
            self.activity.touch_now();
        }
    }

    /// The client has sent its last byte: whether the parser is to know now.
    fn end_is_due(&mut self) -> bool {
        let waits = self.is_busy() && !self.intake.awaits_content() && self.end == End::NotYet;
        self.input = match self.input {
            Input::Ended if waits => Input::Ended,
            Input::Open if waits && (self.blocked || !self.is_silent()) => Input::Ended,
            _ => Input::Told,
        };
        self.input == Input::Told
    }

    fn is_silent(&self) -> bool {
        self.activity.idle(self.activity.seconds()) > AT_ONCE
    }

    /// Whether some of an answer has yet to be written.
    fn is_busy(&self) -> bool {
        self.blocked || self.activity.is_answering()
    }

    /// A head that is whole in one read is never heard of.
    fn note_head(&mut self) {
        let begun = self.intake.is_in_head();
        if begun && !self.in_head {
            self.activity.head_began();
        } else if !begun && self.in_head {
            self.activity.head_ended();
        }
        self.in_head = begun;
    }
}

impl ClientStream {
    fn poll_take(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let ready = self.intake.ready();
            if !ready.is_empty() {
                let n = ready.len().min(buf.remaining());
                buf.put_slice(&ready[..n]);
                self.intake.handed_on(n);
                return Poll::Ready(Ok(()));
            }
            if self.intake.is_refused() {
                // An end would break off answers that are still on their way.
                return Poll::Pending;
            }
            let (filled, room) = (buf.filled().len(), buf.remaining());
            if self.input == Input::Open {
                ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            }
            let came = &buf.filled()[filled..];
            if came.is_empty() && room > 0 && !self.end_is_due() {
                return Poll::Pending;
            }
            self.note_came(came.len());
            if came.is_empty() || self.intake.passes(came) {
                return Poll::Ready(Ok(()));
            }
            self.intake.take(came);
            self.note_head();
            buf.set_filled(filled);
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let came = self.poll_take(cx, buf);
        self.note_settled();
        came
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_blocked(flushed.is_pending());
        if self.input == Input::Ended && !self.is_busy() {
            // The parser waits for a read that would come to nothing.
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if std::mem::replace(&mut self.end, End::ShutDown) != End::NotYet {
            return Poll::Ready(Ok(()));
        }
        let mut scrap = [0; 4096];
        for _ in 0..DISCARDED / scrap.len() {
            if !matches!(self.stream.tcp().try_read(&mut scrap), Ok(1..)) {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Transport::Plain(tcp) = &self.stream
            && let Some(piece) = Piece::first_of(slices, self.gave_pages)
        {
            let taken = piece.poll_send(tcp, cx);
            self.note_taken(&taken, || piece.len());
            self.gave_pages = piece.is_pages();
            return taken;
        }
        self.gave_pages = false;
        let taken = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_taken(&taken, || slices.iter().map(|slice| slice.len()).sum());
        if let Poll::Ready(Err(error)) = &taken
            && error.raw_os_error() == Some(Errno::FAULT.raw_os_error())
        {
            slices.iter().for_each(|slice| page_cache::unreadable(slice));
        }
        taken
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.end != End::ShutDown {
            let _ = socket2::SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
        }
    }
}
