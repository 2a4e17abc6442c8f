//! Exact lines of each form, and that nothing a client sends makes two of them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Version};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::line::Formatter;
use super::super::{Ending, FIELDS, LoggedHeaders, Record};
use super::record;
use crate::config::AccessLogFormat::{self, Combined, Frontier, Json, Squid};
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::upstream::Role;

fn line(format: AccessLogFormat, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    Formatter::new(format).write(record, &mut out);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check(format: AccessLogFormat, record: &Record<'_>, expected: &str) {
    assert_eq!(line(format, record), format!("{expected}\n"));
}

/// A document from a parent, given up by an IPv6 client, with every field there is.
fn full() -> Record<'static> {
    Record {
        duration: Duration::from_millis(1_234_567),
        first_byte: None,
        client: "2001:db8::1".parse().unwrap(),
        version: Version::HTTP_10,
        status: 404,
        bytes_sent: 200,
        body_bytes: 0,
        outcome: Outcome::DocumentMiss,
        reason: Some(Reason::Expired),
        ending: Ending::ClientGone,
        upstream: Some((Role::Parent, "cache.example:3128")),
        content_type: Some(b"text/html; charset=utf-8"),
        headers: LoggedHeaders {
            referer: Some(b"http://example.org/"),
            user_agent: Some(b"say \"hi\""),
            frontier_id: Some(b"CMSSW 1 \\ 2"),
            cvmfs_info: Some(b"/usr/bin/x"),
        },
        ..record()
    }
}

#[test]
fn squid_native() {
    check(
        Squid,
        &record(),
        "1763825161.042      1 10.0.3.255 TCP_MEM_HIT/200 4410 GET \
         http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd - HIER_NONE/- application/octet-stream",
    );
    check(
        Squid,
        &full(),
        "1763825161.042 1234567 2001:db8::1 TCP_MISS_ABORTED/404 200 GET \
         http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd - FIRSTUP_PARENT/cache.example:3128 text/html",
    );
    let nothing_known = Record {
        method: "",
        uri: "",
        status: 0,
        outcome: Outcome::BadRequest,
        ending: Ending::ClientGone,
        content_type: None,
        ..record()
    };
    check(
        Squid,
        &nothing_known,
        "1763825161.042      1 10.0.3.255 NONE_NONE_ABORTED/000 4410 - - - HIER_NONE/- -",
    );
}

#[test]
fn frontier_squid() {
    check(
        Frontier,
        &record(),
        r#"10.0.3.255 - - [22/Nov/2025:15:26:01 +0000] "GET http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd HTTP/1.1" 200 4410 TCP_MEM_HIT:HIER_NONE 1 "- -" "-" "cvmfs Fuse 2.11.2""#,
    );
    check(
        Frontier,
        &full(),
        r#"2001:db8::1 - - [22/Nov/2025:15:26:01 +0000] "GET http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd HTTP/1.0" 404 200 TCP_MISS_ABORTED:FIRSTUP_PARENT 1234567 "CMSSW 1 \\ 2 /usr/bin/x" "http://example.org/" "say \"hi\"""#,
    );
}

#[test]
fn combined() {
    check(
        Combined,
        &record(),
        r#"10.0.3.255 - - [22/Nov/2025:15:26:01 +0000] "GET http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd HTTP/1.1" 200 4096 "-" "cvmfs Fuse 2.11.2""#,
    );
    check(
        Combined,
        &full(),
        r#"2001:db8::1 - - [22/Nov/2025:15:26:01 +0000] "GET http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd HTTP/1.0" 404 - "http://example.org/" "say \"hi\"""#,
    );
}

#[test]
fn json_lines() {
    check(
        Json,
        &record(),
        r#"{"time":"2025-11-22T15:26:01.042Z","duration":0.001234,"first_byte":0.000180,"client":"10.0.3.255","method":"GET","uri":"http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd","version":"1.1","status":200,"bytes":4410,"body_bytes":4096,"outcome":"memory_hit","ending":"complete","content_type":"application/octet-stream","user_agent":"cvmfs Fuse 2.11.2"}"#,
    );
    let read: Value = serde_json::from_str(&line(Json, &full())).unwrap();
    let expected = json!({
        "time": "2025-11-22T15:26:01.042Z", "duration": 1234.567, "client": "2001:db8::1", "method": "GET",
        "uri": "http://s1.cern.ch:8000/cvmfs/a.cern.ch/data/ab/cd", "version": "1.0", "status": 404,
        "bytes": 200, "body_bytes": 0, "outcome": "document_miss", "reason": "expired", "ending": "client_gone",
        "parent": "cache.example:3128", "content_type": "text/html; charset=utf-8",
        "referer": "http://example.org/", "user_agent": "say \"hi\"", "frontier_id": "CMSSW 1 \\ 2",
        "cvmfs_info": "/usr/bin/x",
    });
    assert_eq!(read, expected);
}

#[test]
fn every_field_is_described() {
    let names = |record: &Record<'_>| -> BTreeSet<String> {
        let read: serde_json::Map<String, Value> = serde_json::from_str(&line(Json, record)).unwrap();
        read.into_iter().map(|(name, _)| name).collect()
    };
    let first_byte = Some(Duration::from_secs(1));
    let by_role = [Role::Parent, Role::Mirror, Role::Named]
        .map(|role| names(&Record { first_byte, upstream: Some((role, "s1")), ..full() }));
    let described = FIELDS.iter().map(|field| field.name.to_owned()).collect();
    assert_eq!(by_role.into_iter().flatten().collect::<BTreeSet<_>>(), described);
    let bare = Record { first_byte: None, content_type: None, headers: LoggedHeaders::default(), ..record() };
    let always = FIELDS.iter().filter(|field| !field.optional).map(|field| field.name.to_owned()).collect();
    assert_eq!(names(&bare), always);
}

#[test]
fn words_for_outcomes_and_endings() {
    let table = [
        (Outcome::MemoryHit, Ending::Complete, None, "TCP_MEM_HIT:HIER_NONE"),
        (Outcome::DiskHit, Ending::ClientStalled, None, "TCP_HIT_TIMEDOUT:HIER_NONE"),
        (Outcome::Collapsed, Ending::Complete, None, "TCP_CF_HIT:HIER_NONE"),
        (Outcome::Miss, Ending::BrokenOff, Some((Role::Mirror, "s1")), "TCP_MISS_ABORTED:HIER_DIRECT"),
        (Outcome::Reload, Ending::Complete, None, "TCP_HIT:HIER_NONE"),
        (Outcome::Repair, Ending::Complete, Some((Role::Mirror, "s1")), "TCP_SWAPFAIL_MISS:HIER_DIRECT"),
        (Outcome::DocumentHit, Ending::Complete, None, "TCP_MEM_HIT:HIER_NONE"),
        (
            Outcome::DocumentRevalidated,
            Ending::Complete,
            Some((Role::Parent, "p")),
            "TCP_REFRESH_UNMODIFIED:FIRSTUP_PARENT",
        ),
        (Outcome::DocumentMiss, Ending::Complete, Some((Role::Mirror, "s1")), "TCP_MISS:HIER_DIRECT"),
        (Outcome::DocumentCollapsed, Ending::Complete, None, "TCP_CF_HIT:HIER_NONE"),
        (Outcome::DocumentStale, Ending::Complete, None, "TCP_REFRESH_FAIL_OLD:HIER_NONE"),
        (Outcome::DocumentChange, Ending::Complete, Some((Role::Mirror, "s1")), "TCP_MISS:HIER_DIRECT"),
        (Outcome::Pass, Ending::Complete, Some((Role::Named, "s1")), "TCP_MISS:HIER_DIRECT"),
        (Outcome::Tunnel, Ending::Complete, Some((Role::Named, "s1")), "TCP_TUNNEL:HIER_DIRECT"),
        (Outcome::UpstreamError, Ending::Complete, None, "TCP_MISS:HIER_NONE"),
        (Outcome::Denied, Ending::Complete, None, "TCP_DENIED:HIER_NONE"),
        (Outcome::BadRequest, Ending::Complete, None, "NONE_NONE:HIER_NONE"),
        (Outcome::Overload, Ending::Complete, None, "NONE_NONE:HIER_NONE"),
    ];
    assert_eq!(table.map(|(outcome, ..)| outcome), Outcome::ALL);
    for (outcome, ending, upstream, expected) in table {
        let line = line(Frontier, &Record { outcome, ending, upstream, ..record() });
        assert!(line.contains(&format!(" {expected} ")), "{line}");
    }
}

#[test]
fn forged_lines_stay_inside_theirs() {
    let forged = b"x\"\n10.0.0.1 - - [22/Nov/2025:15:26:01 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-";
    let headers = LoggedHeaders { user_agent: Some(forged), ..LoggedHeaders::default() };
    check(
        Combined,
        &Record { headers, uri: "/a\r\nb \"c", ..record() },
        r#"10.0.3.255 - - [22/Nov/2025:15:26:01 +0000] "GET /a%0D%0Ab%20%22c HTTP/1.1" 200 4096 "-" "x\"\n10.0.0.1 - - [22/Nov/2025:15:26:01 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-""#,
    );
}

#[test]
fn mapped_addresses_are_shown_as_ipv4() {
    let client: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    assert!(line(Combined, &Record { client, ..record() }).starts_with("192.0.2.1 "));
}

#[test]
fn headers_are_picked_by_name() {
    let mut request = HeaderMap::new();
    for name in ["referer", "user-agent", "x-frontier-id", "cvmfs-info", "cookie"] {
        request.insert(name, HeaderValue::from_static(name));
    }
    let headers = LoggedHeaders::of(&request);
    assert_eq!(headers.referer, Some(&b"referer"[..]));
    assert_eq!(headers.user_agent, Some(&b"user-agent"[..]));
    assert_eq!(headers.frontier_id, Some(&b"x-frontier-id"[..]));
    assert_eq!(headers.cvmfs_info, Some(&b"cvmfs-info"[..]));
}

#[test]
fn long_fields_are_cut() {
    let long = "\u{1}".repeat(100_000);
    let headers = LoggedHeaders {
        referer: Some(long.as_bytes()),
        user_agent: Some(long.as_bytes()),
        frontier_id: Some(long.as_bytes()),
        cvmfs_info: Some(long.as_bytes()),
    };
    let record =
        Record { method: &long, uri: &long, content_type: Some(long.as_bytes()), headers, ..record() };
    for format in FORMATS {
        assert!(line(format, &record).len() < 128 << 10);
    }
}

const FORMATS: [AccessLogFormat; 4] = [Squid, Frontier, Combined, Json];

proptest! {
    #[test]
    fn any_content_is_one_line(
        uri: String,
        method in "\\PC{0,8}|[\\x00-\\x7f]{0,8}",
        host: String,
        content_type: Option<Vec<u8>>,
        referer: Option<Vec<u8>>,
        agent: Option<Vec<u8>>,
        millis: u64,
        status: u16,
    ) {
        let headers = LoggedHeaders {
            referer: referer.as_deref(),
            user_agent: agent.as_deref(),
            frontier_id: referer.as_deref(),
            cvmfs_info: agent.as_deref(),
        };
        let record = Record {
            time: UNIX_EPOCH + Duration::from_millis(millis >> 20),
            duration: Duration::from_nanos(millis),
            method: &method,
            uri: &uri,
            upstream: Some((Role::Named, &host)),
            content_type: content_type.as_deref(),
            status,
            headers,
            ..record()
        };
        for format in FORMATS {
            let line = line(format, &record);
            prop_assert!(line.ends_with('\n'));
            prop_assert!(line[..line.len() - 1].bytes().all(|c| c == b' ' || c.is_ascii_graphic()), "{}", line);
        }
        // Columns cannot be shifted where spaces delimit them.
        prop_assert_eq!(line(Squid, &record).split_ascii_whitespace().count(), 10);

        let read: Value = serde_json::from_str(&line(Json, &record)).unwrap();
        prop_assert_eq!(&read["uri"], &Value::from(uri.as_str()));
        prop_assert_eq!(&read["origin"], &Value::from(host.as_str()));
        let agent = agent.map(|agent| String::from_utf8_lossy(&agent).into_owned());
        prop_assert_eq!(read.get("user_agent").and_then(Value::as_str), agent.as_deref());
    }
}
