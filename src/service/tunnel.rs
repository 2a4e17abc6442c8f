//! Tunnels (CONNECT, RFC 9110 §9.3.6): opened here, carried by whoever owns the client's connection.
//!
//! Only to servers that the configuration lists, whose addresses are judged like those of any other; so many at a time for
//! all workers together. Nothing of what goes through is looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::Worker;
use crate::cache::{FillError, Why};
use crate::config::Authority;
use crate::metrics::TunnelMetrics;
use crate::outcome::Outcome;
use crate::response::body::Body;
use crate::response::whole;
use crate::tally::Tally;
use crate::upstream::{Failure, Role};

/// The tunnels of all workers.
pub struct Tunnels {
    open: AtomicUsize,
    metrics: TunnelMetrics,
}

/// One tunnel's place among them.
pub struct TunnelPlace(Arc<Tunnels>);

/// An open tunnel: the server's end of it, and its account.
pub struct Tunnel {
    /// The server.
    pub server: TcpStream,
    /// Reports when dropped.
    pub tally: Tally,
    /// Counts it as open.
    pub place: TunnelPlace,
}

/// What a connection is after its last answer: hyper hands it over where a request asked for that, and otherwise drops it
/// without the end that answers have to have.
pub struct Legacy {
    /// Yields the connection.
    pub connection: OnUpgrade,
    /// What is to go through it; nothing where the request was refused, or of another kind.
    pub tunnel: Option<Tunnel>,
}

/// Where a request leaves it for the owner of the connection. The latest one counts.
pub type Bequest = Arc<Mutex<Option<Box<Legacy>>>>;

impl Tunnels {
    /// None yet.
    pub fn new(metrics: TunnelMetrics) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), metrics })
    }

    fn take(self: &Arc<Self>, max: usize) -> Option<TunnelPlace> {
        let more = |open| (open < max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        self.metrics.open.inc();
        Some(TunnelPlace(Arc::clone(self)))
    }
}

impl TunnelPlace {
    /// Where its bytes are counted.
    pub fn metrics(&self) -> &TunnelMetrics {
        &self.0.metrics
    }
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.open.dec();
    }
}

impl Worker {
    /// The answer to a request for a tunnel that may be opened; the tunnel itself is left in `bequest`.
    pub(super) async fn tunnel(
        &self,
        target: &Authority,
        connection: OnUpgrade,
        bequest: &Bequest,
        mut tally: Tally,
    ) -> Response<Body> {
        tally.asked(Role::Named, &target.to_string());
        match self.open_tunnel(target).await {
            Ok((server, place)) => {
                let mut response = Response::new(Body::empty());
                self.heads.sign_tunnel(response.headers_mut());
                tally.answered(Outcome::Tunnel, StatusCode::OK, response.headers());
                let tunnel = Some(Tunnel { server, tally, place });
                *bequest.lock() = Some(Box::new(Legacy { connection, tunnel }));
                response
            }
            Err(failure) => {
                *bequest.lock() = Some(Box::new(Legacy { connection, tunnel: None }));
                let (response, outcome) = self.heads.tunnel_failure(&failure);
                tally.because(failure.why.reason());
                super::finish(whole(response, None), outcome, tally)
            }
        }
    }

    async fn open_tunnel(&self, target: &Authority) -> Result<(TcpStream, TunnelPlace), FillError> {
        let metrics = &self.tunnels.metrics;
        let Some(place) = self.tunnels.take(self.listen.max_tunnels) else {
            metrics.busy.inc();
            let max = self.listen.max_tunnels;
            return Err(FillError::new(
                Why::Overload,
                format!("all {max} tunnels of max_tunnels are in use"),
            ));
        };
        match self.upstreams.tunnel(target.server()).await {
            Ok(server) => {
                metrics.opened.inc();
                Ok((server, place))
            }
            Err(failure) => {
                metrics.failed.inc();
                Err(match failure {
                    Failure::Forbidden(denial) => FillError::new(Why::Forbidden, denial.to_string()),
                    other => other.into(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn tunnels_are_bounded() {
        let tunnels = Tunnels::new(Metrics::new().unwrap().tunnel);
        let first = tunnels.take(2);
        let second = tunnels.take(2);
        assert!(first.is_some() && second.is_some() && tunnels.take(2).is_none());
        assert_eq!(tunnels.metrics.open.get(), 2);
        drop(first);
        assert!(tunnels.take(1).is_none(), "a reload has lowered the limit");
        assert!(tunnels.take(2).is_some());
        drop(second);
        assert_eq!(tunnels.metrics.open.get(), 0);
    }
}
