//! Conditions, validation, ranges (RFC 9110 §13, §14; RFC 9111 §3.2, §4.3).

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{ETAG, IF_RANGE, RANGE};

use super::{SECONDS, fields, rows};
use crate::document::validation::{confirms, update};
use crate::response::conditional::{Condition, Validators, evaluate};
use crate::response::date::DateField;
use crate::response::entity_tag::EntityTag;
use crate::response::range::{IfRangeValidators, Portion, portion};

pub const TABLES: &[&str] = &[CONDITIONS, CONFIRMING, UPDATES, RANGES, IF_RANGES];

/// section | what is held (dated 08:49:37) | request | status
const CONDITIONS: &str = "
9110 §13.1.2 | etag: \"a\" | | 200
9110 §13.1.2 | etag: \"a\" | if-none-match: \"a\" | 304
9110 §13.1.2 | etag: \"a\" | if-none-match: W/\"a\" | 304
9110 §13.1.2 | etag: W/\"a\" | if-none-match: \"a\" | 304
9110 §13.1.2 | etag: W/\"a\" | if-none-match: W/\"a\" | 304
9110 §13.1.2 | etag: \"a\" | if-none-match: \"b\" | 200
9110 §13.1.2 | etag: \"a\" | if-none-match: \"A\" | 200
9110 §13.1.2 | etag: \"a\" | if-none-match: \"b\", \"a\" | 304
9110 §13.1.2 | etag: \"a\" | if-none-match: \"b\",W/\"a\" | 304
9110 §13.1.2 | etag: \"a\" | if-none-match: \"b\" ; if-none-match: \"a\" | 304
9110 §13.1.2 | etag: \"a,b\" | if-none-match: \"a,b\" | 304
9110 §13.1.2 | etag: \"a\" | if-none-match: \"a,b\" | 200
9110 §13.1.2 | etag: \"a\" | if-none-match: * | 304
9110 §13.1.2 | | if-none-match: * | 304
9110 §13.1.2 | | if-none-match: \"a\" | 200
9110 §13.1.2 | etag: \"a\" | if-none-match: a | 200
9110 §13.1.2 | etag: \"a\" | if-none-match: w/\"a\" | 200
9110 §13.1.2 | etag: \"\" | if-none-match: \"\" | 304
9110 §13.1.3 | | if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT | 304
9110 §13.1.3 | | if-modified-since: Sun, 06 Nov 1994 08:49:38 GMT | 304
9110 §13.1.3 | | if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT | 200
9110 §13.1.3 | last-modified: Sun, 06 Nov 1994 08:00:00 GMT | if-modified-since: Sun, 06 Nov 1994 08:00:00 GMT | 304
9110 §13.1.3 | last-modified: Sun, 06 Nov 1994 08:00:00 GMT | if-modified-since: Sun, 06 Nov 1994 07:59:59 GMT | 200
9110 §13.1.3 | | if-modified-since: junk | 200
9110 §13.1.3 | | if-modified-since: Sunday, 06-Nov-94 08:49:37 GMT | 304
9110 §13.1.3 | | if-modified-since: Sun Nov  6 08:49:37 1994 | 304
9110 §13.2.2 | etag: \"a\" | if-none-match: \"b\" ; if-modified-since: Sun, 06 Nov 1994 08:49:38 GMT | 200
9110 §13.2.2 | etag: \"a\" | if-none-match: \"a\" ; if-modified-since: Sun, 06 Nov 1994 08:00:00 GMT | 304
9110 §13.2.2 | etag: \"a\" | if-none-match: junk ; if-modified-since: Sun, 06 Nov 1994 08:49:38 GMT | 200
";

/// section | stored | 304 | whether it speaks of the stored one
const CONFIRMING: &str = "
9111 §4.3.4 | etag: \"a\" | etag: \"a\" | yes
9111 §4.3.4 | etag: \"a\" | etag: \"b\" | no
9111 §4.3.4 | etag: \"a\" | etag: W/\"a\" | yes
9111 §4.3.4 | etag: W/\"a\" | etag: W/\"a\" | yes
9111 §4.3.4 | etag: W/\"a\" | etag: W/\"b\" | no
9111 §4.3.4 | etag: \"a\" | | yes
9111 §4.3.4 | last-modified: Sun, 06 Nov 1994 08:49:37 GMT | | yes
9111 §4.3.4 | last-modified: Sun, 06 Nov 1994 08:49:37 GMT | last-modified: Sun, 06 Nov 1994 08:49:37 GMT | yes
9111 §4.3.4 | last-modified: Sun, 06 Nov 1994 08:49:37 GMT | last-modified: Sun, 06 Nov 1994 08:49:38 GMT | no
9111 §4.3.4 | last-modified: Sun, 06 Nov 1994 08:49:37 GMT | etag: \"a\" | no
";

/// section | stored | 304 | stored afterwards
const UPDATES: &str = "
9111 §3.2 | expires: 0 | expires: 1 | expires: 1
9111 §3.2 | cache-control: max-age=1 | cache-control: max-age=2 | cache-control: max-age=2
9111 §3.2 | cache-control: a ; cache-control: b | cache-control: c | cache-control: c
9111 §3.2 | etag: W/\"a\" | etag: \"a\" | etag: \"a\"
9111 §3.2 | x-a: 1 | x-b: 2 | x-a: 1 ; x-b: 2
9111 §3.2 | x-a: 1 | x-a: 2 ; x-a: 3 | x-a: 2 ; x-a: 3
9111 §3.2 | x-a: 1 | | x-a: 1
9111 §3.2 | content-length: 5 | content-length: 0 | content-length: 5
9111 §3.2 | content-encoding: gzip | content-encoding: br | content-encoding: gzip
9111 §3.2 | content-range: bytes 0-1/2 | content-range: bytes 1-1/2 | content-range: bytes 0-1/2
9111 §3.2 | content-type: text/a | content-type: text/b | content-type: text/b
";

/// section | range of 1000 bytes | `whole`, `none`, or the parts
const RANGES: &str = "
9110 §14.1.2 | bytes=0-499 | 0..500
9110 §14.1.2 | bytes=500-999 | 500..1000
9110 §14.1.2 | bytes=-500 | 500..1000
9110 §14.1.2 | bytes=500- | 500..1000
9110 §14.1.2 | bytes=0-0 | 0..1
9110 §14.1.2 | bytes=-1 | 999..1000
9110 §14.1.2 | bytes=0-0,-1 | 0..1 999..1000
9110 §14.1.2 | bytes= 0-0 , , -1 | 0..1 999..1000
9110 §14.1.2 | bytes=999- | 999..1000
9110 §14.1.2 | bytes=990-2000 | 990..1000
9110 §14.1.2 | bytes=-2000 | 0..1000
9110 §14.1.2 | bytes=0-99999999999999999999 | 0..1000
9110 §14.1.1 | bytes=5-4 | whole
9110 §14.1.1 | bytes=a-b | whole
9110 §14.1.1 | bytes=0-1;2-3 | whole
9110 §14.1.1 | bytes=0-1,x | whole
9110 §14.1.1 | bytes= | whole
9110 §14.1.1 | bytes | whole
9110 §14.1.1 | bytes=- | whole
9110 §14.1.1 | bytes=0x1-2 | whole
9110 §14.1.1 | bytes=0-1,5-4 | whole
9110 §14.1 | items=0-1 | whole
9110 §14.1 | BYTES=0-1 | 0..2
9110 §15.5.17 | bytes=1000- | none
9110 §15.5.17 | bytes=1000-2000 | none
9110 §15.5.17 | bytes=-0 | none
9110 §15.5.17 | bytes=1000-,2000- | none
9110 §14.2 | bytes=0-9,1000- | 0..10
9110 §14.2 | bytes=0-9,300-309,1000- | 0..10 300..310
9110 §15.3.7.2 | bytes=300-309,0-9 | 300..310 0..10
9110 §15.3.7.2 | bytes=0-9,5-14 | 0..15
9110 §15.3.7.2 | bytes=0-9,10-14 | 0..15
9110 §15.3.7.2 | bytes=0-9,20-29 | 0..30
9110 §15.3.7.2 | bytes=0-9,0-9,0-9,0-9 | 0..10
9110 §15.3.7.2 | bytes=900-909,0-9,5-14 | 900..910 0..15
9110 §15.3.7.2 | bytes=0-0,-1,999-999 | 0..1 999..1000
9110 §14.2 | bytes=0-399,600-999 | whole
9110 §14.2 | bytes=0-,0- | 0..1000
";

/// section | held, dated a minute later than its `Last-Modified` unless it says otherwise | If-Range | does the range count
const IF_RANGES: &str = "
9110 §13.1.5 | etag: \"a\" | \"a\" | yes
9110 §13.1.5 | etag: \"a\" | \"b\" | no
9110 §13.1.5 | etag: \"a\" | W/\"a\" | no
9110 §13.1.5 | etag: W/\"a\" | W/\"a\" | no
9110 §13.1.5 | etag: W/\"a\" | \"a\" | no
9110 §13.1.5 | | \"a\" | no
9110 §13.1.5 | etag: \"a\" | junk | no
9110 §13.1.5 | last-modified: Sun, 06 Nov 1994 08:48:37 GMT | Sun, 06 Nov 1994 08:48:37 GMT | yes
9110 §13.1.5 | last-modified: Sun, 06 Nov 1994 08:48:37 GMT | Sun, 06 Nov 1994 08:48:38 GMT | no
9110 §13.1.5 | last-modified: Sun, 06 Nov 1994 08:48:37 GMT | Sun, 06 Nov 1994 08:48:36 GMT | no
9110 §8.8.2.2 | last-modified: Sun, 06 Nov 1994 08:49:37 GMT | Sun, 06 Nov 1994 08:49:37 GMT | no
9110 §13.1.5 | | Sun, 06 Nov 1994 08:48:37 GMT | no
";

#[test]
fn conditions() {
    let date = UNIX_EPOCH + Duration::from_secs(SECONDS);
    for row in rows(CONDITIONS) {
        let held = fields(row[1]);
        let modified = DateField::read(&held, http::header::LAST_MODIFIED).at().unwrap_or(date);
        let validators = Validators { tag: EntityTag::read(&held, ETAG), modified: Some(modified) };
        let status = match evaluate(&fields(row[2]), validators) {
            Condition::Send => "200",
            Condition::NotModified => "304",
        };
        assert_eq!(status, row[3], "{row:?}");
    }
}

#[test]
fn validation() {
    for row in rows(CONFIRMING) {
        assert_eq!(confirms(&fields(row[2]), &fields(row[1])), row[3] == "yes", "{row:?}");
    }
    for row in rows(UPDATES) {
        let mut stored = fields(row[1]);
        update(&mut stored, &fields(row[2]));
        assert_eq!(stored, fields(row[3]), "{row:?}");
    }
}

#[test]
fn ranges() {
    let text = |part: &Range<u64>| format!("{}..{}", part.start, part.end);
    for row in rows(RANGES) {
        let request = fields(&format!("{RANGE}: {}", row[1]));
        let found = match portion(&request, 1000, IfRangeValidators::default()) {
            Portion::Whole => "whole".to_owned(),
            Portion::Unsatisfiable => "none".to_owned(),
            Portion::Part(part) => text(&part),
            Portion::Parts(parts) => parts.iter().map(text).collect::<Vec<_>>().join(" "),
        };
        assert_eq!(found, row[2], "{row:?}");
    }
}

#[test]
fn if_ranges() {
    let date = UNIX_EPOCH + Duration::from_secs(SECONDS);
    for row in rows(IF_RANGES) {
        let held = fields(row[1]);
        let modified = DateField::read(&held, http::header::LAST_MODIFIED).at();
        let validators = IfRangeValidators { tag: EntityTag::read(&held, ETAG), modified, date: Some(date) };
        let request = fields(&format!("{RANGE}: bytes=0-1 ; {IF_RANGE}: {}", row[2]));
        let counts = portion(&request, 10, validators) == Portion::Part(0..2);
        assert_eq!(counts, row[3] == "yes", "{row:?}");
    }
}
