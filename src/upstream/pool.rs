//! The connections of one worker: at most so many to a server, the unused ones kept for a while.
//!
//! A permit stands for a connection that carries a request, and is taken before an idle connection is looked
//! for; since a connection is opened only when none is idle, open connections never exceed the permits. A
//! connection given back is idle before its permit is free, so whoever waits for the permit finds the
//! connection. A sweep closes what has been idle for too long and forgets servers that are not in use; it
//! runs only while there are any.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Failure;
use super::connect::Connection;
use super::peer::Peer;
use super::stream::Exchanges;
use super::task::OwnedTask;
use crate::config;
use crate::metrics::OneMore;

/// Servers in the table before it is swept out of turn. Clients choose hosts where `hosts` allows it.
const MANY_SERVERS: usize = 1024;

/// The pools of one worker, by server.
pub(super) struct Pools {
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    servers: HashMap<Peer, Arc<Pool>>,
    sweeper: Option<OwnedTask>,
}

#[derive(Clone)]
struct Limits {
    connections: usize,
    waiting: usize,
    idle: usize,
    idle_timeout: Duration,
    idle_gauge: IntGauge,
}

/// The connections to one server.
pub(super) struct Pool {
    limits: Limits,
    permits: Arc<Semaphore>,
    /// Who waits for one of them.
    waiting: AtomicUsize,
    /// Moving average of how long a permit is held.
    held: Mutex<Option<Duration>>,
    /// When a kept connection was answered on.
    heard: Mutex<Option<Instant>>,
    /// The last one given back is the first one taken, so that the others may grow old.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    until: Instant,
    _counted: OneMore,
}

/// The right to one connection to a server.
pub(super) struct Permit {
    pool: Arc<Pool>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

/// A kept connection was asked, and has yet to say something. When this is dropped after a while, nothing was said: the
/// server may be gone without a word, and with it everything that was kept before.
pub(super) struct Doubt {
    pool: Arc<Pool>,
    since: Instant,
    patience: Duration,
}

/// A place in the queue for a permit.
struct Waiting<'a>(&'a Pool);

/// A connection in use. Dropped, it is closed; see [`Lease::give_back`].
pub(super) struct Lease {
    pub(super) connection: Connection,
    permit: Permit,
    exchanges: Exchanges,
}

impl Pools {
    pub(super) fn new(config: &config::Upstream, idle_gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            limits: Limits {
                connections: config.max_connections,
                waiting: config.max_waiting,
                idle: config.idle_connections,
                idle_timeout: config.idle_timeout,
                idle_gauge,
            },
            state: Mutex::new(State { servers: HashMap::new(), sweeper: None }),
        })
    }

    /// The right to a connection to `server`, waited for until `by`; refused at once when too many wait already, or when
    /// it would take longer than that.
    pub(super) async fn permit(self: &Arc<Self>, server: &Peer, by: Instant) -> Result<Permit, Failure> {
        let pool = self.pool(server);
        let permit = match Arc::clone(&pool.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = pool.queue_up(by)?;
                let permit = timeout_at(by, Arc::clone(&pool.permits).acquire_owned()).await;
                permit.ok().and_then(Result::ok).ok_or(Failure::Busy)?
            }
        };
        Ok(Permit { pool, since: Instant::now(), _permit: permit })
    }

    fn pool(self: &Arc<Self>, server: &Peer) -> Arc<Pool> {
        let mut state = self.state.lock();
        if let Some(pool) = state.servers.get(server) {
            return Arc::clone(pool);
        }
        if state.servers.len() >= MANY_SERVERS {
            state.sweep(Instant::now());
        }
        let pool = Arc::new(Pool {
            limits: self.limits.clone(),
            permits: Arc::new(Semaphore::new(self.limits.connections)),
            waiting: AtomicUsize::new(0),
            held: Mutex::new(None),
            heard: Mutex::new(None),
            idle: Mutex::new(Vec::new()),
        });
        state.servers.insert(server.clone(), Arc::clone(&pool));
        if state.sweeper.as_ref().is_none_or(OwnedTask::is_finished) {
            let every = self.limits.idle_timeout.max(Duration::from_millis(100));
            state.sweeper = Some(OwnedTask::spawn(Self::sweep_every(Arc::downgrade(self), every)));
        }
        pool
    }

    async fn sweep_every(pools: Weak<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let Some(pools) = pools.upgrade() else { return };
            let mut state = pools.state.lock();
            state.sweep(Instant::now());
            if state.servers.is_empty() {
                // Under the lock, so that the next server to come sees that nobody sweeps; the task is at its
                // end, hence cutting it off is no loss.
                state.sweeper = None;
                return;
            }
        }
    }
}

impl State {
    fn sweep(&mut self, now: Instant) {
        self.servers.retain(|_, pool| {
            let mut idle = pool.idle.lock();
            idle.retain(|idle| idle.is_usable(now));
            !idle.is_empty() || Arc::strong_count(pool) > 1
        });
    }
}

impl Idle {
    fn is_usable(&self, now: Instant) -> bool {
        now < self.until && !self.connection.sender.is_closed()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.observe_held(self.since.elapsed());
    }
}

impl Permit {
    /// A kept-alive connection that is still good, as far as can be told.
    pub(super) async fn kept(&self, by: Instant) -> Option<Connection> {
        loop {
            let mut connection = self.pool.take_idle(Instant::now())?;
            // Right after an answer its task may not have finished with it, or have yet to see that it was
            // closed.
            if let Ok(Ok(())) = timeout_at(by, connection.sender.ready()).await {
                return Some(connection);
            }
        }
    }

    /// To be kept while a kept connection is waited for, and dispelled when it has said something, or `patience` is not over.
    pub(super) fn doubt(&self, patience: Duration) -> Doubt {
        Doubt { pool: Arc::clone(&self.pool), since: Instant::now(), patience }
    }

    /// Ties a connection to the permit it was obtained under.
    pub(super) fn lease(self, connection: Connection, exchanges: Exchanges) -> Lease {
        Lease { connection, permit: self, exchanges }
    }
}

impl Doubt {
    /// The server lives.
    pub(super) fn dispelled(mut self) {
        *self.pool.heard.lock() = Some(Instant::now());
        self.patience = Duration::MAX;
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        // It may only be slow with this answer.
        let heard = *self.pool.heard.lock();
        if self.since.elapsed() >= self.patience && heard.is_none_or(|at| at < self.since) {
            self.pool.forget_kept_before(self.since);
        }
    }
}

impl Lease {
    /// Keeps the connection for the next request, if it may have one. Only after a complete answer.
    pub(super) fn give_back(self) {
        let Self { connection, permit, exchanges } = self;
        if exchanges == Exchanges::Several {
            permit.pool.keep(connection);
        }
        drop(permit);
    }

    /// Closes the connection, keeps the permit.
    pub(super) fn close(self) -> Permit {
        self.permit
    }
}

impl Pool {
    /// A place in the queue, unless it is full or moves too slowly.
    fn queue_up(&self, by: Instant) -> Result<Waiting<'_>, Failure> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Waiting(self);
        let turns = u32::try_from(ahead / self.limits.connections + 1).unwrap_or(u32::MAX);
        // A permit that is waited for has been held for a while already: half of the time, on average.
        let expected = self.held.lock().unwrap_or_default().saturating_mul(turns) / 2;
        if ahead >= self.limits.waiting || Instant::now() + expected > by {
            return Err(Failure::Busy);
        }
        Ok(place)
    }

    /// The weight of a new time is 1 / 8.
    fn observe_held(&self, time: Duration) {
        let mut held = self.held.lock();
        *held = Some(held.map_or(time, |average| (average * 7 + time) / 8));
    }

    fn take_idle(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle.lock();
        while let Some(next) = idle.pop() {
            if next.is_usable(now) {
                return Some(next.connection);
            }
        }
        None
    }

    /// Closes connections that have not answered anything since.
    fn forget_kept_before(&self, then: Instant) {
        let kept_until = then + self.limits.idle_timeout;
        self.idle.lock().retain(|idle| idle.until > kept_until);
    }

    fn keep(&self, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < self.limits.idle {
            let until = Instant::now() + self.limits.idle_timeout;
            idle.push(Idle { connection, until, _counted: OneMore::of(&self.limits.idle_gauge) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(connections: usize) -> Arc<Pools> {
        let limits = Limits {
            connections,
            waiting: 2,
            idle: 1,
            idle_timeout: Duration::from_secs(4),
            idle_gauge: IntGauge::new("idle", "idle").unwrap(),
        };
        Arc::new(Pools { limits, state: Mutex::new(State { servers: HashMap::new(), sweeper: None }) })
    }

    fn server(n: usize) -> Peer {
        Arc::new(format!("http://host-{n}").parse::<crate::config::ServerUrl>().unwrap()).into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_passes() {
        let pools = pools(1);
        let used = pools.permit(&server(0), Instant::now()).await.unwrap();
        let by = Instant::now() + Duration::from_secs(1);
        let ask = || {
            let pools = Arc::clone(&pools);
            tokio::spawn(async move { pools.permit(&server(0), by).await.map(drop) })
        };
        let waiting = [ask(), ask()];
        tokio::task::yield_now().await;
        let third = pools.permit(&server(0), by).await;
        assert!(matches!(third, Err(Failure::Busy)));
        assert_eq!(Instant::now(), by - Duration::from_secs(1), "refused at once");
        drop(used);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_in_vain_for_connections_that_are_held_long() {
        let pools = pools(1);
        for expected in [true, false] {
            let used = pools.permit(&server(0), Instant::now()).await.unwrap();
            let (start, by) = (Instant::now(), Instant::now() + Duration::from_secs(1));
            assert!(matches!(pools.permit(&server(0), by).await, Err(Failure::Busy)));
            assert_eq!(
                start.elapsed() > Duration::ZERO,
                expected,
                "the second one knows better than to wait"
            );
            tokio::time::sleep(Duration::from_secs(9)).await;
            drop(used);
        }
        // It is a forecast for those who would wait, not a ban.
        pools.permit(&server(0), Instant::now()).await.unwrap();
    }

    #[tokio::test]
    async fn servers_out_of_use_are_forgotten() {
        let pools = pools(1);
        let used = pools.permit(&server(0), Instant::now()).await.unwrap();
        for n in 1..2 * MANY_SERVERS {
            pools.permit(&server(n), Instant::now()).await.unwrap();
        }
        assert!(pools.state.lock().servers.len() <= MANY_SERVERS);
        // The one in use is still the same: its only permit is taken.
        assert!(matches!(pools.permit(&server(0), Instant::now()).await, Err(Failure::Busy)));
        drop(used);
    }

    #[tokio::test(start_paused = true)]
    async fn the_sweep_ends_with_the_last_server_and_begins_with_the_next() {
        let pools = pools(1);
        for n in 0..2 {
            drop(pools.permit(&server(n), Instant::now()).await.unwrap());
            assert!(pools.state.lock().sweeper.is_some());
            tokio::time::sleep(Duration::from_secs(5)).await;
            let state = pools.state.lock();
            assert!(state.servers.is_empty() && state.sweeper.is_none());
        }
    }
}
