//! Server -> open connection: name, access rules, TCP, TLS, HTTP.
//!
//! Every address is put to the access rules right before it is connected to, so a name that resolves to
//! something else by then gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::content::Content;
use super::peer::Peer;
use super::resolve::Resolver;
use super::stream::{Exchanges, UpstreamStream};
use super::task::OwnedTask;
use super::tls::Tls;
use super::{Failure, Side};
use crate::access::{Access, Denial};
use crate::config::{Scheme, ServerUrl};

/// What hyper makes room for before it reads. It starts at 8 KiB and doubles while reads come back full, so
/// that small answers do not pay for large buffers; growing the buffer may double this once more, hence body
/// frames of at most 256 KiB.
const READ_BUFFER: usize = 128 << 10;
/// Longest head of an answer; strata send some 300 bytes.
const MAX_HEAD: usize = 32 << 10;
/// When TCP looks after a silent peer, for connections that idle or wait for an answer.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long an attempt to connect may take before another address is tried beside it (RFC 8305 §8).
const NEXT_ATTEMPT: Duration = Duration::from_millis(250);

/// An open HTTP/1.1 connection, closed when dropped.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Content>,
    _driver: OwnedTask,
}

/// Opens connections, for all workers.
pub(super) struct Connector {
    resolver: Resolver,
    tls: Tls,
    access: Arc<Access>,
}

impl Connector {
    pub(super) fn new(resolver: Resolver, tls: Tls, access: Arc<Access>) -> Self {
        Self { resolver, tls, access }
    }

    /// Clones share what they know of names.
    pub(super) fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    /// A connection to `peer`, before `by`. Its task runs on the current worker. Boxed: most requests open none, and would be
    /// 4 KB larger each.
    pub(super) fn open<'a>(
        &'a self,
        peer: &'a Peer,
        exchanges: Exchanges,
        by: Instant,
    ) -> Pin<Box<impl Future<Output = Result<Connection, Failure>> + use<'a>>> {
        Box::pin(async move {
            let server = &peer.url;
            let stream = self.open_tcp(peer, by).await?;
            match server.scheme {
                Scheme::Http => handshake(stream, exchanges).await,
                Scheme::Https => {
                    let tls = timeout_at(by, self.tls.connect(&server.host, stream)).await;
                    handshake(tls.map_err(|_| Failure::ConnectTimeout)??, exchanges).await
                }
            }
        })
    }

    /// Happy Eyeballs (RFC 8305 §5): tries the addresses one after the other without waiting for the end of an attempt
    /// longer than [`NEXT_ATTEMPT`]. The first connection wins, the other attempts are given up.
    pub(super) async fn open_tcp(&self, peer: &Peer, by: Instant) -> Result<TcpStream, Failure> {
        let server = &peer.url;
        let addresses = match peer.at {
            Some(address) => {
                self.access.may_connect(server, address)?;
                vec![address]
            }
            None => self.permitted_addresses(server, by).await?,
        };
        let opened = self.open_any(server, addresses, by).await;
        if peer.at.is_none() && opened.as_ref().is_err_and(|failure| failure.side() == Side::Upstream) {
            self.resolver.doubt(&server.host);
        }
        opened
    }

    async fn open_any(
        &self,
        server: &ServerUrl,
        addresses: Vec<IpAddr>,
        by: Instant,
    ) -> Result<TcpStream, Failure> {
        let mut untried = addresses.into_iter();
        let mut attempts = JoinSet::new();
        let mut last = Failure::ConnectTimeout;
        loop {
            let next = untried.next();
            if let Some(ip) = next {
                let address = SocketAddr::new(ip, server.port);
                attempts.spawn(async move { (address, TcpStream::connect(address).await) });
            } else if attempts.is_empty() {
                return Err(last);
            }
            let patience = if next.is_some() { by.min(Instant::now() + NEXT_ATTEMPT) } else { by };
            match timeout_at(patience, attempts.join_next()).await {
                Ok(Some(Ok((address, Ok(stream))))) => {
                    self.access.connected(server, local_ip(&stream, address)?, address)?;
                    tune(&stream).map_err(|error| Failure::from_connect(address, &error))?;
                    return Ok(stream);
                }
                Ok(Some(Ok((address, Err(error))))) => last = Failure::from_connect(address, &error),
                // Nothing aborts an attempt but the end of this function, and connecting does not panic.
                Ok(Some(Err(_)) | None) => {}
                Err(_) if Instant::now() >= by => return Err(Failure::ConnectTimeout),
                Err(_) => {}
            }
        }
    }

    /// The addresses of `server` that the access rules permit; never empty.
    async fn permitted_addresses(&self, server: &ServerUrl, by: Instant) -> Result<Vec<IpAddr>, Failure> {
        let unresolved = |reason| Failure::Dns { host: server.host.as_ref().into(), reason };
        let found = timeout_at(by, self.resolver.addresses(&server.host)).await;
        let found = found.map_err(|_| unresolved("no answer in time".into()))?.map_err(unresolved)?;
        let mut denial: Option<Denial> = None;
        let mut permitted = Vec::with_capacity(found.len());
        for &ip in found.iter() {
            match self.access.may_connect(server, ip) {
                Ok(()) => permitted.push(ip),
                Err(why) => denial = Some(why),
            }
        }
        match denial {
            Some(denial) if permitted.is_empty() => Err(denial.into()),
            _ => Ok(permitted),
        }
    }
}

fn local_ip(stream: &TcpStream, peer: SocketAddr) -> Result<IpAddr, Failure> {
    stream.local_addr().map(|local| local.ip()).map_err(|error| Failure::from_connect(peer, &error))
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

async fn handshake<S>(stream: S, exchanges: Exchanges) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .max_header_size(MAX_HEAD)
        .handshake(TokioIo::new(UpstreamStream::new(stream, MAX_HEAD, exchanges)))
        .await
        .map_err(|error| Failure::from_head(&error))?;
    let driver = OwnedTask::spawn(async move {
        // Whoever waits for the answer or its body is told the error too; of an idle connection nobody wants
        // to know.
        if let Err(error) = connection.await {
            tracing::trace!(%error, "upstream connection ended");
        }
    });
    Ok(Connection { sender, _driver: driver })
}
