//! Listeners and client connections of one worker: accept, serve, sweep idle connections, drain.
//!
//! Each worker has its own listening socket on the shared port (SO_REUSEPORT), so the kernel spreads connections and
//! workers share no queue. One coarse sweep a second replaces timers per connection. At the connection limit a client
//! is turned away at once: waiting in the backlog would cost it its whole patience. When draining, listeners close
//! first, so that new clients are refused and go elsewhere.

pub mod bind;
pub mod inherited;
pub mod intake;
mod stream;
pub mod tls;
mod transport;
mod tunnel;
mod unmapped;
mod zero_copy;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use intake::{Contents, Intake};
use parking_lot::Mutex;
use stream::ClientStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use transport::Transport;
pub use unmapped::Unmapped;

use crate::config;
use crate::metrics::{Closed, Refusal, ServerMetrics};
use crate::request;
use crate::service::{Bequest, Bounds, Current, Reached, Service, Shares};
use crate::syntax::Limits;
use crate::tally::{Activity, Tally};

/// Fields of a request head. More are answered with 431.
const MAX_FIELDS: usize = 100;

/// What a request line has beside its target, with room for long methods.
const AROUND_TARGET: usize = 64;

/// Bytes of requests that the parser takes in ahead, more than the longest head.
const READ_AHEAD: usize = 16 << 10;

/// Bytes beyond what the network has in flight that the kernel takes from an answer (TCP_NOTSENT_LOWAT); it asks for more
/// below half of it. A client that takes about 1 kB a second, the least that CVMFS clients put up with, is so seen to take
/// something within `idle_timeout`, and thousands of slow clients do not fill the kernel's memory with megabytes each.
const UNSENT: u32 = 256 << 10;
/// How long a client that had just connected when the draining began may take for its first request, before its connection
/// counts as idle: the request is on its way, and who connects anew would be refused or wait.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

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
}

/// What the sweep needs to know of a connection.
struct Connection {
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
        Self { current, shares, metrics, phase, beats, connections: Arc::default() }
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
        let limits = limits(listen);
        let contents =
            Contents { methods: worker.access.methods().to_vec(), max: listen.max_content.bytes() };
        let bequest = Bequest::default();
        let service = Service::new(
            Arc::clone(&self.current),
            client,
            Arc::clone(&activity),
            Arc::clone(&bequest),
            self.metrics.closed(Closed::Requests),
        );
        let acceptor = match cover {
            Cover::Plain => None,
            Cover::Tls => worker.tls.clone(),
        };
        let (phase, counted, moves) = (self.phase.clone(), (share, open), Arc::clone(&activity));
        let (handshakes, current) = (self.metrics.handshakes.clone(), Arc::clone(&self.current));
        let patience = listen.head_timeout;
        let task = serving.spawn(async move {
            let transport = tokio::select! {
                biased;
                transport = Transport::open(stream, acceptor, patience, &handshakes) => transport,
                () = last_call(phase.clone()) => None,
            };
            if let Some(transport) = transport {
                let intake = Intake::new(limits, contents);
                let stream = ClientStream::new(transport, intake, Arc::clone(&moves));
                if serve(stream, limits, service, phase.clone(), &moves).await == Ended::Unreadable {
                    let recorder = &current.load().recorder;
                    Tally::open(recorder, &moves, client, &request::unreadable()).malformed();
                }
                let legacy = bequest.lock().take();
                if let Some(legacy) = legacy {
                    tunnel::inherit(*legacy, phase, &moves).await;
                }
                drop(counted);
            }
        });
        self.connections.lock().push(Connection { activity, task });
    }

    /// Closes connections that did not move for `idle_timeout`, or whose client takes longer than `head_timeout` to send a
    /// head, and passes log lines on.
    fn sweep(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        let worker = self.current.load();
        let now = worker.recorder.seconds();
        let whole = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let (idle, head) = (whole(worker.listen.idle_timeout), whole(worker.listen.head_timeout));
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
            }
            closed.is_none() && !connection.task.is_finished()
        });
        worker.tick();
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// With a head that the parser refused.
    Unreadable,
    /// In any other way.
    Otherwise,
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

fn limits(config: &config::Listen) -> Limits {
    let bytes = |size: config::ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    let (head, target) = (bytes(config.max_head), bytes(config.max_target));
    Limits { head, first_line: target + AROUND_TARGET, fields: MAX_FIELDS, empty_lines: 1 }
}

async fn serve(
    stream: ClientStream,
    limits: Limits,
    service: Service,
    mut phase: watch::Receiver<Phase>,
    activity: &Activity,
) -> Ended {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.head + READ_AHEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = draining(&mut phase) => {
            let ended = match activity.has_asked() {
                true => None,
                false => tokio::time::timeout(FIRST_REQUEST, connection.as_mut()).await.ok(),
            };
            match ended {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    match ended {
        Ok(()) => Ended::Otherwise,
        Err(error) => {
            tracing::debug!(%error, "a client connection ended early");
            // The parser has answered it, and told nobody.
            if error.is_parse() { Ended::Unreadable } else { Ended::Otherwise }
        }
    }
}
