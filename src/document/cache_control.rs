//! `Cache-Control` (RFC 9111 §5.2), parsed so that doubt always restricts reuse.
//!
//! Names in any case; values as tokens or quoted; numbers beyond 2^31 count as 2^31 (§1.2.2); a lifetime that is
//! malformed or given twice with different values is [`Seconds::Malformed`], which means stale (§4.2.1); directives
//! nobody knows are ignored; an unterminated quote hides nothing that follows it.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, PRAGMA};

/// The greatest number of seconds a lifetime or an age can have: 2^31, 68 years.
pub const MAX_SECONDS: u64 = 1 << 31;

/// A directive whose argument is a number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seconds {
    /// Not given.
    #[default]
    Absent,
    /// Given, at most [`MAX_SECONDS`].
    Valid(Duration),
    /// Given, but not a number, or with conflicting values.
    Malformed,
}

impl Seconds {
    /// The value, with the malformed as zero.
    pub fn or_zero(self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Valid(value) => Some(value),
            Self::Malformed => Some(Duration::ZERO),
        }
    }

    /// The value, with the malformed as not given.
    pub fn valid(self) -> Option<Duration> {
        match self {
            Self::Valid(value) => Some(value),
            Self::Absent | Self::Malformed => None,
        }
    }

    fn is_given(self) -> bool {
        self != Self::Absent
    }

    fn add(&mut self, argument: Option<&[u8]>) {
        let value = match argument.and_then(parse_seconds) {
            Some(seconds) => Self::Valid(Duration::from_secs(seconds)),
            None => Self::Malformed,
        };
        *self = if *self == Self::Absent || *self == value { value } else { Self::Malformed };
    }
}

/// A number of seconds: digits only (no sign, no fraction), at most [`MAX_SECONDS`]; a greater one counts as that.
pub fn parse_seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add).min(MAX_SECONDS))
}

/// What a response's directives say to a shared cache.
///
/// `no-cache` and `private` with field names count as without (§5.2.2.4, §5.2.2.7 allow it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`
    pub max_age: Seconds,
    /// `s-maxage`
    pub s_maxage: Seconds,
    /// `stale-if-error` (RFC 5861)
    pub stale_if_error: Seconds,
    /// `stale-while-revalidate` (RFC 5861)
    pub stale_while_revalidate: Seconds,
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`
    pub no_cache: bool,
    /// `private`
    pub private: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
}

impl ResponseDirectives {
    /// Reads all `Cache-Control` lines of a response.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        each(headers, |name, argument| match name {
            b"max-age" => found.max_age.add(argument),
            b"s-maxage" => found.s_maxage.add(argument),
            b"stale-if-error" => found.stale_if_error.add(argument),
            b"stale-while-revalidate" => found.stale_while_revalidate.add(argument),
            b"no-store" => found.no_store = true,
            b"no-cache" => found.no_cache = true,
            b"private" => found.private = true,
            // These two permit; with an argument that nobody defined, they do not.
            b"public" => found.public |= argument.is_none(),
            b"must-revalidate" => found.must_revalidate = true,
            b"proxy-revalidate" => found.proxy_revalidate = true,
            b"must-understand" => found.must_understand |= argument.is_none(),
            _ => {}
        });
        found
    }

    /// Whether a stale copy may never be used without successful validation (§4.2.4; `s-maxage` implies it, §5.2.2.10).
    pub fn forbids_stale(&self) -> bool {
        self.no_cache || self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_given()
    }

    /// Whether they say how long the response is fresh, if only wrongly.
    pub fn gives_lifetime(&self) -> bool {
        self.max_age.is_given() || self.s_maxage.is_given()
    }
}

/// What a request's directives demand (§5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `max-age`: the greatest age accepted; malformed counts as 0.
    pub max_age: Option<Duration>,
    /// `min-fresh`: freshness that must be left.
    pub min_fresh: Option<Duration>,
    /// `max-stale`: staleness accepted; [`MAX_SECONDS`] when without argument.
    pub max_stale: Option<Duration>,
    /// `stale-if-error` (RFC 5861): staleness accepted when the upstream fails.
    pub stale_if_error: Option<Duration>,
    /// `no-cache`, or `Pragma: no-cache` in a request without `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// Reads all `Cache-Control` lines of a request.
    pub fn read(headers: &HeaderMap) -> Self {
        let (mut max_age, mut min_fresh) = (Seconds::Absent, Seconds::Absent);
        let (mut max_stale, mut stale_if_error) = (Seconds::Absent, Seconds::Absent);
        let mut found = Self::default();
        each(headers, |name, argument| match name {
            b"max-age" => max_age.add(argument),
            b"min-fresh" => min_fresh.add(argument),
            b"max-stale" if argument.is_none() => {
                max_stale = Seconds::Valid(Duration::from_secs(MAX_SECONDS))
            }
            b"max-stale" => max_stale.add(argument),
            b"stale-if-error" => stale_if_error.add(argument),
            b"no-cache" => found.no_cache = true,
            b"no-store" => found.no_store = true,
            b"only-if-cached" => found.only_if_cached = true,
            _ => {}
        });
        found.max_age = max_age.or_zero();
        found.min_fresh = min_fresh.valid();
        found.max_stale = max_stale.valid();
        found.stale_if_error = stale_if_error.valid();
        if !headers.contains_key(CACHE_CONTROL) {
            found.no_cache = headers.get_all(PRAGMA).iter().any(|value| {
                value
                    .as_bytes()
                    .split(|c| *c == b',')
                    .any(|one| one.trim_ascii().eq_ignore_ascii_case(b"no-cache"))
            });
        }
        found
    }

    /// Whether only an answer that comes from upstream now will do: `no-cache` or `max-age=0`.
    pub fn demands_reload(&self) -> bool {
        self.no_cache || self.max_age == Some(Duration::ZERO)
    }

    /// Whether the client sets any bound of its own on age or freshness.
    pub fn bounds_age(&self) -> bool {
        self.no_cache || self.max_age.is_some() || self.min_fresh.is_some()
    }
}

/// Calls `take` with the lower-case name and the unquoted argument of every directive.
fn each(headers: &HeaderMap, mut take: impl FnMut(&[u8], Option<&[u8]>)) {
    for line in headers.get_all(CACHE_CONTROL) {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            let end = end_of_element(rest);
            let element = rest[..end].trim_ascii();
            rest = rest.get(end + 1..).unwrap_or_default();
            if element.is_empty() {
                continue;
            }
            match element.iter().position(|c| *c == b'=') {
                None => take(&element.to_ascii_lowercase(), None),
                Some(at) => {
                    let (name, argument) = (&element[..at], &element[at + 1..]);
                    let exact = name.trim_ascii_end();
                    // `max-age =1` is no directive by the grammar: restrictions count, numbers do not.
                    let argument =
                        if exact.len() == name.len() { unquoted(argument) } else { Cow::Borrowed(&b""[..]) };
                    take(&exact.to_ascii_lowercase(), Some(&argument));
                }
            }
        }
    }
}

/// Offset of the comma that ends the first list element, or the length. Commas within a closed quoted string do not.
fn end_of_element(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b',' => return at,
            b'"' => at += quoted_len(&text[at..]).unwrap_or(1),
            _ => at += 1,
        }
    }
    text.len()
}

/// Length of the quoted string at the front, quotes included; `None` when it does not end.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

fn unquoted(argument: &[u8]) -> Cow<'_, [u8]> {
    if argument.first() != Some(&b'"') || quoted_len(argument) != Some(argument.len()) {
        return Cow::Borrowed(argument);
    }
    let inner = &argument[1..argument.len() - 1];
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&c) = bytes.next() {
        plain.push(if c == b'\\' { *bytes.next().unwrap_or(&c) } else { c });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn secs(n: u64) -> Seconds {
        Seconds::Valid(Duration::from_secs(n))
    }

    fn check_max_age(lines: &[&str], expected: Seconds) {
        assert_eq!(ResponseDirectives::read(&headers(lines)).max_age, expected, "{lines:?}");
    }

    #[test]
    fn max_age_values() {
        let table = [
            ("max-age=60", secs(60)),
            ("MAX-AGE=60", secs(60)),
            ("Max-Age=60", secs(60)),
            ("max-age=0", secs(0)),
            ("max-age=0060", secs(60)),
            ("max-age=\"60\"", secs(60)),
            ("max-age=\"\\6\\0\"", secs(60)),
            ("max-age=2147483647", secs(2_147_483_647)),
            ("max-age=2147483648", secs(1 << 31)),
            ("max-age=4294967296", secs(1 << 31)),
            ("max-age=99999999999999999999999999", secs(1 << 31)),
            ("a, b=c ,, max-age=60 ,d", secs(60)),
            ("ext=\"a, max-age=5\", max-age=60", secs(60)),
            ("ext=\"a\\\", max-age=5\", max-age=60", secs(60)),
            ("max-age=60, max-age=60", secs(60)),
            ("x-max-age=60", Seconds::Absent),
            ("max-age-x=60", Seconds::Absent),
            ("s-maxage=60", Seconds::Absent),
            ("", Seconds::Absent),
            ("max-age", Seconds::Malformed),
            ("max-age=", Seconds::Malformed),
            ("max-age=\"\"", Seconds::Malformed),
            ("max-age=-60", Seconds::Malformed),
            ("max-age=+60", Seconds::Malformed),
            ("max-age=60.5", Seconds::Malformed),
            ("max-age=6e3", Seconds::Malformed),
            ("max-age=60a", Seconds::Malformed),
            ("max-age='60'", Seconds::Malformed),
            ("max-age=\"60", Seconds::Malformed),
            ("max-age =60", Seconds::Malformed),
            ("max-age= 60", Seconds::Malformed),
            ("max-age=60 s", Seconds::Malformed),
            ("max-age=60, max-age=61", Seconds::Malformed),
            ("max-age=61, max-age=60", Seconds::Malformed),
            ("max-age=60;no-store", Seconds::Malformed),
        ];
        for (line, expected) in table {
            check_max_age(&[line], expected);
        }
        check_max_age(&["max-age=60", "max-age=60"], secs(60));
        check_max_age(&["max-age=60", "max-age=0"], Seconds::Malformed);
        check_max_age(&["public", "max-age=60"], secs(60));
    }

    #[test]
    fn restrictions() {
        for line in [
            "no-store",
            "NO-STORE",
            "No-Store",
            "max-age=9, no-store",
            "no-store=x",
            "no-store =x",
            " no-store ",
            "no-store,",
            ",no-store",
            "ext=\"open, no-store",
        ] {
            assert!(ResponseDirectives::read(&headers(&[line])).no_store, "{line}");
        }
        for line in ["ext=\"a, no-store\"", "no-store-x", "nostore", "x=no-store"] {
            assert!(!ResponseDirectives::read(&headers(&[line])).no_store, "{line}");
        }
        let all = "PRIVATE=\"x\", no-Cache=\"Set-Cookie, a\", public, must-revalidate, proxy-revalidate, must-understand";
        let found = ResponseDirectives::read(&headers(&[all]));
        assert!(found.private && found.no_cache && found.public && found.must_revalidate);
        assert!(found.proxy_revalidate && found.must_understand && found.forbids_stale());
        let found = ResponseDirectives::read(&headers(&["public=no, must-understand=x"]));
        assert!(!found.public && !found.must_understand);
        assert!(ResponseDirectives::read(&headers(&["s-maxage=1"])).forbids_stale());
        assert!(!ResponseDirectives::read(&headers(&["max-age=1"])).forbids_stale());
    }

    #[test]
    fn requests() {
        let read = |line| RequestDirectives::read(&headers(&[line]));
        let duration = |n| Some(Duration::from_secs(n));
        assert_eq!(read("max-age=5").max_age, duration(5));
        assert_eq!(read("max-age=x").max_age, duration(0));
        assert_eq!(read("min-fresh=5").min_fresh, duration(5));
        assert_eq!(read("min-fresh=x").min_fresh, None);
        assert_eq!(read("max-stale").max_stale, duration(MAX_SECONDS));
        assert_eq!(read("max-stale=5").max_stale, duration(5));
        assert_eq!(read("max-stale=x").max_stale, None);
        assert_eq!(read("stale-if-error=7").stale_if_error, duration(7));
        assert!(read("Only-If-Cached").only_if_cached && read("no-store").no_store);
        assert!(read("no-cache").demands_reload() && read("max-age=0").demands_reload());
        assert!(!read("max-age=1").demands_reload() && read("max-age=1").bounds_age());

        let mut pragma = HeaderMap::new();
        pragma.insert(PRAGMA, HeaderValue::from_static("x, No-Cache"));
        assert!(RequestDirectives::read(&pragma).no_cache);
        pragma.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=5"));
        assert!(!RequestDirectives::read(&pragma).no_cache);
    }

    proptest! {
        #[test]
        fn any_value_parses_and_restrictions_survive(noise in "[a-z=,\\\\ ]{0,20}") {
            let value = headers(&[&format!("{noise},no-store")]);
            prop_assert!(ResponseDirectives::read(&value).no_store);
        }

        #[test]
        fn numbers_saturate(n in any::<u64>()) {
            prop_assert_eq!(parse_seconds(n.to_string().as_bytes()), Some(n.min(MAX_SECONDS)));
        }
    }
}
