//! The name of a document: authority, path and query, byte for byte as the request parser left them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::config::{Scheme, ServerUrl};
use crate::layout::cvmfs::{self, Mutable};

/// Primary cache key. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct DocumentKey {
    // Authority and target in one piece: an authority has no slash and a target starts with one, so this is unambiguous.
    url: Arc<str>,
    authority_len: usize,
}

impl DocumentKey {
    /// `authority`: host and port as normalised by the request parser, without a slash. `target`: path and query,
    /// starting with a slash.
    pub fn new(authority: &str, target: &str) -> Self {
        debug_assert!(!authority.contains('/') && target.starts_with('/'));
        Self { url: [authority, target].concat().into(), authority_len: authority.len() }
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// What `server` has at `target`; without a server, what the first mirrors have there. Documents of plain and of TLS
    /// servers are different documents.
    pub fn at(server: Option<&ServerUrl>, target: &str) -> Self {
        let authority = match server {
            None => String::new(),
            Some(server) if server.scheme == Scheme::Http => server.authority(),
            Some(server) => format!("{}:{}", server.scheme.as_str(), server.authority()),
        };
        Self::new(&authority, target)
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.url[..self.authority_len]
    }

    /// Host without scheme, port and brackets; empty when the request named no server.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        let authority = authority.strip_prefix("https:").unwrap_or(authority);
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split(':').next().unwrap_or_default(),
        }
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.url[self.authority_len..]
    }

    /// What the path says about the document.
    pub fn kind(&self) -> Kind<'_> {
        match cvmfs::mutable(self.target()) {
            Some(Mutable::Manifest { repository }) => Kind::Manifest { repository },
            Some(Mutable::Meta { .. }) if self.target().ends_with("/.cvmfswhitelist") => Kind::Whitelist,
            Some(_) => Kind::Cvmfs,
            None => Kind::Other,
        }
    }

    /// Bytes held.
    pub(super) fn weight(&self) -> usize {
        self.url.len()
    }
}

impl Hash for DocumentKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.url.hash(state);
    }
}

impl fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Classes of documents that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `.cvmfspublished`: never goes back in time, outlives its upstreams for a while.
    Manifest {
        /// The repository, as the path names it.
        repository: &'a str,
    },
    /// `.cvmfswhitelist`: like the others below `/cvmfs/`, but one that is damaged is told from one that is not.
    Whitelist,
    /// Another mutable file below `/cvmfs/`: outlives its upstreams for a while.
    Cvmfs,
    /// Anything else: plain RFC 9111 and RFC 5861.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_identity() {
        let key = DocumentKey::new("a:80", "/cvmfs/r.example/.cvmfspublished");
        assert_eq!((key.authority(), key.target()), ("a:80", "/cvmfs/r.example/.cvmfspublished"));
        assert_eq!(key.kind(), Kind::Manifest { repository: "r.example" });
        assert_eq!(DocumentKey::new("a", "/cvmfs/r.example/.cvmfswhitelist").kind(), Kind::Whitelist);
        assert_eq!(DocumentKey::new("a", "/cvmfs/r.example/.cvmfsreflog").kind(), Kind::Cvmfs);
        assert_eq!(DocumentKey::new("a", "/cvmfs/r.example/api/v1.0/geo/x/a,b").kind(), Kind::Cvmfs);
        assert_eq!(DocumentKey::new("a", "/crl.pem").kind(), Kind::Other);
        for other in [("a:80", "/x?b"), ("a:80", "/x?"), ("a:81", "/x"), ("a:80", "/X")] {
            assert_ne!(DocumentKey::new("a:80", "/x"), DocumentKey::new(other.0, other.1));
        }
    }
}
