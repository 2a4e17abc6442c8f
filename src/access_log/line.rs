//! A record as one line, in the configured form.

use super::clock::{Clock, Moment};
use super::{Record, combined, json, squid, text};
use crate::config::AccessLogFormat;

/// Writes records as lines. One for each worker, since it keeps the text of the current second.
pub(super) struct Formatter {
    clock: Clock,
    write: fn(&Record<'_>, Moment<'_>, &mut Vec<u8>),
}

impl Formatter {
    /// `Off` writes nothing; no log is opened for it.
    pub(super) fn new(format: AccessLogFormat) -> Self {
        let write = match format {
            AccessLogFormat::Off => |_: &Record<'_>, _: Moment<'_>, _: &mut Vec<u8>| {},
            AccessLogFormat::Squid => squid::native,
            AccessLogFormat::Frontier => squid::frontier,
            AccessLogFormat::Combined => combined::line,
            AccessLogFormat::Json => json::line,
        };
        Self { clock: Clock::new(), write }
    }

    /// Appends exactly one line, its end included: at most 128 KiB, from the limits of the fields.
    pub(super) fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        (self.write)(record, self.clock.at(record.time), out);
    }
}

/// `"GET http://host/path HTTP/1.1"`, quotes included.
pub(super) fn request_line(out: &mut Vec<u8>, record: &Record<'_>) {
    out.push(b'"');
    text::bare(out, method(record));
    out.push(b' ');
    text::bare(out, uri(record));
    out.extend_from_slice(b" HTTP/");
    out.extend_from_slice(version(record).as_bytes());
    out.push(b'"');
}

/// Appends a field in double quotes.
pub(super) fn quoted(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.push(b'"');
    text::quoted(out, field(value));
    out.push(b'"');
}

/// Appends the address of the client.
pub(super) fn client(out: &mut Vec<u8>, record: &Record<'_>) {
    match record.client.to_canonical() {
        std::net::IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            text::decimal(out, a.into());
            for octet in [b, c, d] {
                out.push(b'.');
                text::decimal(out, octet.into());
            }
        }
        std::net::IpAddr::V6(address) => {
            use std::io::Write;
            // Writing into memory cannot fail.
            let _ = write!(out, "{address}");
        }
    }
}

pub(super) fn method<'a>(record: &Record<'a>) -> &'a [u8] {
    text::cut(record.method.as_bytes(), MAX_METHOD)
}

pub(super) fn uri<'a>(record: &Record<'a>) -> &'a [u8] {
    text::cut(record.uri.as_bytes(), MAX_URI)
}

/// A value from a header field.
pub(super) fn field(value: Option<&[u8]>) -> Option<&[u8]> {
    value.map(|value| text::cut(value, MAX_FIELD))
}

/// `1.1`
pub(super) fn version(record: &Record<'_>) -> &'static str {
    match record.version {
        http::Version::HTTP_09 => "0.9",
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2.0",
        http::Version::HTTP_3 => "3.0",
        _ => "1.1",
    }
}

const MAX_METHOD: usize = 32;
/// As squid's `MAX_URL`.
const MAX_URI: usize = 8 << 10;
const MAX_FIELD: usize = 2 << 10;
