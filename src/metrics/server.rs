//! Metrics of the listeners: connections of clients, and draining.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{OneMore, counter, counters, gauge};

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct ServerMetrics {
    open: IntGauge,
    /// Of these, those without requests.
    pub resting: IntGauge,
    accepted: IntCounter,
    refused: [IntCounter; Refusal::ALL.len()],
    closed: [IntCounter; Closed::ALL.len()],
    /// TLS handshakes of clients.
    pub handshakes: Handshakes,
    /// 1 from SIGTERM to the end.
    pub draining: IntGauge,
}

/// How TLS handshakes of clients ended.
#[derive(Clone)]
pub struct Handshakes {
    /// The client then asked.
    pub done: IntCounter,
    /// Nothing came of it.
    pub failed: IntCounter,
    /// It took longer than `head_timeout`.
    pub slow: IntCounter,
}

/// Why a connection was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many connections are open as are allowed.
    Limit,
    /// As many of this client are open as are allowed.
    ClientLimit,
    /// The system could not accept it (out of file descriptors, ...).
    AcceptError,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Limit, Self::ClientLimit, Self::AcceptError];

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::ClientLimit => "client_limit",
            Self::AcceptError => "accept_error",
        }
    }
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Nothing was asked on it, or nothing taken, for too long.
    Idle,
    /// The client took too long to send a head.
    SlowHead,
    /// As many requests were answered on it as are allowed.
    Requests,
    /// Nothing was asked on it for a while, and another one wanted its place at a limit.
    GaveWay,
}

impl Closed {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Idle, Self::SlowHead, Self::Requests, Self::GaveWay];

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::SlowHead => "slow_head",
            Self::Requests => "max_requests",
            Self::GaveWay => "gave_way",
        }
    }
}

impl ServerMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let open = gauge(
            registry,
            "substratum_connections",
            "Client connections open now. Near the limit (max_connections), clients are about to be refused.",
        )?;
        let resting = gauge(
            registry,
            "substratum_connections_resting",
            "Of the open client connections, those without a request for 2 s or more: they take little more than their socket, \
             and give way to new ones at the limit.",
        )?;
        let accepted =
            counter(registry, "substratum_connections_accepted_total", "Client connections accepted.")?;
        let refused = counters(
            registry,
            "substratum_connections_refused_total",
            "Client connections closed unserved. A rise of \"limit\" means more clients than max_connections, of \
             \"accept_error\" that the system is out of file descriptors or memory.",
            &["reason"],
        )?;
        let draining = gauge(
            registry,
            "substratum_draining",
            "1 while the tier is stopping: it accepts nothing and finishes what it has begun.",
        )?;
        let refused = Refusal::ALL.map(|reason| refused.with_label_values(&[reason.as_str()]));
        let closed = counters(
            registry,
            "substratum_connections_closed_total",
            "Client connections closed for what the client did not do, after max_requests, or at a limit for a new one. A rise of \"slow_head\" means clients that send \
             requests a few bytes at a time.",
            &["reason"],
        )?;
        let closed = Closed::ALL.map(|reason| closed.with_label_values(&[reason.as_str()]));
        let handshakes = counters(
            registry,
            "substratum_tls_handshakes_total",
            "TLS handshakes of clients by result. A rise of \"failed\": clients do not trust the certificate, or speak \
             something else. Of \"slow\": connections that say nothing, or little at a time.",
            &["result"],
        )?;
        let handshakes = Handshakes {
            done: handshakes.with_label_values(&["done"]),
            failed: handshakes.with_label_values(&["failed"]),
            slow: handshakes.with_label_values(&["slow"]),
        };
        Ok(Self { open, resting, accepted, refused, closed, handshakes, draining })
    }

    /// Counts an accepted connection as open until the guard is dropped.
    #[must_use]
    pub fn accept(&self) -> OneMore {
        self.accepted.inc();
        OneMore::of(&self.open)
    }

    /// Counts a connection that was not served.
    pub fn refuse(&self, reason: Refusal) {
        self.refused[reason as usize].inc();
    }

    /// Where connections that are closed for this reason are counted.
    pub fn closed(&self, reason: Closed) -> IntCounter {
        self.closed[reason as usize].clone()
    }

    /// Counts a connection that the sweep closed.
    pub fn close(&self, reason: Closed) {
        self.closed[reason as usize].inc();
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.open.get().try_into().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_while_open() {
        let registry = Registry::new();
        let metrics = ServerMetrics::register(&registry).unwrap();
        let first = metrics.accept();
        let second = metrics.accept();
        assert_eq!(metrics.open(), 2);
        drop((first, second));
        assert_eq!((metrics.open(), metrics.accepted.get()), (0, 2));
    }

    #[test]
    fn refusals_are_counted_by_reason() {
        let metrics = ServerMetrics::register(&Registry::new()).unwrap();
        for reason in Refusal::ALL {
            metrics.refuse(reason);
        }
        metrics.refuse(Refusal::AcceptError);
        metrics.close(Closed::SlowHead);
        assert_eq!(metrics.refused.map(|counter| counter.get()), [1, 1, 2]);
        assert_eq!(metrics.closed.map(|counter| counter.get()), [0, 1, 0, 0]);
    }
}
