//! What operators want gone: an object or a document, from wherever it is stored.
//!
//! Downloads in progress go on: what they bring is stored anew. That a newer manifest was seen is not forgotten, or purging one would
//! let an older one in (invariant I9).

use crate::admin::{PurgeError, Purged};
use crate::cache::{Cache, FillError};
use crate::config::ServerUrl;
use crate::digest::ObjectName;
use crate::document::{DocumentKey, Documents};
use crate::layout;

/// Something that may be stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Object(ObjectName),
    Document { server: Option<ServerUrl>, target: String },
}

impl Wanted {
    /// From a URL, a path as it stands in one, or the name of an object: its checksum as the last two parts of its path have it,
    /// with or without the slash.
    pub(super) fn parse(text: &str) -> Result<Self, PurgeError> {
        let (server, target) = match (text.split_once("://"), text.starts_with('/')) {
            (_, true) => (None, text.to_owned()),
            (Some((scheme, rest)), false) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let server = format!("{scheme}://{authority}").parse().map_err(|_| PurgeError::Name)?;
                (Some(server), if path.is_empty() { "/".to_owned() } else { path.to_owned() })
            }
            (None, false) => {
                let digits = text.replacen('/', "", 1);
                let (head, tail) = digits.split_at_checked(2).ok_or(PurgeError::Name)?;
                let path = format!("/cvmfs/any.example.org/data/{head}/{tail}");
                let object = layout::object(&path).ok_or(PurgeError::Name)?;
                return Ok(Self::Object(object.name));
            }
        };
        if target.contains('#') {
            return Err(PurgeError::Name);
        }
        Ok(match layout::object(&target) {
            Some(object) => Self::Object(object.name),
            None => Self::Document { server, target },
        })
    }

    /// Drops it. Blocking: what is on its way to the disk is waited for.
    pub(super) fn drop_from(&self, cache: &Cache, documents: &Documents<FillError>) -> Purged {
        match self {
            Self::Object(name) => Purged { kind: "object", places: cache.purge(name) },
            Self::Document { server, target } => {
                // What the server's own clients ask for by path alone is the same document.
                let keys = [DocumentKey::at(server.as_ref(), target), DocumentKey::at(None, target)];
                let forgotten = keys.iter().filter(|key| documents.forget(key)).count();
                let places = if forgotten > 0 { vec!["the documents stored"] } else { Vec::new() };
                Purged { kind: "document", places }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant() {
        const HEX: &str = "49bf00112233445566778899aabbccddeeff0a1b";
        let object = |text: &str| match Wanted::parse(text) {
            Ok(Wanted::Object(name)) => Some(name.to_string()),
            _ => None,
        };
        let path = format!("/cvmfs/a.b/data/49/{}", &HEX[2..]);
        let url = format!("http://s.example.org:8000{path}C");
        for text in [HEX, &format!("49/{}", &HEX[2..]), &format!("{HEX}C"), &path, &url] {
            assert_eq!(object(text).as_deref(), object(HEX).as_deref(), "{text}");
            assert!(object(text).is_some(), "{text}");
        }
        assert_ne!(object(&format!("{HEX}-rmd160")), object(HEX));
        let document = |server: Option<&str>, target: &str| Wanted::Document {
            server: server.map(|server| server.parse().unwrap()),
            target: target.to_owned(),
        };
        let manifest = "/cvmfs/a.b/.cvmfspublished";
        let table = [
            (manifest.to_owned(), Ok(document(None, manifest))),
            (format!("http://S:80{manifest}"), Ok(document(Some("http://s"), manifest))),
            ("http://s".to_owned(), Ok(document(Some("http://s"), "/"))),
            ("/x?y=http://z".to_owned(), Ok(document(None, "/x?y=http://z"))),
            ("ftp://s/x".to_owned(), Err(PurgeError::Name)),
            ("http://s/x#y".to_owned(), Err(PurgeError::Name)),
            ("http://user@s/x".to_owned(), Err(PurgeError::Name)),
            ("x".to_owned(), Err(PurgeError::Name)),
            ("\u{e9}".to_owned(), Err(PurgeError::Name)),
            (HEX[1..].to_owned(), Err(PurgeError::Name)),
            (String::new(), Err(PurgeError::Name)),
        ];
        for (text, expected) in table {
            assert_eq!(Wanted::parse(&text), expected, "{text}");
        }
    }
}
