//! Connections: accepted up to a number, each for one request and a bounded time.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time;

use super::Admin;
use super::history::{self, History};
use super::reports::{self, Reports};
use super::routes;

/// Bounds. Fixed in production; tests make them small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections; more wait in the kernel's queue.
    pub(super) connections: usize,
    /// From accept to the last byte of the answer.
    pub(super) connection_time: Duration,
    /// Reports made at the same time.
    pub(super) reports: usize,
    /// How long a report may take.
    pub(super) report_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            connection_time: Duration::from_secs(15),
            reports: 4,
            // Prometheus gives up after 10 s, unless told otherwise.
            report_time: Duration::from_secs(8),
        }
    }
}

/// Threads for reports, one that looks for the history, one for SNMP, and one for purges.
pub const BLOCKING_CALLS: usize = 7;

/// Serves until `shutdown`, then finishes the answers in progress: 15 s at most.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, shutdown: impl Future<Output = ()>) {
    serve_within(Limits::default(), listener, admin, shutdown).await;
}

pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    admin: Arc<Admin>,
    shutdown: impl Future<Output = ()>,
) {
    let history = Arc::new(History::default());
    let reports = reports::service(admin.clone(), history.clone(), &limits);
    let keeper = tokio::spawn(history::keep(admin.clone(), history));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, peer)) => {
                    let served = serve_connection(stream, peer.ip(), admin.clone(), reports.clone());
                    connections.spawn(time::timeout(limits.connection_time, served));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the admin address");
                    // Most likely out of file descriptors: trying again at once would only burn the processor.
                    time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    keeper.abort();
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(stream: TcpStream, peer: IpAddr, admin: Arc<Admin>, reports: Reports) {
    let service = service_fn(|request| routes::answer(&admin, &reports, peer, request));
    let mut builder = http1::Builder::new();
    // The time of the whole connection is bounded.
    builder.keep_alive(false).header_read_timeout(None).max_headers(64).max_buf_size(MAX_HEAD);
    let tls = admin.guard.load().tls.clone();
    let served = match tls {
        None => builder.serve_connection(TokioIo::new(stream), service).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await,
            Err(error) => {
                tracing::debug!(%error, "somebody cannot connect to the admin address over TLS");
                return;
            }
        },
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the admin address ended early");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a request; more gets 431.
const MAX_HEAD: usize = 16 << 10;
