//! A client of the tier: one connection, one request after the other, each repeated a few times.
//!
//! It says that it can wait (`Priority: u=7`, RFC 9218 §4.1), so that the tier serves its other clients first, and believes no
//! object that does not deserve its name.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use tokio::io::DuplexStream;
use tokio::time::timeout;

use super::line::{Line, Sender, connect, speak};
use crate::catalog::{BadPath, Object, RepoPath, printable};
use crate::config::{RepositoryUrl, ServerUrl};
use crate::digest::Verifier;

/// Attempts at one thing, and the pause before the second; it doubles.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(400);

/// For a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// For the head of an answer, and for each piece of its body. Longer than a tier waits for its turn and its upstreams.
const SILENCE: Duration = Duration::from_secs(30);

/// Bytes of an error's text that are told.
const TOLD: usize = 160;

/// Bytes of a catalog as stored.
const MAX_CATALOG: usize = 128 << 20;

/// The way to a repository.
pub struct Way {
    /// Through whom.
    pub tier: Tier,
    /// Which.
    pub repository: RepositoryUrl,
}

/// The tier, as a client of it sees it.
pub enum Tier {
    /// A proxy at this address.
    At(ServerUrl),
    /// The one in this process: whoever wants a connection gets the other end of a pipe.
    Own(Arc<dyn Fn() -> DuplexStream + Send + Sync>),
}

/// Why something was not had.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No connection.
    #[error("nothing answers at {0}: {1}")]
    Connect(String, #[source] io::Error),
    /// Silence.
    #[error("no answer within {SILENCE:?}")]
    Silence,
    /// An answer that is none.
    #[error("the answer broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// Another status than 200, and what stood beside it.
    #[error("{0}{1}")]
    Status(StatusCode, String),
    /// More bytes than anybody needs.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Bytes that are not the object.
    #[error("the bytes do not deserve their name")]
    Wrong,
    /// A request that cannot be written down.
    #[error("no request: {0}")]
    Request(#[from] http::Error),
}

impl Trouble {
    /// Whether asking again soon may help.
    fn may_pass(&self) -> bool {
        match self {
            Self::Status(status, _) => !matches!(status.as_u16(), 400 | 404 | 410),
            Self::TooLarge(_) | Self::Request(_) => false,
            _ => true,
        }
    }
}

/// A connection to the tier, opened when it is needed.
pub struct Lane {
    way: Arc<Way>,
    line: Line,
}

/// What is done with a body.
struct Sink {
    verifier: Option<Verifier>,
    /// Keeps the bytes, so many at most.
    keep: Option<usize>,
}

impl Lane {
    /// A lane on this way.
    pub fn new(way: Arc<Way>) -> Self {
        Self { way, line: Line::default() }
    }

    /// A document of the repository, such as `.cvmfspublished`.
    pub async fn document(&mut self, name: &str, limit: usize) -> Result<Bytes, Trouble> {
        self.get(name, || Sink { verifier: None, keep: Some(limit) }).await.map(|(bytes, _)| bytes)
    }

    /// An object, whole.
    pub async fn object(&mut self, object: Object) -> Result<Bytes, Trouble> {
        let sink = || Sink { verifier: Some(object.name.verifier()), keep: Some(MAX_CATALOG) };
        self.get(&object.to_string(), sink).await.map(|(bytes, _)| bytes)
    }

    /// Has an object brought to the tier; its length in bytes.
    pub async fn bring(&mut self, object: Object) -> Result<u64, Trouble> {
        let sink = || Sink { verifier: Some(object.name.verifier()), keep: None };
        self.get(&object.to_string(), sink).await.map(|(_, len)| len)
    }

    async fn get(&mut self, name: &str, sink: impl Fn() -> Sink) -> Result<(Bytes, u64), Trouble> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            match self.attempt(name, sink()).await {
                Err(trouble) if trouble.may_pass() && attempt < ATTEMPTS => {
                    tracing::debug!(name, %trouble, "asked again");
                    self.line.hang_up();
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                Err(trouble) => {
                    self.line.hang_up();
                    return Err(trouble);
                }
                Ok(had) => return Ok(had),
            }
        }
    }

    async fn attempt(&mut self, name: &str, mut sink: Sink) -> Result<(Bytes, u64), Trouble> {
        let request = self.way.request(name)?;
        let connection = self.line.ready(self.way.tier.open()).await?;
        let response =
            timeout(SILENCE, connection.send_request(request)).await.map_err(|_| Trouble::Silence)??;
        let status = response.status();
        let mut body = response.into_body();
        let mut kept = BytesMut::new();
        let mut len = 0;
        if status != StatusCode::OK {
            sink = Sink { verifier: None, keep: Some(4 << 10) };
        }
        while let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(|_| Trouble::Silence)? {
            let Ok(bytes) = frame?.into_data() else { continue };
            len += bytes.len() as u64;
            if let Some(verifier) = &mut sink.verifier {
                verifier.update(&bytes);
            }
            if let Some(limit) = sink.keep {
                if kept.len() + bytes.len() > limit {
                    return Err(Trouble::TooLarge(limit));
                }
                kept.extend_from_slice(&bytes);
            }
        }
        if status != StatusCode::OK {
            return Err(Trouble::Status(status, said(&kept)));
        }
        match sink.verifier.map(Verifier::finish) {
            Some(Err(_)) => Err(Trouble::Wrong),
            _ => Ok((kept.freeze(), len)),
        }
    }
}

impl Tier {
    async fn open(&self) -> Result<Sender, Trouble> {
        match self {
            Self::At(proxy) => {
                let stream = connect((&*proxy.host, proxy.port), CONNECT).await;
                Ok(speak(stream.map_err(|error| Trouble::Connect(proxy.authority(), error))?).await?)
            }
            Self::Own(pipe) => Ok(speak(pipe()).await?),
        }
    }
}

impl Way {
    fn request(&self, name: &str) -> Result<Request<Empty<Bytes>>, Trouble> {
        let path = format!("/cvmfs/{}/{name}", self.repository.name);
        let (uri, host) = match &self.repository.server {
            Some(server) => (format!("{server}{path}"), server.authority()),
            None => (path, "localhost".to_owned()),
        };
        let uri: Uri = uri.parse().map_err(http::Error::from)?;
        let request = Request::get(uri)
            .header(HOST, host)
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, concat!("substratum-warm/", env!("CARGO_PKG_VERSION")))
            .header("priority", "u=7");
        Ok(request.body(Empty::new())?)
    }
}

/// The first line of an error's text, fit for a terminal; none of a page for browsers.
fn said(body: &[u8]) -> String {
    let line = body.split(|c| *c == b'\n').next().unwrap_or_default().trim_ascii();
    let mut text = String::new();
    if !line.is_empty() && !line.starts_with(b"<") {
        // Writing to a String cannot fail.
        let _ = text.write_str(": ");
        let _ = printable(&line[..line.len().min(TOLD)], &mut text);
    }
    text
}

/// A path as operators write it: from the root of the repository, or as it is mounted.
pub fn within(repository: &RepositoryUrl, path: &str) -> Result<RepoPath, BadPath> {
    let mounted = path.strip_prefix("/cvmfs/").and_then(|rest| rest.strip_prefix(&*repository.name));
    RepoPath::parse(mounted.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path))
}

/// A path as it is mounted, for messages.
pub fn shown(repository: &RepositoryUrl, path: &RepoPath) -> String {
    format!(
        "/cvmfs/{}{}",
        repository.name,
        if path.as_bytes().is_empty() { String::new() } else { path.to_string() }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_operators_write_them() {
        let repository = "http://a/cvmfs/x.y".parse().unwrap();
        let table = [
            ("/", "/cvmfs/x.y"),
            ("b/c", "/cvmfs/x.y/b/c"),
            ("/cvmfs/x.y", "/cvmfs/x.y"),
            ("/cvmfs/x.y/", "/cvmfs/x.y"),
            ("/cvmfs/x.y/b", "/cvmfs/x.y/b"),
            ("/cvmfs/x.yz/b", "/cvmfs/x.y/cvmfs/x.yz/b"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(&repository, &within(&repository, text).unwrap()), expected, "{text}");
        }
        assert_eq!(within(&repository, "/cvmfs/x.y/../z"), Err(BadPath::Name));
    }

    #[test]
    fn what_errors_say() {
        let check = |body: &[u8], expected: &str| assert_eq!(said(body), expected);
        check(b"", "");
        check(b"\n", "");
        check(b"forbidden: no such host\r\nand more\n", ": forbidden: no such host");
        check(b"<!DOCTYPE HTML>\n<html>", "");
        assert!(!said(b"\x1b[2Jgone").contains('\x1b'));
        assert!(said(&[b'x'; 1000]).len() <= TOLD + 2);
    }
}
