//! A client like the CernVM-FS one (libcurl's header fields, one request at a time on a kept-alive connection), but
//! stricter: what libcurl forgives is an error value here, and nothing panics about what the peer sends.

mod ask;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

pub use ask::Ask;
pub use wire::{Answer, ClientError, Head};

use super::PATIENCE;
use wire::Reader;

/// Room for received bytes in the kernel of a client that reads slowly: the sender soon notices.
const SMALL_BUFFER: u32 = 4 << 10;

/// Bytes compared at a time.
const COMPARED: usize = 256 << 10;

/// One client with one connection at a time.
pub struct Client {
    /// Where it speaks from, if that matters.
    from: Option<Ipv4Addr>,
    server: SocketAddr,
    buffer: Option<u32>,
    connection: Option<Reader>,
}

impl Client {
    /// A client of the proxy or server at `server`; connects when it asks.
    pub fn of(server: SocketAddr) -> Self {
        Self { from: None, server, buffer: None, connection: None }
    }

    /// The same on the machine with this address, of the loopback network.
    pub fn from(address: Ipv4Addr, server: SocketAddr) -> Self {
        Self { from: Some(address), ..Self::of(server) }
    }

    /// A client with a small receive buffer: what it does not take stays with the sender.
    pub fn with_small_buffer(server: SocketAddr) -> Self {
        Self { buffer: Some(SMALL_BUFFER), ..Self::of(server) }
    }

    /// Asks and reads the whole answer.
    pub async fn ask(&mut self, ask: impl Into<Ask>) -> Result<Answer, ClientError> {
        let ask = ask.into();
        self.send(&ask).await?;
        let head = self.head().await?;
        let body = self.body(&head, &ask).await?;
        if head.closes() {
            self.connection = None;
        }
        Ok(Answer { head, body })
    }

    /// Sends a request; connects first if there is no connection.
    pub async fn send(&mut self, ask: &Ask) -> Result<(), ClientError> {
        let request = ask.render(self.server);
        self.send_raw(request.as_bytes()).await
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        if self.connection.is_none() {
            self.connection = Some(Reader::new(self.connect().await?));
        }
        Ok(self.reader()?.stream_mut().write_all(bytes).await?)
    }

    /// Reads the head of the answer.
    pub async fn head(&mut self) -> Result<Head, ClientError> {
        within(self.reader()?.head()).await
    }

    /// Reads exactly `n` bytes, wherever the body ends.
    pub async fn take(&mut self, n: usize) -> Result<Bytes, ClientError> {
        within(self.reader()?.take(n)).await
    }

    /// Reads the body that `head` announces as the answer to `ask`.
    pub async fn body(&mut self, head: &Head, ask: &Ask) -> Result<Bytes, ClientError> {
        let reader = self.reader()?;
        if ask.expects_no_body() { Ok(Bytes::new()) } else { within(reader.body(head)).await }
    }

    /// Reads as many bytes as `expected` has, piece by piece, and keeps none: panics at the first that differs.
    pub async fn compare(&mut self, expected: &[u8]) -> Result<(), ClientError> {
        for piece in expected.chunks(COMPARED) {
            assert!(self.take(piece.len()).await? == piece, "other bytes than published");
        }
        Ok(())
    }

    /// Waits for the peer to close the connection; what it sends before is returned.
    pub async fn until_closed(&mut self) -> Result<Bytes, ClientError> {
        let rest = within(self.reader()?.rest()).await;
        self.connection = None;
        rest
    }

    /// Closes the sending half of the connection: there will be no more requests.
    pub async fn finish(&mut self) -> Result<(), ClientError> {
        Ok(self.reader()?.stream_mut().shutdown().await?)
    }

    /// Goes away with a reset.
    pub fn reset(&mut self) -> Result<(), ClientError> {
        let stream = self.reader()?.stream_mut();
        socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
        self.connection = None;
        Ok(())
    }

    /// Goes away without a word.
    pub fn leave(&mut self) {
        self.connection = None;
    }

    fn reader(&mut self) -> Result<&mut Reader, ClientError> {
        self.connection.as_mut().ok_or(ClientError::Closed)
    }

    async fn connect(&self) -> Result<TcpStream, ClientError> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(address) = self.from {
            socket.bind((address, 0).into())?;
        }
        let stream = within(async { Ok(socket.connect(self.server).await?) }).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

async fn within<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(ClientError::TimedOut))
}

/// Asks for all of an object, and reads it against what is expected.
pub async fn ask_and_compare(mut client: Client, ask: Ask, expected: Bytes) -> Result<(), ClientError> {
    client.send(&ask).await?;
    let head = client.head().await?;
    assert_eq!((head.status, head.content_length()), (200, Some(expected.len() as u64)));
    client.compare(&expected).await
}
