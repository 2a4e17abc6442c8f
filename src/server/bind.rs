//! Listening sockets: one a worker and address, all on the same port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections the kernel holds for us while we are busy.
const BACKLOG: i32 = 4096;

/// Controls of congestion that keep to the path's rate by pausing.
const PACED: &[u8] = b"bbr";

/// One that never pauses; every kernel has it, and allows it to everybody unless an administrator has changed that (tcp(7)).
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

/// Has what is accepted at a loopback address from now on sent without BBR's pauses: there is no path whose rate is to be kept
/// to, and each pause is a timer and an interrupt. Any other control stays, and BBR as well where the kernel allows no other;
/// one that a route names (`congctl`) goes before the listener's.
pub(super) fn hurry_locally<'a>(listener: impl Into<SockRef<'a>>, address: SocketAddr) {
    let listener = listener.into();
    let paced = || listener.tcp_congestion().is_ok_and(|control| control.starts_with(PACED));
    if address.ip().to_canonical().is_loopback() && paced() {
        let _ = listener.set_tcp_congestion(UNPACED);
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

    fn control(socket: &Socket) -> Vec<u8> {
        socket.tcp_congestion().unwrap().into_iter().take_while(|&byte| byte != 0).collect()
    }

    #[test]
    fn only_bbr_and_only_local_listeners_are_hurried() {
        let local: SocketAddr = ([127, 0, 0, 1], 3128).into();
        let local6: SocketAddr = (std::net::Ipv6Addr::LOCALHOST, 3128).into();
        let mapped: SocketAddr = (std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 3128).into();
        let everywhere: SocketAddr = ([0, 0, 0, 0], 3128).into();
        let site: SocketAddr = ([10, 0, 0, 1], 3128).into();
        for before in [b"bbr".as_slice(), b"cubic", b"reno"] {
            for (address, hurried) in
                [(local, true), (local6, true), (mapped, true), (everywhere, false), (site, false)]
            {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
                if socket.set_tcp_congestion(before).is_err() || socket.set_tcp_congestion(UNPACED).is_err() {
                    // This kernel has none, or lets us have none.
                    continue;
                }
                socket.set_tcp_congestion(before).unwrap();
                hurry_locally(&socket, address);
                let expected = if before == PACED && hurried { UNPACED } else { before };
                assert_eq!(control(&socket), expected, "{address}");
            }
        }
    }

    #[test]
    fn no_local_listener_is_paced() {
        let local: SocketAddr = ([127, 0, 0, 1], 0).into();
        let fresh = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let mut listeners = shared(local, 2, "proxy").unwrap();
        listeners.push(exclusive(local, "admin").unwrap());
        if fresh.set_tcp_congestion(UNPACED).is_ok() {
            for listener in listeners {
                assert_ne!(control(&listener.into()), PACED);
            }
        }
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
