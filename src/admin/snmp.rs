//! SNMP v2c, read-only: the figures of squid's MIB, for the site monitoring that has always read them.
//!
//! One datagram at a time: what cannot be read, has another community, or asks for anything but values is dropped without an
//! answer. Answers fit one datagram. The figures are gathered once a second at most, however much is asked.
//! Sources: RFC 3416 (operations), RFC 3417 §8 (encoding), squid `mib.txt`.

mod agent;
mod ber;
mod mib;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::UdpSocket;
use tokio::task;

use self::mib::Mib;
use super::Admin;

/// How old figures may be.
const FRESH: Duration = Duration::from_secs(1);

/// Longest request; managers of this protocol send a fraction of it.
const MAX_REQUEST: usize = 1472;

/// Answers until `shutdown`.
pub async fn serve(
    socket: UdpSocket,
    community: String,
    admin: Arc<Admin>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut buffer = [0; MAX_REQUEST + 1];
    let mut gathered: Option<(Instant, Mib)> = None;
    loop {
        let received = tokio::select! {
            biased;
            () = &mut shutdown => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let (length, peer) = match received {
            Ok(received) => received,
            Err(error) => {
                // Of an earlier answer that could not be delivered; the socket is well.
                tracing::debug!(%error, "receiving from the SNMP port");
                continue;
            }
        };
        let Some(request) = agent::read(&buffer[..length.min(MAX_REQUEST)], community.as_bytes()) else {
            tracing::debug!(%peer, length, "an SNMP request is ignored");
            continue;
        };
        let mib = match gathered.take().filter(|(at, _)| at.elapsed() < FRESH) {
            Some(gathered) => gathered,
            None => {
                let admin = Arc::clone(&admin);
                let looked = task::spawn_blocking(move || gather(&admin)).await;
                let Ok(mib) = looked.inspect_err(|error| tracing::error!(%error, "no figures for SNMP"))
                else {
                    continue;
                };
                (Instant::now(), mib)
            }
        };
        let answer = agent::answer(&request, &mib.1);
        gathered = Some(mib);
        if let Err(error) = socket.send_to(&answer, peer).await {
            tracing::debug!(%peer, %error, "an SNMP answer could not be sent");
        }
    }
}

fn gather(admin: &Admin) -> Mib {
    admin.status.sample();
    let status = admin.status.status();
    let name = status.get("name").and_then(serde_json::Value::as_str).unwrap_or("substratum");
    Mib::of(name, &admin.metrics.registry.gather(), SystemTime::now())
}
