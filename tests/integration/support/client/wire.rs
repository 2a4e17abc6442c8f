//! Reading answers with no tolerance: RFC 9112 framing, nothing interim, no short bodies.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest head that is read, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed; a reset shows here.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The connection ended before a byte of the answer.
    #[error("closed without an answer")]
    Closed,
    /// No head of an HTTP/1.1 answer.
    #[error("malformed head: {0}")]
    Head(String),
    /// An interim answer: CernVM-FS clients take it for an error of the proxy.
    #[error("interim answer {0}")]
    Interim(u16),
    /// The body ended early, in good order or by a reset.
    #[error("short body: {} bytes, {expected} announced", received.len())]
    Short {
        /// Announced length; for the chunked coding what was missing at least.
        expected: u64,
        /// What came.
        received: Bytes,
    },
    /// The chunked coding is broken.
    #[error("bad chunk: {0}")]
    Chunk(String),
    /// Nothing came within the patience of the tests.
    #[error("timed out")]
    TimedOut,
}

/// Status and fields of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The fields in order, names as sent.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first field of this name, in any letter case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// All fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The announced length.
    pub fn content_length(&self) -> Option<u64> {
        self.get("Content-Length").and_then(|text| text.parse().ok())
    }

    /// Whether the connection ends with this answer.
    pub fn closes(&self) -> bool {
        self.get("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn has_no_body(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let line = lines.next()?;
        // The version of the request, where that was HTTP/1.0.
        let status = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?;
        let status = status.get(..3)?.parse().ok()?;
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return None;
            }
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        Some(Self { status, fields })
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status and fields.
    pub head: Head,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The first field of this name, or nothing at all: convenient in comparisons.
    pub fn get(&self, name: &str) -> &str {
        self.head.get(name).unwrap_or_default()
    }
}

/// The receiving side of a connection.
pub(super) struct Reader {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Reader {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    pub(super) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) async fn head(&mut self) -> Result<Head, ClientError> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(ClientError::Head("too long".to_owned()));
            }
            if self.more().await? == 0 {
                return Err(match self.buffer.is_empty() {
                    true => ClientError::Closed,
                    false => ClientError::Head(String::from_utf8_lossy(&self.buffer).into_owned()),
                });
            }
        };
        let bytes = self.buffer.split_to(end + 4);
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let head = Head::parse(&text).ok_or(ClientError::Head(text))?;
        if head.status < 200 { Err(ClientError::Interim(head.status)) } else { Ok(head) }
    }

    pub(super) async fn body(&mut self, head: &Head) -> Result<Bytes, ClientError> {
        if head.has_no_body() {
            return Ok(Bytes::new());
        }
        match (head.get("Transfer-Encoding"), head.get("Content-Length")) {
            (Some(_), Some(_)) => Err(ClientError::Head("two kinds of framing".to_owned())),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => self.chunked().await,
            (Some(coding), None) => Err(ClientError::Head(format!("transfer coding {coding}"))),
            (None, Some(length)) => match length.parse() {
                Ok(length) => self.take(length).await,
                Err(_) => Err(ClientError::Head(format!("length {length}"))),
            },
            (None, None) => self.rest().await,
        }
    }

    pub(super) async fn take(&mut self, n: usize) -> Result<Bytes, ClientError> {
        self.buffer.reserve(n.saturating_sub(self.buffer.len()));
        while self.buffer.len() < n {
            // A reset in the middle is a short body too.
            if self.more().await.unwrap_or(0) == 0 {
                let received = self.buffer.split().freeze();
                return Err(ClientError::Short { expected: n as u64, received });
            }
        }
        Ok(self.buffer.split_to(n).freeze())
    }

    pub(super) async fn rest(&mut self) -> Result<Bytes, ClientError> {
        while self.more().await? > 0 {}
        Ok(self.buffer.split().freeze())
    }

    async fn chunked(&mut self) -> Result<Bytes, ClientError> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).map_err(|_| ClientError::Chunk(line.clone()))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body.freeze());
            }
            let piece = self.take(size + 2).await?;
            if !piece.ends_with(b"\r\n") {
                return Err(ClientError::Chunk("no line end after a chunk".to_owned()));
            }
            body.extend_from_slice(&piece[..size]);
        }
    }

    async fn line(&mut self) -> Result<String, ClientError> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.more().await.unwrap_or(0) == 0 {
                return Err(ClientError::Short { expected: 1, received: Bytes::new() });
            }
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.buffer.reserve(16 << 10);
        self.stream.read_buf(&mut self.buffer).await
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
