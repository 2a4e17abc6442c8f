//! One client's connection: the HTTP parser while requests come, the bare socket while none do.
//!
//! Reading, answering and writing take some 20 KiB of buffers and state. Most connections of a site wait for their next
//! request: those that are told to rest ([`Activity::tell_to_rest`]) let go of all that and keep the socket.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::time::Duration;

use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::sync::watch;

use super::stream::ClientStream;
use super::{Phase, draining};
use crate::config;
use crate::metrics::OneMore;
use crate::service::Service;
use crate::syntax::Limits;
use crate::tally::Activity;

/// Fields of a request head. More are answered with 431.
const MAX_FIELDS: usize = 100;

/// What a request line has beside its target, with room for long methods.
const AROUND_TARGET: usize = 64;

/// Bytes of requests that the parser takes in ahead, more than the longest head.
const READ_AHEAD: usize = 16 << 10;

/// How long a client that had just connected when the draining began may take for its first request, before its connection
/// counts as idle: the request is on its way, and who connects anew would be refused or wait.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With a head that the parser refused.
    Unreadable,
    /// In any other way.
    Otherwise,
}

/// The bounds of a request head.
pub(super) fn limits(config: &config::Listen) -> Limits {
    let bytes = |size: config::ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    let (head, target) = (bytes(config.max_head), bytes(config.max_target));
    Limits { head, first_line: target + AROUND_TARGET, fields: MAX_FIELDS, empty_lines: 1 }
}

/// Serves the connection to its end.
#[allow(
    clippy::manual_async_fn,
    reason = "an `async fn` keeps room for each of its arguments twice, and this is most of what a resting connection takes"
)]
pub(super) fn serve(
    mut stream: ClientStream,
    mut service: Service,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
    activity: &Activity,
    resting: &IntGauge,
) -> impl Future<Output = Ended> + Send {
    async move {
        loop {
            match Box::pin(answer_requests(stream, service, limits, &mut phase, activity)).await {
                ControlFlow::Break(ended) => return ended,
                ControlFlow::Continue(rested) => (stream, service) = rested,
            }
            let _counted = OneMore::of(resting);
            tokio::select! {
                biased;
                // Whatever is wrong shows when it is read.
                _ = stream.something_comes() => {}
                () = draining(&mut phase) => {}
            }
        }
    }
}

/// Until the connection ends, or is told to rest.
async fn answer_requests(
    stream: ClientStream,
    service: Service,
    limits: Limits,
    phase: &mut watch::Receiver<Phase>,
    activity: &Activity,
) -> ControlFlow<Ended, (ClientStream, Service)> {
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.head + READ_AHEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = draining(phase) => {
            let ended = match activity.has_asked() {
                true => None,
                false => tokio::time::timeout(FIRST_REQUEST, &mut connection).await.ok(),
            };
            match ended {
                Some(ended) => ended,
                None => {
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                    connection.await
                }
            }
        }
        () = poll_fn(|cx| activity.poll_rest(cx)) => return rest(connection),
    };
    ControlFlow::Break(match ended {
        Ok(()) => Ended::Otherwise,
        Err(error) => {
            tracing::debug!(%error, "a client connection ended early");
            // The parser has answered it, and told nobody.
            if error.is_parse() { Ended::Unreadable } else { Ended::Otherwise }
        }
    })
}

fn rest(
    connection: UpgradeableConnection<TokioIo<ClientStream>, Service>,
) -> ControlFlow<Ended, (ClientStream, Service)> {
    let Some(parts) = connection.into_parts() else { return ControlFlow::Break(Ended::Otherwise) };
    let mut stream = parts.io.into_inner();
    stream.give_back(&parts.read_buf);
    ControlFlow::Continue((stream, parts.service))
}
