//! Listening sockets: one a worker and address, all on the same port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections the kernel holds for us while we are busy.
const BACKLOG: i32 = 4096;

/// Control of congestion that never pauses; the one that every kernel has and allows everybody (tcp(7)).
const UNPACED: &[u8] = b"reno";

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there.
    #[error(
        "cannot listen on {address}: the port is taken by another process; stop it or change `{key}` in [listen]"
    )]
    Taken {
        /// The address.
        address: SocketAddr,
        /// The configuration key.
        key: &'static str,
    },
    /// The service manager passed a socket that no key names.
    #[error(
        "the service manager passes a socket for {address}, where nobody would answer: neither `proxy` nor `admin` in \
         [listen] names that address; let the .socket unit (ListenStream=) and the configuration agree"
    )]
    Unnamed {
        /// Where it listens.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address} (`{key}` in [listen]): {error}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The configuration key.
        key: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// Sockets for `workers` workers on `address`; all on one port, also where the kernel chooses it (port 0).
pub fn shared(address: SocketAddr, workers: usize, key: &'static str) -> Result<Vec<TcpListener>, BindError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address, key },
        _ => BindError::Other { address, key, error },
    };
    // Sharing a port would also share it with another instance of the same user, unnoticed. An exclusive socket first
    // finds that out. It does not listen: clients that it took would be cut when it goes.
    let probe = bound(address, Sharing::Exclusive).map_err(failed)?;
    let address = probe.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    drop(probe);
    (0..workers).map(|_| socket(address, Sharing::Shared).map_err(failed)).collect()
}

/// One socket that nobody else shares.
pub fn exclusive(address: SocketAddr, key: &'static str) -> Result<TcpListener, BindError> {
    socket(address, Sharing::Exclusive).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address, key },
        _ => BindError::Other { address, key, error },
    })
}

#[derive(PartialEq, Eq)]
enum Sharing {
    Exclusive,
    Shared,
}

fn socket(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = bound(address, sharing)?;
    hurry_locally(&socket, address);
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Has connections that are accepted at an address of this machine's own (127.0.0.0/8, `::1`) sent without the pauses by which
/// BBR, where it is the system's choice, keeps to a path's rate: there is no path, and each pause is a timer and an interrupt.
/// Without effect where the kernel allows no other choice.
pub(super) fn hurry_locally<'a>(socket: impl Into<SockRef<'a>>, address: SocketAddr) {
    if address.ip().is_loopback() {
        let _ = socket.into().set_tcp_congestion(UNPACED);
    }
}

fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 has its own line in the configuration.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn whoever_comes_first_is_not_cut() {
        let from: SocketAddr = ([127, 0, 0, 2], 0).into();
        for _ in 0..3000 {
            let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
            let too_late = Arc::new(AtomicBool::new(false));
            let first = std::thread::spawn({
                let too_late = Arc::clone(&too_late);
                move || {
                    while !too_late.load(Ordering::Relaxed) {
                        // From another address, lest it meet itself.
                        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                        client.bind(&from.into()).unwrap();
                        if client.connect(&free.into()).is_ok() {
                            return Some(client);
                        }
                    }
                    None
                }
            });
            let sockets = shared(free, 2, "proxy");
            while sockets.is_ok() && !first.is_finished() {
                std::thread::yield_now();
            }
            too_late.store(true, Ordering::Relaxed);
            let client = first.join().unwrap();
            // Somebody else on this machine may have been given the port.
            if let Ok(sockets) = sockets {
                assert!(client.is_some() && sockets.iter().any(|socket| socket.accept().is_ok()), "cut");
            }
        }
    }

    #[test]
    fn local_clients_are_not_paced() {
        let local = exclusive(([127, 0, 0, 1], 0).into(), "proxy").unwrap();
        let accepted = |listener: &TcpListener, port| {
            let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let of_client = SockRef::from(&client).tcp_congestion().unwrap();
            listener.set_nonblocking(false).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            (SockRef::from(&accepted).tcp_congestion().unwrap(), of_client)
        };
        let (ours, _) = accepted(&local, local.local_addr().unwrap().port());
        assert!(ours.starts_with(UNPACED), "{}", String::from_utf8_lossy(&ours));
        // Elsewhere the administrator's choice stands.
        let everywhere = exclusive(([0, 0, 0, 0], 0).into(), "proxy").unwrap();
        let (ours, of_client) = accepted(&everywhere, everywhere.local_addr().unwrap().port());
        assert_eq!(ours, of_client);
    }

    #[test]
    fn workers_share_a_port_that_others_cannot_take() {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let sockets = shared(any, 3, "proxy").unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert!(matches!(shared(address, 1, "proxy"), Err(BindError::Taken { .. })));
        assert!(matches!(exclusive(address, "admin"), Err(BindError::Taken { .. })));
    }
}
