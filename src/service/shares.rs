//! So many at a time in all, and so many of one client: connections, tunnels. Shared by all workers.
//!
//! Only clients that have any are remembered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ClientNetwork;

/// Who has how many.
#[derive(Debug, Default)]
pub struct Shares(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    all: usize,
    clients: HashMap<ClientNetwork, usize>,
}

/// The bounds in force. After a reload that lowers them, there may be more for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of everybody.
    pub all: usize,
    /// Of one client.
    pub client: usize,
}

/// One of them, until dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    client: ClientNetwork,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// That of everybody.
    All,
    /// That of this client.
    Client,
}

impl Shares {
    /// One more for this client, below both bounds.
    pub fn take(self: &Arc<Self>, client: IpAddr, bounds: Bounds) -> Result<Share, Reached> {
        let client = ClientNetwork::of(client);
        let state = &mut *self.0.lock();
        if state.clients.get(&client).is_some_and(|has| *has >= bounds.client) {
            return Err(Reached::Client);
        }
        if state.all >= bounds.all {
            return Err(Reached::All);
        }
        Ok(self.one_more(state, client))
    }

    /// One more for this client in place of one that is about to end, whatever the bounds are.
    pub fn take_over(self: &Arc<Self>, client: IpAddr) -> Share {
        self.one_more(&mut self.0.lock(), ClientNetwork::of(client))
    }

    fn one_more(self: &Arc<Self>, state: &mut State, client: ClientNetwork) -> Share {
        state.all += 1;
        *state.clients.entry(client).or_default() += 1;
        Share { shares: Arc::clone(self), client }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.shares.0.lock();
        state.all -= 1;
        if let Entry::Occupied(mut entry) = state.clients.entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_have_all() {
        let shares = Arc::new(Shares::default());
        let bounds = Bounds { all: 3, client: 2 };
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = shares.take(one, bounds).unwrap();
        let second = shares.take(one, bounds).unwrap();
        assert_eq!(shares.take(one, bounds).err(), Some(Reached::Client));
        let third = shares.take(other, bounds).unwrap();
        assert_eq!(shares.take(other, bounds).err(), Some(Reached::All));
        drop(first);
        assert!(shares.take(one, bounds).is_ok());
        let lowered = Bounds { client: 1, ..bounds };
        assert_eq!(shares.take(one, lowered).err(), Some(Reached::Client), "the second is still there");
        let more = shares.take_over(one);
        assert_eq!(shares.take(other, bounds).err(), Some(Reached::All));
        drop((second, third, more));
        assert!(shares.0.lock().clients.is_empty());
    }
}
