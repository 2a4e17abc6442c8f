//! What a `[[documents]]` entry speaks of: a kind of URL by name, or hosts and paths by pattern.

use std::fmt;
use std::str::FromStr;

use super::units::{Glob, glob_matches};

/// Documents that an entry speaks of. Which URLs are of a named kind is for `document` to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentPattern {
    /// `"manifests"`: `.cvmfspublished`.
    Manifests,
    /// `"whitelists"`: `.cvmfswhitelist` and `.cvmfswhitelist.pkcs7`.
    Whitelists,
    /// `"cvmfs"`: whatever lies below `/cvmfs/` and is no object.
    Cvmfs,
    /// `"frontier"`: queries for conditions data.
    Frontier,
    /// `"HOST/PATH"`.
    Place(PlacePattern),
}

/// Patterns for a host and for what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacePattern {
    host: Glob,
    /// Begins with a slash; letter case matters.
    path: Box<str>,
}

impl PlacePattern {
    /// `host` has no port and no brackets, and is empty for requests that name no server; `path` is path and query.
    pub fn matches(&self, host: &str, path: &str) -> bool {
        self.host.matches(host) && glob_matches(&self.path, path, |pattern, c| pattern == c)
    }
}

/// Why a text is no [`DocumentPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentPatternError {
    /// Neither a known kind nor a host with a path.
    #[error("is no known kind of document and has no path")]
    NoPath,
    /// `http://...`
    #[error("has a scheme")]
    Scheme,
    /// `host:8000/...`
    #[error("has a port; servers on all ports of a host are meant")]
    Port,
    /// No host before the path.
    #[error("has no host (write * for all)")]
    NoHost,
    /// Characters that stand in no URL.
    #[error("has characters that no URL has")]
    Characters,
}

impl FromStr for DocumentPattern {
    type Err = DocumentPatternError;

    fn from_str(text: &str) -> Result<Self, DocumentPatternError> {
        match text {
            "manifests" => return Ok(Self::Manifests),
            "whitelists" => return Ok(Self::Whitelists),
            "cvmfs" => return Ok(Self::Cvmfs),
            "frontier" => return Ok(Self::Frontier),
            _ => {}
        }
        if text.contains("://") {
            return Err(DocumentPatternError::Scheme);
        }
        let slash = text.find('/').ok_or(DocumentPatternError::NoPath)?;
        let (host, path) = text.split_at(slash);
        if host.is_empty() {
            return Err(DocumentPatternError::NoHost);
        }
        // An IPv6 address has at least two colons.
        if host.matches(':').count() == 1 {
            return Err(DocumentPatternError::Port);
        }
        let is_host = |c: u8| c.is_ascii_alphanumeric() || b"-._:*".contains(&c);
        if !host.bytes().all(is_host) || !path.bytes().all(|c| matches!(c, 0x21..=0x7e)) {
            return Err(DocumentPatternError::Characters);
        }
        Ok(Self::Place(PlacePattern { host: Glob::new(host), path: path.into() }))
    }
}

impl fmt::Display for DocumentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifests => f.write_str("manifests"),
            Self::Whitelists => f.write_str("whitelists"),
            Self::Cvmfs => f.write_str("cvmfs"),
            Self::Frontier => f.write_str("frontier"),
            Self::Place(PlacePattern { host, path }) => write!(f, "{}{path}", host.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for good in
            ["manifests", "whitelists", "cvmfs", "frontier", "*/*", "*.cern.ch/crl/*.crl", "::1/x?a=b"]
        {
            assert_eq!(good.parse::<DocumentPattern>().map(|one| one.to_string()), Ok(good.to_owned()));
        }
        let table = [
            ("", DocumentPatternError::NoPath),
            ("manifest", DocumentPatternError::NoPath),
            ("/crl/*", DocumentPatternError::NoHost),
            ("http://a/", DocumentPatternError::Scheme),
            ("a:80/", DocumentPatternError::Port),
            ("a b/", DocumentPatternError::Characters),
            ("a/ö", DocumentPatternError::Characters),
        ];
        for (bad, expected) in table {
            assert_eq!(bad.parse::<DocumentPattern>(), Err(expected), "{bad}");
        }
    }

    #[test]
    fn places() {
        let check = |pattern: &str, host: &str, path: &str, expected: bool| match pattern.parse() {
            Ok(DocumentPattern::Place(place)) => {
                assert_eq!(place.matches(host, path), expected, "{pattern}: {host} {path}");
            }
            other => panic!("{pattern} is {other:?}"),
        };
        check("*.cern.ch/crl/*", "ca.cern.ch", "/crl/a.crl", true);
        check("*.CERN.ch/crl/*", "CA.cern.CH", "/crl/a.crl", true);
        check("*.cern.ch/crl/*", "ca.cern.ch", "/CRL/a.crl", false);
        check("*.cern.ch/crl/*", "ca.cern.org", "/crl/a.crl", false);
        check("*.cern.ch/crl/*", "ca.cern.ch", "/x/crl/a.crl", false);
        check("a/x", "a", "/x?q", false);
        check("a/x*", "a", "/x?q", true);
        check("*/*", "", "/x", true);
        check("a/*", "", "/x", false);
    }
}
