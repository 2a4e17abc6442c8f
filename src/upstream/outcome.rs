//! How a request to an upstream ended, in one word, and the counters of these words.

use http::StatusCode;
use prometheus::IntCounter;

use super::Failure;
use crate::metrics::UpstreamMetrics;

/// How a request to an upstream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamOutcome {
    /// 2xx, and the body was complete and good.
    Ok,
    /// 304.
    NotModified,
    /// Any other 3xx.
    Redirect,
    /// 404 or 410.
    NotFound,
    /// Any other 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// A parent says that the server behind it is in trouble; the parent itself is well.
    Behind,
    /// A parent says that it cannot, or may not, serve us.
    CannotServe,
    /// The bytes do not deserve the name they were asked for by.
    BadDigest,
    /// The body has another length than announced, here or by another upstream.
    BadLength,
    /// Given up by us: nobody wanted the answer any more, another upstream was quicker, it was asked too late
    /// ([`Failure::NoTimeLeft`]), or the client did not come to the end of its request ([`Failure::ContentMissing`]).
    Cancelled,
    /// [`Failure::Dns`].
    Dns,
    /// [`Failure::Forbidden`].
    Forbidden,
    /// [`Failure::Busy`].
    Busy,
    /// [`Failure::Exhausted`].
    Exhausted,
    /// [`Failure::Refused`].
    Refused,
    /// [`Failure::Connect`].
    Connect,
    /// [`Failure::ConnectTimeout`].
    ConnectTimeout,
    /// [`Failure::Tls`].
    Tls,
    /// [`Failure::FirstByteTimeout`].
    FirstByteTimeout,
    /// [`Failure::Reset`].
    Reset,
    /// [`Failure::Protocol`].
    Protocol,
    /// [`Failure::Short`].
    Short,
    /// [`Failure::Stalled`].
    Stalled,
}

impl UpstreamOutcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: [Self; 24] = [
        Self::Ok,
        Self::NotModified,
        Self::Redirect,
        Self::NotFound,
        Self::ClientError,
        Self::ServerError,
        Self::Behind,
        Self::CannotServe,
        Self::BadDigest,
        Self::BadLength,
        Self::Cancelled,
        Self::Dns,
        Self::Forbidden,
        Self::Busy,
        Self::Exhausted,
        Self::Refused,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::FirstByteTimeout,
        Self::Reset,
        Self::Protocol,
        Self::Short,
        Self::Stalled,
    ];

    /// What a status means when nothing went wrong with its body.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            304 => Self::NotModified,
            300..=399 => Self::Redirect,
            404 | 410 => Self::NotFound,
            400..=499 => Self::ClientError,
            500.. => Self::ServerError,
            _ => Self::Ok,
        }
    }

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotModified => "not_modified",
            Self::Redirect => "redirect",
            Self::NotFound => "not_found",
            Self::ClientError => "http_4xx",
            Self::ServerError => "http_5xx",
            Self::Behind => "behind",
            Self::CannotServe => "cannot_serve",
            Self::BadDigest => "bad_digest",
            Self::BadLength => "bad_length",
            Self::Cancelled => "cancelled",
            Self::Dns => "dns",
            Self::Forbidden => "forbidden",
            Self::Busy => "busy",
            Self::Exhausted => "exhausted",
            Self::Refused => "refused",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Short => "short",
            Self::Stalled => "stalled",
        }
    }

    /// What it did, in an operator's words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ok => "it answered",
            Self::NotModified => "it confirmed what we have",
            Self::Redirect => "it pointed elsewhere",
            Self::NotFound => "it does not have what was asked for",
            Self::ClientError => "it answered with a 4xx status",
            Self::ServerError => "it answered with a 5xx status",
            Self::Behind => "the server behind it is in trouble",
            Self::CannotServe => "it cannot, or may not, serve us",
            Self::BadDigest => "it sent bytes that do not match their checksum",
            Self::BadLength => "it sent a body of the wrong length",
            Self::Cancelled => "its answer was no longer needed",
            Self::Dns => "its name cannot be resolved",
            Self::Forbidden => "the access rules forbid its address",
            Self::Busy => "all connections to it were in use",
            Self::Exhausted => "this machine could not open a connection",
            Self::Refused => "it refused the connection",
            Self::Connect => "it cannot be reached",
            Self::ConnectTimeout => "it accepted no connection in time",
            Self::Tls => "TLS failed",
            Self::FirstByteTimeout => "it did not answer in time",
            Self::Reset => "it broke the connection",
            Self::Protocol => "its answer was malformed",
            Self::Short => "its body ended too early",
            Self::Stalled => "its body stalled",
        }
    }

    /// Whether it speaks for the server: it was there, and did what could be expected.
    pub const fn is_success(self) -> bool {
        matches!(
            self,
            Self::Ok | Self::NotModified | Self::Redirect | Self::NotFound | Self::ClientError | Self::Behind
        )
    }

    /// Whether it speaks against the server. What does neither was not the server's doing.
    pub const fn is_failure(self) -> bool {
        !self.is_success()
            && !matches!(self, Self::Cancelled | Self::Forbidden | Self::Busy | Self::Exhausted)
    }
}

impl From<&Failure> for UpstreamOutcome {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Dns { .. } => Self::Dns,
            Failure::Forbidden(_) => Self::Forbidden,
            Failure::Busy => Self::Busy,
            Failure::Exhausted { .. } => Self::Exhausted,
            Failure::Refused { .. } => Self::Refused,
            Failure::Connect { .. } => Self::Connect,
            Failure::ConnectTimeout => Self::ConnectTimeout,
            Failure::Tls { .. } => Self::Tls,
            Failure::FirstByteTimeout => Self::FirstByteTimeout,
            Failure::NoTimeLeft | Failure::ContentMissing => Self::Cancelled,
            Failure::Reset => Self::Reset,
            Failure::Protocol { .. } => Self::Protocol,
            Failure::Short { .. } => Self::Short,
            Failure::Stalled { .. } => Self::Stalled,
        }
    }
}

/// The counters of one metrics label, resolved once.
#[derive(Debug)]
pub(super) struct Counters {
    requests: [IntCounter; UpstreamOutcome::ALL.len()],
    /// Body bytes.
    pub(super) received: IntCounter,
}

impl Counters {
    pub(super) fn resolve(metrics: &UpstreamMetrics, label: &str) -> Self {
        Self {
            requests: UpstreamOutcome::ALL
                .map(|outcome| metrics.requests.with_label_values(&[label, outcome.as_str()])),
            received: metrics.received.with_label_values(&[label]),
        }
    }

    pub(super) fn count(&self, outcome: UpstreamOutcome) {
        self.requests[outcome as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_stands_at_its_place() {
        for (place, outcome) in UpstreamOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place, "{outcome:?}");
        }
    }

    #[test]
    fn statuses() {
        let table = [
            (200, UpstreamOutcome::Ok),
            (206, UpstreamOutcome::Ok),
            (301, UpstreamOutcome::Redirect),
            (304, UpstreamOutcome::NotModified),
            (404, UpstreamOutcome::NotFound),
            (410, UpstreamOutcome::NotFound),
            (416, UpstreamOutcome::ClientError),
            (500, UpstreamOutcome::ServerError),
            (799, UpstreamOutcome::ServerError),
        ];
        for (status, expected) in table {
            assert_eq!(UpstreamOutcome::of_status(StatusCode::from_u16(status).unwrap()), expected);
        }
    }
}
