//! Dates in field values (RFC 9110 §5.6.7), singletons that are present, absent, or present and useless.

use std::time::SystemTime;

use http::header::{AsHeaderName, HeaderMap};

/// A field that carries one date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateField {
    /// No such field.
    Absent,
    /// There is one, but it names no date (`Expires: 0`), a date before 1970, or two different values.
    Malformed,
    /// The date, to the second.
    At(SystemTime),
}

impl DateField {
    /// Reads `name`; all three date forms of RFC 9110 are understood.
    pub fn read(headers: &HeaderMap, name: impl AsHeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else { return Self::Absent };
        if values.any(|other| other != first) {
            return Self::Malformed;
        }
        match first.to_str().ok().and_then(|text| httpdate::parse_http_date(text.trim()).ok()) {
            Some(at) => Self::At(at),
            None => Self::Malformed,
        }
    }

    /// The date, if there is a valid one.
    pub fn at(self) -> Option<SystemTime> {
        match self {
            Self::At(at) => Some(at),
            Self::Absent | Self::Malformed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::header::{EXPIRES, HeaderValue};

    use super::*;

    fn check(lines: &[&'static str], expected: DateField) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(EXPIRES, HeaderValue::from_static(line));
        }
        assert_eq!(DateField::read(&headers, EXPIRES), expected, "{lines:?}");
    }

    #[test]
    fn forms() {
        let at = DateField::At(UNIX_EPOCH + Duration::from_secs(784_111_777));
        check(&[], DateField::Absent);
        check(&["Sun, 06 Nov 1994 08:49:37 GMT"], at);
        check(&["Sunday, 06-Nov-94 08:49:37 GMT"], at);
        check(&["Sun Nov  6 08:49:37 1994"], at);
        check(&["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"], at);
        check(&["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"], DateField::Malformed);
        for text in ["0", "-1", "", "1994", "Sun, 06 Nov 1894 08:49:37 GMT", "Sun, 31 Feb 1994 08:49 GMT"] {
            check(&[text], DateField::Malformed);
        }
    }
}
