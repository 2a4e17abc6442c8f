//! A client's connection as the HTTP parser sees it: what [`Intake`] lets through.
//!
//! What passes in one read goes through where it lies; the rest waits in a buffer of at most one head and one read. What is
//! dropped without having been shut down is reset: to a client of HTTP/1.0, a body that broke off must not look complete (RFC
//! 9112 §8).

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

/// The connection.
pub struct ClientStream {
    stream: Transport,
    intake: Intake,
    end: End,
    activity: Arc<Activity>,
    /// The sweep knows that a head has begun.
    in_head: bool,
    /// The socket has yet to take something.
    writing: bool,
    /// What the sweep knows of both directions.
    settled: bool,
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
        Self { stream, intake, end: End::NotYet, activity, in_head: false, writing: false, settled: true }
    }

    /// Waits until something comes, the end included.
    pub async fn something_comes(&self) -> io::Result<()> {
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
        self.note_writing(taken.is_pending());
        if let Poll::Ready(Ok(taken)) = taken
            && *taken < all()
        {
            self.activity.touch_now();
        }
    }

    fn note_writing(&mut self, writing: bool) {
        self.writing = writing;
        self.note_settled();
    }

    fn note_settled(&mut self) {
        let settled = !self.writing && self.intake.is_between_requests();
        if settled != self.settled {
            self.settled = settled;
            self.activity.settle(settled);
        }
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
            let filled = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let came = &buf.filled()[filled..];
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
        self.note_writing(flushed.is_pending());
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
            && let Some(piece) = Piece::first_of(slices)
        {
            let taken = piece.poll_send(tcp, cx);
            self.note_taken(&taken, || piece.len());
            return taken;
        }
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
