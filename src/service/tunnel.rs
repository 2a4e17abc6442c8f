//! Tunnels (CONNECT, RFC 9110 §9.3.6): opened here, carried by whoever owns the client's connection.
//!
//! Only to servers that the configuration lists, whose addresses are judged like those of any other; so many at a time for
//! all workers together, and so many of one client. Nothing of what goes through is looked at.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::Worker;
use super::shares::{Bounds, Reached, Share, Shares};
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
    shares: Arc<Shares>,
    metrics: TunnelMetrics,
}

/// One tunnel's place among them.
pub struct TunnelPlace {
    tunnels: Arc<Tunnels>,
    _share: Share,
}

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
        Arc::new(Self { shares: Arc::default(), metrics })
    }

    fn take(self: &Arc<Self>, client: IpAddr, bounds: Bounds) -> Result<TunnelPlace, FillError> {
        let refused = |text: String| FillError::new(Why::Overload, text);
        let _share = self.shares.take(client, bounds).map_err(|reached| match reached {
            Reached::All => {
                self.metrics.busy.inc();
                refused(format!("all {} tunnels of `max_tunnels` in [listen] are in use", bounds.all))
            }
            Reached::Client => {
                self.metrics.client_busy.inc();
                let max = bounds.client;
                refused(format!("this client has {max} tunnels already: `max_client_tunnels` in [listen]"))
            }
        })?;
        self.metrics.open.inc();
        Ok(TunnelPlace { tunnels: Arc::clone(self), _share })
    }
}

impl TunnelPlace {
    /// Where its bytes are counted.
    pub fn metrics(&self) -> &TunnelMetrics {
        &self.tunnels.metrics
    }
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        self.tunnels.metrics.open.dec();
    }
}

impl Worker {
    /// The answer to a request for a tunnel that may be opened; the tunnel itself is left in `bequest`.
    pub(super) async fn tunnel(
        &self,
        (client, target): (IpAddr, &Authority),
        connection: OnUpgrade,
        bequest: &Bequest,
        mut tally: Tally,
    ) -> Response<Body> {
        tally.asked(Role::Named, &target.to_string());
        match self.open_tunnel(client, target).await {
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

    async fn open_tunnel(
        &self,
        client: IpAddr,
        target: &Authority,
    ) -> Result<(TcpStream, TunnelPlace), FillError> {
        let metrics = &self.tunnels.metrics;
        let bounds = Bounds { all: self.listen.max_tunnels, client: self.listen.max_client_tunnels };
        let place = self.tunnels.take(client, bounds)?;
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
    fn tunnels_are_bounded_and_counted() {
        let tunnels = Tunnels::new(Metrics::new().unwrap().tunnel);
        let [one, other, third] = [1, 2, 3].map(|last| [10, 0, 0, last].into());
        let bounds = Bounds { all: 2, client: 1 };
        let first = tunnels.take(one, bounds).ok().unwrap();
        let refused = tunnels.take(one, bounds).err().unwrap();
        assert!(refused.to_string().contains("max_client_tunnels"), "{refused}");
        let second = tunnels.take(other, bounds).ok().unwrap();
        let refused = tunnels.take(third, bounds).err().unwrap();
        assert!(refused.to_string().contains("all 2 tunnels of `max_tunnels`"), "{refused}");
        let metrics = &tunnels.metrics;
        assert_eq!((metrics.open.get(), metrics.busy.get(), metrics.client_busy.get()), (2, 1, 1));
        drop((first, second));
        assert_eq!(metrics.open.get(), 0);
        assert!(tunnels.take(one, bounds).is_ok());
    }
}
