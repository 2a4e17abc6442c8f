//! An address that answers no attempt to connect: what a packet filter, or a host that is down, looks like from afar.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// Clients in its queue. Whatever the system rounds the length of the queue up to, this is more.
const QUEUED: usize = 4;

/// Its queue is full, and nobody takes anything from it.
pub struct Hole {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Hole {
    /// A hole on a free port.
    pub fn open() -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = socket();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        listener.listen(0).expect("a queue");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        let queued = std::iter::repeat_with(|| {
            let client = socket();
            client.set_nonblocking(true).expect("non-blocking mode");
            // It is in progress.
            let _ = client.connect(&address.into());
            client
        });
        Self { address, _queued: queued.take(QUEUED).collect(), _listener: listener }
    }

    /// Where nobody answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
