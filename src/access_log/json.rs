//! One JSON object a line. [`FIELDS`] describes what is in it.

use std::time::Duration;

use super::clock::Moment;
use super::{Record, line, text};
use crate::upstream::Role;

/// A field of the JSON form.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether it is left out where there is nothing to say.
    pub optional: bool,
    /// What it tells.
    pub meaning: &'static str,
}

/// Every field, in their order; of `parent`, `mirror` and `origin` there is one at most.
pub const FIELDS: [Field; 21] = [
    always("time", "when the request ended: RFC 3339, UTC, with milliseconds"),
    always("duration", "seconds from the head of the request to the end of its answer"),
    perhaps("first_byte", "seconds from the head of the request to the first byte of its answer"),
    always("client", "address of the client"),
    always("method", "method of the request; `REFUSED` for a head that was not read any further"),
    always("uri", "URL of the request, in absolute form; the first 8 KiB of it"),
    always("version", "HTTP version of the request"),
    always("status", "status of the answer; 0 when the client left before it began"),
    always("bytes", "bytes sent"),
    always("body_bytes", "bytes of the body among them"),
    always("outcome", "what the caches contributed: the word of `substratum_requests_total`"),
    perhaps("reason", "why it was no plain hit, or could not be finished: see above"),
    always(
        "ending",
        "`complete`; `client_gone`, it left or was idle; `client_stalled`, it took nothing for `[listen] idle_timeout`; or \
         `broken_off` by us",
    ),
    perhaps("parent", "the parent that was asked first"),
    perhaps("mirror", "the mirror that was asked first"),
    perhaps("origin", "the server that was asked, where it is neither"),
    perhaps("content_type", "`Content-Type` of the answer"),
    perhaps("referer", "`Referer` of the request"),
    perhaps("user_agent", "`User-Agent` of the request"),
    perhaps("frontier_id", "`X-Frontier-Id` of the request: which job asks for conditions data"),
    perhaps("cvmfs_info", "`cvmfs-info` of the request: the path behind the object, where clients send it"),
];

const fn always(name: &'static str, meaning: &'static str) -> Field {
    Field { name, optional: false, meaning }
}

const fn perhaps(name: &'static str, meaning: &'static str) -> Field {
    Field { name, optional: true, meaning }
}

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
    if let Some(reason) = record.reason {
        string(out, "reason", reason.as_str().as_bytes());
    }
    string(out, "ending", record.ending.as_str().as_bytes());
    let upstream = record.upstream.map(|(role, host)| match role {
        Role::Parent => ("parent", host),
        Role::Mirror => ("mirror", host),
        Role::Registry | Role::Named => ("origin", host),
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
