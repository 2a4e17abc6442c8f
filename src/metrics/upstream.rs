//! Metrics of mirrors and parents. The label `upstream` is a configured URL, or `other` for every host that
//! only requests name.

use prometheus::{GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

/// From a mirror next door to the time after which CVMFS clients leave.
const FIRST_BYTE_SECONDS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.5, 5.0];

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct UpstreamMetrics {
    /// Requests by `upstream` and `outcome`.
    pub requests: IntCounterVec,
    /// Body bytes by `upstream`.
    pub received: IntCounterVec,
    /// Connections opened.
    pub opened: IntCounter,
    /// Requests sent on a kept-alive connection.
    pub reused: IntCounter,
    /// Of these, the ones repeated since the connection proved dead.
    pub repeated: IntCounter,
    /// Kept-alive connections without a request.
    pub idle: IntGauge,
    /// Whether an `upstream` is asked in its place (1) or last (0).
    pub healthy: IntGaugeVec,
    /// Parents that are asked.
    pub parents: IntGauge,
    /// How often an `upstream` was found to be in trouble.
    pub circuit_opened: IntCounterVec,
    /// Seconds from a request sent to the head of its answer.
    pub first_byte: Histogram,
    /// Requests put to a further server while an earlier one was still waited for,
    pub hedges_sent: IntCounter,
    /// of these, the ones whose answer was taken,
    pub hedges_won: IntCounter,
    /// and the ones that had to wait for the end of the budget.
    pub hedges_denied: IntCounter,
    /// Redirects followed.
    pub redirects: IntCounter,
    /// The configured time limits, in seconds, by `budget`.
    pub budgets: GaugeVec,
}

impl UpstreamMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: super::counters(
                registry,
                "substratum_upstream_requests_total",
                "Requests to mirrors and parents by how they ended. A rise of anything but ok, not_modified and \
                 not_found names an upstream in trouble.",
                &["upstream", "outcome"],
            )?,
            received: super::counters(
                registry,
                "substratum_upstream_received_bytes_total",
                "Body bytes received. A rise against the bytes sent to clients means that fewer of them are hits.",
                &["upstream"],
            )?,
            opened: super::counter(
                registry,
                "substratum_upstream_connections_opened_total",
                "Connections opened. A rise against the requests means that upstreams do not keep connections alive.",
            )?,
            reused: super::counter(
                registry,
                "substratum_upstream_connections_reused_total",
                "Requests sent on a kept-alive connection, which saves a round trip or more.",
            )?,
            repeated: super::counter(
                registry,
                "substratum_upstream_requests_repeated_total",
                "Requests repeated on a fresh connection since the kept-alive one was dead. A steady rise means that \
                 upstream.idle_timeout is longer than what the upstreams grant.",
            )?,
            idle: super::gauge(
                registry,
                "substratum_upstream_idle_connections",
                "Kept-alive connections without a request. A rise to the configured bound is normal under load.",
            )?,
            healthy: super::gauges(
                registry,
                "substratum_upstream_healthy",
                "1 for a configured upstream that is asked in its place, 0 for one that is in trouble and asked last. A \
                 rise means that it recovered; 0 for long means that somebody should look after it.",
                &["upstream"],
            )?,
            parents: super::gauge(
                registry,
                "substratum_upstream_parents",
                "Parents that are asked: those configured, or with parents_choice = \"addresses\" those behind their names. A \
                 fall: caches of the tier above are gone.",
            )?,
            circuit_opened: super::counters(
                registry,
                "substratum_upstream_circuit_opened_total",
                "How often an upstream was found to be in trouble, failed retries included. A rise names one that is down, \
                 slow or corrupt; the requests by outcome tell which.",
                &["upstream"],
            )?,
            first_byte: super::histogram(
                registry,
                "substratum_upstream_first_byte_seconds",
                "From a request sent to the head of its answer. A rise means slow upstreams or a slow way to them.",
                &FIRST_BYTE_SECONDS,
            )?,
            hedges_sent: super::counter(
                registry,
                "substratum_upstream_hedges_total",
                "Requests put to a further server while an earlier one was still waited for. A rise means slow upstreams.",
            )?,
            hedges_won: super::counter(
                registry,
                "substratum_upstream_hedges_won_total",
                "Of these, the ones that answered first. Few of many mean that all upstreams, or the way to them, are slow.",
            )?,
            hedges_denied: super::counter(
                registry,
                "substratum_upstream_hedges_denied_total",
                "Early second requests that waited for first_byte_timeout, since hedge_percent of all requests were hedged \
                 already. A rise means that an upstream is slower than it was for many requests.",
            )?,
            redirects: super::counter(
                registry,
                "substratum_upstream_redirects_followed_total",
                "Redirects followed for objects. A rise is normal where strata keep their objects elsewhere.",
            )?,
            budgets: super::float_gauges(
                registry,
                "substratum_upstream_budget_seconds",
                "The configured time limits: connect, first_byte, head (all servers together), stall. A rise means that \
                 somebody changed the configuration.",
                &["budget"],
            )?,
        })
    }
}
