//! The web servers' combined form: `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`.
//!
//! The time is the end of the request, as in the other forms. Source: Apache `mod_log_config`.

use super::clock::Moment;
use super::{Record, line, text};

pub(super) fn line(record: &Record<'_>, time: Moment<'_>, out: &mut Vec<u8>) {
    line::client(out, record);
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(time.common);
    out.extend_from_slice(b"] ");
    line::request_line(out, record);
    out.push(b' ');
    text::padded(out, record.status.into(), 3, b'0');
    out.push(b' ');
    match record.body_bytes {
        0 => out.push(b'-'),
        bytes => text::decimal(out, bytes),
    }
    out.push(b' ');
    line::quoted(out, record.headers.referer);
    out.push(b' ');
    line::quoted(out, record.headers.user_agent);
    out.push(b'\n');
}
