//! An upstream's connection as the HTTP parser sees it: the lines of each answer's head are checked as they come.
//!
//! The parser forgives bare LF and empty lines in front, and takes any number of interim answers; an answer that another
//! reader could cut elsewhere must be nobody's (RFC 9112 §2.2, §11.1). A head is expected from the moment a request is
//! written: without content, whatever is written begins one; with content, the connection is for one request. Bodies pass untouched: the parser bounds chunks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::syntax::{Limits, Lines};

/// Interim answers (1xx) before the answer to a request. They are swallowed: CVMFS clients take them for errors.
const MAX_INTERIM: usize = 8;

/// `HTTP/1.1 1`: as much as tells an interim answer from others.
const STATUS_CLASS: usize = 10;

/// The connection.
pub struct UpstreamStream<S> {
    stream: S,
    lines: Lines,
    /// The beginning of the head under way.
    start: [u8; STATUS_CLASS],
    started: usize,
    interim: usize,
    awaits: Awaits,
    exchanges: Exchanges,
}

/// Requests on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanges {
    /// One after the other, none with content.
    Several,
    /// A single one, which may have content.
    One,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Head,
    /// A body, or nothing.
    Body,
    /// The same, and never a head any more.
    End,
}

impl<S> UpstreamStream<S> {
    /// Around a connection that nothing was asked on yet; no head may be longer than `max_head` bytes.
    pub fn new(stream: S, max_head: usize, exchanges: Exchanges) -> Self {
        let limits = Limits { head: max_head, first_line: max_head, fields: usize::MAX - 1, empty_lines: 0 };
        Self {
            stream,
            lines: Lines::new(limits),
            start: [0; STATUS_CLASS],
            started: 0,
            interim: 0,
            awaits: Awaits::Body,
            exchanges,
        }
    }

    fn asked(&mut self) {
        if self.awaits == Awaits::Body {
            self.awaits = Awaits::Head;
            (self.started, self.interim) = (0, 0);
            self.lines.restart();
        }
    }

    fn check(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let wrong =
            |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("head of an answer: {why}"));
        while self.awaits == Awaits::Head && !bytes.is_empty() {
            let n = bytes.len().min(STATUS_CLASS - self.started);
            self.start[self.started..self.started + n].copy_from_slice(&bytes[..n]);
            self.started += n;
            let Some(end) = self.lines.feed(bytes).map_err(|flaw| wrong(flaw.as_str()))? else {
                return Ok(());
            };
            bytes = &bytes[end..];
            self.started = 0;
            if self.start[STATUS_CLASS - 1] != b'1' {
                self.awaits = match self.exchanges {
                    Exchanges::Several => Awaits::Body,
                    Exchanges::One => Awaits::End,
                };
            } else if self.interim == MAX_INTERIM {
                return Err(wrong("too many interim answers"));
            } else {
                self.interim += 1;
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UpstreamStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.check(&buf.filled()[filled..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UpstreamStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.asked();
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
