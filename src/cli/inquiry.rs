//! Asking a running program: one GET to its admin port, bounded in time and size.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::config::Config;

/// For the whole exchange: a report may take 8 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer. The status of a hundred upstreams and two hundred repositories has less than a tenth of it.
const MAX_ANSWER: u64 = 4 << 20;

/// Why a running program could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum InquiryError {
    /// The configuration has no admin port.
    #[error("the configuration has no admin port (`admin` in [listen] is \"off\"): name one with --admin")]
    Off,
    /// Nobody answers there.
    #[error("nothing answers at {0}: {1}")]
    Silent(SocketAddr, #[source] io::Error),
    /// It answers, but that it cannot tell.
    #[error("{0} cannot tell now: {1}")]
    Unable(SocketAddr, String),
    /// What answers there is something else.
    #[error("what answers at {0} is not the admin port of this program: {1}")]
    Foreign(SocketAddr, &'static str),
}

/// Where to ask: what the command line says, else the configuration.
pub(super) fn address(
    given: Option<SocketAddr>,
    config: impl FnOnce() -> Option<SocketAddr>,
) -> Result<SocketAddr, InquiryError> {
    given.or_else(config).map(reachable).ok_or(InquiryError::Off)
}

/// The admin address of a configuration.
pub(super) fn configured(config: &Config) -> Option<SocketAddr> {
    config.listen.admin
}

/// A listener on all addresses is asked on loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
}

/// What `/status` tells.
pub(super) fn status(address: SocketAddr) -> Result<Value, InquiryError> {
    let answer = exchange(address, "/status").map_err(|error| InquiryError::Silent(address, error))?;
    read(address, &answer)
}

fn read(address: SocketAddr, answer: &[u8]) -> Result<Value, InquiryError> {
    let foreign = |why| InquiryError::Foreign(address, why);
    let text = std::str::from_utf8(answer).map_err(|_| foreign("its answer is not text"))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(foreign("its answer is not HTTP"))?;
    match head.split(' ').nth(1) {
        Some("200") => {}
        Some("503") => return Err(InquiryError::Unable(address, body.trim().to_owned())),
        _ => return Err(foreign("it has no /status")),
    }
    let status: Value = serde_json::from_str(body).map_err(|_| foreign("its /status is not JSON"))?;
    let ours = status.get("upstreams").is_some() && status.get("memory").is_some();
    if ours { Ok(status) } else { Err(foreign("its /status is another program's")) }
}

/// HTTP/1.0, so that the answer ends with the connection and is not in chunks.
fn exchange(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Ok(answer),
            n => answer.extend_from_slice(&piece[..n]),
        }
        if answer.len() as u64 > MAX_ANSWER {
            return Err(io::Error::other("its answer is too large"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }

    #[test]
    fn answers_are_told_apart() {
        let table = [
            ("HTTP/1.0 200 OK\r\n\r\n{\"memory\":{},\"upstreams\":[]}", "ok"),
            ("HTTP/1.0 503 Busy\r\n\r\nbusy: too many\n", "cannot tell now: busy: too many"),
            ("HTTP/1.0 404 No\r\n\r\n", "no /status"),
            ("HTTP/1.0 200 OK\r\n\r\n<html>", "not JSON"),
            ("HTTP/1.0 200 OK\r\n\r\n{\"status\":\"green\"}", "another program's"),
            ("SSH-2.0-OpenSSH\r\n", "not HTTP"),
        ];
        for (answer, expected) in table {
            let said = read(any(), answer.as_bytes()).map_or_else(|e| e.to_string(), |_| "ok".to_owned());
            assert!(said.contains(expected), "{answer:?}: {said}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_configuration() {
        let all: SocketAddr = "0.0.0.0:3129".parse().unwrap();
        assert_eq!(address(Some(any()), || Some(all)).unwrap(), any());
        assert_eq!(address(None, || Some(all)).unwrap().to_string(), "127.0.0.1:3129");
        assert!(matches!(address(None, || None), Err(InquiryError::Off)));
    }

    #[test]
    fn a_port_where_nobody_listens_is_said_to_be_silent() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = status(free).unwrap_err().to_string();
        assert!(error.starts_with(&format!("nothing answers at {free}: ")), "{error}");
    }
}
