//! A client's connection as the HTTP parser sees it: whole request heads, each checked, or nothing.
//!
//! GET and HEAD have no content here, so every byte a client sends belongs to a head. A head that is complete in one read
//! goes through where it lies; others wait in a buffer of at most one head and one read. In place of a flawed head the
//! parser gets a stand-in ([`request::stand_in`]), so that the refusal is an answer like any other: in its turn, counted and
//! logged. After it nothing more is read. What is dropped without having been shut down is reset: to a client of HTTP/1.0,
//! a body that broke off must not look complete (RFC 9112 §8).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Transport;
use crate::request;
use crate::syntax::{Flaw, Limits, Lines, request_line};

/// Bytes of a refused client that are read and thrown away before the end, so that they do not turn the end into a reset
/// that overtakes the answer (RFC 9112 §9.6). Only what is there already: nobody waits for more.
const DISCARDED: usize = 256 << 10;

/// The connection.
pub struct ClientStream {
    stream: Transport,
    lines: Lines,
    /// Bytes not yet handed on: whole heads first, then the beginning of one.
    held: Vec<u8>,
    /// How many of them are whole heads.
    whole: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A flawed head came; the rest is not looked at.
    Refused,
    /// Both sides are done in good order.
    ShutDown,
}

impl ClientStream {
    /// Around an accepted connection.
    pub fn new(stream: Transport, limits: Limits) -> Self {
        Self { stream, lines: Lines::new(limits), held: Vec::new(), whole: 0, state: State::Open }
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.whole.min(buf.remaining());
        buf.put_slice(&self.held[..n]);
        self.held.drain(..n);
        self.whole -= n;
        if self.held.is_empty() {
            // Most clients never need it again.
            self.held = Vec::new();
        }
    }

    /// Looks at the bytes behind `filled`, and keeps what is not for the parser yet.
    fn take(&mut self, buf: &mut ReadBuf<'_>, filled: usize) {
        let start = self.held.len();
        if start == 0 {
            let came = &buf.filled()[filled..];
            if let Ok(whole) = whole_heads(&mut self.lines, came, 0)
                && whole == came.len()
            {
                return;
            }
            // Looked at once more, from the buffer.
            self.lines.restart();
        }
        self.held.extend_from_slice(&buf.filled()[filled..]);
        buf.set_filled(filled);
        let (whole, flaw) = match whole_heads(&mut self.lines, &self.held, start) {
            Ok(whole) => (whole, None),
            Err((whole, flaw)) => (whole, Some(flaw)),
        };
        self.whole = whole;
        if let Some(flaw) = flaw {
            self.held.truncate(whole);
            self.held.extend_from_slice(request::stand_in(flaw).as_bytes());
            self.whole = self.held.len();
            self.state = State::Refused;
        }
    }
}

/// Where the last whole head in `bytes` ends, of which all before `seen` were looked at and found to be the beginning of a
/// head.
fn whole_heads(lines: &mut Lines, bytes: &[u8], seen: usize) -> Result<usize, (usize, Flaw)> {
    let (mut whole, mut at) = (0, seen);
    loop {
        match lines.feed(&bytes[at..]) {
            Ok(None) => return Ok(whole),
            Ok(Some(n)) => {
                at += n;
                request_line(&bytes[whole..at]).map_err(|flaw| (whole, flaw))?;
                whole = at;
            }
            Err(flaw) => return Err((whole, flaw)),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.whole > 0 {
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            if this.state == State::Refused {
                // An end would break off answers that are still on their way.
                return Poll::Pending;
            }
            let filled = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if buf.filled().len() == filled {
                return Poll::Ready(Ok(()));
            }
            this.take(buf, filled);
            if buf.filled().len() > filled {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        self.state = State::ShutDown;
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.state != State::ShutDown {
            let _ = socket2::SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
        }
    }
}
