//! A simulated job: reads the whole image through its node's cache, as a CVMFS client does.
//!
//! It learns everything from the manifest: the manifest names the catalog, the catalog lists the objects. A bounded
//! number of kept-alive connections ask in absolute form; every body is checked against its name. What fails is asked
//! for again, of the next stratum by name. Sources: cvmfs `network/download.cc` (failover, retries, the 5 s rule).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::account::Account;
use super::board::Board;
use super::image::{self, Entry};
use crate::document::manifest;
use crate::warm::line::{Line, Sender, connect, speak};

/// After this time without a first byte a CVMFS client leaves its proxy (CVMFS_TIMEOUT).
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a job waits nevertheless, to find out how late it was.
const GIVE_UP: Duration = Duration::from_secs(30);

/// How often one thing is asked for before the job's software gets an error.
const ATTEMPTS: usize = 4;

/// Pause before the next attempt, doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);

/// Largest manifest or catalog that is read into memory, in bytes.
const MAX_DOCUMENT: usize = 64 << 20;

/// What a job needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its node's cache.
    pub node: SocketAddr,
    /// `host:port` of the strata, in the order in which this job names them.
    pub strata: Vec<Arc<str>>,
    /// Connections at a time.
    pub connections: usize,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the URL is malformed: {0}")]
    Url(#[from] http::Error),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("nothing came for {GIVE_UP:?}")]
    Silence,
    #[error("wrong bytes")]
    WrongBytes,
    #[error("larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
}

impl From<tokio::time::error::Elapsed> for Trouble {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Silence
    }
}

impl Job {
    /// Reads the image from the manifest to the last object. Every answer is noted on the board.
    pub async fn run(self, board: Arc<Board>) -> Account {
        let mut lane = Lane::new(self.clone(), Arc::clone(&board));
        let Some(entries) = lane.list().await else {
            return lane.account;
        };
        let (entries, next) = (Arc::new(entries), Arc::new(AtomicUsize::new(0)));
        let mut lanes = JoinSet::new();
        let mut account = std::mem::take(&mut lane.account);
        let others = (1..self.connections).map(|_| Lane::new(self.clone(), Arc::clone(&board)));
        for mut lane in others.chain([lane]) {
            let (entries, next) = (Arc::clone(&entries), Arc::clone(&next));
            lanes.spawn(async move {
                while let Some(entry) = entries.get(next.fetch_add(1, Relaxed)) {
                    lane.object(entry).await;
                }
                lane.account
            });
        }
        while let Some(lane) = lanes.join_next().await {
            match lane {
                Ok(lane) => account.merge(lane),
                Err(error) => {
                    tracing::error!(%error, "a job cannot go on");
                    account.failed += 1;
                }
            }
        }
        account
    }

    /// The revision that the job's node shows for the stratum it names first.
    pub async fn revision(self) -> Option<u64> {
        let mut lane = Lane::new(self, Board::new(0));
        lane.manifest().await.map(|(revision, _)| revision)
    }
}

/// One of a job's connections, and what was asked over it.
struct Lane {
    job: Job,
    board: Arc<Board>,
    line: Line,
    account: Account,
}

/// What is done with a body.
enum Check<'a> {
    /// Hashed as it comes.
    Name(&'a Entry),
    /// Hashed and kept.
    Read(&'a Entry),
    /// Kept; checks itself.
    Manifest,
}

impl Lane {
    fn new(job: Job, board: Arc<Board>) -> Self {
        Self { job, board, line: Line::default(), account: Account::default() }
    }

    /// What the image consists of.
    async fn list(&mut self) -> Option<Vec<Entry>> {
        let (_, root) = self.manifest().await?;
        let catalog = self.get(&root.path(), Check::Read(&root)).await?;
        let entries = image::parse_catalog(&catalog);
        if entries.is_none() {
            self.account.failed += 1;
        }
        entries
    }

    async fn manifest(&mut self) -> Option<(u64, Entry)> {
        let bytes = self.get(&image::manifest_path(), Check::Manifest).await?;
        let revision = manifest::revision(&bytes).ok()?;
        Some((revision.number, image::parse_root(&bytes)?))
    }

    async fn object(&mut self, entry: &Entry) {
        self.get(&entry.path(), Check::Name(entry)).await;
    }

    /// Asks until the bytes are there and right. `None`: the job's software sees an error.
    async fn get(&mut self, path: &str, check: Check<'_>) -> Option<Vec<u8>> {
        let mut backoff = BACKOFF;
        let mut wrong = false;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.account.repeated += 1;
                tokio::time::sleep(backoff).await;
                backoff *= 2;
            }
            let stratum = Arc::clone(&self.job.strata[attempt % self.job.strata.len()]);
            let cache_control = if wrong { "no-cache" } else { "" };
            match self.attempt(&stratum, path, cache_control, &check).await {
                Ok(bytes) => {
                    self.board.done();
                    return Some(bytes);
                }
                Err(trouble) => {
                    tracing::debug!(%stratum, path, %trouble, "a job has to ask again");
                    wrong = matches!(trouble, Trouble::WrongBytes);
                    if wrong {
                        self.account.wrong += 1;
                    }
                    // A client leaves the connection on which something failed.
                    self.line.hang_up();
                }
            }
        }
        self.account.failed += 1;
        None
    }

    async fn attempt(
        &mut self,
        stratum: &str,
        path: &str,
        cache_control: &str,
        check: &Check<'_>,
    ) -> Result<Vec<u8>, Trouble> {
        let mut request = Request::get(format!("http://{stratum}{path}"))
            .header(HOST, stratum)
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, "cvmfs Fuse (substratum demo)");
        if !cache_control.is_empty() {
            request = request.header(CACHE_CONTROL, cache_control);
        }
        let request = request.body(Empty::new())?;
        let asked = Instant::now();
        let connection = self.line.ready(open(self.job.node)).await?;
        let response = timeout(GIVE_UP, connection.send_request(request)).await??;
        self.account.first_byte(asked.elapsed());
        if response.status() != StatusCode::OK {
            return Err(Trouble::Status(response.status()));
        }
        let mut body = response.into_body();
        let mut verifier = match check {
            Check::Name(entry) | Check::Read(entry) => Some(entry.name.verifier()),
            Check::Manifest => None,
        };
        let mut kept = Vec::new();
        while let Some(frame) = timeout(GIVE_UP, body.frame()).await? {
            let Ok(bytes) = frame?.into_data() else { continue };
            self.account.bytes += bytes.len() as u64;
            self.board.received(bytes.len());
            if let Some(verifier) = &mut verifier {
                verifier.update(&bytes);
            }
            if !matches!(check, Check::Name(_)) {
                kept.extend_from_slice(&bytes);
                if kept.len() > MAX_DOCUMENT {
                    return Err(Trouble::TooLarge);
                }
            }
        }
        let good = match verifier {
            Some(verifier) => verifier.finish().is_ok(),
            None => manifest::revision(&kept).is_ok(),
        };
        if !good {
            return Err(Trouble::WrongBytes);
        }
        if !matches!(check, Check::Manifest) {
            self.account.verified += 1;
        }
        Ok(kept)
    }
}

async fn open(node: SocketAddr) -> Result<Sender, Trouble> {
    Ok(speak(connect(node, GIVE_UP).await?).await?)
}
