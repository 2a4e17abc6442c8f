//! Why an upstream did not give what it was asked for. Always the upstream's side or the way to it; what the client
//! then gets to see is decided elsewhere, in one table.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
    /// No head of an answer within `first_byte_timeout` or the caller's deadline.
    #[error("it did not answer in time")]
    FirstByteTimeout,
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

impl Failure {
    /// A stable label; one of [`UpstreamOutcome`]'s.
    pub fn kind(&self) -> &'static str {
        UpstreamOutcome::from(self).as_str()
    }

    /// Whether asking again, elsewhere or later, may help.
    pub fn retry_helps(&self) -> bool {
        !matches!(self, Self::Forbidden(_))
    }

    pub(super) fn protocol(reason: impl Into<Arc<str>>) -> Self {
        Self::Protocol { reason: reason.into() }
    }

    /// What broke before the head of the answer was complete.
    pub(super) fn from_head(error: &hyper::Error) -> Self {
        let broken = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        if broken || io_kind(error).is_some() { Self::Reset } else { Self::protocol(with_cause(error)) }
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
