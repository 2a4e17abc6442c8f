//! Metrics of tunnels (CONNECT).

use prometheus::{IntCounter, IntGauge, Registry};

use super::{counters, gauge};

/// Handles of the part's metrics.
#[derive(Clone)]
pub struct TunnelMetrics {
    /// Tunnels open now.
    pub open: IntGauge,
    /// Tunnels that were opened.
    pub opened: IntCounter,
    /// Tunnels whose server could not be connected to.
    pub failed: IntCounter,
    /// Tunnels refused because too many were open.
    pub busy: IntCounter,
    /// Tunnels refused because their client had too many.
    pub client_busy: IntCounter,
    /// Bytes carried to clients.
    pub to_client: IntCounter,
    /// Bytes carried to servers.
    pub to_server: IntCounter,
}

impl TunnelMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let open = gauge(
            registry,
            "substratum_tunnels",
            "Tunnels (CONNECT) open now. Near the limit (max_tunnels), further ones are about to be refused.",
        )?;
        let ended = counters(
            registry,
            "substratum_tunnels_total",
            "Tunnels that clients were allowed to ask for, by what became of them. A rise of \"failed\": their servers \
             cannot be connected to; of \"busy\": more are wanted than max_tunnels; of \"client_busy\": one client wants more than \
             max_client_tunnels.",
            &["result"],
        )?;
        let bytes = counters(
            registry,
            "substratum_tunnel_bytes_total",
            "Bytes carried through tunnels, which are kept nowhere. More than a little: ask who uses them.",
            &["direction"],
        )?;
        Ok(Self {
            open,
            opened: ended.with_label_values(&["opened"]),
            failed: ended.with_label_values(&["failed"]),
            busy: ended.with_label_values(&["busy"]),
            client_busy: ended.with_label_values(&["client_busy"]),
            to_client: bytes.with_label_values(&["to_client"]),
            to_server: bytes.with_label_values(&["to_server"]),
        })
    }
}
