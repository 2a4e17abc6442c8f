//! Client connections of all workers: so many in all, and so many of one client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::metrics::Refusal;
use crate::service::ClientNetwork;

/// Who has how many.
#[derive(Debug)]
pub struct ConnectionLimit(Mutex<State>);

#[derive(Debug)]
struct State {
    max: usize,
    max_client: usize,
    open: usize,
    clients: HashMap<ClientNetwork, usize>,
}

/// One connection's place below the limits.
pub(super) struct Place {
    limit: Arc<ConnectionLimit>,
    client: ClientNetwork,
}

impl ConnectionLimit {
    /// At most `max` at a time, of them `max_client` of one client.
    pub fn new(max: usize, max_client: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { max, max_client, open: 0, clients: HashMap::new() })))
    }

    /// Other limits from now on; connections that are open stay.
    pub fn set(&self, max: usize, max_client: usize) {
        let mut state = self.0.lock();
        (state.max, state.max_client) = (max, max_client);
    }

    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Result<Place, Refusal> {
        let client = ClientNetwork::of(client);
        let state = &mut *self.0.lock();
        if state.open >= state.max {
            return Err(Refusal::Limit);
        }
        match state.clients.entry(client) {
            Entry::Occupied(entry) if *entry.get() >= state.max_client => return Err(Refusal::ClientLimit),
            Entry::Occupied(mut entry) => *entry.get_mut() += 1,
            Entry::Vacant(entry) => {
                entry.insert(1);
            }
        }
        state.open += 1;
        Ok(Place { limit: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.limit.0.lock();
        state.open -= 1;
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
    fn one_client_cannot_have_all_places() {
        let limit = ConnectionLimit::new(3, 2);
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = limit.take(one).ok();
        let second = limit.take(one).ok();
        assert!(first.is_some() && second.is_some());
        assert_eq!(limit.take(one).err(), Some(Refusal::ClientLimit));
        let third = limit.take(other).ok();
        assert!(third.is_some());
        assert_eq!(limit.take(other).err(), Some(Refusal::Limit));
        drop(first);
        assert!(limit.take(one).is_ok());
        limit.set(3, 1);
        assert_eq!(limit.take(one).err(), Some(Refusal::ClientLimit), "the second is still open");
        drop((second, third));
        assert!(limit.0.lock().clients.is_empty());
    }
}
