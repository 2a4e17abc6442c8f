//! Shared refreshes: at most one upstream request for a document is under way, and everybody else waits for it.
//!
//! ```text
//! join -> Lead(Flight)   -> land(result)   everyone who waited gets it
//!                        -> announce       so does everyone who joins until the flight ends
//!                        -> dropped        they get nothing, and help themselves
//!      -> Wait(Waiter)
//!      -> Full                             fetch without sharing: collapsing is an optimisation, never a lock
//!      -> Crowded                          refused: too many wait already
//! ```
//! A flight is over, and out of the table, before anybody hears of its end; so whoever joins later leads anew.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::key::DocumentKey;

/// Bounds of the table.
#[derive(Clone, Copy, Debug)]
pub struct FlightLimits {
    /// Documents fetched at the same time under this table's care.
    pub flights: usize,
    /// Requests that join one flight in the course of its life.
    pub waiters: usize,
}

/// The refreshes under way; `T` is what they end with.
pub struct Flights<T> {
    table: Arc<Table<T>>,
    limits: FlightLimits,
}

type Table<T> = Mutex<HashMap<DocumentKey, Landing<T>>>;

struct Landing<T> {
    result: watch::Receiver<Option<T>>,
    joined: usize,
}

/// What became of an attempt to join.
pub enum Join<T> {
    /// Nobody is fetching it: fetch it and land.
    Lead(Flight<T>),
    /// Somebody is.
    Wait(Waiter<T>),
    /// The table is full.
    Full,
    /// The flight is full.
    Crowded,
}

impl<T: Clone> Flights<T> {
    /// An empty table.
    pub fn new(limits: FlightLimits) -> Self {
        Self { table: Arc::default(), limits }
    }

    /// Joins the flight for `key`, or starts it.
    pub fn join(&self, key: &DocumentKey) -> Join<T> {
        let mut table = self.table.lock();
        let full = table.len() >= self.limits.flights;
        match table.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                let landing = entry.get_mut();
                if landing.joined >= self.limits.waiters {
                    return Join::Crowded;
                }
                landing.joined += 1;
                Join::Wait(Waiter { result: landing.result.clone() })
            }
            Entry::Vacant(_) if full => Join::Full,
            Entry::Vacant(entry) => {
                let (sender, result) = watch::channel(None);
                let key = entry.key().clone();
                entry.insert(Landing { result, joined: 0 });
                Join::Lead(Flight { key, sender, table: self.table.clone() })
            }
        }
    }
}

impl<T> Flights<T> {
    /// Starts a flight, unless there is one or the table is full.
    pub fn start(&self, key: &DocumentKey) -> Option<Flight<T>> {
        let mut table = self.table.lock();
        if table.len() >= self.limits.flights || table.contains_key(key) {
            return None;
        }
        let (sender, result) = watch::channel(None);
        table.insert(key.clone(), Landing { result, joined: 0 });
        Some(Flight { key: key.clone(), sender, table: self.table.clone() })
    }
}

/// The duty to fetch a document for all who wait.
pub struct Flight<T> {
    key: DocumentKey,
    sender: watch::Sender<Option<T>>,
    table: Arc<Table<T>>,
}

impl<T> Flight<T> {
    /// Ends the flight with a result for all who waited.
    pub fn land(self, result: T) {
        self.leave();
        self.sender.send_replace(Some(result));
    }

    /// Tells all who wait, and all who join from now on, without ending the flight.
    pub fn announce(&self, result: T) {
        self.sender.send_replace(Some(result));
    }

    fn leave(&self) {
        // Once out of the table, somebody may lead a new flight under this key: remove only our own.
        let mut table = self.table.lock();
        if table.get(&self.key).is_some_and(|landing| landing.result.same_channel(&self.sender.subscribe())) {
            table.remove(&self.key);
        }
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A place among those who wait. Dropping it harms nobody.
pub struct Waiter<T> {
    result: watch::Receiver<Option<T>>,
}

impl<T: Clone> Waiter<T> {
    /// The result; `None` when the flight was given up.
    pub async fn landed(mut self) -> Option<T> {
        let result = self.result.wait_for(Option::is_some).await.ok()?;
        result.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FlightLimits = FlightLimits { flights: 2, waiters: 2 };

    fn lead(flights: &Flights<u32>, target: &str) -> Flight<u32> {
        match flights.join(&DocumentKey::new("a", target)) {
            Join::Lead(flight) => flight,
            _ => panic!("expected to lead {target}"),
        }
    }

    fn wait(flights: &Flights<u32>, target: &str) -> Waiter<u32> {
        match flights.join(&DocumentKey::new("a", target)) {
            Join::Wait(waiter) => waiter,
            _ => panic!("expected to wait for {target}"),
        }
    }

    #[tokio::test]
    async fn all_who_wait_share_the_result() {
        let flights = Flights::new(LIMITS);
        let flight = lead(&flights, "/x");
        let (one, two) = (wait(&flights, "/x"), wait(&flights, "/x"));
        flight.land(7);
        assert_eq!((one.landed().await, two.landed().await), (Some(7), Some(7)));
        assert_eq!(flights.table.lock().len(), 0);
        lead(&flights, "/x");
    }

    #[tokio::test]
    async fn an_abandoned_flight_frees_its_waiters() {
        let flights = Flights::new(LIMITS);
        let flight = lead(&flights, "/x");
        let waiter = wait(&flights, "/x");
        drop(flight);
        assert_eq!(waiter.landed().await, None);
        assert_eq!(flights.table.lock().len(), 0);
    }

    #[test]
    fn bounds() {
        let flights = Flights::new(LIMITS);
        let _x = lead(&flights, "/x");
        let _y = lead(&flights, "/y");
        assert!(matches!(flights.join(&DocumentKey::new("a", "/z")), Join::Full));
        let _waiters = (wait(&flights, "/x"), wait(&flights, "/x"));
        assert!(matches!(flights.join(&DocumentKey::new("a", "/x")), Join::Crowded));
        assert_eq!(flights.table.lock().len(), 2);
    }
}
