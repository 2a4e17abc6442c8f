//! Lifetimes, ages, negative answers (RFC 9111 §4.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use proptest::prelude::*;

use super::{DATE, SECONDS, fields, rows};
use crate::document::cache_control::ResponseDirectives;
use crate::document::freshness::{Exchange, Freshness, Remaining};
use crate::document::terms::Terms;

pub const TABLES: &[&str] = &[LIFETIMES, AGES, TERMS];

/// section | status | fields | lifetime in seconds
const LIFETIMES: &str = "
9111 §4.2.1 | 200 | cache-control: max-age=5 | 5
9111 §4.2.1 | 200 | cache-control: s-maxage=9, max-age=5 | 9
9111 §4.2.1 | 200 | cache-control: max-age=5, s-maxage=9 | 9
9111 §4.2.1 | 200 | cache-control: s-maxage=0, max-age=5 | 0
9111 §4.2.1 | 200 | cache-control: max-age=5 ; expires: Sun, 06 Nov 1994 09:49:37 GMT | 5
9111 §4.2.1 | 200 | cache-control: s-maxage=5 ; expires: Sun, 06 Nov 1994 09:49:37 GMT | 5
9111 §4.2.1 | 200 | expires: Sun, 06 Nov 1994 08:50:37 GMT | 60
9111 §4.2.1 | 200 | expires: Sun, 06 Nov 1994 08:49:37 GMT | 0
9111 §4.2.1 | 200 | expires: Sun, 06 Nov 1994 08:49:36 GMT | 0
9111 §4.2.1 | 200 | cache-control: max-age=5 ; cache-control: max-age=5 | 5
9111 §4.2.1 | 200 | cache-control: max-age=5 ; cache-control: max-age=7 | 0
9111 §4.2.1 | 200 | cache-control: max-age=5, max-age=7 | 0
9111 §4.2.1 | 200 | cache-control: max-age=abc ; expires: Sun, 06 Nov 1994 09:49:37 GMT | 0
9111 §5.3 | 200 | expires: 0 | 0
9111 §5.3 | 200 | expires: -1 | 0
9111 §5.3 | 200 | expires: soon | 0
9111 §5.3 | 200 | expires: Sunday, 06-Nov-94 08:50:37 GMT | 60
9111 §5.3 | 200 | expires: Sun Nov  6 08:50:37 1994 | 60
9111 §5.3 | 200 | expires: 1994-11-06T08:50:37Z | 0
9111 §5.3 | 200 | expires: Fri, 31 Dec 9999 23:59:59 GMT | 2147483648
9111 §5.2.2.1 | 200 | cache-control: max-age=0 | 0
9111 §5.2.2.1 | 200 | cache-control: max-age=-5 | 0
9111 §5.2.2.1 | 200 | cache-control: max-age=5.5 | 0
9111 §5.2.2.1 | 200 | cache-control: max-age= | 0
9111 §5.2.2.1 | 200 | cache-control: max-age | 0
9111 §5.2.2.1 | 200 | cache-control: max-age=+5 | 0
9111 §5.2.2.1 | 200 | cache-control: max-age=0005 | 5
9111 §5.2.2.1 | 200 | cache-control: max-age=5s | 0
9111 §5.2.2.1 | 200 | cache-control: max-age=5;x | 0
9111 §5.2.2.10 | 200 | cache-control: s-maxage=x, max-age=5 | 0
9111 §5.2.2.10 | 200 | cache-control: s-maxage, max-age=5 | 0
9111 §5.2 | 200 | cache-control: MAX-AGE=5 | 5
9111 §5.2 | 200 | cache-control: Max-Age=5 | 5
9111 §5.2 | 200 | cache-control: max-age=\"5\" | 5
9111 §5.2 | 200 | cache-control: max-age=\"5 | 0
9111 §5.2 | 200 | cache-control: public,max-age=5 | 5
9111 §5.2 | 200 | cache-control: , , max-age=5, | 5
9111 §5.2 | 200 | cache-control: x=\"max-age=9\", max-age=5 | 5
9111 §5.2 | 200 | cache-control: x=\", max-age=9\", max-age=5 | 5
9111 §5.2.3 | 200 | cache-control: max-age=5, something-new | 5
9111 §5.2.3 | 200 | cache-control: something=new, max-age=5 | 5
9111 §5.2.3 | 200 | cache-control: max-ages=9, max-age=5 | 5
9111 §1.2.2 | 200 | cache-control: max-age=2147483647 | 2147483647
9111 §1.2.2 | 200 | cache-control: max-age=2147483648 | 2147483648
9111 §1.2.2 | 200 | cache-control: max-age=2147483649 | 2147483648
9111 §1.2.2 | 200 | cache-control: max-age=4294967296 | 2147483648
9111 §1.2.2 | 200 | cache-control: max-age=99999999999999999999999 | 2147483648
9111 §4.2.2 | 200 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 200 | last-modified: Sun, 06 Nov 1994 08:49:37 GMT | 0
9111 §4.2.2 | 200 | last-modified: Sun, 06 Nov 1994 09:49:37 GMT | 0
9111 §4.2.2 | 200 | last-modified: yesterday | 0
9111 §4.2.2 | 200 | last-modified: Sun, 06 Nov 1904 08:49:37 GMT | 0
9111 §4.2.2 | 200 | last-modified: Sat, 06 Nov 1971 08:49:37 GMT | 86400
9111 §4.2.2 | 200 | | 0
9111 §4.2.2 | 203 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 204 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 301 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 308 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 404 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 410 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 302 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 307 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 403 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 500 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 502 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 503 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 504 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 302 | cache-control: public ; last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 99
9111 §4.2.2 | 200 | cache-control: max-age=0 ; last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9111 §4.2.2 | 200 | expires: 0 ; last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 0
9110 §15.4.3 | 302 | cache-control: max-age=5 | 5
9110 §15.4.8 | 307 | cache-control: max-age=5 | 5
9110 §15.5.5 | 404 | cache-control: max-age=5 | 5
9110 §15.6.4 | 503 | cache-control: max-age=5 | 5
";

/// section | fields | seconds from request to head | seconds since | age
const AGES: &str = "
9111 §4.2.3 | | 0 | 0 | 0
9111 §4.2.3 | | 0 | 7 | 7
9111 §4.2.3 | | 3 | 7 | 10
9111 §4.2.3 | age: 5 | 0 | 0 | 5
9111 §4.2.3 | age: 5 | 3 | 0 | 8
9111 §4.2.3 | age: 5 | 3 | 7 | 15
9111 §4.2.3 | age: 5 ; date: Sun, 06 Nov 1994 08:49:30 GMT | 0 | 0 | 7
9111 §4.2.3 | age: 50 ; date: Sun, 06 Nov 1994 08:49:30 GMT | 0 | 0 | 50
9111 §4.2.3 | date: Sun, 06 Nov 1994 08:49:30 GMT | 0 | 1 | 8
9111 §4.2.3 | date: Sun, 06 Nov 1994 09:49:37 GMT | 0 | 1 | 1
9111 §4.2.3 | date: junk | 0 | 1 | 1
9111 §5.1 | age: 05 | 0 | 0 | 5
9111 §5.1 | age: -5 | 0 | 0 | 0
9111 §5.1 | age: x | 0 | 0 | 0
9111 §5.1 | age: 5.5 | 0 | 0 | 0
9111 §5.1 | age: 5, 9 | 0 | 0 | 5
9111 §5.1 | age: 5 ; age: 9 | 0 | 0 | 5
9111 §5.1 | age: \"5\" | 0 | 0 | 0
9111 §1.2.2 | age: 4294967296 | 0 | 0 | 2147483648
9111 §1.2.2 | age: 99999999999999999999999 | 0 | 9 | 2147483648
";

/// section | status | fields | ttl and negative_ttl | lifetime
const TERMS: &str = "
docs configuration | 200 | | 9 4 | 9
docs configuration | 200 | cache-control: max-age=5 | 9 4 | 9
docs configuration | 200 | cache-control: s-maxage=5 | 9 4 | 9
docs configuration | 200 | expires: 0 | 9 4 | 9
docs configuration | 200 | cache-control: max-age=5 | - 4 | 5
docs configuration | 204 | | 9 4 | 9
docs configuration | 301 | | 9 4 | 9
docs configuration | 308 | cache-control: max-age=5 | 9 4 | 9
docs configuration | 302 | | 9 4 | 0
docs configuration | 302 | cache-control: max-age=5 | 9 4 | 5
docs configuration | 307 | | 9 4 | 0
docs configuration | 404 | | 9 4 | 4
docs configuration | 410 | | 9 4 | 4
docs configuration | 404 | cache-control: max-age=5 | 9 4 | 5
docs configuration | 404 | cache-control: max-age=0 | 9 4 | 0
docs configuration | 404 | expires: 0 | 9 4 | 0
docs configuration | 404 | last-modified: Sun, 06 Nov 1994 08:33:07 GMT | 9 4 | 4
docs configuration | 404 | | 9 - | 0
docs configuration | 403 | | 9 4 | 0
docs configuration | 500 | | 9 4 | 0
docs configuration | 502 | | 9 4 | 0
docs configuration | 503 | | 9 4 | 0
docs configuration | 504 | | 9 4 | 0
docs configuration | 200 | cache-control: max-age=5 | 0 4 | 0
";

fn at(offset: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(SECONDS + offset)
}

fn freshness(status: &str, cell: &str, terms: &Terms, delay: u64) -> Freshness {
    let mut headers = fields(cell);
    headers.entry("date").or_insert_with(|| DATE.parse().unwrap());
    let directives = ResponseDirectives::read(&headers);
    let exchange = Exchange { requested: at(0), received: at(delay) };
    Freshness::of(StatusCode::from_bytes(status.as_bytes()).unwrap(), &headers, &directives, terms, exchange)
}

#[test]
fn lifetimes() {
    for row in rows(LIFETIMES) {
        let lifetime = freshness(row[1], row[2], &Terms::default(), 0).lifetime.as_secs();
        assert_eq!(lifetime.to_string(), row[3], "{row:?}");
    }
}

#[test]
fn ages() {
    for row in rows(AGES) {
        let (delay, since): (u64, u64) = (row[2].parse().unwrap(), row[3].parse().unwrap());
        let age = freshness("200", row[1], &Terms::default(), delay).age(at(delay + since)).as_secs();
        assert_eq!(age.to_string(), row[4], "{row:?}");
    }
}

#[test]
fn terms() {
    for row in rows(TERMS) {
        let mut times = row[3].split(' ').map(|time| time.parse().ok().map(Duration::from_secs));
        let (ttl, negative_ttl) = (times.next().unwrap(), times.next().unwrap());
        let terms = Terms { ttl, negative_ttl, ..Terms::default() };
        assert_eq!(freshness(row[1], row[2], &terms, 0).lifetime.as_secs().to_string(), row[4], "{row:?}");
    }
}

proptest! {
    /// What is stale stays stale, and no age decreases, whatever the fields say.
    #[test]
    fn freshness_only_runs_out(
        directives in "(max-age=[0-9]{1,3}|s-maxage=[0-9]{1,3}|public|x)(, max-age=[0-9]{1,11})?",
        age in "[0-9]{0,11}",
        moments in prop::collection::btree_set(0u64..2000, 2..9),
    ) {
        let cell = format!("cache-control: {directives} ; age: {age}");
        let freshness = freshness("200", &cell, &Terms::default(), 0);
        let mut earlier = (Duration::ZERO, i64::MAX, false);
        for moment in moments {
            let remaining = freshness.remaining(at(moment));
            let stale = matches!(remaining, Remaining::Stale(_));
            let now = (freshness.age(at(moment)), remaining.ttl(), stale);
            prop_assert!(now.0 >= earlier.0 && now.1 <= earlier.1 && (stale || !earlier.2), "{:?} {:?}", earlier, now);
            earlier = now;
        }
    }

    /// Each cache of a chain receives what the one before it emitted, after a journey and a stay: ages add up.
    #[test]
    fn ages_grow_along_a_chain(hops in prop::collection::vec((0u64..5, 0u64..100), 1..8)) {
        let (mut told, mut clock) = (0, 0);
        for (journey, stay) in hops {
            let headers = fields(&format!("cache-control: max-age=61 ; age: {told} ; date: {DATE}"));
            let directives = ResponseDirectives::read(&headers);
            let exchange = Exchange { requested: at(clock), received: at(clock + journey) };
            let here = Freshness::of(StatusCode::OK, &headers, &directives, &Terms::default(), exchange);
            clock += journey + stay;
            let age = here.age(at(clock)).as_secs();
            prop_assert!(age >= told + journey + stay && age >= clock, "{} after {} at {}", age, told, clock);
            told = age;
        }
    }
}
