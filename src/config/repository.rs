//! A repository as operators name it: by its name alone, or with a server that has it.

use std::fmt;
use std::str::FromStr;

use super::units::{ServerUrl, ServerUrlError};

/// `atlas.cern.ch`, or `http://stratum.example.org:8000/cvmfs/atlas.cern.ch`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryUrl {
    /// Who has it; nothing: whoever the tier asks for it.
    pub server: Option<ServerUrl>,
    /// Its name: letters, digits, dots, dashes and underscores.
    pub name: Box<str>,
}

/// Why a text names no repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryUrlError {
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerUrlError),
    /// The path.
    #[error("expected /cvmfs/ and the name of a repository behind the server")]
    Path,
    /// The name.
    #[error(
        "expected the full name of a repository, such as atlas.cern.ch, or http://server/cvmfs/ and the name"
    )]
    Name,
    /// Something behind the name.
    #[error("expected nothing behind the repository's name; paths in it are arguments of their own")]
    Beyond,
}

impl FromStr for RepositoryUrl {
    type Err = RepositoryUrlError;

    fn from_str(text: &str) -> Result<Self, RepositoryUrlError> {
        let (server, name) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').ok_or(RepositoryUrlError::Path)?;
                let name = path.strip_prefix("cvmfs/").ok_or(RepositoryUrlError::Path)?;
                (Some(format!("{scheme}://{authority}").parse()?), name.trim_end_matches('/'))
            }
        };
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
        let fits = (1..=253).contains(&name.len()) && name.contains('.') && !name.starts_with('.');
        if fits && name.bytes().all(plain) {
            Ok(Self { server, name: name.into() })
        } else if name.find('/').is_some_and(|at| at > 0) {
            Err(RepositoryUrlError::Beyond)
        } else {
            Err(RepositoryUrlError::Name)
        }
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Some(server) => write!(f, "{server}/cvmfs/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls() {
        for text in ["atlas.cern.ch", "http://a:8000/cvmfs/atlas.cern.ch", "http://[::1]/cvmfs/x.y"] {
            assert_eq!(text.parse::<RepositoryUrl>().unwrap().to_string(), text);
        }
        assert_eq!("http://A/cvmfs/x.y/".parse::<RepositoryUrl>().unwrap().to_string(), "http://a/cvmfs/x.y");
        for text in [
            "",
            "atlas",
            "../x.y",
            ".x.y",
            "http://a",
            "http://a/x.y",
            "http:///cvmfs/x.y",
            "http://a/cvmfs/",
            "ftp://a/cvmfs/x.y",
            "x.y/z",
            "x y.z",
            "http://a/cvmfs/x.y/z",
        ] {
            assert!(text.parse::<RepositoryUrl>().is_err(), "{text}");
        }
        for text in ["x.y/z", "http://a/cvmfs/x.y/z"] {
            assert_eq!(text.parse::<RepositoryUrl>(), Err(RepositoryUrlError::Beyond));
        }
        assert_eq!("/cvmfs/x.y".parse::<RepositoryUrl>(), Err(RepositoryUrlError::Name));
    }
}
