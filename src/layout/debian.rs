//! The layout of Debian archives: `/<archive>/dists/.../by-hash/SHA256/<digest>`, and the archives' other files.
//!
//! Indices by hash are objects. `InRelease` is a document, and so are packages: a path in the pool names no checksum.
//! Sources: Debian wiki "DebianRepository/Format" (`Acquire-By-Hash`), apt `apt-pkg/acquire-item.cc`.

use super::{Layout, NamedObject, is_plain_tree, sha256_behind};

/// In accounts, and among what mirrors serve.
pub const NAME: &str = "debian";

/// What a pool holds: packages, source packages and their descriptions, detached signatures.
const POOLED: [&str; 9] =
    [".deb", ".udeb", ".ddeb", ".dsc", ".tar.gz", ".tar.xz", ".tar.bz2", ".diff.gz", ".asc"];

/// The object that `path` names.
pub fn object(path: &str) -> Option<NamedObject<'_>> {
    let (tree, name) = sha256_behind(path, "/by-hash/SHA256/")?;
    is_below_dists(tree).then_some(NamedObject { name, layout: Layout::Debian, repository: NAME })
}

/// Whether `path` is a file of an archive: anything below `dists`, a package below `pool`.
pub fn is_file(path: &str) -> bool {
    is_below_dists(path) || is_pooled(path)
}

/// `/<archive>/dists/<at least one segment>`
fn is_below_dists(path: &str) -> bool {
    path.contains("/dists/") && is_plain_tree(path)
}

fn is_pooled(path: &str) -> bool {
    path.contains("/pool/") && POOLED.iter().any(|end| path.ends_with(end)) && is_plain_tree(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn objects() {
        let table = [
            ("/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/HEX", true),
            ("/dists/sid/by-hash/SHA256/HEX", true),
            ("/debian-security/dists/bookworm-security/updates/main/by-hash/SHA256/HEX", true),
            ("/debian/dists/bookworm/main/by-hash/SHA512/HEX", false),
            ("/debian/dists/bookworm/main/by-hash/SHA256/HEX/", false),
            ("/debian/dists/bookworm/main/by-hash/SHA256/0HEX", false),
            ("/debian/dists/../by-hash/SHA256/HEX", false),
            ("/debian/by-hash/SHA256/HEX", false),
            ("debian/dists/sid/by-hash/SHA256/HEX", false),
        ];
        for (path, expected) in table {
            assert_eq!(object(&path.replace("HEX", HEX)).is_some(), expected, "{path}");
        }
        let upper = format!("/dists/sid/by-hash/SHA256/{}", HEX.to_uppercase());
        assert_eq!(object(&upper), None);
        let path = format!("/dists/sid/by-hash/SHA256/{HEX}");
        assert_eq!(object(&path).unwrap().name.to_string(), format!("{HEX}-sha256"));
    }

    #[test]
    fn files() {
        let table = [
            ("/debian/dists/bookworm/InRelease", true),
            ("/debian/dists/bookworm/main/binary-amd64/Packages.xz", true),
            ("/debian/pool/main/g/gcc-12/libstdc%2b%2b6_12.2.0-14_amd64.deb", true),
            ("/debian/pool/main/b/base-files/base-files_12.4%2bdeb12u5.dsc", true),
            ("/debian/pool/main/b/base-files/", false),
            ("/debian/pool/main/index.html", false),
            ("/debian/dists/", false),
            ("/debian/dists/../../etc/x", false),
            ("/debian/dists/%2e%2e/x", false),
            ("/dists/sid/InRelease?x", false),
            ("/debian/README", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_file(path), expected, "{path}");
        }
    }
}
