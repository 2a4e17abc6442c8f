//! Byte ranges (RFC 9110 §14): what a `Range` field asks of a representation whose length is known.
//!
//! A field that is malformed, of another unit, or asks for more than [`MAX_RANGES`] is ignored: the whole
//! representation is always a correct answer. Several ranges that touch, or lie closer than a part's head is long,
//! become one (§15.3.7.2); the parts never overlap and are together smaller than the whole.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};

use super::date::DateField;
use super::entity_tag::EntityTag;

/// Ranges in one field beyond which it is ignored (RFC 9110 §14.2 on many small or overlapping ranges).
pub const MAX_RANGES: usize = 32;

/// What a part costs beside its bytes: a gap up to this size is sent rather than left out.
const PART_HEAD: u64 = 128;

/// One member of a `Range` field, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-last`, both inclusive, `first <= last`.
    Closed {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte; may lie behind the end.
        last: u64,
    },
    /// `first-`: to the end.
    Open {
        /// Offset of the first byte.
        first: u64,
    },
    /// `-length`: that many bytes at the end.
    Suffix {
        /// Number of bytes; 0 can never be satisfied.
        length: u64,
    },
}

impl RangeSpec {
    /// The half-open range within a representation of `length` bytes; `None` when it cannot be satisfied.
    pub fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Closed { first, last } => first..last.saturating_add(1).min(length),
            Self::Open { first } => first..length,
            Self::Suffix { length: wanted } => length.saturating_sub(wanted)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

/// The members of a `Range` field value; `None` when it is to be ignored. Numbers beyond 2^64 count as 2^64 - 1.
pub fn parse(value: &[u8]) -> Option<Vec<RangeSpec>> {
    let (unit, set) = std::str::from_utf8(value).ok()?.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for member in set.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        if specs.len() == MAX_RANGES {
            return None;
        }
        specs.push(parse_spec(member)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn parse_spec(member: &str) -> Option<RangeSpec> {
    match member.split_once('-')? {
        ("", length) => Some(RangeSpec::Suffix { length: number(length)? }),
        (first, "") => Some(RangeSpec::Open { first: number(first)? }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::Closed { first, last })
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    // Only digits remain, so the only error is overflow.
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// What to send of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Portion {
    /// 200: all of it.
    Whole,
    /// 206: these bytes, never empty, within the representation.
    Part(Range<u64>),
    /// 206 with `multipart/byteranges`: two or more, apart from each other, in the order asked for.
    Parts(Vec<Range<u64>>),
    /// 416, with `Content-Range: bytes */length`.
    Unsatisfiable,
}

/// What the `Range` and `If-Range` of a GET request ask of a 200 representation of `length` bytes.
pub fn portion(request: &HeaderMap, length: u64, held: IfRangeValidators<'_>) -> Portion {
    let Some(specs) = only(request, RANGE).and_then(|value| parse(value.as_bytes())) else {
        return Portion::Whole;
    };
    if !if_range_holds(request, held) {
        return Portion::Whole;
    }
    let satisfiable = specs.iter().filter_map(|spec| spec.within(length)).collect();
    let mut parts = coalesced(satisfiable);
    match parts.len() {
        0 => Portion::Unsatisfiable,
        1 => Portion::Part(parts.remove(0)),
        // Parts that are not smaller than the whole help nobody.
        _ if parts.iter().map(|part| part.end - part.start + PART_HEAD).sum::<u64>() >= length => {
            Portion::Whole
        }
        _ => Portion::Parts(parts),
    }
}

/// The same bytes in ranges that lie apart, each where the first that went into it stood (§15.3.7.2).
fn coalesced(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.into_iter().enumerate().collect();
    sorted.sort_by_key(|(_, range)| range.start);
    let mut merged: Vec<(usize, Range<u64>)> = Vec::new();
    for (place, range) in sorted {
        match merged.last_mut() {
            Some((first, last)) if range.start <= last.end.saturating_add(PART_HEAD) => {
                last.end = last.end.max(range.end);
                *first = (*first).min(place);
            }
            _ => merged.push((place, range)),
        }
    }
    merged.sort_by_key(|(place, _)| *place);
    merged.into_iter().map(|(_, range)| range).collect()
}

/// What `If-Range` is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct IfRangeValidators<'a> {
    /// `ETag` of the representation.
    pub tag: Option<EntityTag<'a>>,
    /// Its `Last-Modified`.
    pub modified: Option<SystemTime>,
    /// Its `Date`.
    pub date: Option<SystemTime>,
}

/// RFC 9110 §13.1.5: the strong comparison only; a date only when it is exactly the `Last-Modified` and that is
/// strong, which is at least a second older than the `Date` (§8.8.2.2).
fn if_range_holds(request: &HeaderMap, held: IfRangeValidators<'_>) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    if let Some(asked) = EntityTag::read(request, IF_RANGE) {
        return held.tag.is_some_and(|tag| tag.matches_strongly(asked));
    }
    match (DateField::read(request, IF_RANGE), held.modified, held.date) {
        (DateField::At(asked), Some(modified), Some(date)) => {
            asked == modified && date.duration_since(modified).is_ok_and(|gap| gap >= Duration::from_secs(1))
        }
        _ => false,
    }
}

/// `Content-Range` of a 206.
pub fn content_range(part: &Range<u64>, length: u64) -> HeaderValue {
    ascii(format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1)))
}

/// `Content-Range` of a 416.
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    ascii(format!("bytes */{length}"))
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

/// The field, if it occurs exactly once.
fn only(headers: &HeaderMap, name: http::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const SECONDS: u64 = 784_111_777;

    fn check(range: &str, length: u64, expected: Portion) {
        let mut request = HeaderMap::new();
        request.insert(RANGE, HeaderValue::from_str(range).unwrap());
        assert_eq!(portion(&request, length, IfRangeValidators::default()), expected, "{range} of {length}");
    }

    #[test]
    fn portions_of_ten_bytes() {
        use Portion::{Part, Unsatisfiable, Whole};
        let table = [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-9", Part(0..10)),
            ("bytes=2-5", Part(2..6)),
            ("bytes=5-99", Part(5..10)),
            ("bytes=5-18446744073709551615", Part(5..10)),
            ("bytes=5-99999999999999999999999", Part(5..10)),
            ("bytes=9-", Part(9..10)),
            ("bytes=0-", Part(0..10)),
            ("bytes=-1", Part(9..10)),
            ("bytes=-10", Part(0..10)),
            ("bytes=-99", Part(0..10)),
            ("Bytes=1-1", Part(1..2)),
            ("bytes= 1-1 ", Part(1..2)),
            ("bytes=,1-1,", Part(1..2)),
            ("bytes=1-1,20-30", Part(1..2)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=20-,30-", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=0-0,2-2", Part(0..3)),
            ("bytes=5-2", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=1-2x", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1 - 2", Whole),
            ("bytes 1-2", Whole),
            ("lines=1-2", Whole),
            ("bytes=0-0,x", Whole),
        ];
        for (range, expected) in table {
            check(range, 10, expected);
        }
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            check(range, 0, Unsatisfiable);
        }
    }

    #[test]
    fn several_portions_of_a_thousand_bytes() {
        use Portion::{Part, Parts, Unsatisfiable, Whole};
        let table = [
            ("bytes=0-9,500-509", Parts(vec![0..10, 500..510])),
            ("bytes=500-509,0-9", Parts(vec![500..510, 0..10])),
            ("bytes=0-9,-10", Parts(vec![0..10, 990..1000])),
            ("bytes=0-9,990-", Parts(vec![0..10, 990..1000])),
            ("bytes=0-9,500-509,2000-", Parts(vec![0..10, 500..510])),
            ("bytes=0-9,500-509,505-600", Parts(vec![0..10, 500..601])),
            ("bytes=500-509,0-9,505-600", Parts(vec![500..601, 0..10])),
            ("bytes=0-9,5-19", Part(0..20)),
            ("bytes=5-19,0-9", Part(0..20)),
            ("bytes=0-9,10-19", Part(0..20)),
            ("bytes=0-9,0-9,0-9", Part(0..10)),
            ("bytes=0-9,138-140", Part(0..141)),
            ("bytes=0-9,139-140", Parts(vec![0..10, 139..141])),
            ("bytes=2-3,2000-", Part(2..4)),
            ("bytes=0-,-1", Part(0..1000)),
            ("bytes=0-399,600-999", Whole),
            ("bytes=2000-,3000-4000,-0", Unsatisfiable),
        ];
        for (range, expected) in table {
            check(range, 1000, expected);
        }
    }

    #[test]
    fn too_many_or_repeated_fields_are_ignored() {
        let many = format!("bytes={}", vec!["0-0"; MAX_RANGES + 1].join(","));
        assert_eq!(parse(many.as_bytes()), None);
        let mut request = HeaderMap::new();
        request.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        request.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        assert_eq!(portion(&request, 10, IfRangeValidators::default()), Portion::Whole);
    }

    #[test]
    fn if_range() {
        let modified = UNIX_EPOCH + Duration::from_secs(SECONDS);
        let check = |if_range: &'static str, tag: &str, date_gap: u64, applies: bool| {
            let mut request = HeaderMap::new();
            request.insert(RANGE, HeaderValue::from_static("bytes=1-2"));
            request.insert(IF_RANGE, HeaderValue::from_static(if_range));
            let held = IfRangeValidators {
                tag: EntityTag::parse(tag.as_bytes()),
                modified: Some(modified),
                date: Some(modified + Duration::from_secs(date_gap)),
            };
            let expected = if applies { Portion::Part(1..3) } else { Portion::Whole };
            assert_eq!(portion(&request, 10, held), expected, "{if_range} against {tag}, gap {date_gap}");
        };
        check("\"a\"", "\"a\"", 0, true);
        check("\"b\"", "\"a\"", 0, false);
        check("W/\"a\"", "\"a\"", 0, false);
        check("\"a\"", "W/\"a\"", 0, false);
        check("\"a\"", "", 0, false);
        check(DATE, "", 1, true);
        check(DATE, "", 0, false);
        check("Sun, 06 Nov 1994 08:49:38 GMT", "", 9, false);
        check("junk", "\"a\"", 9, false);
    }

    #[test]
    fn content_range_fields() {
        assert_eq!(content_range(&(2..6), 10), "bytes 2-5/10");
        assert_eq!(unsatisfied_range(10), "bytes */10");
    }

    proptest! {
        #[test]
        fn a_part_lies_within(text in "[0-9]{0,20}-[0-9]{0,20}", length in 0u64..1000) {
            for spec in parse(format!("bytes={text}").as_bytes()).unwrap_or_default() {
                if let Some(range) = spec.within(length) {
                    prop_assert!(range.start < range.end && range.end <= length);
                }
            }
        }

        #[test]
        fn parts_hold_what_was_asked_for_and_lie_apart(
            asked in prop::collection::vec((0u64..5000, 0u64..400), 1..MAX_RANGES),
            length in 1u64..5000,
        ) {
            let specs: Vec<_> = asked.iter().map(|(first, n)| format!("{first}-{}", first + n)).collect();
            let mut request = HeaderMap::new();
            request.insert(RANGE, HeaderValue::try_from(format!("bytes={}", specs.join(","))).unwrap());
            let parts = match portion(&request, length, IfRangeValidators::default()) {
                Portion::Parts(parts) => parts,
                Portion::Part(part) => vec![part],
                Portion::Whole => std::iter::once(0..length).collect(),
                Portion::Unsatisfiable => vec![],
            };
            for (first, n) in asked {
                let end = (first + n + 1).min(length);
                prop_assert!(first >= length || parts.iter().any(|part| part.start <= first && end <= part.end));
            }
            for (i, one) in parts.iter().enumerate() {
                prop_assert!(one.start < one.end && one.end <= length);
                prop_assert!(parts[..i].iter().all(|other| other.end < one.start || one.end < other.start));
            }
        }

        #[test]
        fn any_bytes_parse_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
