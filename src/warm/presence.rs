//! Who knows what is in the tier already.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::catalog::Object;
use crate::digest::ObjectName;

/// Names in one question; the admin port takes some 20,000.
const BATCH: usize = 10_000;

/// For one question.
const PATIENCE: Duration = Duration::from_secs(15);

/// Bytes of an answer.
const MAX_ANSWER: usize = 2 << 20;

/// Who is asked.
pub enum Presence {
    /// The admin port of a running program.
    Admin(SocketAddr),
    /// The cache of this process.
    Own(Arc<dyn Fn(&ObjectName) -> bool + Send + Sync>),
    /// Nobody: everything may be missing.
    Unknown,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// No answer.
    #[error("the admin port {0} does not answer: {1}")]
    Silent(SocketAddr, #[source] io::Error),
    /// Another answer than expected.
    #[error("the admin port {0} does not tell what is missing: {1}")]
    Refused(SocketAddr, String),
}

impl Presence {
    /// Those that are not in the tier, in the same order.
    pub async fn missing(&self, objects: &[Object]) -> Result<Vec<Object>, PresenceError> {
        match self {
            Self::Unknown => Ok(objects.to_vec()),
            Self::Own(has) => Ok(objects.iter().filter(|object| !has(&object.name)).copied().collect()),
            Self::Admin(address) => {
                let mut missing = Vec::new();
                for batch in objects.chunks(BATCH) {
                    let names: Vec<_> = batch.iter().map(|object| object.name.to_string()).collect();
                    let answer = timeout(PATIENCE, ask(*address, names.join("\n"))).await;
                    let answer = answer
                        .map_err(|_| PresenceError::Silent(*address, io::ErrorKind::TimedOut.into()))??;
                    let lines: HashSet<&str> = answer.lines().collect();
                    let here = names.iter().zip(batch).filter(|(name, _)| lines.contains(name.as_str()));
                    missing.extend(here.map(|(_, object)| *object));
                }
                Ok(missing)
            }
        }
    }
}

async fn ask(address: SocketAddr, names: String) -> Result<String, PresenceError> {
    let silent = |error| PresenceError::Silent(address, error);
    let broken = |error: hyper::Error| PresenceError::Silent(address, io::Error::other(error));
    let refused = |why: String| PresenceError::Refused(address, why);
    let stream = TcpStream::connect(address).await.map_err(silent)?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(driver);
    let request = Request::post("/missing")
        .header(HOST, address.to_string())
        .header(CONTENT_LENGTH, names.len())
        .body(Full::new(Bytes::from(names)))
        .map_err(|error| refused(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| refused(error.to_string()))?.to_bytes();
    let text = String::from_utf8(body.to_vec()).map_err(|_| refused("its answer is no text".to_owned()))?;
    if status == StatusCode::OK { Ok(text) } else { Err(refused(format!("{status}"))) }
}
