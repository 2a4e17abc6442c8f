//! Why an upstream did not give what it was asked for, and whose trouble that is; what the client then gets
//! to see is decided elsewhere, in one table.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::UpstreamOutcome;
use crate::access::Denial;

/// Why an upstream did not give what it was asked for. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The host name did not resolve, or not in time.
    #[error("{host} cannot be resolved: {reason}")]
    Dns {
        /// The host.
        host: Arc<str>,
        /// The resolver's words.
        reason: Arc<str>,
    },
    /// The access rules forbid every address of the host.
    #[error(transparent)]
    Forbidden(#[from] Denial),
    /// All `max_connections` were in use for as long as a connection may take.
    #[error("all connections to it that upstream.max_connections allows are in use")]
    Busy,
    /// This machine has no more sockets or memory to give.
    #[error("this machine cannot open another connection: {reason}")]
    Exhausted {
        /// The system's words.
        reason: Arc<str>,
    },
    /// Nobody listens at the address.
    #[error("{address} refuses connections")]
    Refused {
        /// The last address tried.
        address: SocketAddr,
    },
    /// No way to the address.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The last address tried.
        address: SocketAddr,
        /// What kind of trouble.
        reason: io::ErrorKind,
    },
    /// No connection within `connect_timeout` or the caller's deadline.
    #[error("it accepted no connection in time")]
    ConnectTimeout,
    /// No agreement on TLS, or a certificate that is not trusted.
    #[error("TLS failed: {reason}")]
    Tls {
        /// The TLS library's words.
        reason: Arc<str>,
    },
    /// No head of an answer within the caller's deadline.
    #[error("it did not answer in time")]
    FirstByteTimeout,
    /// The caller's deadline came before the server had half of `first_byte_timeout`: nothing can be said about it.
    #[error("too little time was left for it to answer")]
    NoTimeLeft,
    /// The client stopped or broke off in the middle of the content that it had announced.
    #[error("the client did not send all of the content that it announced")]
    ContentMissing,
    /// The connection broke before the answer was complete.
    #[error("the connection broke")]
    Reset,
    /// Not an HTTP/1 answer, too large a head, or a body whose end cannot be told for certain.
    #[error("its answer is malformed: {reason}")]
    Protocol {
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The body ended in good order, but too early.
    #[error("the body ended after {received} bytes{}", expected.map(|n| format!(" of {n}")).unwrap_or_default())]
    Short {
        /// Bytes announced, where any were.
        expected: Option<u64>,
        /// Bytes that came.
        received: u64,
    },
    /// The body brought nothing for `stall_timeout`.
    #[error("the body stalled for {after:?}")]
    Stalled {
        /// The silence that was waited out.
        after: Duration,
    },
}

/// Whose trouble a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The upstream's, or the way to it: another upstream may do better.
    Upstream,
    /// Ours: no upstream is to be blamed for it.
    Local,
}

impl Failure {
    /// A stable label; one of [`UpstreamOutcome`]'s.
    pub fn kind(&self) -> &'static str {
        UpstreamOutcome::from(self).as_str()
    }

    /// Whether time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::ConnectTimeout
                | Self::FirstByteTimeout
                | Self::NoTimeLeft
                | Self::ContentMissing
                | Self::Stalled { .. }
        )
    }

    /// Whether asking again, elsewhere or later, may help.
    pub fn retry_helps(&self) -> bool {
        !matches!(self, Self::Forbidden(_))
    }

    /// Whose trouble it is.
    pub fn side(&self) -> Side {
        match self {
            Self::Forbidden(_) | Self::Busy | Self::Exhausted { .. } => Side::Local,
            _ => Side::Upstream,
        }
    }

    /// What kept a connection to `address` from being opened.
    pub(super) fn from_connect(address: SocketAddr, error: &io::Error) -> Self {
        match (Errno::from_io_error(error), error.kind()) {
            (Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM), _) => {
                Self::Exhausted { reason: error.to_string().into() }
            }
            (_, io::ErrorKind::ConnectionRefused) => Self::Refused { address },
            (_, reason) => Self::Connect { address, reason },
        }
    }

    pub(super) fn protocol(reason: impl Into<Arc<str>>) -> Self {
        Self::Protocol { reason: reason.into() }
    }

    /// What broke before the head of the answer was complete.
    pub(super) fn from_head(error: &hyper::Error) -> Self {
        let broken = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        match io_kind(error) {
            // What a flawed head makes of a read.
            Some(io::ErrorKind::InvalidData) => Self::protocol(with_cause(error)),
            Some(_) => Self::Reset,
            None if broken => Self::Reset,
            None => Self::protocol(with_cause(error)),
        }
    }

    /// What broke after `received` bytes of a body, of which `expected` were announced.
    pub(super) fn from_body(error: &hyper::Error, expected: Option<u64>, received: u64) -> Self {
        match io_kind(error) {
            Some(io::ErrorKind::UnexpectedEof) => Self::Short { expected, received },
            // hyper's words for a malformed chunk.
            Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
                Self::protocol(with_cause(error))
            }
            Some(_) => Self::Reset,
            None if error.is_incomplete_message() => Self::Short { expected, received },
            None if error.is_canceled() || error.is_closed() => Self::Reset,
            None => Self::protocol(with_cause(error)),
        }
    }
}

fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

fn with_cause(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_of_connecting() {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let table = [
            (Errno::CONNREFUSED, "refused", Side::Upstream),
            (Errno::HOSTUNREACH, "connect", Side::Upstream),
            (Errno::NETUNREACH, "connect", Side::Upstream),
            (Errno::MFILE, "exhausted", Side::Local),
            (Errno::NFILE, "exhausted", Side::Local),
        ];
        for (errno, kind, side) in table {
            let failure = Failure::from_connect(address, &errno.into());
            assert_eq!((failure.kind(), failure.side()), (kind, side), "{failure}");
        }
    }
}
