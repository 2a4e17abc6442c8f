//! How old a response is and how long it is fresh (RFC 9111 §4.2). Values in, values out; no clock.
//!
//! Invariant: what a chain of caches adds to a lifetime is nothing, because every `Age` received counts from the
//! moment the request was sent (§4.2.3). A clock that runs backwards makes an age zero at worst, never negative.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{AGE, DATE, EXPIRES, HeaderMap, LAST_MODIFIED};

use super::cache_control::{MAX_SECONDS, ResponseDirectives, Seconds, parse_seconds};
use super::terms::Terms;
use crate::response::date::DateField;

/// Share of the time since `Last-Modified` that a heuristic lifetime takes (§4.2.2 suggests a tenth).
const HEURISTIC_DIVISOR: u32 = 10;

/// Upper bound of a heuristic lifetime: a day, beyond which §4.2.2 of its predecessor asked for a warning.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 3600);

/// When a request was sent and its response head arrived, by this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Request sent.
    pub requested: SystemTime,
    /// Head received.
    pub received: SystemTime,
}

/// Everything needed to tell a stored response's age and freshness at any later time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// How long the response is fresh, counted from its generation at the origin. At most 2^31 s.
    pub lifetime: Duration,
    /// Its age on arrival (`corrected_initial_age`). At most 2^31 s.
    initial_age: Duration,
    received: SystemTime,
}

/// Freshness left, or staleness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// Fresh for this long, more than zero.
    Fresh(Duration),
    /// Stale since this long; zero at the very end of its lifetime.
    Stale(Duration),
}

impl Remaining {
    /// Whole seconds, negative when stale, as `Cache-Status` `ttl` wants it.
    pub fn ttl(self) -> i64 {
        match self {
            Self::Fresh(left) => left.as_secs() as i64,
            Self::Stale(past) => -(past.as_secs() as i64),
        }
    }
}

impl Freshness {
    /// Freshness of a response with this head.
    pub fn of(
        status: StatusCode,
        headers: &HeaderMap,
        directives: &ResponseDirectives,
        terms: &Terms,
        at: Exchange,
    ) -> Self {
        let date = DateField::read(headers, DATE).at().unwrap_or(at.received);
        Self {
            lifetime: lifetime(status, headers, directives, terms, date),
            initial_age: initial_age(age_field(headers), date, at),
            received: at.received,
        }
    }

    /// Its age on arrival, and when that was.
    pub fn on_arrival(&self) -> (Duration, SystemTime) {
        (self.initial_age, self.received)
    }

    /// `current_age` (§4.2.3).
    pub fn age(&self, now: SystemTime) -> Duration {
        let resident = now.duration_since(self.received).unwrap_or_default();
        self.initial_age.saturating_add(resident).min(Duration::from_secs(MAX_SECONDS))
    }

    /// Freshness left at `now`.
    pub fn remaining(&self, now: SystemTime) -> Remaining {
        let age = self.age(now);
        match self.lifetime.checked_sub(age) {
            Some(left) if !left.is_zero() => Remaining::Fresh(left),
            _ => Remaining::Stale(age.saturating_sub(self.lifetime)),
        }
    }
}

/// Statuses that may be given a heuristic lifetime (RFC 9110 §15.1); 206 is one too, but is never stored.
pub fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The operator's word; else §4.2.1: `s-maxage`, else `max-age`, else `Expires` - `Date`, else a heuristic; the malformed is stale.
fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    terms: &Terms,
    date: SystemTime,
) -> Duration {
    if let Some(ttl) = terms.ttl
        && (status.is_success() || matches!(status.as_u16(), 301 | 308))
    {
        return ttl;
    }
    for given in [directives.s_maxage, directives.max_age] {
        match given {
            Seconds::Absent => {}
            Seconds::Valid(lifetime) => return lifetime,
            Seconds::Malformed => return Duration::ZERO,
        }
    }
    let lifetime = match DateField::read(headers, EXPIRES) {
        DateField::At(expires) => expires.duration_since(date).unwrap_or_default(),
        DateField::Malformed => Duration::ZERO,
        DateField::Absent => match (status.as_u16(), terms.negative_ttl) {
            (404 | 410, Some(ttl)) => ttl,
            _ => heuristic(status, headers, directives, date),
        },
    };
    lifetime.min(Duration::from_secs(MAX_SECONDS))
}

fn heuristic(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    date: SystemTime,
) -> Duration {
    if !heuristically_cacheable(status) && !directives.public {
        return Duration::ZERO;
    }
    DateField::read(headers, LAST_MODIFIED)
        .at()
        .and_then(|modified| date.duration_since(modified).ok())
        .map_or(Duration::ZERO, |unchanged| (unchanged / HEURISTIC_DIVISOR).min(HEURISTIC_MAX))
}

/// The `Age` received: the first member of the first line, nothing if that is malformed (§5.1).
fn age_field(headers: &HeaderMap) -> Duration {
    let first = headers.get(AGE).and_then(|value| value.as_bytes().split(|c| *c == b',').next());
    first.and_then(|digits| parse_seconds(digits.trim_ascii())).map_or(Duration::ZERO, Duration::from_secs)
}

fn initial_age(age_value: Duration, date: SystemTime, at: Exchange) -> Duration {
    let apparent = at.received.duration_since(date).unwrap_or_default();
    let delay = at.received.duration_since(at.requested).unwrap_or_default();
    apparent.max(age_value.saturating_add(delay)).min(Duration::from_secs(MAX_SECONDS))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const DATE_SECONDS: u64 = 784_111_777;

    fn at(offset: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(DATE_SECONDS + offset)
    }

    type Fields<'a> = &'a [(&'a str, &'a str)];

    /// A response generated, sent and received at offset 0, unless its fields say otherwise.
    fn freshness(status: u16, fields: &[(&str, &str)], delay: u64) -> Freshness {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let directives = ResponseDirectives::read(&headers);
        let exchange = Exchange { requested: at(0), received: at(delay) };
        let status = StatusCode::from_u16(status).unwrap();
        Freshness::of(status, &headers, &directives, &Terms::default(), exchange)
    }

    fn check_lifetime(status: u16, fields: &[(&str, &str)], expected: u64) {
        let mut with_date = vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        with_date.extend_from_slice(fields);
        assert_eq!(freshness(status, &with_date, 0).lifetime.as_secs(), expected, "{status} {fields:?}");
    }

    #[test]
    fn explicit_lifetimes() {
        let later = "Sun, 06 Nov 1994 08:50:37 GMT";
        check_lifetime(200, &[("cache-control", "max-age=5")], 5);
        check_lifetime(200, &[("cache-control", "max-age=5, s-maxage=9")], 9);
        check_lifetime(200, &[("cache-control", "s-maxage=0, max-age=5")], 0);
        check_lifetime(200, &[("cache-control", "s-maxage=x, max-age=5")], 0);
        check_lifetime(200, &[("cache-control", "max-age=x"), ("expires", later)], 0);
        check_lifetime(200, &[("cache-control", "max-age=5"), ("expires", later)], 5);
        check_lifetime(200, &[("cache-control", "max-age=5"), ("expires", "0")], 5);
        check_lifetime(200, &[("cache-control", "unknown=5"), ("expires", later)], 60);
        check_lifetime(200, &[("expires", later)], 60);
        check_lifetime(200, &[("expires", "0")], 0);
        check_lifetime(200, &[("expires", "-1")], 0);
        check_lifetime(200, &[("expires", "Sun, 06 Nov 1994 08:48:37 GMT")], 0);
        check_lifetime(200, &[("expires", later), ("expires", "0")], 0);
        check_lifetime(200, &[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], MAX_SECONDS);
        check_lifetime(200, &[("expires", "Tue, 19 Jan 2038 03:14:08 GMT")], 1_363_371_871);
        check_lifetime(503, &[("cache-control", "max-age=5")], 5);
    }

    #[test]
    fn heuristics() {
        let day_before = ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT");
        check_lifetime(200, &[day_before], 8640);
        check_lifetime(404, &[day_before], 8640);
        check_lifetime(200, &[("last-modified", "Sun, 06 Nov 1904 08:49:37 GMT")], 0);
        check_lifetime(200, &[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")], 86_400);
        check_lifetime(200, &[("last-modified", "Mon, 07 Nov 1994 08:49:37 GMT")], 0);
        check_lifetime(200, &[], 0);
        check_lifetime(200, &[day_before, ("expires", "0")], 0);
        check_lifetime(200, &[day_before, ("cache-control", "max-age=x")], 0);
        for status in [302, 307, 403, 500, 502, 503, 504] {
            check_lifetime(status, &[day_before], 0);
        }
        check_lifetime(302, &[day_before, ("cache-control", "public")], 8640);
    }

    #[test]
    fn ages() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let table: [(Fields<'_>, u64, u64); 12] = [
            (&[date], 0, 0),
            (&[date], 3, 3),
            (&[], 3, 3),
            (&[date, ("age", "30")], 0, 30),
            (&[date, ("age", "30")], 3, 33),
            (&[date, ("age", "30, 99")], 0, 30),
            (&[date, ("age", "30"), ("age", "99")], 0, 30),
            (&[date, ("age", "-30")], 0, 0),
            (&[date, ("age", "30.5")], 0, 0),
            (&[date, ("age", "")], 0, 0),
            (&[date, ("age", "99999999999999999999")], 0, MAX_SECONDS),
            (&[("date", "Sun, 06 Nov 1994 08:48:37 GMT"), ("age", "30")], 0, 60),
        ];
        for (fields, delay, expected) in table {
            let fresh = freshness(200, fields, delay);
            assert_eq!(fresh.age(at(delay)).as_secs(), expected, "{fields:?} after {delay} s");
        }
        assert_eq!(freshness(200, &[("date", "nonsense")], 0).age(at(7)).as_secs(), 7);
        assert_eq!(freshness(200, &[("date", "Sun, 06 Nov 2094 08:49:37 GMT")], 0).age(at(7)).as_secs(), 7);
        assert_eq!(freshness(200, &[date], 0).age(UNIX_EPOCH).as_secs(), 0);
    }

    #[test]
    fn the_last_second() {
        let fresh = freshness(200, &[("cache-control", "max-age=61"), ("age", "1")], 0);
        assert_eq!(fresh.remaining(at(59)), Remaining::Fresh(Duration::from_secs(1)));
        assert_eq!(fresh.remaining(at(60)), Remaining::Stale(Duration::ZERO));
        assert_eq!(fresh.remaining(at(70)).ttl(), -10);
    }

    proptest! {
        /// However many caches a manifest passes, it is stale no later than its lifetime after its generation.
        #[test]
        fn chains_do_not_lengthen_freshness(stays in prop::collection::vec(0u64..40, 1..6)) {
            let mut now = 0;
            let mut age = 0;
            for stay in stays {
                let mut headers = HeaderMap::new();
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=61"));
                headers.insert(AGE, HeaderValue::from(age));
                let exchange = Exchange { requested: at(now), received: at(now) };
                let directives = ResponseDirectives::read(&headers);
                let fresh = Freshness::of(StatusCode::OK, &headers, &directives, &Terms::default(), exchange);
                now += stay;
                age = fresh.age(at(now)).as_secs();
                let is_fresh = matches!(fresh.remaining(at(now)), Remaining::Fresh(_));
                prop_assert_eq!(is_fresh, now < 61);
            }
        }
    }
}
