//! What a stratum notes about each request.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

/// The head of a request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The request target, in the form that was sent.
    pub target: String,
    /// Header fields in order, names as sent.
    pub fields: Vec<(String, String)>,
    /// As many bytes of content as it announced.
    pub content: Vec<u8>,
    /// Number of the connection, counted from 0.
    pub connection: usize,
}

/// RFC 9112 §3.2: how the target was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path`
    Origin,
    /// `http://host/path`
    Absolute,
}

impl Seen {
    /// Path and query, without the authority of the absolute form.
    pub fn path(&self) -> &str {
        match self.target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => &self.target,
        }
    }

    /// How the target was written.
    pub fn form(&self) -> Form {
        if self.target.starts_with("http://") { Form::Absolute } else { Form::Origin }
    }

    /// The first field of this name, in any letter case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// All fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The next request on a connection; `None` when the peer is done with it.
    pub(super) async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<Self> {
        let first = line(stream).await?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut fields = Vec::new();
        loop {
            let line = line(stream).await?;
            if line.is_empty() {
                let mut seen = Self { method, target, fields, content: Vec::new(), connection };
                let length = seen.get("Content-Length").map_or(Some(0), |length| length.parse().ok())?;
                seen.content = vec![0; length];
                stream.read_exact(&mut seen.content).await.ok()?;
                return Some(seen);
            }
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok()?;
    let text = line.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(text).into_owned())
}
