//! What became of one request: counted and logged once, when its answer ends or is given up.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, Request, StatusCode, Version};
use parking_lot::Mutex;

use crate::access_log::{Ending, LoggedHeaders, Logger, Record};
use crate::metrics::{InFlight, RequestMetrics};
use crate::outcome::Outcome;
use crate::upstream::Role;

/// Where finished requests are reported; one a worker.
pub struct Recorder {
    metrics: RequestMetrics,
    /// Whether there is a logger, without the lock.
    logs: AtomicBool,
    logger: Mutex<Option<Logger>>,
    /// The clock of [`Activity`].
    epoch: Instant,
}

impl Recorder {
    /// A recorder; without a logger nothing is kept of a request but numbers.
    pub fn new(metrics: RequestMetrics, logger: Option<Logger>) -> Arc<Self> {
        let logs = AtomicBool::new(logger.is_some());
        Arc::new(Self { metrics, logs, logger: Mutex::new(logger), epoch: Instant::now() })
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
        u32::try_from(instant.saturating_duration_since(self.epoch).as_secs()).unwrap_or(u32::MAX)
    }
}

/// No second of any clock.
const STALLED: u32 = u32::MAX;

/// When a connection last moved, in the recorder's seconds; read by the idle sweep.
#[derive(Debug, Default)]
pub struct Activity {
    last: AtomicU32,
    asked: AtomicBool,
}

impl Activity {
    /// A connection that moved at `second`.
    pub fn new(second: u32) -> Arc<Self> {
        Arc::new(Self { last: AtomicU32::new(second), asked: AtomicBool::new(false) })
    }

    /// The second of the last movement.
    pub fn last(&self) -> u32 {
        self.last.load(Ordering::Relaxed)
    }

    /// Whether a request has come yet.
    pub fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The sweep is about to close the connection, since its client takes nothing.
    pub fn stalled(&self) {
        self.last.store(STALLED, Ordering::Relaxed);
    }

    fn is_stalled(&self) -> bool {
        self.last() == STALLED
    }

    fn touch(&self, second: u32) {
        self.last.store(second, Ordering::Relaxed);
    }
}

/// The running account of one request. Reports when dropped.
pub struct Tally {
    recorder: Arc<Recorder>,
    activity: Arc<Activity>,
    started: Instant,
    answered: Option<Duration>,
    outcome: Outcome,
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
            status: StatusCode::default(),
            sent: 0,
            ending: Ending::ClientGone,
            line,
            _in_flight: recorder.metrics.start(),
        }
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
        let duration = self.started.elapsed();
        let first_byte = self.answered.unwrap_or(duration);
        if self.ending == Ending::ClientGone && self.activity.is_stalled() {
            self.ending = Ending::ClientStalled;
        }
        self.recorder.metrics.finished(self.outcome, self.status.as_u16(), self.sent, first_byte, duration);
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
