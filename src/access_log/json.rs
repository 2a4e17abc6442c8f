//! One JSON object a line. Every name and its meaning; those marked * are missing when there is no value.
//!
//! `time` RFC 3339, UTC, of the end; `duration`, `first_byte`* seconds; `client` address; `method`; `uri`;
//! `version` of HTTP; `status`; `bytes` sent in all; `body_bytes` among them; `outcome` as in the metrics;
//! `ending` `complete`, `client_gone`, `client_stalled` or `broken_off`; `parent`*, `mirror`* or (not configured)
//! `origin`* that was asked; `content_type`*; `referer`*, `user_agent`*, `frontier_id`*, `cvmfs_info`* of the request.

use std::time::Duration;

use super::clock::Moment;
use super::{Record, line, text};
use crate::upstream::Role;

pub(super) fn line(record: &Record<'_>, time: Moment<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(time.iso);
    out.push(b'.');
    text::padded(out, time.millis, 3, b'0');
    out.extend_from_slice(b"Z\",\"duration\":");
    seconds(out, record.duration);
    if let Some(first_byte) = record.first_byte {
        out.extend_from_slice(b",\"first_byte\":");
        seconds(out, first_byte);
    }
    out.extend_from_slice(b",\"client\":\"");
    line::client(out, record);
    out.push(b'"');
    string(out, "method", line::method(record));
    string(out, "uri", line::uri(record));
    string(out, "version", line::version(record).as_bytes());
    number(out, "status", record.status.into());
    number(out, "bytes", record.bytes_sent);
    number(out, "body_bytes", record.body_bytes);
    string(out, "outcome", record.outcome.as_str().as_bytes());
    string(out, "ending", record.ending.as_str().as_bytes());
    let upstream = record.upstream.map(|(role, host)| match role {
        Role::Parent => ("parent", host),
        Role::Mirror => ("mirror", host),
        Role::Named => ("origin", host),
    });
    if let Some((role, host)) = upstream {
        string(out, role, host.as_bytes());
    }
    for (name, value) in [
        ("content_type", record.content_type),
        ("referer", record.headers.referer),
        ("user_agent", record.headers.user_agent),
        ("frontier_id", record.headers.frontier_id),
        ("cvmfs_info", record.headers.cvmfs_info),
    ] {
        if let Some(value) = line::field(value) {
            string(out, name, value);
        }
    }
    out.extend_from_slice(b"}\n");
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    name(out, key);
    text::decimal(out, value);
}

fn string(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    name(out, key);
    out.push(b'"');
    text::json(out, value);
    out.push(b'"');
}

fn seconds(out: &mut Vec<u8>, duration: Duration) {
    text::decimal(out, duration.as_secs());
    out.push(b'.');
    text::padded(out, duration.subsec_micros().into(), 6, b'0');
}
