//! The CernVM-FS layout: `/cvmfs/<fqrn>/data/XX/REST[-rmd160|-shake128][SUFFIX]` and the classes of its other files.
//!
//! Sources: cvmfs `crypto/hash.h` (`Digest::MakePath`, suffixes), `manifest.h` (`.cvmfsalt-`), server Apache configuration.

use super::{Layout, NamedObject};
use crate::digest::{Algorithm, ObjectName};

/// What a CVMFS path is, beside objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutable<'a> {
    /// `.cvmfspublished`, the signed manifest.
    Manifest {
        /// The repository.
        repository: &'a str,
    },
    /// `.cvmfswhitelist`, `.cvmfsreflog`, `.cvmfs_status.json`, ... : any other `.cvmfs*` file of a repository.
    Meta {
        /// The repository.
        repository: &'a str,
    },
    /// `/cvmfs/<fqrn>/api/...`: the geo service.
    Api {
        /// The repository.
        repository: &'a str,
    },
    /// `/cvmfs/<fqrn>/data/...` that does not name an object by a known checksum.
    Data {
        /// The repository.
        repository: &'a str,
    },
    /// `/cvmfs/info/v1/*.json`.
    Info,
}

impl<'a> Mutable<'a> {
    /// The repository the path belongs to.
    pub fn repository(&self) -> Option<&'a str> {
        match *self {
            Self::Manifest { repository }
            | Self::Meta { repository }
            | Self::Api { repository }
            | Self::Data { repository } => Some(repository),
            Self::Info => None,
        }
    }
}

/// The object that `path` names: lower-case digits only, a known algorithm tag, a one-letter type suffix or none.
pub fn object(path: &str) -> Option<NamedObject<'_>> {
    let (repository, rest) = split(path)?;
    let (name, suffix_at) = if let Some(rest) = rest.strip_prefix("data/") {
        let bytes = rest.as_bytes();
        if bytes.len() < 3 || bytes[2] != b'/' {
            return None;
        }
        parse_name(&bytes[..2], &bytes[3..])?
    } else {
        let bytes = rest.strip_prefix(".cvmfsalt-")?.as_bytes();
        parse_name(&[], bytes)?
    };
    match suffix_at {
        [] => {}
        [c] if c.is_ascii_uppercase() => {}
        _ => return None,
    }
    Some(NamedObject { name, layout: Layout::Cvmfs, repository })
}

/// What else a path below `/cvmfs/` may be; `None` when it is not a CVMFS URL at all.
pub fn mutable(path: &str) -> Option<Mutable<'_>> {
    if let Some(rest) = path.strip_prefix("/cvmfs/info/v1/") {
        return (rest.ends_with(".json") && !rest.contains('/') && clean(rest)).then_some(Mutable::Info);
    }
    let (repository, rest) = split(path)?;
    match rest {
        ".cvmfspublished" => Some(Mutable::Manifest { repository }),
        _ if rest.starts_with(".cvmfs") && !rest.contains('/') && clean(rest) => {
            Some(Mutable::Meta { repository })
        }
        _ if rest.strip_prefix("api/").is_some_and(clean) => Some(Mutable::Api { repository }),
        _ if rest.strip_prefix("data/").is_some_and(clean) => Some(Mutable::Data { repository }),
        _ => None,
    }
}

/// `/cvmfs/<fqrn>/rest` -> (`fqrn`, `rest`), for a well-formed repository name.
fn split(path: &str) -> Option<(&str, &str)> {
    let (repository, rest) = path.strip_prefix("/cvmfs/")?.split_once('/')?;
    let well_formed = !repository.is_empty()
        && repository.len() <= 255
        && !repository.starts_with('.')
        && repository.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'));
    well_formed.then_some((repository, rest))
}

/// No empty and no dot segments, also not in their escaped form: the path must mean the same to every server.
fn clean(rest: &str) -> bool {
    rest.split('/').all(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        let name = plain.split(';').next().unwrap_or_default();
        !matches!(name, "" | "." | "..") && !contains_escaped_slash(segment)
    })
}

/// A slash or backslash in any disguise, an escaped escape, or a control character.
fn contains_escaped_slash(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    segment.contains('\\') || ["%2f", "%5c", "%25", "%0", "%1", "%7f"].iter().any(|bad| lower.contains(bad))
}

fn parse_name<'a>(head: &[u8], rest: &'a [u8]) -> Option<(ObjectName, &'a [u8])> {
    let digits = 40 - head.len();
    if rest.len() < digits {
        return None;
    }
    let (tail, rest) = rest.split_at(digits);
    let (algorithm, rest) = if let Some(rest) = rest.strip_prefix(b"-rmd160") {
        (Algorithm::Rmd160, rest)
    } else if let Some(rest) = rest.strip_prefix(b"-shake128") {
        (Algorithm::Shake128, rest)
    } else {
        (Algorithm::Sha1, rest)
    };
    Some((ObjectName::from_hex(algorithm, head, tail)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "49bf00112233445566778899aabbccddeeff0a1b";

    fn path(form: &str) -> String {
        form.replace("XX", &HEX[..2]).replace("REST", &HEX[2..]).replace("ALL", HEX)
    }

    #[test]
    fn objects() {
        let good = [
            ("/cvmfs/a.b/data/XX/REST", Algorithm::Sha1),
            ("/cvmfs/a.b/data/XX/RESTC", Algorithm::Sha1),
            ("/cvmfs/a.b/data/XX/RESTX", Algorithm::Sha1),
            ("/cvmfs/a.b/data/XX/REST-rmd160", Algorithm::Rmd160),
            ("/cvmfs/a.b/data/XX/REST-rmd160P", Algorithm::Rmd160),
            ("/cvmfs/a.b/data/XX/REST-shake128H", Algorithm::Shake128),
            ("/cvmfs/a.b/.cvmfsalt-ALLC", Algorithm::Sha1),
        ];
        for (form, algorithm) in good {
            let path = path(form);
            let object = object(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(object.repository, "a.b");
            assert_eq!(object.name.algorithm(), algorithm);
            assert_eq!(object.name.to_string(), format!("{HEX}{}", algorithm.tag()));
        }
    }

    #[test]
    fn not_objects() {
        let bad = [
            "/cvmfs/a.b/data/XX/RES",
            "/cvmfs/a.b/data/XX/REST0",
            "/cvmfs/a.b/data/XX/RESTc",
            "/cvmfs/a.b/data/XX/RESTCC",
            "/cvmfs/a.b/data/XX/REST-sha256",
            "/cvmfs/a.b/data/XXREST",
            "/cvmfs/a.b/data//XX/REST",
            "/cvmfs/a.b//data/XX/REST",
            "/cvmfs/a.b/data/XX/REST/",
            "/cvmfs/a b/data/XX/REST",
            "/cvmfs/../data/XX/REST",
            "/cvmfs//data/XX/REST",
            "/CVMFS/a.b/data/XX/REST",
            "/cvmfs/a.b/.cvmfsalt-RESTC",
        ];
        for form in bad {
            assert_eq!(object(&path(form)), None, "{form}");
        }
        assert_eq!(object(&path("/cvmfs/a.b/data/XX/REST").to_uppercase()), None);
        assert_eq!(object(&path("/cvmfs/a.b/data/XX/REST").replace("bf", "BF")), None);
    }

    #[test]
    fn other_files() {
        let table = [
            ("/cvmfs/a.b/.cvmfspublished", Some(Mutable::Manifest { repository: "a.b" })),
            ("/cvmfs/a.b/.cvmfswhitelist", Some(Mutable::Meta { repository: "a.b" })),
            ("/cvmfs/a.b/.cvmfs_status.json", Some(Mutable::Meta { repository: "a.b" })),
            ("/cvmfs/a.b/api/v1.0/geo/site/x,y", Some(Mutable::Api { repository: "a.b" })),
            ("/cvmfs/a.b/data/zz", Some(Mutable::Data { repository: "a.b" })),
            ("/cvmfs/info/v1/repositories.json", Some(Mutable::Info)),
            ("/cvmfs/info/v1/a/b.json", None),
            ("/cvmfs/info/v1/x.html", None),
            ("/cvmfs/a.b/", None),
            ("/cvmfs/a.b/.cvmfs/x", None),
            ("/cvmfs/a.b/.cvmfs%2f..%2fx", None),
            ("/cvmfs/info/v1/..%2Fx.json", None),
            ("/cvmfs/a.b/api/../../x", None),
            ("/cvmfs/a.b/api/%2e%2E/x", None),
            ("/cvmfs/a.b/api/a%2fb", None),
            ("/cvmfs/a.b/api/..\\..\\x", None),
            ("/cvmfs/a.b/api/..;/x", None),
            ("/cvmfs/a.b/api/%252e%252e", None),
            ("/cvmfs/a.b/api/a%00", None),
            ("/cvmfs/a.b/api/a%0d%0ab", None),
            ("/cvmfs/a.b/data/../.htaccess", None),
            ("/cvmfs/a.b/data//x", None),
            ("/cvmfs/a.b/index.html", None),
            ("/cvmfs/a.b", None),
            ("/", None),
        ];
        for (path, expected) in table {
            assert_eq!(mutable(path), expected, "{path}");
        }
    }
}
