//! Paths inside a repository: bytes that never lead anywhere else, and never steer a terminal.

use std::fmt::{self, Write};

use md5::{Digest, Md5};

/// Longest path, as Linux has it.
const MAX_PATH: usize = 4096;

/// Longest name of one entry.
const MAX_NAME: usize = 255;

/// A path from the root of a repository: empty for the root, else `/a/b`. No component is empty, `.` or `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoPath(Vec<u8>);

/// Why a name or path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Empty, `.`, `..`, with a slash or a NUL in it, or too long.
    #[error(
        "a name that is empty, \".\", \"..\", has a slash or a zero byte in it, or is longer than {MAX_NAME} bytes"
    )]
    Name,
    /// The path as a whole.
    #[error("a path longer than {MAX_PATH} bytes")]
    Length,
}

/// The two halves of the MD5 of a path, as catalogs have them.
pub type PathKey = (i64, i64);

impl RepoPath {
    /// A path as an operator writes it; slashes at its ends do not matter.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let trimmed = text.trim_matches('/');
        let names = trimmed.split('/').filter(|_| !trimmed.is_empty());
        names.map(str::as_bytes).try_fold(Self::default(), |path, name| path.child(name))
    }

    /// The path of `name` below this one.
    pub fn child(&self, name: &[u8]) -> Result<Self, BadPath> {
        let is_bad = matches!(name, b"" | b"." | b"..") || name.len() > MAX_NAME;
        if is_bad || name.iter().any(|c| matches!(c, b'/' | 0)) {
            return Err(BadPath::Name);
        }
        if self.0.len() + 1 + name.len() > MAX_PATH {
            return Err(BadPath::Length);
        }
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        path.push(b'/');
        path.extend_from_slice(name);
        Ok(Self(path))
    }

    /// Where a link in this directory leads, if that is in the repository. `..` beyond the root stays there, as on Linux.
    pub fn link(&self, target: &[u8]) -> Option<Self> {
        // Absolute ones are those of the machine that the repository is mounted on.
        if target.starts_with(b"/") || target.len() > MAX_PATH {
            return None;
        }
        let mut names: Vec<&[u8]> = self.names().collect();
        for name in target.split(|c| *c == b'/') {
            match name {
                b"" | b"." => {}
                b".." => drop(names.pop()),
                name => names.push(name),
            }
        }
        names.into_iter().try_fold(Self::default(), |path, name| path.child(name)).ok()
    }

    /// The names on the way from the root.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|c| *c == b'/').skip(1)
    }

    /// The last of them; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|c| *c == b'/').next().unwrap_or_default()
    }

    /// The bytes: empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What catalogs know it by.
    pub fn key(&self) -> PathKey {
        let digest: [u8; 16] = Md5::digest(&self.0).into();
        let (halves, _) = digest.as_chunks::<8>();
        (i64::from_le_bytes(halves[0]), i64::from_le_bytes(halves[1]))
    }
}

impl fmt::Display for RepoPath {
    /// `/` for the root; what is not printable is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('/');
        }
        printable(&self.0, f)
    }
}

/// Bytes from a catalog, fit for a terminal.
pub fn printable(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { write!(out, "{}", c.escape_default())? } else { out.write_char(c)? }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (text, expected) in [("", "/"), ("/", "/"), ("a/b/", "/a/b"), ("//a", "/a"), ("/a/..b", "/a/..b")]
        {
            assert_eq!(RepoPath::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["/..", "/a/../b", "/a//b", "/.", "a\0b"] {
            assert_eq!(RepoPath::parse(text), Err(BadPath::Name), "{text:?}");
        }
        assert_eq!(RepoPath::parse(&"x".repeat(256)), Err(BadPath::Name));
        assert_eq!(RepoPath::parse(&"/abc".repeat(1025)), Err(BadPath::Length));
        let path = RepoPath::parse("/a/b").unwrap();
        assert_eq!(path.names().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(
            (path.name(), RepoPath::default().name(), RepoPath::default().names().count()),
            (&b"b"[..], &b""[..], 0)
        );
    }

    #[test]
    fn links_lead_within_the_repository() {
        let table = [
            ("../.images/7d/b2", Some("/.images/7d/b2")),
            ("x", Some("/owner/x")),
            ("./x//y/", Some("/owner/x/y")),
            ("../../../etc", Some("/etc")),
            ("..", Some("/")),
            ("/etc/passwd", None),
        ];
        for (target, expected) in table {
            let found = RepoPath::parse("owner").unwrap().link(target.as_bytes());
            assert_eq!(found.map(|path| path.to_string()).as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn keys_are_those_of_catalogs() {
        assert_eq!(RepoPath::default().key(), (338_333_539_836_370_388, 9_098_107_892_288_553_193));
        let file = RepoPath::parse("/new_repository").unwrap();
        assert_eq!(file.key(), (8_193_369_706_472_672_701, 4_868_506_713_845_114_430));
    }

    #[test]
    fn nothing_steers_a_terminal() {
        let path = RepoPath::default().child(b"a\x1b[2J\xff\xc3\xa9").unwrap();
        assert_eq!(path.to_string(), "/a\\u{1b}[2J\\xffé");
    }
}
