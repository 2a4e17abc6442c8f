//! A connection that is written to by this program, not by the kernel: bytes of locked pages are read from their file for it, since
//! a mapped page that is gone would end the process ([`page_cache`]).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::page_cache;

/// Bytes that are read at a time: four records of TLS.
const READ: usize = 64 << 10;

/// See the module.
pub struct Unmapped<S>(pub S);

impl<S: AsyncRead + Unpin> AsyncRead for Unmapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unmapped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = Pin::new(&mut self.0);
        match page_cache::first_of(slices, 1) {
            None => inner.poll_write_vectored(cx, slices),
            Some((0, place)) => {
                let mut bytes = vec![0; READ.min(slices[0].len())];
                place.read(&mut bytes)?;
                inner.poll_write(cx, &bytes)
            }
            Some((at, _)) => inner.poll_write_vectored(cx, &slices[..at]),
        }
    }

    /// Else whoever writes would bring the bytes together before.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
