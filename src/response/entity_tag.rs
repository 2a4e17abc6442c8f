//! Entity tags (RFC 9110 §8.8.3): the strong and the weak comparison, and the lists of `If-None-Match`.

use http::header::{AsHeaderName, HeaderMap};

/// An entity tag, borrowed from a field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    strength: Strength,
    // Between the quotes.
    opaque: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    Strong,
    Weak,
}

impl<'a> EntityTag<'a> {
    /// Parses a whole field value; `None` unless it is exactly one well-formed tag.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::take(value.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// The tag of a message; `None` when the field is absent, malformed, or given twice.
    pub fn read(headers: &'a HeaderMap, name: impl AsHeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(first.as_bytes())
    }

    /// Equal opaque parts, both strong (RFC 9110 §8.8.3.2): byte-for-byte the same representation.
    pub fn matches_strongly(self, other: EntityTag<'_>) -> bool {
        self.is_strong() && other.is_strong() && self.opaque == other.opaque
    }

    /// Equal opaque parts, whatever the strength: good enough for a cache.
    pub fn matches_weakly(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// Whether the tag promises byte equality.
    pub fn is_strong(self) -> bool {
        self.strength == Strength::Strong
    }

    /// One tag from the front of `text`, and what follows it.
    fn take(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (strength, rest) = match text.strip_prefix(b"W/") {
            Some(rest) => (Strength::Weak, rest),
            None => (Strength::Strong, text),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let end = rest.iter().position(|c| *c == b'"')?;
        let (opaque, rest) = (&rest[..end], &rest[end + 1..]);
        // etagc: no controls, no spaces, no quote.
        let clean = opaque.iter().all(|c| *c > b' ' && *c != 0x7f);
        clean.then_some((Self { strength, opaque }, rest))
    }
}

/// The value of `If-None-Match` or `If-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagList<'a> {
    /// `*`: any representation at all.
    Any,
    /// The tags, in order, of all lines together. Unreadable members are left out.
    Tags(Vec<EntityTag<'a>>),
}

impl<'a> TagList<'a> {
    /// Reads all lines of `name`; `None` when the field is absent.
    pub fn read(headers: &'a HeaderMap, name: impl AsHeaderName) -> Option<Self> {
        let mut present = false;
        let mut tags = Vec::new();
        for line in headers.get_all(name) {
            present = true;
            let mut rest = line.as_bytes().trim_ascii();
            if rest == b"*" {
                return Some(Self::Any);
            }
            while !rest.is_empty() {
                if let Some((tag, after)) = EntityTag::take(rest) {
                    tags.push(tag);
                    rest = after;
                }
                // To the next member: past the separator, or past what could not be read.
                let skip = rest.iter().position(|c| *c == b',').map_or(rest.len(), |comma| comma + 1);
                rest = rest[skip..].trim_ascii_start();
            }
        }
        present.then_some(Self::Tags(tags))
    }

    /// Whether the list names `tag` by the weak comparison (RFC 9110 §13.1.2).
    pub fn names(&self, tag: Option<EntityTag<'_>>) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tag.is_some_and(|tag| tags.iter().any(|one| one.matches_weakly(tag))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderValue, IF_NONE_MATCH};

    use super::*;

    #[test]
    fn single_tags() {
        for good in ["\"a\"", "W/\"a\"", "\"\"", " \"a,b\" ", "\"\u{e9}\""] {
            assert!(EntityTag::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "a", "\"a", "a\"", "w/\"a\"", "\"a\"\"b\"", "\"a\", \"b\"", "\"a b\"", "*", "W/a"] {
            assert_eq!(EntityTag::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    /// The four rows of RFC 9110 §8.8.3.2.
    #[test]
    fn comparison() {
        let table = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (a, b, strongly, weakly) in table {
            let a = EntityTag::parse(a.as_bytes()).unwrap();
            let b = EntityTag::parse(b.as_bytes()).unwrap();
            assert_eq!((a.matches_strongly(b), a.matches_weakly(b)), (strongly, weakly), "{a:?} {b:?}");
        }
    }

    #[test]
    fn lists() {
        let table: [(&[&'static str], bool); 11] = [
            (&["\"a\""], true),
            (&["W/\"a\""], true),
            (&["\"b\", \"a\""], true),
            (&["\"b\",\"a\""], true),
            (&["\"b\"", "\"a\""], true),
            (&["\"x,y\", , \"a\""], true),
            (&["junk, \"a\""], true),
            (&["*"], true),
            (&["\"b\""], false),
            (&["a"], false),
            (&[""], false),
        ];
        let tag = EntityTag::parse(b"\"a\"");
        for (lines, expected) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(IF_NONE_MATCH, HeaderValue::from_static(line));
            }
            assert_eq!(TagList::read(&headers, IF_NONE_MATCH).unwrap().names(tag), expected, "{lines:?}");
        }
        assert_eq!(TagList::read(&HeaderMap::new(), IF_NONE_MATCH), None);
    }
}
