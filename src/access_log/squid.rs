//! Squid's native form and frontier-squid's, with squid's words for what the cache did.
//!
//! native    `%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %un %Sh/%<a %mt`
//! frontier  `%>a %ui %un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st %Ss:%Sh %tr "%{X-Frontier-Id}>h %{cvmfs-info}>h"
//!           "%{Referer}>h" "%{User-Agent}>h"`
//! Behind the hierarchy code stands the upstream's name instead of its address, as squid did before 3.1.
//! Sources: squid `logformat`, `LogTags`, `hier_code`; frontier-squid `customize.sh` (`awstats`).

use super::clock::Moment;
use super::{Ending, Record, line, text};
use crate::outcome::Outcome;
use crate::upstream::Role;

pub(super) fn native(record: &Record<'_>, time: Moment<'_>, out: &mut Vec<u8>) {
    text::decimal(out, time.seconds);
    out.push(b'.');
    text::padded(out, time.millis, 3, b'0');
    out.push(b' ');
    text::padded(out, milliseconds(record), 6, b' ');
    out.push(b' ');
    line::client(out, record);
    out.push(b' ');
    request_status(out, record);
    out.push(b'/');
    text::padded(out, record.status.into(), 3, b'0');
    out.push(b' ');
    text::decimal(out, record.bytes_sent);
    out.push(b' ');
    text::bare(out, line::method(record));
    out.push(b' ');
    text::bare(out, line::uri(record));
    out.extend_from_slice(b" - ");
    out.extend_from_slice(hierarchy(record).as_bytes());
    out.push(b'/');
    text::bare(out, record.upstream.map_or(b"-", |(_, host)| host.as_bytes()));
    out.push(b' ');
    text::bare(out, media_type(record));
    out.push(b'\n');
}

pub(super) fn frontier(record: &Record<'_>, time: Moment<'_>, out: &mut Vec<u8>) {
    line::client(out, record);
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(time.common);
    out.extend_from_slice(b"] ");
    line::request_line(out, record);
    out.push(b' ');
    text::padded(out, record.status.into(), 3, b'0');
    out.push(b' ');
    text::decimal(out, record.bytes_sent);
    out.push(b' ');
    request_status(out, record);
    out.push(b':');
    out.extend_from_slice(hierarchy(record).as_bytes());
    out.push(b' ');
    text::decimal(out, milliseconds(record));
    out.extend_from_slice(b" \"");
    text::quoted(out, line::field(record.headers.frontier_id));
    out.push(b' ');
    text::quoted(out, line::field(record.headers.cvmfs_info));
    out.extend_from_slice(b"\" ");
    line::quoted(out, record.headers.referer);
    out.push(b' ');
    line::quoted(out, record.headers.user_agent);
    out.push(b'\n');
}

/// `%Ss`: the words that scripts count. Whatever spared the upstream contains `HIT`, except where squid itself
/// says otherwise.
fn request_status(out: &mut Vec<u8>, record: &Record<'_>) {
    let status = match record.outcome {
        Outcome::MemoryHit | Outcome::DocumentHit => "TCP_MEM_HIT",
        // A reload that proves our copy good costs the upstream nothing, unlike squid's.
        Outcome::DiskHit | Outcome::Reload => "TCP_HIT",
        Outcome::Collapsed | Outcome::DocumentCollapsed => "TCP_CF_HIT",
        Outcome::Miss
        | Outcome::DocumentMiss
        | Outcome::DocumentChange
        | Outcome::Pass
        | Outcome::UpstreamError => "TCP_MISS",
        Outcome::Tunnel => "TCP_TUNNEL",
        // Believed to be in the cache, but not usable.
        Outcome::Repair => "TCP_SWAPFAIL_MISS",
        Outcome::DocumentRevalidated => "TCP_REFRESH_UNMODIFIED",
        Outcome::DocumentStale => "TCP_REFRESH_FAIL_OLD",
        Outcome::Denied => "TCP_DENIED",
        // Answered without looking: not a matter of access lists, so not DENIED.
        Outcome::BadRequest | Outcome::Overload => "NONE_NONE",
    };
    let suffix = match record.ending {
        Ending::Complete => "",
        Ending::ClientStalled => "_TIMEDOUT",
        Ending::ClientGone | Ending::BrokenOff => "_ABORTED",
    };
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
}

/// `%Sh`
fn hierarchy(record: &Record<'_>) -> &'static str {
    match record.upstream {
        None => "HIER_NONE",
        Some((Role::Mirror | Role::Registry | Role::Named, _)) => "HIER_DIRECT",
        Some((Role::Parent, _)) => "FIRSTUP_PARENT",
    }
}

/// `%tr`, saturating.
fn milliseconds(record: &Record<'_>) -> u64 {
    record.duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// `%mt`: the type without its parameters.
fn media_type<'a>(record: &Record<'a>) -> &'a [u8] {
    let value = line::field(record.content_type).unwrap_or_default();
    value.split(|c| matches!(c, b';' | b' ' | b'\t')).next().unwrap_or_default()
}
