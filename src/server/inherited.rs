//! Listening sockets that the service manager opened and keeps: while we restart, clients wait in their queues instead of
//! being refused.
//!
//! Source: sd_listen_fds(3). A socket stands for the configured address it is bound to; one that no key names is a
//! contradiction, since clients would wait there for ever. All workers share its one queue.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::bind::{BindError, hurry_locally};

/// The sockets that were passed and not taken yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<TcpListener>);

impl Inherited {
    /// What this process was passed (`LISTEN_FDS`). Only the first call finds any.
    pub fn of_process() -> io::Result<Self> {
        let mut passed = listenfd::ListenFd::from_env();
        let all = (0..passed.len()).filter_map(|index| passed.take_tcp_listener(index).transpose());
        Ok(Self(all.collect::<io::Result<_>>()?))
    }

    /// The socket for `address`, as often as there are workers.
    pub fn take(&mut self, address: SocketAddr, workers: usize) -> io::Result<Option<Vec<TcpListener>>> {
        let bound_there = |socket: &TcpListener| socket.local_addr().is_ok_and(|bound| bound == address);
        let Some(index) = self.0.iter().position(bound_there) else { return Ok(None) };
        let socket = self.0.swap_remove(index);
        socket.set_nonblocking(true)?;
        // Not those who have waited in its queue.
        hurry_locally(&socket, address);
        (0..workers).map(|_| socket.try_clone()).collect::<io::Result<_>>().map(Some)
    }

    /// All were taken.
    pub fn check(&self) -> Result<(), BindError> {
        match self.0.first().map(TcpListener::local_addr) {
            Some(Ok(address)) => Err(BindError::Unnamed { address }),
            Some(Err(_)) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_by_their_addresses() {
        let socket = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (one, other) = (socket(), socket());
        let (first, second) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut inherited = Inherited(vec![one, other]);
        let taken = inherited.take(second, 3).unwrap().unwrap();
        assert!(taken.len() == 3 && taken.iter().all(|socket| socket.local_addr().unwrap() == second));
        assert!(inherited.take(second, 3).unwrap().is_none());
        let control = socket2::SockRef::from(&taken[0]).tcp_congestion().unwrap();
        assert!(!control.starts_with(b"bbr"), "paced, or this kernel allows nothing else");
        assert!(matches!(inherited.check(), Err(BindError::Unnamed { address }) if address == first));
        inherited.take(first, 1).unwrap().unwrap();
        inherited.check().unwrap();
    }
}
