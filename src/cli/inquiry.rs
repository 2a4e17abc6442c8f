//! Asking a running program: one request to its admin port, bounded in time and size; over TLS and with the token, where the
//! configuration or the command line says so.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::pinned;
use crate::config::{Config, ConfigError, Environment, Secret, SecretError};

/// For the whole exchange: a report may take 8 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer. The status of a hundred upstreams and two hundred repositories has less than a tenth of it.
const MAX_ANSWER: u64 = 4 << 20;

/// Which running program is meant.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Target {
    /// Admin address of the running program; default: the one in the configuration, with its token and certificate
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// File with the token of the admin port; default: the one in the configuration
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate with which the admin port answers over TLS (PEM); default: the one in the configuration
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

impl Target {
    /// Whether the command line names a program.
    pub(super) fn is_named(&self) -> bool {
        self.admin.is_some()
    }
}

/// Why a running program could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum InquiryError {
    /// The configuration has no admin port.
    #[error("the configuration has no admin port (`admin` in [listen] is \"off\"): name one with --admin")]
    Off,
    /// The token cannot be read.
    #[error("the token: {0}")]
    Token(#[from] SecretError),
    /// The certificate by which the program is known cannot be used.
    #[error("the certificate: {0}")]
    Certificate(#[from] pinned::PinnedError),
    /// Nobody answers there.
    #[error("nothing answers at {0}: {1}")]
    Silent(SocketAddr, #[source] io::Error),
    /// It wants the token.
    #[error(
        "{0} wants a token, or another one: name its file with --token-file, or the configuration with --config"
    )]
    Unauthorized(SocketAddr),
    /// It answers, but that it cannot tell.
    #[error("{0} cannot tell now: {1}")]
    Unable(SocketAddr, String),
    /// It refuses.
    #[error("{0} refuses: {1}")]
    Refused(SocketAddr, String),
    /// What answers there is something else.
    #[error("what answers at {0} is not the admin port of this program: {1}")]
    Foreign(SocketAddr, &'static str),
}

/// Why a command that asks and tells what was answered ends without an answer.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The program could not be asked.
    #[error(transparent)]
    Inquiry(#[from] InquiryError),
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// A way to ask.
pub(super) struct Inquiry {
    address: SocketAddr,
    token: Option<Secret>,
    certificate: Option<PathBuf>,
}

impl Inquiry {
    /// What the command line says, and for the rest the configuration; that is not read where only the command line counts.
    pub(super) fn obtain(
        options: &Target,
        config: Option<&Path>,
    ) -> Result<Result<Self, InquiryError>, ConfigError> {
        let config = match (options.admin, config) {
            (Some(_), None) => None,
            (_, path) => Some(Config::obtain(path, &Environment::of_process())?.config),
        };
        Ok(Self::new(options, config.as_ref()))
    }

    /// What the command line says, and for the rest the configuration.
    pub(super) fn new(options: &Target, config: Option<&Config>) -> Result<Self, InquiryError> {
        let configured = config.and_then(|config| config.listen.admin);
        let address = options.admin.or(configured).map(reachable).ok_or(InquiryError::Off)?;
        let token = options.token_file.as_deref();
        let token = token.or_else(|| config?.admin.token_file.as_deref());
        let token = token.map(|file| Secret::read(file).map(|(token, _)| token)).transpose()?;
        let covered = config.filter(|config| config.admin.tls);
        let configured =
            covered.and_then(|config| Some(config.listen.identity.as_ref()?.certificate.clone()));
        Ok(Self { address, token, certificate: options.certificate.clone().or(configured) })
    }

    /// What `/status` tells.
    pub(super) fn status(&self) -> Result<Value, InquiryError> {
        let (status, body) = self.ask("GET", "/status")?;
        let address = self.address;
        let foreign = |why| InquiryError::Foreign(address, why);
        match status {
            200 => {}
            503 => return Err(InquiryError::Unable(address, body.trim().to_owned())),
            _ => return Err(foreign("it has no /status")),
        }
        let status: Value = serde_json::from_str(&body).map_err(|_| foreign("its /status is not JSON"))?;
        let ours = status.get("upstreams").is_some() && status.get("memory").is_some();
        if ours { Ok(status) } else { Err(foreign("its /status is another program's")) }
    }

    /// What it says about a change.
    pub(super) fn change(&self, path: &str) -> Result<String, InquiryError> {
        let (status, body) = self.ask("POST", path)?;
        match status {
            200 => Ok(body),
            503 => Err(InquiryError::Unable(self.address, body.trim().to_owned())),
            404 | 405 => Err(InquiryError::Foreign(self.address, "it cannot be changed like this")),
            _ => Err(InquiryError::Refused(self.address, body.trim().to_owned())),
        }
    }

    /// Which of these names of objects, one a line, it does not have.
    pub(super) fn missing(&self, names: &str) -> Result<String, InquiryError> {
        match self.put("POST", "/missing", names)? {
            (200, body) => Ok(body),
            (404 | 405, _) => Err(InquiryError::Foreign(self.address, "it has no /missing")),
            (_, body) => Err(InquiryError::Refused(self.address, body.trim().to_owned())),
        }
    }

    fn ask(&self, method: &str, path: &str) -> Result<(u16, String), InquiryError> {
        self.put(method, path, "")
    }

    fn put(&self, method: &str, path: &str, content: &str) -> Result<(u16, String), InquiryError> {
        let answer = match &self.certificate {
            None => self.connect().and_then(|stream| self.exchange(stream, method, path, content)),
            Some(file) => {
                let client = pinned::client(file)?;
                self.connect().and_then(|stream| {
                    let stream = rustls::StreamOwned::new(client, stream);
                    self.exchange(stream, method, path, content)
                })
            }
        };
        let (status, body) =
            read(self.address, &answer.map_err(|error| InquiryError::Silent(self.address, error))?)?;
        if status == 401 { Err(InquiryError::Unauthorized(self.address)) } else { Ok((status, body)) }
    }

    fn connect(&self) -> io::Result<Timed> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Timed { stream, begun: Instant::now() })
    }

    /// HTTP/1.0, so that the answer ends with the connection and is not in chunks.
    fn exchange(
        &self,
        mut stream: impl Read + Write,
        method: &str,
        path: &str,
        content: &str,
    ) -> io::Result<Vec<u8>> {
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {}\r\n", self.address)?;
        if let Some(token) = &self.token {
            stream.write_all(&[b"Authorization: Bearer ", token.bytes(), b"\r\n"].concat())?;
        }
        if !content.is_empty() {
            write!(stream, "Content-Length: {}\r\n", content.len())?;
        }
        write!(stream, "\r\n{content}")?;
        stream.flush()?;
        let mut answer = Vec::new();
        let read = stream.take(MAX_ANSWER + 1).read_to_end(&mut answer)?;
        if read as u64 > MAX_ANSWER {
            return Err(io::Error::other("its answer is too large"));
        }
        Ok(answer)
    }
}

/// A connection whose whole use is bounded.
struct Timed {
    stream: TcpStream,
    begun: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = PATIENCE.saturating_sub(self.begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A listener on all addresses is asked on loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
}

/// Status and body.
fn read(address: SocketAddr, answer: &[u8]) -> Result<(u16, String), InquiryError> {
    let foreign = |why| InquiryError::Foreign(address, why);
    let text = std::str::from_utf8(answer).map_err(|_| foreign("its answer is not text"))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(foreign("its answer is not HTTP"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(foreign("its answer is not HTTP"))?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Listen;

    /// Somebody who says `answer` to whoever comes.
    fn says(answer: &'static str) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    fn at(address: SocketAddr) -> Inquiry {
        Inquiry { address, token: None, certificate: None }
    }

    #[test]
    fn answers_are_told_apart() {
        let table = [
            ("HTTP/1.0 200 OK\r\n\r\n{\"memory\":{},\"upstreams\":[]}", "ok"),
            ("HTTP/1.0 503 Busy\r\n\r\nbusy: too many\n", "cannot tell now: busy: too many"),
            ("HTTP/1.0 401 No\r\n\r\n", "wants a token"),
            ("HTTP/1.0 404 No\r\n\r\n", "no /status"),
            ("HTTP/1.0 200 OK\r\n\r\n<html>", "not JSON"),
            ("HTTP/1.0 200 OK\r\n\r\n{\"status\":\"green\"}", "another program's"),
            ("SSH-2.0-OpenSSH\r\n", "not HTTP"),
        ];
        for (answer, expected) in table {
            let said = at(says(answer)).status().map_or_else(|e| e.to_string(), |_| "ok".to_owned());
            assert!(said.contains(expected), "{answer:?}: {said}");
        }
        assert_eq!(at(says("HTTP/1.0 200 OK\r\n\r\ngone")).change("/purge?what=x").unwrap(), "gone");
        let error = at(says("HTTP/1.0 400 No\r\n\r\nno name\n")).change("/purge?what=x").unwrap_err();
        assert!(error.to_string().ends_with("refuses: no name"), "{error}");
    }

    #[test]
    fn the_command_line_goes_before_the_configuration() {
        let any: SocketAddr = ([127, 0, 0, 1], 1).into();
        let options = |admin| Target { admin, ..Target::default() };
        let config = |admin| Config { listen: Listen { admin, ..Listen::default() }, ..Config::default() };
        let all = config(Some("0.0.0.0:3129".parse().unwrap()));
        assert_eq!(Inquiry::new(&options(Some(any)), Some(&all)).unwrap().address, any);
        assert_eq!(Inquiry::new(&options(None), Some(&all)).unwrap().address.to_string(), "127.0.0.1:3129");
        assert!(matches!(Inquiry::new(&options(None), Some(&config(None))), Err(InquiryError::Off)));
    }

    #[test]
    fn a_port_where_nobody_listens_is_said_to_be_silent() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = at(free).status().unwrap_err().to_string();
        assert!(error.starts_with(&format!("nothing answers at {free}: ")), "{error}");
    }
}
