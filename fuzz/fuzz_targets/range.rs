//! Ranges and conditions: what was asked for is sent, in parts that lie apart; dates and tags mean what they say.
#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use substratum::response::conditional::{Condition, Validators, evaluate};
use substratum::response::date::DateField;
use substratum::response::entity_tag::EntityTag;
use substratum::response::multipart::Multipart;
use substratum::response::range::{self, IfRangeValidators, Portion};

fuzz_target!(|input: (u16, u32, u8, &[u8])| {
    let (length, modified, gap, text) = input;
    // A line each: Range, If-Range, the ETag that is held, and up to four of If-None-Match.
    let mut lines = text.split(|c| *c == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (asked, if_range, tag) = (line(), line(), line());
    let list: Vec<_> = lines.take(4).collect();
    let length = u64::from(length);
    let second = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
    let modified = second(u64::from(modified));
    let date = modified + Duration::from_secs(u64::from(gap % 4));
    let mut request = HeaderMap::new();
    let mut add = |name: &'static str, value: &[u8]| {
        HeaderValue::from_bytes(value).is_ok_and(|value| { request.append(name, value); true })
    };
    let ranged = add("range", asked);
    let conditional = !if_range.is_empty() && add("if-range", if_range);
    list.iter().for_each(|line| { add("if-none-match", line); });
    let tag = EntityTag::parse(tag);
    let held = IfRangeValidators { tag, modified: Some(modified), date: Some(date) };
    let portion = range::portion(&request, length, held);
    let parts = match &portion {
        Portion::Part(part) => std::slice::from_ref(part),
        Portion::Parts(parts) => parts,
        Portion::Whole | Portion::Unsatisfiable => &[],
    };
    let specs = ranged.then(|| range::parse(asked)).flatten().unwrap_or_default();
    let wanted: Vec<_> = specs.iter().filter_map(|spec| spec.within(length)).collect();
    for part in parts {
        assert!(part.start < part.end && part.end <= length);
        assert!(wanted.iter().any(|want| want.start == part.start) && wanted.iter().any(|want| want.end == part.end));
    }
    for (i, part) in parts.iter().enumerate() {
        assert!(parts[..i].iter().all(|other| other.end < part.start || part.end < other.start), "parts overlap");
    }
    if !parts.is_empty() {
        for want in &wanted {
            assert!(parts.iter().any(|part| part.start <= want.start && want.end <= part.end), "{want:?} is missing");
        }
    }
    if matches!(portion, Portion::Unsatisfiable) {
        assert!(wanted.is_empty() && !specs.is_empty());
    }
    if let Portion::Parts(parts) = &portion {
        let many = Multipart::new(parts.clone(), length, None, 7);
        let whole = bytes::Bytes::from(vec![b'x'; length as usize]);
        assert_eq!(many.of(&whole).len() as u64, many.body_len());
    }
    // RFC 9110 §13.1.5: a weak tag, or a date that proves little, never lets a part through.
    if conditional && !parts.is_empty() {
        let by_tag = EntityTag::parse(if_range).is_some_and(|asked| tag.is_some_and(|tag| tag.matches_strongly(asked)));
        let text = httpdate::fmt_http_date(modified);
        let by_date = date > modified && DateField::read(&request, "if-range").at() == Some(modified);
        assert!(by_tag || by_date, "{text}");
    }
    let verdict = evaluate(&request, Validators { tag, modified: None });
    if verdict == Condition::NotModified {
        let any = |line: &&[u8]| line.contains(&b'*') || line.contains(&b'"');
        assert!(list.iter().any(any));
    }
    // Dates: what is understood is written as the same again.
    if let DateField::At(at) = DateField::read(&request, "if-range") {
        assert_eq!(httpdate::parse_http_date(&httpdate::fmt_http_date(at)).ok(), Some(at));
    }
});
