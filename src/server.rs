//! Listeners and client connections of one worker: accept, serve, sweep idle connections, drain.
//!
//! Each worker has its own listening socket on the shared port (SO_REUSEPORT), so the kernel spreads connections and
//! workers share no queue. One coarse sweep a second replaces timers per connection. At the connection limit the
//! connection that has rested longest gives way; where none rests, the newcomer is turned away at once, since waiting in the
//! backlog would cost it its whole patience. When draining, listeners close first, so that new clients are refused and go
//! elsewhere.

pub mod bind;
mod connection;
mod crowd;
pub mod inherited;
pub mod intake;
mod stream;
pub mod tls;
mod transport;
mod tunnel;
mod unmapped;
mod zero_copy;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connection::{Ended, FIRST_REQUEST};
use crowd::Crowd;
use intake::{Contents, Intake};
use parking_lot::Mutex;
use stream::ClientStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use transport::Transport;
pub use unmapped::Unmapped;

use crate::allocator;
use crate::metrics::{Closed, Refusal, ServerMetrics};
use crate::request;
use crate::service::{Bequest, Bounds, ClientNetwork, Current, Reached, Service, Shares};
use crate::syntax::Limits;
use crate::tally::{Activity, Tally};

/// Bytes beyond what the network has in flight that the kernel takes from an answer (TCP_NOTSENT_LOWAT); it asks for more
/// below half of it. A client that takes about 1 kB a second, the least that CVMFS clients put up with, is so seen to take
/// something within `idle_timeout`, and thousands of slow clients do not fill the kernel's memory with megabytes each.
const UNSENT: u32 = 256 << 10;

/// Seconds without a request after which a connection lets go of what only requests need.
const REST: u32 = 2;

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The life of the process, as the workers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Accept and serve.
    Serving,
    /// Finish what has begun.
    Draining,
}

/// How clients of a listener talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// In the clear.
    Plain,
    /// Over TLS.
    Tls,
}

/// A listening socket, not yet in a runtime.
pub type Listening = (std::net::TcpListener, Cover);

/// One worker's share of the serving.
pub struct Server {
    current: Arc<Current>,
    /// Connections of all workers.
    shares: Arc<Shares>,
    metrics: ServerMetrics,
    phase: watch::Receiver<Phase>,
    /// One more every second, while the worker moves.
    beats: Arc<AtomicU64>,
    connections: Arc<Mutex<Vec<Connection>>>,
    crowd: Arc<Crowd>,
}

/// What the sweep needs to know of a connection.
struct Connection {
    client: ClientNetwork,
    activity: Arc<Activity>,
    task: AbortHandle,
}

impl Server {
    /// A server on top of the worker in force.
    pub fn new(
        current: Arc<Current>,
        shares: Arc<Shares>,
        metrics: ServerMetrics,
        phase: watch::Receiver<Phase>,
        beats: Arc<AtomicU64>,
    ) -> Self {
        Self { current, shares, metrics, phase, beats, connections: Arc::default(), crowd: Arc::default() }
    }

    /// Serves until the phase turns to draining, then finishes within the drain time-out. Must run on the worker's
    /// current-thread runtime.
    pub async fn run(mut self, listeners: Vec<Listening>) -> io::Result<()> {
        let mut accepting = JoinSet::new();
        let mut serving = JoinSet::new();
        let (accepted, mut arrivals) = tokio::sync::mpsc::channel(64);
        for (listener, cover) in listeners {
            let listener = TcpListener::from_std(listener)?;
            accepting.spawn(accept(
                listener,
                cover,
                accepted.clone(),
                self.metrics.clone(),
                self.phase.clone(),
            ));
        }
        drop(accepted);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut phase = self.phase.clone();
        loop {
            tokio::select! {
                biased;
                Some(arrival) = arrivals.recv() => self.begin(arrival, &mut serving),
                _ = tick.tick() => self.sweep(),
                // Keeps the set small; results are of no interest.
                Some(_) = serving.join_next() => {}
                () = draining(&mut phase) => break,
            }
        }
        // The sockets close: whoever comes now is refused and takes its next proxy, or waits where the service manager
        // keeps them open. Whoever was accepted is served.
        while let Some(arrival) = arrivals.recv().await {
            self.begin(arrival, &mut serving);
        }
        accepting.shutdown().await;
        let drained = async { while serving.join_next().await.is_some() {} };
        let drain_timeout = self.current.load().listen.drain_timeout;
        if tokio::time::timeout(drain_timeout, drained).await.is_err() {
            tracing::warn!(
                connections = serving.len(),
                "answers still unfinished after drain_timeout are broken off"
            );
        }
        serving.shutdown().await;
        self.current.load().recorder.flush();
        Ok(())
    }

    fn begin(&mut self, Arrival { stream, peer, cover }: Arrival, serving: &mut JoinSet<()>) {
        let client = peer.ip().to_canonical();
        let worker = self.current.load();
        let listen = &worker.listen;
        let bounds = Bounds { all: listen.max_connections, client: listen.max_client_connections };
        let share = match self.shares.take(client, bounds) {
            Ok(share) => share,
            Err(reached) if self.make_room(reached, client) => self.shares.take_over(client),
            Err(reached) => {
                self.metrics.refuse(match reached {
                    Reached::All => Refusal::Limit,
                    Reached::Client => Refusal::ClientLimit,
                });
                // A reset, not a clean close: the client must take it for what it is.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            }
        };
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        let open = self.metrics.accept();
        let activity = Activity::new(&worker.recorder);
        let acceptor = match cover {
            Cover::Plain => None,
            Cover::Tls => worker.tls.clone(),
        };
        // Boxed, as it is large and soon over.
        let opening =
            Box::pin(Transport::open(stream, acceptor, listen.head_timeout, self.metrics.handshakes.clone()));
        let (phase, counted, moves) = (self.phase.clone(), (share, open), Arc::clone(&activity));
        let (current, resting) = (Arc::clone(&self.current), self.metrics.resting.clone());
        let closed = self.metrics.closed(Closed::Requests);
        let task = serving.spawn(async move {
            let transport = tokio::select! {
                biased;
                transport = opening => transport,
                () = last_call(phase.clone()) => None,
            };
            if let Some(transport) = transport {
                let bequest = Bequest::default();
                let (intake, limits) = intake(&current);
                let stream = ClientStream::new(transport, intake, Arc::clone(&moves));
                let service = Service::new(
                    Arc::clone(&current),
                    client,
                    Arc::clone(&moves),
                    Arc::clone(&bequest),
                    closed,
                );
                let ended = connection::serve(stream, service, limits, phase.clone(), &moves, &resting).await;
                if ended == Ended::Unreadable {
                    let recorder = &current.load().recorder;
                    Tally::open(recorder, &moves, client, &request::unreadable()).malformed();
                }
                let legacy = bequest.lock().take();
                if let Some(legacy) = legacy {
                    Box::pin(tunnel::inherit(*legacy, phase, &moves)).await;
                }
                drop(counted);
            }
        });
        self.connections.lock().push(Connection { client: ClientNetwork::of(client), activity, task });
    }

    /// Ends the connection that has rested longest, if there is one: of this client, when it has as many as it may. Its own
    /// client will open another one; who is refused takes its next proxy.
    fn make_room(&self, reached: Reached, client: IpAddr) -> bool {
        let client = ClientNetwork::of(client);
        let mut connections = self.connections.lock();
        let resting = connections.iter().enumerate().filter_map(|(place, connection)| {
            let eligible = reached == Reached::All || connection.client == client;
            connection.activity.rests_since().filter(|_| eligible).map(|since| (since, place))
        });
        let Some((_, longest)) = resting.min() else { return false };
        connections.swap_remove(longest).task.abort();
        self.metrics.close(Closed::GaveWay);
        true
    }

    /// Closes connections that did not move for `idle_timeout`, or whose client takes longer than `head_timeout` to send a
    /// head, tells those without requests to rest, and passes log lines on.
    fn sweep(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        let worker = self.current.load();
        let now = worker.recorder.seconds();
        let whole = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let (idle, head) = (whole(worker.listen.idle_timeout), whole(worker.listen.head_timeout));
        let mut at_work = 0;
        self.connections.lock().retain(|connection| {
            let activity = &connection.activity;
            let closed = match () {
                () if activity.idle(now) > idle => Some(Closed::Idle),
                () if activity.in_head(now) > head => Some(Closed::SlowHead),
                () => None,
            };
            if let Some(closed) = closed {
                self.metrics.close(closed);
                activity.stalled();
                connection.task.abort();
            } else if activity.idle(now) >= REST {
                activity.tell_to_rest();
            }
            let goes_on = closed.is_none() && !connection.task.is_finished();
            // Those that the sweep before told to rest do by now.
            at_work += usize::from(goes_on && activity.idle(now) <= REST);
            goes_on
        });
        if self.crowd.has_gone(at_work, now, allocator::asked()) {
            allocator::give_back();
        }
        worker.tick();
    }
}

/// What a new connection may send, as is configured now.
fn intake(current: &Current) -> (Intake, Limits) {
    let worker = current.load();
    let limits = connection::limits(&worker.listen);
    let contents =
        Contents { methods: worker.access.methods().to_vec(), max: worker.listen.max_content.bytes() };
    (Intake::new(limits, contents), limits)
}

/// A connection that was accepted.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    cover: Cover,
}

async fn accept(
    listener: TcpListener,
    cover: Cover,
    accepted: tokio::sync::mpsc::Sender<Arrival>,
    metrics: ServerMetrics,
    mut phase: watch::Receiver<Phase>,
) {
    loop {
        let arrival = tokio::select! {
            biased;
            () = draining(&mut phase) => return,
            arrival = listener.accept() => arrival,
        };
        match arrival {
            Ok((stream, peer)) => {
                if accepted.send(Arrival { stream, peer, cover }).await.is_err() {
                    return;
                }
            }
            Err(error) if is_per_connection(&error) => {}
            Err(error) => {
                metrics.refuse(Refusal::AcceptError);
                tracing::warn!(%error, "cannot accept connections for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits until who has asked for nothing yet when the draining began need not be waited for any more.
async fn last_call(mut phase: watch::Receiver<Phase>) {
    draining(&mut phase).await;
    tokio::time::sleep(FIRST_REQUEST).await;
}

/// Waits for the end of serving; a vanished sender is one.
async fn draining(phase: &mut watch::Receiver<Phase>) {
    while *phase.borrow_and_update() == Phase::Serving {
        if phase.changed().await.is_err() {
            return;
        }
    }
}

/// Whether the error concerns a client that left while it waited, rather than us.
fn is_per_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
