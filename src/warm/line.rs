//! A connection that is kept from one request to the next, and opened anew where the other end has closed it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

/// What takes requests without a body.
pub type Sender = SendRequest<Empty<Bytes>>;

/// One connection at a time.
#[derive(Default)]
pub struct Line {
    kept: Option<Sender>,
}

impl Line {
    /// The connection that was kept, while it is open; else `open` is waited for.
    pub async fn ready<E>(
        &mut self,
        open: impl Future<Output = Result<Sender, E>>,
    ) -> Result<&mut Sender, E> {
        let kept = match self.kept.take() {
            Some(mut kept) => kept.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let sender = match kept {
            Some(kept) => kept,
            None => open.await?,
        };
        Ok(self.kept.insert(sender))
    }

    /// The next request opens another one: what failed on this one may have broken it.
    pub fn hang_up(&mut self) {
        self.kept = None;
    }
}

/// A connection that sends small requests at once.
pub async fn connect(to: impl ToSocketAddrs, within: Duration) -> io::Result<TcpStream> {
    let stream = timeout(within, TcpStream::connect(to)).await;
    let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Speaks HTTP over this.
pub async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Sender, hyper::Error> {
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender; its errors reach the requests.
    tokio::spawn(driver);
    Ok(sender)
}
