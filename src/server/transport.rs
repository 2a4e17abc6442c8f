//! The bytes of a client connection, with or without TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::unmapped::Unmapped;
use crate::metrics::Handshakes;

/// See the module.
pub enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted. Boxed: it is ten times as large.
    Tls(Box<Unmapped<TlsStream<TcpStream>>>),
}

impl Transport {
    /// Shakes hands, where there is to be TLS; nothing when that fails, or takes longer than `patience`.
    pub async fn open(
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
        patience: Duration,
        handshakes: Handshakes,
    ) -> Option<Self> {
        let Some(acceptor) = acceptor else { return Some(Self::Plain(stream)) };
        match tokio::time::timeout(patience, acceptor.accept(stream)).await {
            Ok(Ok(tls)) => {
                handshakes.done.inc();
                Some(Self::Tls(Box::new(Unmapped(tls))))
            }
            Ok(Err(error)) => {
                handshakes.failed.inc();
                tracing::debug!(%error, "a client cannot connect over TLS");
                None
            }
            Err(_) => {
                handshakes.slow.inc();
                None
            }
        }
    }

    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.0.get_ref().0,
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }
}
