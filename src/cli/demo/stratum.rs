//! A stratum 1 of the demo: a web server on loopback that has the image, on a thread of its own.
//!
//! Answers carry the header fields of a stratum's Apache: no validators, three days for objects, a `Range` is honoured.
//! Manifests live for seconds rather than a minute, so that a new revision need not be waited for. It can be
//! told to send wrong bytes, and it can be killed; its counters stay readable.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, EXPIRES, RANGE, SERVER,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::image::{Image, manifest_path};
use crate::config::{Scheme, ServerUrl};
use crate::response::range;

/// How long a manifest may be kept; 61 s at a real stratum.
pub const MANIFEST_LIFETIME: Duration = Duration::from_secs(2);

/// How long objects may be kept, as a stratum says; the caches know better.
const OBJECT_LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);

/// Connections at the same time; more wait.
const MAX_CONNECTIONS: usize = 1024;

/// How a stratum behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// As it should.
    Honest,
    /// One byte of every object it sends is wrong, as with a failing disk or memory.
    Corrupt,
}

/// What a stratum has sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Answers to requests for objects.
    pub objects: u64,
    /// Bytes of objects.
    pub bytes: u64,
    /// Of the answers, those with a wrong byte.
    pub corrupt: u64,
    /// Answers to all other requests.
    pub others: u64,
}

impl Sent {
    /// What came since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            objects: self.objects - before.objects,
            bytes: self.bytes - before.bytes,
            corrupt: self.corrupt - before.corrupt,
            others: self.others - before.others,
        }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            bytes: self.bytes + other.bytes,
            corrupt: self.corrupt + other.corrupt,
            others: self.others + other.others,
        }
    }
}

/// A stratum that runs until it is killed or dropped.
pub struct Stratum {
    url: ServerUrl,
    stage: Arc<Stage>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What its connections share.
struct Stage {
    published: Mutex<Image>,
    conduct: Mutex<Conduct>,
    objects: AtomicU64,
    bytes: AtomicU64,
    corrupt: AtomicU64,
    others: AtomicU64,
}

impl Stratum {
    /// Opens a free port and serves `image`.
    pub fn start(image: Image) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stage = Arc::new(Stage {
            published: Mutex::new(image),
            conduct: Mutex::new(Conduct::Honest),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
            others: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&stage);
        let run = move || {
            // Connections end with the runtime, wherever in an answer they are.
            runtime.block_on(async {
                tokio::select! {
                    result = serve(listener, serving) => {
                        if let Err(error) = result {
                            tracing::error!(%error, "a stratum cannot serve");
                        }
                    }
                    // An error means that the stratum was dropped.
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("stratum".into()).spawn(run)?;
        Ok(Self { url: url_of(address), stage, running: Some((stop, thread)) })
    }

    /// Where it listens.
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// Serves another revision from now on.
    pub fn publish(&self, image: Image) {
        *self.stage.published.lock() = image;
    }

    /// Behaves differently from now on.
    pub fn behave(&self, conduct: Conduct) {
        *self.stage.conduct.lock() = conduct;
    }

    /// Closes its port and breaks off all connections. Blocks for milliseconds; later calls do nothing.
    pub fn kill(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // An error means that it has ended by itself.
            let _ = stop.send(());
            if thread.join().is_err() {
                tracing::error!("a stratum had panicked");
            }
        }
    }

    /// What it has sent so far.
    pub fn sent(&self) -> Sent {
        let stage = &*self.stage;
        Sent {
            objects: stage.objects.load(Relaxed),
            bytes: stage.bytes.load(Relaxed),
            corrupt: stage.corrupt.load(Relaxed),
            others: stage.others.load(Relaxed),
        }
    }
}

impl Drop for Stratum {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The URL of a server at `address`.
pub fn url_of(address: SocketAddr) -> ServerUrl {
    ServerUrl { scheme: Scheme::Http, host: address.ip().to_string().into(), port: address.port() }
}

async fn serve(listener: std::net::TcpListener, stage: Arc<Stage>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let stage = Arc::clone(&stage);
                connections.spawn(async move {
                    let answer = service_fn(move |request: Request<Incoming>| {
                        let response = stage.answer(&request);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    // Broken by the peer, which is its business.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Stage {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            self.others.fetch_add(1, Relaxed);
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let path = request.uri().path();
        let published = self.published.lock().clone();
        if let Some(object) = published.object(path) {
            tracing::debug!(path, len = object.len(), range = ?request.headers().get(RANGE), "a stratum is asked");
            let sent = self.portion(object, request.headers().get(RANGE));
            self.objects.fetch_add(1, Relaxed);
            return decorate(sent, "application/octet-stream", OBJECT_LIFETIME);
        }
        self.others.fetch_add(1, Relaxed);
        if path == manifest_path() {
            let response = Response::new(Full::new(published.manifest().clone()));
            return decorate(response, "application/x-cvmfs", MANIFEST_LIFETIME);
        }
        plain(StatusCode::NOT_FOUND)
    }

    /// All of the object, or what a `Range` with a single member asks for (RFC 9110 §14.2).
    fn portion(&self, object: &Bytes, range: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let len = object.len() as u64;
        let asked = range.and_then(|value| match *range::parse(value.as_bytes())? {
            [spec] => Some(spec.within(len)),
            _ => None,
        });
        let (status, part, content_range) = match asked {
            None => (StatusCode::OK, 0..len, None),
            Some(Some(part)) => {
                let field = format!("bytes {}-{}/{len}", part.start, part.end - 1);
                (StatusCode::PARTIAL_CONTENT, part, Some(field))
            }
            Some(None) => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(format!("bytes */{len}"))),
        };
        self.bytes.fetch_add(part.end - part.start, Relaxed);
        let mut body = object.slice(part.start as usize..part.end as usize);
        let conduct = *self.conduct.lock();
        if conduct == Conduct::Corrupt && !body.is_empty() {
            let mut wrong = body.to_vec();
            let place = self.corrupt.fetch_add(1, Relaxed) as usize % wrong.len();
            wrong[place] ^= 0x20;
            body = wrong.into();
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        if let Some(value) = content_range.and_then(|field| HeaderValue::try_from(field).ok()) {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
        response
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// What Apache adds, as strata are configured: mod_expires writes both forms.
fn decorate(
    mut response: Response<Full<Bytes>>,
    media: &'static str,
    lifetime: Duration,
) -> Response<Full<Bytes>> {
    let expires = httpdate::fmt_http_date(SystemTime::now() + lifetime);
    let max_age = format!("max-age={}", lifetime.as_secs());
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("Apache"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    for (name, value) in [(CACHE_CONTROL, max_age), (EXPIRES, expires)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn stage() -> (Stage, String, Bytes) {
        let image = Image::generate(3, &mut fastrand::Rng::with_seed(1), 1_700_000_000);
        let path = image.entries()[0].path();
        let bytes = image.object(&path).unwrap().clone();
        let stage = Stage {
            published: Mutex::new(image),
            conduct: Mutex::new(Conduct::Honest),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
            others: AtomicU64::new(0),
        };
        (stage, path, bytes)
    }

    async fn ask(stage: &Stage, method: &str, path: &str, range: &str) -> (u16, String, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        if !range.is_empty() {
            request = request.header(RANGE, range);
        }
        let (head, body) = stage.answer(&request.body(()).unwrap()).into_parts();
        let content_range = head.headers.get(CONTENT_RANGE).map_or("", |value| value.to_str().unwrap());
        (head.status.as_u16(), content_range.to_owned(), body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn ranges_as_apache_answers_them() {
        let (stage, path, bytes) = stage();
        let len = bytes.len();
        let table = [
            ("", 200, String::new(), 0..len),
            ("bytes=3-", 206, format!("bytes 3-{}/{len}", len - 1), 3..len),
            ("bytes=1-2", 206, format!("bytes 1-2/{len}"), 1..3),
            ("bytes=0-0,2-3", 200, String::new(), 0..len),
            ("bytes=99999999-", 416, format!("bytes */{len}"), 0..0),
            ("lines=1-2", 200, String::new(), 0..len),
        ];
        for (range, status, content_range, part) in table {
            let answer = ask(&stage, "GET", &path, range).await;
            assert_eq!(answer, (status, content_range, bytes.slice(part)), "{range}");
        }
    }

    #[tokio::test]
    async fn a_corrupt_stratum_changes_one_byte() {
        let (stage, path, bytes) = stage();
        *stage.conduct.lock() = Conduct::Corrupt;
        for _ in 0..3 {
            let (_, _, wrong) = ask(&stage, "GET", &path, "").await;
            let changed = wrong.iter().zip(&bytes).filter(|(a, b)| a != b).count();
            assert_eq!((wrong.len(), changed), (bytes.len(), 1));
        }
        assert_eq!(stage.corrupt.load(Relaxed), 3);
    }

    #[tokio::test]
    async fn everything_else() {
        let (stage, path, _) = stage();
        assert_eq!(ask(&stage, "POST", &path, "").await.0, 405);
        assert_eq!(ask(&stage, "GET", "/cvmfs/x.example.org/.cvmfspublished", "").await.0, 404);
        assert_eq!(ask(&stage, "GET", &manifest_path(), "").await.0, 200);
        assert_eq!((stage.objects.load(Relaxed), stage.others.load(Relaxed)), (0, 3));
    }
}
