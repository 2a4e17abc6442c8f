//! What the file of a document is called: by its URL and by what it varies on, so that a new answer replaces the old one.
//!
//! Names are checksums. Should two documents ever share one, the later replaces the other's file: a miss after the next
//! start, never a wrong answer, since the record says itself which document it is.

use std::fmt;

use super::codec;
use crate::digest::{Algorithm, ObjectName};
use crate::document::key::DocumentKey;
use crate::document::vary::Selection;

/// Name of a file. Ordered by URL first: the variants of one URL are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    url: u64,
    variant: u64,
}

impl Name {
    /// The name of one variant of a URL.
    pub fn of(url: u64, selection: &Selection) -> Self {
        Self { url, variant: hash(&codec::selection(selection)) }
    }

    /// What the names of all variants of a URL begin with.
    pub fn url_of(key: &DocumentKey) -> u64 {
        hash(key.as_str().as_bytes())
    }

    /// The part of the URL.
    pub fn url(self) -> u64 {
        self.url
    }

    /// All names with this URL.
    pub fn all_of(url: u64) -> std::ops::RangeInclusive<Self> {
        Self { url, variant: 0 }..=Self { url, variant: u64::MAX }
    }

    /// Reads a file's name; `None` if it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (url, variant) = text.split_once('-')?;
        let name =
            Self { url: u64::from_str_radix(url, 16).ok()?, variant: u64::from_str_radix(variant, 16).ok()? };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.url, self.variant)
    }
}

fn hash(bytes: &[u8]) -> u64 {
    ObjectName::of(Algorithm::Sha1, bytes).hash64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        let name = Name { url: 7, variant: u64::MAX };
        assert_eq!(name.to_string(), "0000000000000007-ffffffffffffffff");
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        for other in
            ["", "new", "7-ff", "0000000000000007-FFFFFFFFFFFFFFFF", "+000000000000007-ffffffffffffffff"]
        {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
