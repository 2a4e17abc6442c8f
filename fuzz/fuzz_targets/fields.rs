//! Values of fields that decide: Cache-Control, Range, Vary, dates, entity tags.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use substratum::document::cache_control::{RequestDirectives, ResponseDirectives};
use substratum::document::hop;
use substratum::document::vary::*;
use substratum::response::date::*;
use substratum::response::entity_tag::EntityTag;
use substratum::response::range;

const NAMES: [&str; 10] = [
    "cache-control", "range", "vary", "expires", "date", "etag", "connection", "if-none-match", "accept", "x-a",
];

fuzz_target!(|input: (u64, Vec<(u8, Vec<u8>)>)| {
    let (length, fields) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().take(32) {
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]), value);
    }
    let _ = (ResponseDirectives::read(&headers), RequestDirectives::read(&headers));
    let _ = DateField::read(&headers, "expires").at();
    let _ = EntityTag::read(&headers, "etag");
    if let Some(specs) = headers.get("range").and_then(|value| range::parse(value.as_bytes())) {
        for spec in specs {
            if let Some(part) = spec.within(length) {
                assert!(part.start < part.end && part.end <= length);
            }
        }
    }
    if let Ok(selection) = Selection::of(&headers, &headers) {
        assert!(selection.matches(&headers));
    }
    let left = hop::forwardable_request(headers);
    assert!(!left.contains_key("connection"));
    assert_eq!(hop::forwardable_request(left.clone()), left);
});
