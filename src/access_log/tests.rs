//! Tests of the whole log: exact lines, hostile content, loss, rotation.

mod lines;
mod rotation;
mod writing;

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;

use super::{Ending, LoggedHeaders, Record};
use crate::metrics::{LogMetrics, Metrics};
use crate::outcome::Outcome;

/// An object served from memory.
fn record() -> Record<'static> {
    Record {
        time: at(1_763_825_161_042),
        duration: Duration::from_micros(1_234),
        first_byte: Some(Duration::from_micros(180)),
        client: IpAddr::from([10, 0, 3, 255]),
        method: "GET",
        uri: "http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd",
        version: Version::HTTP_11,
        status: 200,
        bytes_sent: 4_410,
        body_bytes: 4_096,
        outcome: Outcome::MemoryHit,
        reason: None,
        ending: Ending::Complete,
        upstream: None,
        content_type: Some(b"application/octet-stream"),
        headers: LoggedHeaders { user_agent: Some(b"cvmfs Fuse 2.11.2"), ..LoggedHeaders::default() },
    }
}

fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

fn metrics() -> LogMetrics {
    Metrics::new().unwrap().log
}
