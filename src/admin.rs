//! The operators' side: metrics, health, status, and a page to look at. Read-only, but for the filter of the diagnostics.
//!
//! `/metrics` Prometheus text, `/livez` the process answers, `/readyz` whether to send clients here, `/status` JSON,
//! `/missing` which of these objects are not here, `/` the same as the status for people with the last hour as graphs (`/history`). Probes are answered at once; the others are *reports*: made on the blocking pool, few
//! at a time, and given up when they take too long, so that a tier that hangs can still be asked whether it is alive.
//!
//! One request a connection: its time-out bounds slow senders, slow readers and idlers alike. Who may connect is decided
//! by the address it listens on; who may change the filter, by `log`. [`snmp`] tells the same figures to old monitoring.

mod graphs;
mod history;
mod log;
mod missing;
mod page;
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

use serde_json::{Map, Value};

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
