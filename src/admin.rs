//! The operators' side: metrics, health, status, and a page to look at. Read-only, but for the filter of the diagnostics and
//! purges.
//!
//! `/metrics` Prometheus text, `/livez` the process answers, `/readyz` whether to send clients here, `/status` JSON,
//! `/missing` which of these objects are not here, `/` the same as the status for people with the last hour as graphs (`/history`). Probes are answered at once; the others are *reports*: made on the blocking pool, few
//! at a time, and given up when they take too long, so that a tier that hangs can still be asked whether it is alive.
//!
//! One request a connection: its time-out bounds slow senders, slow readers and idlers alike. Who may connect is decided
//! by the address it listens on, who may ask by `guard`; who may change the filter, by `log`. [`snmp`] tells the same figures to old monitoring.

mod graphs;
mod guard;
mod history;
mod log;
mod missing;
mod page;
mod purge;
mod reports;
mod repositories;
mod routes;
mod server;
pub mod snmp;
#[cfg(test)]
mod tests;
mod tiles;
mod trouble;

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

pub use self::guard::{Guard, Token, TokenError};
pub use self::server::{BLOCKING_CALLS, serve};
use crate::diagnostics::LogFilter;
use crate::digest::ObjectName;
use crate::metrics::Metrics;

/// What there is to show.
#[derive(Clone)]
pub struct Admin {
    /// Behind `/metrics`.
    pub metrics: Metrics,
    /// Behind everything else.
    pub status: Arc<dyn StatusSource>,
    /// Behind `/log`, where diagnostics are ours.
    pub filter: Option<LogFilter>,
    /// Who may ask.
    pub guard: Arc<ArcSwap<Guard>>,
}

/// Whoever knows how the tier is.
pub trait StatusSource: Send + Sync {
    /// Asked on the reactor: must not block.
    fn ready(&self) -> Readiness;

    /// How things are: `name` (the title of the page) and whatever helps; values may be nested. On the page a key's
    /// ending gives its unit: `_bytes`, `_seconds`. May block for a while.
    fn status(&self) -> Map<String, Value>;

    /// Whether an object is in one of the tiers. Asked on the reactor: no I/O, and not a use of it.
    fn has(&self, name: &ObjectName) -> bool;

    /// Brings gauges up to date, just before they are shown. May block for a while.
    fn sample(&self);

    /// Drops what is stored of an object, by its name or any of its URLs, or of a document, by its URL. May block for a while.
    fn purge(&self, what: &str) -> Result<Purged, PurgeError>;
}

/// What became of a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// An object or a document, in words.
    pub kind: &'static str,
    /// Where it was.
    pub places: Vec<&'static str>,
}

/// Why nothing can be purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// It is no name of anything.
    #[error("this is neither a URL, nor a path that begins with a slash, nor the name of an object")]
    Name,
}

/// Whether clients should be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Not yet; for what it waits, in words.
    Starting(&'static str),
    /// Not any more: it is stopping.
    Draining,
}

impl Readiness {
    /// For people and probes.
    pub fn words(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Starting(what) => format!("starting: {what}"),
            Self::Draining => "draining: no new clients, please".to_owned(),
        }
    }
}
