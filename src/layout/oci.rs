//! The layout of registries of container images: `/v2/<image>/{blobs,manifests}/sha256:<digest>` and their documents.
//!
//! What has a SHA-256 for its name is checked like any object, but under a name of its own kind
//! ([`Algorithm::GuardedSha256`]): a registry decides who may have it. Tags, lists and digests of other kinds are documents.
//! Source: OCI Distribution Specification 1.1 ("Pull", "Content Discovery"; grammar of names, references, digests).

use crate::digest::{Algorithm, ObjectName};

/// What all paths of the API begin with.
pub const API: &str = "/v2/";

/// Longest name of an image and longest tag.
const MAX_IMAGE: usize = 255;
const MAX_TAG: usize = 128;

/// What a path of a registry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A blob or a manifest, by its digest.
    Content(Content<'a>),
    /// A tag, a list, or the question whether this is a registry: of an image, or of none (empty).
    Document(&'a str),
}

/// A blob or a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// The checksum.
    pub name: ObjectName,
    /// The image by which it is asked for, such as `library/debian`.
    pub image: &'a str,
}

/// What `path` stands for, if it is one that is read in a registry.
pub fn resource(path: &str) -> Option<Resource<'_>> {
    let rest = path.strip_prefix(API)?;
    if matches!(rest, "" | "_catalog") {
        return Some(Resource::Document(""));
    }
    let (before, last) = rest.rsplit_once('/')?;
    let (image, kind) = before.rsplit_once('/')?;
    if !is_image(image) {
        return None;
    }
    match (kind, last) {
        ("blobs" | "manifests", digest) if is_digest(digest) => {
            let name = digest.strip_prefix("sha256:").map(|hex| hex.as_bytes());
            let name = name.and_then(|hex| ObjectName::from_hex(Algorithm::GuardedSha256, hex, &[]));
            Some(name.map_or(Resource::Document(image), |name| Resource::Content(Content { name, image })))
        }
        ("manifests", tag) if is_tag(tag) => Some(Resource::Document(image)),
        ("referrers", digest) if is_digest(digest) => Some(Resource::Document(image)),
        ("tags", "list") => Some(Resource::Document(image)),
        _ => None,
    }
}

/// Takes from a query the registry that containerd names when it asks a mirror (`ns=docker.io`): the registry, and the rest.
pub fn namespace(query: &str) -> Option<(String, String)> {
    let named = query.split('&').find_map(|pair| pair.strip_prefix("ns="))?;
    let rest: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("ns=")).collect();
    // The only character of a host and a port that a query escapes.
    Some((named.replace("%3A", ":").replace("%3a", ":"), rest.join("&")))
}

/// Lower-case letters and digits, joined by single separators; several of these behind slashes.
fn is_image(image: &str) -> bool {
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let edge = |at: Option<&u8>| at.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(c))
            && !part.contains("..")
    };
    image.len() <= MAX_IMAGE && image.split('/').all(part)
}

fn is_tag(tag: &str) -> bool {
    let first = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
    tag.len() <= MAX_TAG
        && tag.as_bytes().first().is_some_and(first)
        && tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
}

/// `algorithm:encoded`, whatever the algorithm.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, encoded)) = digest.split_once(':') else { return false };
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    !algorithm.is_empty()
        && algorithm.bytes().all(|c| plain(c) || b"+._-".contains(&c))
        && (32..=256).contains(&encoded.len())
        && encoded.bytes().all(|c| c.is_ascii_alphanumeric() || b"=_-".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn contents() {
        for (form, image) in [
            ("/v2/debian/blobs/sha256:HEX", "debian"),
            ("/v2/library/debian/manifests/sha256:HEX", "library/debian"),
            ("/v2/a/b__c/d-e.f/blobs/sha256:HEX", "a/b__c/d-e.f"),
            ("/v2/blobs/blobs/sha256:HEX", "blobs"),
        ] {
            let path = form.replace("HEX", HEX);
            let Some(Resource::Content(content)) = resource(&path) else { panic!("{path}") };
            assert_eq!(content.image, image);
            assert_eq!(content.name.to_string(), format!("{HEX}-sha256-guarded"));
            // Another spelling is not another name for the same.
            assert_eq!(resource(&form.replace("HEX", &HEX.to_uppercase())), Some(Resource::Document(image)));
        }
    }

    #[test]
    fn documents_and_others() {
        let table = [
            ("/v2/", true),
            ("/v2/_catalog", true),
            ("/v2/library/debian/manifests/bookworm-20240101", true),
            ("/v2/library/debian/tags/list", true),
            ("/v2/debian/blobs/sha512:HEXHEX", true),
            ("/v2/debian/referrers/sha256:HEX", true),
            ("/v2", false),
            ("/v1/debian/tags/list", false),
            ("/v2/debian", false),
            ("/v2/Debian/manifests/x", false),
            ("/v2/debian/manifests/", false),
            ("/v2/debian/manifests/.x", false),
            ("/v2/debian/manifests/a%2fb", false),
            ("/v2/debian/blobs/uploads", false),
            ("/v2/debian/blobs/uploads/", false),
            ("/v2/../blobs/sha256:HEX", false),
            ("/v2/a/../b/blobs/sha256:HEX", false),
            ("/v2//blobs/sha256:HEX", false),
            ("/v2/a/blobs/sha256:HEX/", false),
            ("/v2/-a/blobs/sha256:HEX", false),
            ("/token", false),
        ];
        for (path, expected) in table {
            let path = path.replace("HEX", HEX);
            assert_eq!(matches!(resource(&path), Some(Resource::Document(_))), expected, "{path}");
            assert_eq!(resource(&path).is_some(), expected, "{path}");
        }
    }

    #[test]
    fn namespaces() {
        let table = [
            ("ns=docker.io", Some(("docker.io", ""))),
            ("n=5&ns=a.example%3A5000&last=b", Some(("a.example:5000", "n=5&last=b"))),
            ("xns=a", None),
            ("", None),
        ];
        for (query, expected) in table {
            let expected = expected.map(|(ns, rest)| (ns.to_owned(), rest.to_owned()));
            assert_eq!(namespace(query), expected, "{query}");
        }
    }
}
