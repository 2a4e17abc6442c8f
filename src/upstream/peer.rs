//! Who is connected to: a server by its name, or one of the addresses of a name that stands for several servers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::ServerUrl;

/// See the module. Connections are kept by this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    /// The server as configured or named: what rules and certificates are about.
    pub(super) url: Arc<ServerUrl>,
    /// The address that is meant, where not just any of the name's is.
    pub(super) at: Option<IpAddr>,
}

impl From<Arc<ServerUrl>> for Peer {
    /// Any address of the name will do.
    fn from(url: Arc<ServerUrl>) -> Self {
        Self { url, at: None }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(address) if self.url.host.parse() != Ok(address) => write!(f, "{} at {address}", self.url),
            _ => write!(f, "{}", self.url),
        }
    }
}
