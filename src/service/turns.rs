//! So many downloads at a time for each client, the rest of them in a queue of its own.
//!
//! Without it, one client that asks for thousands of objects at once has every connection to the upstreams, and all others
//! wait behind it. A client is an IPv4 address or an IPv6 /64: what one machine can speak from at will. Only clients with
//! downloads in progress are remembered.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::behind::{Behind, Counted, Urgency};
use super::held::{Held, Table};
use crate::cache::{FillError, FillWriter, Why};
use crate::fetch::Fetch;

/// For each download that may be in progress, so many may wait.
const WAITING: usize = 4;

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// Of an address in its canonical form (not an IPv4 one mapped into IPv6).
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self(address),
            IpAddr::V6(v6) => Self(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
        }
    }
}

/// The turns of all clients; shared by all workers.
pub struct Turns {
    most: usize,
    waiting: IntGauge,
    behind: Arc<Behind>,
    clients: Arc<Table<ClientNetwork, Queue>>,
}

struct Queue {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The right to one download. Over when dropped.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    _queue: Held<ClientNetwork, Queue>,
}

/// The client has as many downloads in progress and waiting as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this client has too many downloads in progress: `max_client_fills` in [objects]")]
pub struct Crowded;

/// One more in a queue, and in the gauge, for as long as this lives.
struct Place<'q>(&'q Queue, &'q IntGauge);

impl<'q> Place<'q> {
    /// `None` when the queue is full.
    fn take(queue: &'q Queue, most: usize, gauge: &'q IntGauge) -> Option<Self> {
        gauge.inc();
        // Made first: it goes back in either case.
        let place = Self(queue, gauge);
        (queue.waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.1.dec();
    }
}

impl Turns {
    /// At most `most` downloads for each client; `waiting` shows how many wait.
    pub fn new(most: usize, waiting: IntGauge) -> Arc<Self> {
        Self::beside(Arc::default(), most, waiting)
    }

    fn beside(behind: Arc<Behind>, most: usize, waiting: IntGauge) -> Arc<Self> {
        Arc::new(Self { most, waiting, behind, clients: Arc::default() })
    }

    /// These, or others under another limit: what is in progress then does not count for it.
    pub fn under(self: &Arc<Self>, most: usize) -> Arc<Self> {
        if most == self.most {
            Arc::clone(self)
        } else {
            Self::beside(Arc::clone(&self.behind), most, self.waiting.clone())
        }
    }

    /// The client's next turn, waited for no longer than `patience`.
    pub async fn take(self: &Arc<Self>, client: IpAddr, patience: Duration) -> Result<Turn, Crowded> {
        let client = ClientNetwork::of(client);
        let held = self.clients.hold(client, || Queue {
            permits: Arc::new(Semaphore::new(self.most)),
            waiting: AtomicUsize::new(0),
        });
        let queue = &held.value;
        let permit = match Arc::clone(&queue.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let most = self.most.saturating_mul(WAITING);
                let _place = Place::take(queue, most, &self.waiting).ok_or(Crowded)?;
                let permit = tokio::time::timeout(patience, Arc::clone(&queue.permits).acquire_owned()).await;
                permit.ok().and_then(Result::ok).ok_or(Crowded)?
            }
        };
        Ok(Turn { _permit: permit, _queue: held })
    }
}

/// The right to a download of either kind. Over when dropped.
pub type Right = (Option<Turn>, Counted);

/// What stands before every fetch.
impl Turns {
    /// Brings an object into its fill when the client's turn has come.
    pub(super) async fn fill(
        self: Arc<Self>,
        client: IpAddr,
        urgency: Urgency,
        fetch: Fetch,
        writer: FillWriter,
    ) {
        match self.begin(client, urgency, fetch).await {
            Ok((fetch, _turn)) => fetch.object(writer).await,
            Err(crowded) => writer.fail(crowded.into()),
        }
    }

    /// The fetch, when the client's turn has come, and its turn. It may wait for half of what the head of an answer may take
    /// in all.
    pub(super) async fn begin(
        self: &Arc<Self>,
        client: IpAddr,
        urgency: Urgency,
        mut fetch: Fetch,
    ) -> Result<(Fetch, Right), Crowded> {
        let begun = Instant::now();
        let patience = fetch.head_deadline / 2;
        let right = match urgency {
            Urgency::Usual => (Some(self.take(client, patience).await?), self.behind.client()),
            Urgency::Background => (None, self.behind.background(patience).await?),
        };
        fetch.waited = begun.elapsed();
        Ok((fetch, right))
    }
}

impl From<Crowded> for FillError {
    fn from(crowded: Crowded) -> Self {
        Self::new(Why::Overload, crowded.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn turns(most: usize) -> Arc<Turns> {
        Turns::new(most, IntGauge::new("waiting", "waiting").unwrap())
    }

    #[test]
    fn what_one_machine_can_speak_from_is_one_client() {
        let table = [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ];
        for (one, other, same) in table {
            let of = |text: &str| ClientNetwork::of(text.parse().unwrap());
            assert_eq!(of(one) == of(other), same, "{one} {other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_greedy_client_waits_for_itself_alone() {
        let turns = turns(2);
        let (greedy, modest) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = turns.take(greedy, PATIENCE).await.unwrap();
        let _second = turns.take(greedy, PATIENCE).await.unwrap();
        let third = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.take(greedy, PATIENCE).await.map(drop) })
        };
        tokio::task::yield_now().await;
        assert_eq!(turns.waiting.get(), 1);
        assert!(turns.take(modest, Duration::ZERO).await.is_ok());
        drop(first);
        assert_eq!(third.await.unwrap(), Ok(()));
        assert_eq!(turns.waiting.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_in_length_and_time() {
        let turns = turns(1);
        let client = [10, 0, 0, 1].into();
        let held = turns.take(client, PATIENCE).await.unwrap();
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take(client, PATIENCE).await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(turns.take(client, Duration::from_secs(3600)).await.err(), Some(Crowded), "at once");
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Err(Crowded), "in time");
        }
        assert_eq!(turns.clients.len(), 1);
        drop(held);
        assert_eq!(turns.clients.len(), 0);
        assert_eq!(turns.waiting.get(), 0);
    }
}
