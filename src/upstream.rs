//! Mirrors and parents: choice, connections, time.
//!
//! [`Upstreams`] knows all servers and answers, for one request, with the [`Candidate`]s that may serve it,
//! best first. Each worker's [`Client`] sends a request to one candidate and hands back the head, with an
//! [`UpstreamBody`] that is still streaming. Going on to the next candidate is the caller's business, and so
//! is telling [`Upstream::record`] how a request ended, exactly once: only the caller knows whether the bytes
//! were good.
//!
//! Invariants: every wait is bounded (name, connection, head, silence in a body); a connection goes back to
//! the pool only after a complete answer, in every other case it is closed; nothing here knows of caches.
//!
//! Not here: retries over mirrors and the digests of bodies (`fetch.rs`), freshness (`document.rs`).

mod body;
mod client;
mod connect;
mod failure;
mod outcome;
mod pool;
mod resolve;
mod route;
mod task;
mod tls;

pub use body::UpstreamBody;
pub use client::{Client, Outgoing};
pub use failure::{Failure, Side};
pub use outcome::UpstreamOutcome;
pub use route::{Candidate, Form, RouteKind, RouteQuery, UpstreamSetupError, Upstreams};
pub use tls::TlsSetupError;

use std::sync::Arc;

use outcome::Counters;

use crate::config::ServerUrl;

/// What a server is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A cache further up, from `[[parents]]`.
    Parent,
    /// A stratum from `[[mirrors]]`.
    Mirror,
    /// A server that is not configured; a request named it.
    Named,
}

/// A server that requests are sent to. One for each configured server, shared by all workers; one for each
/// request where the server is not configured.
#[derive(Debug)]
pub struct Upstream {
    url: Arc<ServerUrl>,
    role: Role,
    label: Box<str>,
    counters: Arc<Counters>,
}

impl Upstream {
    /// The server.
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// What it is to us.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name in metrics: the configured URL, or `other`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Notes how a request to it ended. To be called once for each request, when the end is known.
    pub fn record(&self, outcome: UpstreamOutcome) {
        self.counters.count(outcome);
    }
}

#[cfg(test)]
mod tests;
