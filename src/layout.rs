//! Layouts: which URL paths name objects by checksum.
//!
//! A layout is a pure function from a path to a name or nothing. It sees the path as received, never decoded:
//! a path that needs decoding is not one of ours. `docs/layouts.md` says what a new one takes.

pub mod bazel;
pub mod cvmfs;
pub mod debian;
pub mod frontier;
pub mod oci;

use crate::digest::{Algorithm, ObjectName};

/// An object as a URL path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedObject<'a> {
    /// The checksum.
    pub name: ObjectName,
    /// In which way the path names it.
    pub layout: Layout,
    /// The repository in whose tree the path stands, for accounting and to choose mirrors; the layout's name where there
    /// are none.
    pub repository: &'a str,
}

/// A way of naming objects that everybody may have. What a registry names is for those whom it lets have it, see [`oci`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// CernVM-FS.
    Cvmfs,
    /// Debian's archives.
    Debian,
    /// Bazel's remote cache.
    Bazel,
}

/// The object that `path` names, if any layout recognises it. The likeliest first: each looks at one place of the path.
pub fn object(path: &str) -> Option<NamedObject<'_>> {
    cvmfs::object(path).or_else(|| debian::object(path)).or_else(|| bazel::object(path))
}

/// What stands for the repository of a path that is neither an object nor CernVM-FS's: the name of its layout, if one has it.
pub fn archive(path: &str) -> Option<&'static str> {
    if debian::is_file(path) { Some(debian::NAME) } else { bazel::is_entry(path).then_some(bazel::NAME) }
}

/// `path` = `before` + 64 lower-case digits, of the SHA-256 that names what stands there.
fn sha256_behind<'a>(path: &'a str, before: &str) -> Option<(&'a str, ObjectName)> {
    let (prefix, digits) = path.split_at_checked(path.len().checked_sub(SHA256_DIGITS)?)?;
    let tree = prefix.strip_suffix(before)?;
    Some((tree, ObjectName::from_hex(Algorithm::Sha256, digits.as_bytes(), &[])?))
}

/// Digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// Whether each segment of a path, which begins with a slash or is empty, means the same to every server: neither empty nor
/// dots, of characters that mean themselves. Of escapes there are only those that clients write for `+`, `~`, `:`.
fn is_plain_tree(path: &str) -> bool {
    path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain_segment))
}

fn is_plain_segment(segment: &str) -> bool {
    let means_itself = |c: u8| c.is_ascii_alphanumeric() || b".-_+~:".contains(&c);
    let mut parts = segment.split('%');
    let first = parts.next().unwrap_or_default();
    !matches!(segment, "" | "." | "..")
        && first.bytes().all(means_itself)
        && parts.all(|part| {
            let escape = part.get(..2).unwrap_or_default().to_ascii_lowercase();
            matches!(escape.as_str(), "2b" | "7e" | "3a") && part.bytes().skip(2).all(means_itself)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees() {
        for path in ["", "/debian", "/a/b.c/d-e_f", "/pool/libstdc%2b%2b6", "/a~b/c%7Ed", "/a+b"] {
            assert!(is_plain_tree(path), "{path}");
        }
        for path in
            ["/", "a", "/a//b", "/..", "/a/.", "/a/%2e%2e/b", "/a%2fb", "/a%2", "/a%", "/a\\b", "/a;b", "/ä"]
        {
            assert!(!is_plain_tree(path), "{path}");
        }
    }

    #[test]
    fn every_layout_is_asked() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let table = [
            ("/cvmfs/a.b/data/49/bf00112233445566778899aabbccddeeff0a1b".to_owned(), Layout::Cvmfs),
            (format!("/debian/dists/sid/by-hash/SHA256/{hex}"), Layout::Debian),
            (format!("/cas/{hex}"), Layout::Bazel),
        ];
        for (path, layout) in table {
            assert_eq!(object(&path).map(|object| object.layout), Some(layout), "{path}");
        }
        assert_eq!(object(&format!("/v2/a/blobs/sha256:{hex}")), None, "not for everybody");
        assert_eq!(object(hex), None);
        assert_eq!(object(&"ä".repeat(40)), None);
    }
}
