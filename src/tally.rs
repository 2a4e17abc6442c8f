//! What became of one request: counted and logged once, when its answer ends or is given up.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, Request, StatusCode, Version};
use parking_lot::Mutex;

pub use crate::access_log::Ending;
use crate::access_log::{LoggedHeaders, Logger, Record};
use crate::metrics::{Counts, InFlight, RepositoryMetrics, RequestMetrics, Seat};
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::upstream::Role;

/// Where finished requests are reported; one a worker.
pub struct Recorder {
    metrics: RequestMetrics,
    repositories: RepositoryMetrics,
    /// Whether there is a logger, without the lock.
    logs: AtomicBool,
    logger: Mutex<Option<Logger>>,
    /// The clock of [`Activity`].
    epoch: Instant,
}

impl Recorder {
    /// A recorder; without a logger nothing is kept of a request but numbers.
    pub fn new(
        metrics: RequestMetrics,
        repositories: RepositoryMetrics,
        logger: Option<Logger>,
    ) -> Arc<Self> {
        let logs = AtomicBool::new(logger.is_some());
        Arc::new(Self { metrics, repositories, logs, logger: Mutex::new(logger), epoch: Instant::now() })
    }

    /// Passes buffered log lines on. To be called about once a second.
    pub fn flush(&self) {
        if let Some(logger) = &*self.logger.lock() {
            logger.flush();
        }
    }

    /// Requests that end from now on are reported to another logger. When this returns, nobody uses the former one.
    pub fn report_to(&self, logger: Option<Logger>) {
        self.logs.store(logger.is_some(), Ordering::Relaxed);
        *self.logger.lock() = logger;
    }

    /// Whole seconds since this recorder was made.
    pub fn seconds(&self) -> u32 {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> u32 {
        seconds(self.epoch, instant)
    }
}

/// No second of any clock.
const NONE: u32 = u32::MAX;

/// When a connection last moved, in the recorder's seconds; read by the sweep.
#[derive(Debug)]
pub struct Activity {
    /// The recorder's.
    epoch: Instant,
    last: AtomicU32,
    /// When a head began that has not ended. Set for the few that come in several pieces.
    head_since: AtomicU32,
    asked: AtomicBool,
    answering: AtomicBool,
}

impl Activity {
    /// A connection that moves now.
    pub fn new(recorder: &Recorder) -> Arc<Self> {
        let activity = Self {
            epoch: recorder.epoch,
            last: AtomicU32::new(0),
            head_since: AtomicU32::new(NONE),
            asked: AtomicBool::new(false),
            answering: AtomicBool::new(false),
        };
        activity.touch_now();
        Arc::new(activity)
    }

    /// Now, in the seconds that the others are told in.
    pub fn seconds(&self) -> u32 {
        seconds(self.epoch, Instant::now())
    }

    /// Seconds since the last movement.
    pub fn idle(&self, now: u32) -> u32 {
        now.saturating_sub(self.last.load(Ordering::Relaxed))
    }

    /// Seconds that the client has taken for the head it is sending, and for nothing else.
    pub fn in_head(&self, now: u32) -> u32 {
        match self.head_since.load(Ordering::Relaxed) {
            NONE => 0,
            since => now.saturating_sub(since).min(self.idle(now)),
        }
    }

    /// Whether a request has come yet.
    pub fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether a request came whose answer's last byte has not been handed to the connection.
    pub fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// The sweep is about to close the connection, since its client takes nothing.
    pub fn stalled(&self) {
        self.last.store(NONE, Ordering::Relaxed);
    }

    /// The beginning of a head came.
    pub fn head_began(&self) {
        self.head_since.store(seconds(self.epoch, Instant::now()), Ordering::Relaxed);
    }

    /// The rest of it came.
    pub fn head_ended(&self) {
        self.head_since.store(NONE, Ordering::Relaxed);
    }

    /// The client took some bytes, or sent many.
    pub fn touch_now(&self) {
        self.touch(seconds(self.epoch, Instant::now()));
    }

    fn is_stalled(&self) -> bool {
        self.last.load(Ordering::Relaxed) == NONE
    }

    fn touch(&self, second: u32) {
        self.last.store(second, Ordering::Relaxed);
    }
}

fn seconds(epoch: Instant, instant: Instant) -> u32 {
    u32::try_from(instant.saturating_duration_since(epoch).as_secs()).unwrap_or(NONE)
}

/// The running account of one request. Reports when dropped.
pub struct Tally {
    recorder: Arc<Recorder>,
    activity: Arc<Activity>,
    started: Instant,
    answered: Option<Duration>,
    outcome: Outcome,
    reason: Option<Reason>,
    repository: Option<Seat>,
    status: StatusCode,
    sent: u64,
    ending: Ending,
    line: Option<Box<Line>>,
    _in_flight: InFlight,
}

/// What only the log needs.
struct Line {
    client: IpAddr,
    method: Method,
    uri: String,
    version: Version,
    headers: HeaderMap,
    content_type: Option<Vec<u8>>,
    upstream: Option<(Role, Box<str>)>,
}

impl Tally {
    /// Opens the account of `request`.
    pub fn open<B>(
        recorder: &Arc<Recorder>,
        activity: &Arc<Activity>,
        client: IpAddr,
        request: &Request<B>,
    ) -> Self {
        let started = Instant::now();
        activity.asked.store(true, Ordering::Relaxed);
        activity.answering.store(true, Ordering::Relaxed);
        activity.touch(recorder.at(started));
        let line = recorder.logs.load(Ordering::Relaxed).then(|| {
            Box::new(Line {
                client,
                method: request.method().clone(),
                uri: absolute(request),
                version: request.version(),
                headers: logged_only(request.headers()),
                content_type: None,
                upstream: None,
            })
        });
        Self {
            recorder: Arc::clone(recorder),
            activity: Arc::clone(activity),
            started,
            answered: None,
            outcome: Outcome::BadRequest,
            reason: None,
            repository: None,
            status: StatusCode::default(),
            sent: 0,
            ending: Ending::ClientGone,
            line,
            _in_flight: recorder.metrics.start(),
        }
    }

    /// Closes the account of what hyper answered by itself, with a 400 and nothing else.
    pub fn malformed(mut self) {
        self.answered(Outcome::BadRequest, StatusCode::BAD_REQUEST, &HeaderMap::new());
        self.because(Reason::Malformed);
        self.ended(Ending::Complete);
    }

    /// Whose content is asked for.
    pub fn of_repository(&mut self, name: &str) {
        self.repository = Some(self.recorder.repositories.seat(name));
    }

    /// The head of the answer is decided.
    pub fn answered(&mut self, outcome: Outcome, status: StatusCode, headers: &HeaderMap) {
        let now = Instant::now();
        self.activity.touch(self.recorder.at(now));
        self.answered = Some(now.saturating_duration_since(self.started));
        self.outcome = outcome;
        self.status = status;
        if let Some(line) = &mut self.line {
            line.content_type = headers.get(http::header::CONTENT_TYPE).map(|v| v.as_bytes().to_vec());
        }
    }

    /// Why it is no plain hit, or why it could not be finished: the last word counts.
    pub fn because(&mut self, reason: Reason) {
        self.reason = Some(reason);
    }

    /// Who was asked for it.
    pub fn asked(&mut self, role: Role, label: &str) {
        if let Some(line) = &mut self.line {
            line.upstream = Some((role, label.into()));
        }
    }

    /// `n` bytes of the body were handed to the connection.
    pub fn sent(&mut self, n: usize) {
        // The first piece follows the head, which has touched already.
        if self.sent > 0 {
            self.activity.touch(self.recorder.seconds());
        }
        self.sent += n as u64;
    }

    /// How the answer ended; without this word it ended because the client left.
    pub fn ended(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.activity.answering.store(false, Ordering::Relaxed);
        let duration = self.started.elapsed();
        let first_byte = self.answered.unwrap_or(duration);
        if self.ending == Ending::ClientGone && self.activity.is_stalled() {
            self.ending = Ending::ClientStalled;
        }
        self.recorder.metrics.finished(self.outcome, self.status.as_u16(), self.sent, first_byte, duration);
        if let Some(seat) = self.repository {
            let hits = u64::from(self.outcome.is_hit());
            self.recorder.repositories.finished(seat, Counts { requests: 1, hits, body_bytes: self.sent });
        }
        if let Some(reason) = self.reason {
            self.recorder.metrics.explained(reason);
        }
        if let Some(line) = &self.line
            && let Some(logger) = &*self.recorder.logger.lock()
        {
            logger.log(&Record {
                time: SystemTime::now(),
                duration,
                first_byte: self.answered,
                client: line.client,
                method: line.method.as_str(),
                uri: &line.uri,
                version: line.version,
                status: if self.answered.is_some() { self.status.as_u16() } else { 0 },
                bytes_sent: self.sent,
                body_bytes: self.sent,
                outcome: self.outcome,
                reason: self.reason,
                ending: self.ending,
                upstream: line.upstream.as_ref().map(|(role, label)| (*role, &**label)),
                content_type: line.content_type.as_deref(),
                headers: LoggedHeaders::of(&line.headers),
            });
        }
    }
}

/// The target as squid logs it: absolute, also for origin-form requests.
fn absolute<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    match (uri.scheme(), request.headers().get(http::header::HOST).and_then(|h| h.to_str().ok())) {
        (None, Some(host)) if request.method() != Method::CONNECT => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let mut text = String::with_capacity(7 + host.len() + path.len());
            text.push_str("http://");
            text.push_str(host);
            text.push_str(path);
            text
        }
        _ => uri.to_string(),
    }
}

fn logged_only(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(4);
    for name in LoggedHeaders::NAMES {
        if let Some(value) = headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}
