//! Over real sockets.

mod missing;
mod promtool;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::server::{Limits, serve_within};
use super::{Admin, Guard, PurgeError, Purged, Readiness, StatusSource, Token};
use crate::digest::ObjectName;
use crate::metrics::Metrics;

/// A tier whose reports can be held back.
struct Tier {
    readiness: Mutex<Readiness>,
    samples: AtomicU64,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// Reports that are being made.
#[derive(Default)]
struct Waiting {
    held: bool,
    reports: usize,
}

impl Tier {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            readiness: Mutex::new(Readiness::Ready),
            samples: AtomicU64::new(0),
            waiting: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn hold(&self) {
        self.waiting.lock().held = true;
    }

    fn release(&self) {
        self.waiting.lock().held = false;
        self.changed.notify_all();
    }

    /// Waits until so many reports are held.
    async fn until_held(self: &Arc<Self>, reports: usize) {
        let tier = self.clone();
        let wait = move || {
            tier.changed.wait_while(&mut tier.waiting.lock(), |waiting| waiting.reports != reports);
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}

impl StatusSource for Tier {
    fn ready(&self) -> Readiness {
        self.readiness.lock().clone()
    }

    fn status(&self) -> Map<String, Value> {
        let mut waiting = self.waiting.lock();
        waiting.reports += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut waiting, |waiting| waiting.held);
        waiting.reports -= 1;
        self.changed.notify_all();
        let Value::Object(status) = json!({ "name": "node <7>", "disk": { "stored_bytes": 1024 } }) else {
            unreachable!("an object")
        };
        status
    }

    fn has(&self, name: &ObjectName) -> bool {
        name.digest()[0] < 0x80
    }

    fn sample(&self) {
        self.samples.fetch_add(1, Ordering::Relaxed);
    }

    fn purge(&self, what: &str) -> Result<Purged, PurgeError> {
        match what {
            "/a?b=c d" => Ok(Purged { kind: "document", places: vec!["memory", "disk"] }),
            _ => Err(PurgeError::Name),
        }
    }
}

/// A running server.
struct Server {
    address: SocketAddr,
    tier: Arc<Tier>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::guarded(limits, Guard::default()).await
    }

    async fn guarded(limits: Limits, guard: Guard) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tier = Tier::new();
        let admin = Arc::new(Admin {
            metrics: Metrics::new().unwrap(),
            status: tier.clone(),
            filter: None,
            guard: Arc::new(ArcSwap::from_pointee(guard)),
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_within(limits, listener, admin, async {
            let _ = stopped.await;
        }));
        Self { address, tier, stop, task }
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Sends a request and reads to the end.
    async fn exchange(&self, request: &str) -> Answer {
        Answer::read(self.send(request).await).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: any\r\n\r\n")).await
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    async fn read(mut stream: TcpStream) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    #[track_caller]
    fn has(&self, field: &str) {
        assert!(self.head.lines().any(|line| line == field), "{field} is missing in\n{}", self.head);
    }
}

fn limits() -> Limits {
    Limits::default()
}

#[tokio::test]
async fn metrics_are_fresh_and_typed() {
    let server = Server::start(limits()).await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status, 200);
    answer.has("content-type: text/plain; version=0.0.4; charset=utf-8");
    assert!(server.tier.samples.load(Ordering::Relaxed) >= 1);
    let build = format!("substratum_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    for line in [build.as_str(), "# TYPE process_resident_memory_bytes gauge"] {
        assert!(answer.body.lines().any(|found| found == line), "{line}");
    }
}

#[tokio::test]
async fn readiness_is_said_in_words() {
    let server = Server::start(limits()).await;
    for (readiness, status, words) in [
        (Readiness::Ready, 200, "ready\n"),
        (Readiness::Starting("reading the index"), 503, "starting: reading the index\n"),
        (Readiness::Draining, 503, "draining: no new clients, please\n"),
    ] {
        *server.tier.readiness.lock() = readiness;
        let answer = server.get("/readyz").await;
        assert_eq!((answer.status, answer.body.as_str()), (status, words));
        assert_eq!(server.get("/livez").await.body, "ok\n");
    }
}

#[tokio::test]
async fn status_is_json_and_the_page_is_html() {
    let server = Server::start(limits()).await;
    let status = server.get("/status").await;
    status.has("content-type: application/json");
    let read: Value = serde_json::from_str(&status.body).unwrap();
    assert_eq!(read["disk"]["stored_bytes"], 1024);

    let page = server.get("/").await;
    page.has("content-type: text/html; charset=utf-8");
    assert!(page.body.contains("<h1>node &lt;7&gt;</h1>"), "{}", page.body);
    assert!(page.body.contains("<td>1 KiB</td>"), "{}", page.body);
    for path in ["/style.css", "/page.js", "/uplot.js", "/uplot.css", "/uplot.LICENSE"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    for path in page.body.split(['"', '=']).filter(|part| part.starts_with('/')) {
        assert_ne!(server.get(path).await.status, 404, "the page leads to {path}");
    }
    let history: Value = serde_json::from_str(&server.get("/history").await.body).unwrap();
    assert_eq!(history["interval_seconds"], 10);
    assert_eq!(read["troubles"], json!([]));
}

#[tokio::test]
async fn every_answer_is_inert() {
    let server = Server::start(limits()).await;
    for path in
        ["/", "/style.css", "/page.js", "/status", "/history", "/metrics", "/livez", "/readyz", "/else"]
    {
        let answer = server.get(path).await;
        answer.has("cache-control: no-store");
        answer.has("x-content-type-options: nosniff");
        assert!(answer.head.contains("content-security-policy: default-src 'none'; style-src 'self';"));
        assert!(!answer.head.contains("unsafe"), "{}", answer.head);
    }
}

#[tokio::test]
async fn what_is_not_served_is_refused() {
    let server = Server::start(limits()).await;
    let table = [
        ("GET /else HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("POST /else HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        ("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 400),
        ("GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET /livez?x HTTP/1.0\r\n\r\n", 200),
    ];
    for (request, status) in table {
        assert_eq!(server.exchange(request).await.status, status, "{request}");
    }
    let refused = server.exchange("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    refused.has("allow: get, head");

    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(32 << 10));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&text));
}

#[tokio::test]
async fn with_a_token_nothing_but_probes_is_answered_without() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
    let guard = Guard { tls: None, token: Some(Token::read(file.path()).unwrap()) };
    let server = Server::guarded(limits(), guard).await;
    let bearer = "Authorization: Bearer 0123456789abcdef\r\n";
    let basic = "Authorization: Basic c3Vic3RyYXR1bTowMTIzNDU2Nzg5YWJjZGVm\r\n";
    let wrong = "Authorization: Bearer 0123456789abcdeg\r\n";
    let ask = async |line: &str, fields: &str| {
        server.exchange(&format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).await
    };
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&format!("GET {path}"), "").await.status, 200, "{path}");
    }
    for path in ["/", "/status", "/metrics", "/history", "/style.css"] {
        let line = format!("GET {path}");
        for fields in ["", wrong] {
            let refused = ask(&line, fields).await;
            assert_eq!(refused.status, 401, "{path}");
            refused.has("www-authenticate: bearer realm=\"substratum\"");
            assert!(!refused.body.contains("node"), "{}", refused.body);
        }
        for fields in [bearer, basic] {
            assert_eq!(ask(&line, fields).await.status, 200, "{path}");
        }
    }
    for (line, fields, expected) in [
        ("POST /purge?what=/a%3Fb%3Dc%20d", bearer, 200),
        ("POST /purge?what=/a%3Fb%3Dc%20d", basic, 401),
        ("POST /purge?what=/a%3Fb%3Dc%20d", "", 401),
        ("POST /purge?what=else", bearer, 400),
        ("POST /purge", bearer, 400),
        ("GET /purge?what=/a%3Fb%3Dc%20d", bearer, 405),
        ("POST /log?filter=info", basic, 401),
    ] {
        assert_eq!(ask(line, fields).await.status, expected, "{line} {fields}");
    }
    let body = ask("POST /purge?what=/a%3Fb%3Dc%20d", bearer).await.body;
    assert_eq!(body, "document: dropped from memory and disk\n");

    let open = Server::start(limits()).await;
    let refused = open.exchange("POST /purge?what=/a%3Fb%3Dc%20d HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(refused.status, 403, "{}", refused.body);
}

#[tokio::test]
async fn head_has_no_body() {
    let server = Server::start(limits()).await;
    for path in ["/", "/metrics", "/livez"] {
        let head = server.exchange(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert!(head.head.contains("content-length: "), "{}", head.head);
    }
}

#[tokio::test]
async fn reports_that_hang_are_bounded_and_probes_still_answered() {
    let server = Server::start(Limits { reports: 2, ..limits() }).await;
    server.tier.hold();
    let first = server.send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let second = server.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.tier.until_held(2).await;

    let third = server.get("/metrics").await;
    assert_eq!((third.status, third.body.split(':').next()), (503, Some("busy")));
    assert_eq!(server.get("/livez").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);

    server.tier.release();
    assert_eq!(Answer::read(first).await.status, 200);
    assert_eq!(Answer::read(second).await.status, 200);
}

#[tokio::test]
async fn a_report_that_is_given_up_keeps_its_place() {
    let limits = Limits { reports: 1, report_time: Duration::from_millis(20), ..limits() };
    let server = Server::start(limits).await;
    server.tier.hold();
    let late = server.get("/status").await;
    assert_eq!((late.status, late.body.as_str()), (503, "the report took too long\n"));
    assert!(server.get("/status").await.body.starts_with("busy"));
    server.tier.release();
    server.tier.until_held(0).await;
}

#[tokio::test]
async fn idle_connections_are_closed_and_make_room() {
    let limits = Limits { connections: 2, connection_time: Duration::from_millis(50), ..limits() };
    let server = Server::start(limits).await;
    let mut idle = Vec::new();
    for request in ["", "GET / HT"] {
        idle.push(server.send(request).await);
    }
    // Waits in the kernel's queue until one of them is closed.
    assert_eq!(server.get("/livez").await.status, 200);
    for mut stream in idle {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}

#[tokio::test]
async fn stopping_finishes_what_was_begun() {
    let server = Server::start(limits()).await;
    server.tier.hold();
    let begun = server.send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.tier.until_held(1).await;
    server.stop.send(()).unwrap();
    server.tier.release();
    assert_eq!(Answer::read(begun).await.status, 200);
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
