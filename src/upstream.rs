//! Mirrors and parents: choice, connections, time.
//!
//! [`Upstreams`] knows all servers and answers, for one request, with the [`Candidate`]s that may serve it,
//! best first. Each worker's [`Client`] sends a request to one candidate and hands back the head, with an
//! [`UpstreamBody`] that is still streaming. Going on to the next candidate is the caller's business, and so
//! is telling [`Upstream::record`] how a request ended, exactly once: only the caller knows whether the bytes
//! were good.
//!
//! Invariants: every wait is bounded (name, connection, head, silence in a body); a connection goes back to
//! the pool only after a complete answer, in every other case it is closed; a server in trouble is asked last,
//! never left out, and comes back by itself; nothing here knows of caches.
//!
//! Not here: retries over mirrors and the digests of bodies (`fetch.rs`), freshness (`document.rs`).

mod absence;
mod body;
mod choice;
mod client;
mod condition;
mod connect;
mod content;
mod failure;
pub mod framing;
mod health;
mod latency;
mod login;
mod outcome;
mod parents;
mod peer;
mod pool;
mod redirect;
mod rendezvous;
mod resolve;
mod route;
mod setup;
pub mod stream;
mod task;
mod tls;
mod verdict;

pub use body::UpstreamBody;
pub use client::{Client, Outgoing};
pub use condition::UpstreamStatus;
pub use content::Content;
pub use failure::{Failure, Side};
pub use health::Standing;
pub use login::LoginError;
pub use outcome::UpstreamOutcome;
pub use route::{Candidate, Form, RouteQuery, Upstreams, Wanted};
pub use setup::UpstreamSetupError;
pub use tls::TlsSetupError;

use std::sync::Arc;
use std::time::Duration;

use condition::Condition;
use http::{HeaderMap, HeaderValue, StatusCode};
use outcome::Counters;
use peer::Peer;
use tokio::time::Instant;

use crate::config::ServerUrl;

/// What a server is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A cache further up, from `[[parents]]`.
    Parent,
    /// A stratum from `[[mirrors]]`.
    Mirror,
    /// A registry of container images from `[[registries]]`.
    Registry,
    /// A server that is not configured; a request named it.
    Named,
}

impl Role {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Mirror => "mirror",
            Self::Registry => "registry",
            Self::Named => "other",
        }
    }
}

/// A server that requests are sent to. One for each configured server, shared by all workers; one for each
/// request where the server is not configured.
#[derive(Debug)]
pub struct Upstream {
    peer: Peer,
    /// For people: the URL, and the address where it is one of several behind it.
    name: Box<str>,
    role: Role,
    label: Box<str>,
    counters: Arc<Counters>,
    /// What stands in `Proxy-Authorization` of requests to it. Sensitive.
    authorization: Option<HeaderValue>,
    /// Of configured servers. Of the others, too little is known for too short a time.
    condition: Option<Arc<Condition>>,
}

impl Upstream {
    /// The server.
    pub fn url(&self) -> &ServerUrl {
        &self.peer.url
    }

    /// What it is to us.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name in metrics: the configured URL, or `other`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Notes how a request to it ended. To be called once for each request, when the end is known.
    pub fn record(&self, outcome: UpstreamOutcome) {
        self.counters.count(outcome);
        if let Some(condition) = &self.condition {
            condition.record(&self.name, outcome);
        }
    }

    /// What the head of an answer says about it, if nothing is wrong with the body.
    pub fn verdict(&self, status: StatusCode, headers: &HeaderMap) -> UpstreamOutcome {
        verdict::of_head(self.role, status, headers)
    }

    /// How it is doing. Servers that are not configured are always good.
    pub fn standing(&self, now: Instant) -> Standing {
        self.condition.as_ref().map_or(Standing::Good, |condition| condition.standing(now))
    }

    /// Notes how long a request waited for the head of its answer, connection included.
    pub fn observe_first_byte(&self, wait: Duration) {
        if let Some(condition) = &self.condition {
            condition.observe(wait);
        }
    }

    /// When to put a request that it has not answered to another server as well: once it is slower than in 95 of 100
    /// cases, but not within 50 ms, and at the latest after `budget`.
    pub fn hedge_after(&self, budget: Duration) -> Duration {
        self.condition.as_ref().map_or(budget, |condition| condition.hedge_after(budget))
    }

    /// Notes that it does not have the object of this hash: for some seconds, it is asked for it behind the other mirrors. Only mirrors
    /// are: what a parent does not have, it has asked for already.
    pub fn note_absent(&self, name: u64) {
        if let Some(condition) = self.condition.as_ref().filter(|_| self.role == Role::Mirror) {
            condition.note_absent(name);
        }
    }

    /// Whether it said a moment ago that it does not have the object of this hash.
    fn lacks(&self, name: u64, now: Instant) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.lacks(name, now))
    }

    /// Whether its latest answers were failures.
    fn fails(&self) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.fails())
    }

    /// Notes a wait that was given up without an answer.
    fn observe_vain(&self, wait: Duration) {
        if let Some(condition) = &self.condition {
            condition.observe_vain(wait);
        }
    }

    /// Takes the right to try a server that is due.
    fn claim_probe(&self, now: Instant) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.claim_probe(now))
    }
}

#[cfg(test)]
mod tests;
