//! What is known about a request when its body has ended. Borrowed: building one allocates nothing.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Version, header};

use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::upstream::Role;

/// One request, from start to end.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// When it ended. Times before 1970 are logged as 1970.
    pub time: SystemTime,
    /// From the head of the request read to the end of the answer.
    pub duration: Duration,
    /// From the head of the request read to the first byte of the answer handed to the connection.
    pub first_byte: Option<Duration>,
    /// Who asked. IPv4 addresses mapped into IPv6 are logged as IPv4.
    pub client: IpAddr,
    /// As asked; `-` when the request could not be read.
    pub method: &'a str,
    /// As asked, in absolute form (`http://host:port/path?query`); the first 8 KiB are logged.
    pub uri: &'a str,
    /// Version of the request.
    pub version: Version,
    /// Status sent; 0 when the client left before.
    pub status: u16,
    /// Bytes sent to the client: head and body (squid's `%<st`).
    pub bytes_sent: u64,
    /// Bytes of the body among them.
    pub body_bytes: u64,
    /// What the caches contributed.
    pub outcome: Outcome,
    /// Why it was no plain hit, or could not be finished.
    pub reason: Option<Reason>,
    /// How the answer ended.
    pub ending: Ending,
    /// Who was asked for it, when somebody was: role and `host[:port]`.
    pub upstream: Option<(Role, &'a str)>,
    /// `Content-Type` of the answer.
    pub content_type: Option<&'a [u8]>,
    /// Fields of the request.
    pub headers: LoggedHeaders<'a>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client got all of it.
    Complete,
    /// The client closed or reset its connection.
    ClientGone,
    /// The client took nothing for too long.
    ClientStalled,
    /// We broke it off: no upstream could continue the body, or its checksum was wrong.
    BrokenOff,
}

impl Ending {
    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::ClientStalled => "client_stalled",
            Self::BrokenOff => "broken_off",
        }
    }
}

/// Request fields that some form of the log shows; the first 2 KiB of each are logged.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoggedHeaders<'a> {
    /// `Referer`
    pub referer: Option<&'a [u8]>,
    /// `User-Agent`
    pub user_agent: Option<&'a [u8]>,
    /// `X-Frontier-Id`: which job asks for conditions data.
    pub frontier_id: Option<&'a [u8]>,
    /// `cvmfs-info`: the path behind the object, from clients with `CVMFS_SEND_INFO_HEADER=yes`.
    pub cvmfs_info: Option<&'a [u8]>,
}

impl<'a> LoggedHeaders<'a> {
    /// The fields that may be shown.
    pub const NAMES: [HeaderName; 4] = [
        header::REFERER,
        header::USER_AGENT,
        HeaderName::from_static("x-frontier-id"),
        HeaderName::from_static("cvmfs-info"),
    ];

    /// Picks the fields (the first of each name).
    pub fn of(request: &'a HeaderMap) -> Self {
        let referer = request.get(header::REFERER).map(|value| value.as_bytes());
        let user_agent = request.get(header::USER_AGENT).map(|value| value.as_bytes());
        let frontier_id = request.get(&FRONTIER_ID).map(|value| value.as_bytes());
        let cvmfs_info = request.get(&CVMFS_INFO).map(|value| value.as_bytes());
        Self { referer, user_agent, frontier_id, cvmfs_info }
    }
}

static FRONTIER_ID: HeaderName = HeaderName::from_static("x-frontier-id");
static CVMFS_INFO: HeaderName = HeaderName::from_static("cvmfs-info");
