//! Who may ask, for what, and whither.
//!
//! Four questions, asked in this order: may this client ask ([`Access::client`]), is this a kind of URL that
//! is served ([`Access::target`]), may this host be named ([`Access::host`]), and, once its name is resolved,
//! may this very address be connected to ([`Access::may_connect`], [`Access::connected`]). The last one is
//! asked for every address of every connection, since a name may resolve to something else at any time (DNS
//! rebinding).
//!
//! Invariant: no rule opens the proxy's own listeners, the admin port above all. Pure: values in, verdicts out.

mod address;
mod shape;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::{
    self, Authority, Glob, MirrorGroup, Parent, PortRange, Registry, ServerUrl, TargetShape, WriteMethod,
};
use crate::layout::Layout;
use crate::reason::Reason;

/// The rules of `[access]`, together with what the other tables imply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    clients: Vec<IpNet>,
    targets: Vec<TargetShape>,
    hosts: Vec<Glob>,
    ports: Vec<PortRange>,
    internal_hosts: Vec<Glob>,
    methods: Vec<WriteMethod>,
    connect: Vec<Authority>,
    mirrors: HashSet<ServerUrl>,
    registries: Vec<Registry>,
    parents: HashSet<ServerUrl>,
    own: Vec<SocketAddr>,
}

/// Why something is not allowed: a sentence for whoever reads the answer, naming the key that decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The client's address is in none of the networks.
    #[error("clients at {0} may not use this proxy: `clients` in [access] lists none of their networks")]
    Client(IpAddr),
    /// The URL has none of the shapes.
    #[error("this proxy does not serve URLs of this kind: `targets` in [access] lists the kinds it serves")]
    Target,
    /// A client names a registry that is not configured.
    #[error("this proxy does not stand before a registry of that name: [[registries]] lists those it knows")]
    Registry,
    /// The host named is not on the list.
    #[error("this proxy may not ask {0}: `hosts` in [access] has no pattern for it")]
    Host(Arc<str>),
    /// The port named is not on the list.
    #[error("this proxy may not ask {host} at port {port}: `ports` in [access] does not list it")]
    Port {
        /// The host as named.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
    /// No tunnel may be opened to this server.
    #[error("this proxy opens no tunnel to {0}: `connect` in [access] does not list it")]
    Tunnel(Arc<str>),
    /// The host is, or resolves to, an address that is not part of the public internet.
    #[error(
        "this proxy may not ask {host}: its address {address} is internal; \
         `internal_hosts` in [access] lists the hosts that may have such an address"
    )]
    InternalAddress {
        /// The host as named.
        host: Arc<str>,
        /// What it resolved to.
        address: IpAddr,
    },
    /// The host is, or resolves to, one of our own listeners.
    #[error("this proxy does not ask itself: {host} is its own address {address}")]
    Ourselves {
        /// The host as named.
        host: Arc<str>,
        /// What it resolved to.
        address: SocketAddr,
    },
}

impl Denial {
    /// Why, in the words that operators read.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Client(_) => Reason::ClientNotAllowed,
            Self::Target => Reason::KindNotServed,
            Self::Registry => Reason::RegistryNotServed,
            Self::Host(_) => Reason::HostNotAllowed,
            Self::Port { .. } => Reason::PortNotAllowed,
            Self::Tunnel(_) => Reason::TunnelNotAllowed,
            Self::InternalAddress { .. } => Reason::InternalAddress,
            Self::Ourselves { .. } => Reason::OwnAddress,
        }
    }
}

impl Access {
    /// Puts the rules together. `own` are the addresses that our listeners are bound to, with their real
    /// ports.
    pub fn new(
        config: &config::Access,
        mirrors: &[MirrorGroup],
        parents: &[Parent],
        own: &[SocketAddr],
    ) -> Self {
        Self {
            clients: config.clients.clone(),
            targets: config.targets.clone(),
            hosts: config.hosts.clone(),
            ports: config.ports.clone(),
            internal_hosts: config.internal_hosts.clone(),
            methods: config.methods.clone(),
            connect: config.connect.clone(),
            mirrors: mirrors.iter().flat_map(|group| &group.urls).cloned().collect(),
            registries: Vec::new(),
            parents: parents.iter().map(|parent| parent.url.clone()).collect(),
            own: own.to_vec(),
        }
    }

    /// The same with registries, which may be asked like mirrors.
    pub fn before(self, registries: &[Registry]) -> Self {
        let mut mirrors = self.mirrors;
        mirrors.extend(registries.iter().map(|registry| registry.url.clone()));
        Self { mirrors, registries: registries.to_vec(), ..self }
    }

    /// Registries that this proxy stands before.
    pub fn registries(&self) -> &[Registry] {
        &self.registries
    }

    /// Whether a client at `ip` may ask at all. An IPv4 client of an IPv6 socket counts as IPv4.
    pub fn client(&self, ip: IpAddr) -> Result<(), Denial> {
        let ip = ip.to_canonical();
        if self.clients.iter().any(|net| net.contains(&ip)) { Ok(()) } else { Err(Denial::Client(ip)) }
    }

    /// Methods beside GET and HEAD that are passed on.
    pub fn methods(&self) -> &[WriteMethod] {
        &self.methods
    }

    /// That of this name, if it is one of them.
    pub fn method(&self, name: &str) -> Option<WriteMethod> {
        self.methods.iter().copied().find(|method| method.as_str() == name)
    }

    /// Whether what a layout names is served as objects. Paths like those of CernVM-FS are nothing else; the others are
    /// taken for what they look like only where the configuration names the layout.
    pub fn objects(&self, layout: Layout) -> bool {
        let serves = |shape: &TargetShape| match layout {
            Layout::Cvmfs => matches!(shape, TargetShape::Cvmfs | TargetShape::Any),
            Layout::Debian => *shape == TargetShape::Debian,
            Layout::Bazel => *shape == TargetShape::Bazel,
        };
        self.targets.iter().any(serves)
    }

    /// Whether URLs like this one are served. A shape is a matter of the path; only Frontier's includes the
    /// query.
    pub fn target(&self, path_and_query: &str) -> Result<(), Denial> {
        let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
        let served = self.targets.iter().any(|shape| match shape {
            TargetShape::Cvmfs => shape::is_cvmfs(path),
            TargetShape::Frontier => shape::is_frontier(path_and_query),
            TargetShape::Any => true,
            TargetShape::Debian => shape::is_debian(path),
            TargetShape::Bazel => shape::is_bazel(path),
        });
        if served { Ok(()) } else { Err(Denial::Target) }
    }

    /// Whether a forward request may name this host and port. Mirrors always may be named.
    ///
    /// A host that is an address already is judged as such here: a parent that is asked for it would connect
    /// to what is internal to the parent.
    pub fn host(&self, named: &ServerUrl) -> Result<(), Denial> {
        if !self.mirrors.contains(named) {
            if !self.hosts.iter().any(|glob| glob.matches(&named.host)) {
                return Err(Denial::Host(named.host.as_ref().into()));
            }
            if !self.ports.iter().any(|range| range.contains(named.port)) {
                return Err(Denial::Port { host: named.host.as_ref().into(), port: named.port });
            }
        }
        address::literal(&named.host).map_or(Ok(()), |ip| self.may_connect(named, ip))
    }

    /// Whether a tunnel may lead to this server. Its addresses are judged like those of any other
    /// ([`Access::may_connect`]).
    pub fn tunnel(&self, target: &Authority) -> Result<(), Denial> {
        if self.connect.contains(target) { Ok(()) } else { Err(Denial::Tunnel(target.to_string().into())) }
    }

    /// Whether a connection to `address`, which `server` resolved to, may be opened. Mirrors and parents may
    /// have any address but our own.
    pub fn may_connect(&self, server: &ServerUrl, address: IpAddr) -> Result<(), Denial> {
        let address = address.to_canonical();
        let peer = SocketAddr::new(address, server.port);
        // A translator may lead back here.
        let leads_to = address::destination(address);
        // Connecting to the unspecified address reaches this machine.
        let here = leads_to.is_loopback() || leads_to.is_unspecified();
        let ourselves = self.own.iter().any(|own| {
            let ip = own.ip().to_canonical();
            own.port() == server.port
                && (ip == leads_to
                    || (ip.is_unspecified() && here)
                    || (ip.is_loopback() && leads_to.is_unspecified()))
        });
        if ourselves {
            return Err(Denial::Ourselves { host: server.host.as_ref().into(), address: peer });
        }
        let known = self.mirrors.contains(server) || self.parents.contains(server);
        if known || !address::is_internal(address) || self.may_be_internal(server) {
            return Ok(());
        }
        Err(Denial::InternalAddress { host: server.host.as_ref().into(), address })
    }

    /// Whether an open connection may be used. A listener on the unspecified address is reached through every
    /// address of this machine, and only an open connection tells which these are: both its ends have the
    /// same one.
    pub fn connected(&self, server: &ServerUrl, local: IpAddr, peer: SocketAddr) -> Result<(), Denial> {
        let same_machine = local.to_canonical() == peer.ip().to_canonical();
        let everywhere = |own: &SocketAddr| own.ip().is_unspecified() && own.port() == peer.port();
        if same_machine && self.own.iter().any(everywhere) {
            return Err(Denial::Ourselves { host: server.host.as_ref().into(), address: peer });
        }
        Ok(())
    }

    /// Whether its address may be one that is not part of the public internet.
    pub fn may_be_internal(&self, server: &ServerUrl) -> bool {
        self.internal_hosts.iter().any(|glob| glob.matches(&server.host))
    }
}

#[cfg(test)]
mod tests;
