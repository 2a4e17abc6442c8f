//! Lifetimes: a directive in another line, place or letter case means the same; time only ages; a chain of caches gains nothing.
#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use substratum::document::cache_control::{RequestDirectives, ResponseDirectives, parse_seconds};
use substratum::document::freshness::{Exchange, Freshness, Remaining};
use substratum::document::hop;
use substratum::document::reuse::{self, Facts, Reuse};
use substratum::document::terms::Terms;
use substratum::response::date::DateField;

fn fields(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

fuzz_target!(|input: (u16, [u32; 3], &[u8])| {
    let (status, [requested, delay, later], text) = input;
    // A line each: Cache-Control, Age, Expires, Date of the answer, Cache-Control of a request.
    let mut lines = text.split(|c| *c == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (control, age, expires, date, asked) = (line(), line(), line(), line(), line());
    let Ok(status) = StatusCode::from_u16(status) else { return };
    let mut headers =
        fields(&[("cache-control", control), ("age", age), ("expires", expires), ("date", date)]);
    let directives = ResponseDirectives::read(&headers);
    // Upper case is the same.
    let upper = ResponseDirectives::read(&fields(&[("cache-control", &control.to_ascii_uppercase())]));
    assert_eq!(upper, directives);
    // One more line restricts, whatever the lines before it say.
    let mut more = headers.clone();
    more.append("cache-control", HeaderValue::from_static("no-store, private"));
    let restricted = ResponseDirectives::read(&more);
    assert!(restricted.no_store && restricted.private);
    assert_eq!(restricted.max_age, directives.max_age);
    // Unquoted lists may be cut at any comma.
    if !control.contains(&b'"') {
        let lines: Vec<(&'static str, &[u8])> =
            control.split(|c| *c == b',').map(|line| ("cache-control", line)).collect();
        if lines.iter().all(|(_, line)| HeaderValue::from_bytes(line).is_ok()) {
            assert_eq!(ResponseDirectives::read(&fields(&lines)), directives);
        }
    }
    let second = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
    let received = u64::from(requested) + u64::from(delay);
    let at = Exchange { requested: second(requested.into()), received: second(received) };
    let terms = Terms::default();
    let fresh = Freshness::of(status, &headers, &directives, &terms, at);
    let left = |fresh: &Freshness, now: u64| match fresh.remaining(second(now)) {
        Remaining::Fresh(left) => i128::from(left.as_secs()),
        Remaining::Stale(past) => -i128::from(past.as_secs()),
    };
    // Time only ages.
    let (now, then) = (received, received + u64::from(later));
    assert!(left(&fresh, now) >= left(&fresh, then));
    assert!(fresh.age(second(now)) <= fresh.age(second(then)));
    assert!(fresh.age(second(now)) >= Duration::from_secs(delay.min(1 << 31).into()) || fresh.age(second(now)).as_secs() == 1 << 31);
    // The next cache that takes it from us, at once, sees it no younger and no longer fresh.
    let dated = DateField::read(&headers, "date").at().is_some();
    hop::remove_hop_by_hop(&mut headers);
    let told = fresh.age(second(then)).as_secs();
    headers.insert("age", HeaderValue::from(told));
    let next = Freshness::of(
        status, &headers, &directives, &terms, Exchange { requested: second(then), received: second(then) },
    );
    assert!(next.age(second(then)).as_secs() >= told.min(1 << 31));
    if dated {
        assert!(left(&next, then) <= left(&fresh, then));
    }
    // What forbids stale answers is never served stale.
    let asked = RequestDirectives::read(&fields(&[("cache-control", asked)]));
    let facts = Facts { freshness: &fresh, directives: &directives, asked: &asked, now: second(then) };
    let stale = left(&fresh, then) <= 0;
    let used = matches!(reuse::decide(facts), Reuse::Fresh | Reuse::AcceptedStale);
    if used && (directives.no_cache || (stale && directives.forbids_stale()) || asked.no_cache) {
        panic!("used although forbidden");
    }
    if stale && directives.forbids_stale() {
        assert!(!reuse::may_stand_in(facts, Duration::MAX) && !reuse::may_serve_meanwhile(facts, Duration::MAX));
    }
    if let Some(n) = parse_seconds(age) {
        assert!(n <= 1 << 31);
    }
});
