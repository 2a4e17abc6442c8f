//! What a manifest leads to: the root catalog, and the certificate that it is signed with.

use crate::digest::ObjectName;
use crate::document::manifest::{self, ManifestError, Revision};

use super::object::{Kind, Object};

/// A manifest that was taken apart. Whether it is genuine, [`super::trust`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `N`: the repository.
    pub repository: String,
    /// `C`: its root catalog.
    pub root: Object,
    /// `X`: the certificate.
    pub certificate: Object,
    /// `S` and `T`.
    pub revision: Revision,
}

/// Why bytes lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// No manifest.
    #[error(transparent)]
    Form(#[from] ManifestError),
    /// `C`, `N` or `X` missing, given twice, or malformed.
    #[error("manifest without usable line {0}")]
    Line(char),
}

impl Manifest {
    /// Reads a whole manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadManifest> {
        let revision = manifest::revision(bytes)?;
        let text = manifest::sealed(bytes)?.text;
        let object = |letter, kind| {
            let name = line(text, letter).and_then(manifest::parse_checksum);
            name.map(|name: ObjectName| Object { name, kind }).ok_or(BadManifest::Line(letter.into()))
        };
        let repository = line(text, b'N').and_then(|name| std::str::from_utf8(name).ok());
        let repository = repository.filter(|name| is_repository(name)).ok_or(BadManifest::Line('N'))?;
        Ok(Self {
            repository: repository.to_owned(),
            root: object(b'C', Kind::Catalog)?,
            certificate: object(b'X', Kind::Certificate)?,
            revision,
        })
    }
}

/// Whether this may be the name of a repository.
pub fn is_repository(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    (1..=253).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

/// What stands in the only line that begins with `letter`.
fn line(text: &[u8], letter: u8) -> Option<&[u8]> {
    let mut lines = text.split(|c| *c == b'\n').filter_map(|line| line.strip_prefix(&[letter]));
    let value = lines.next()?;
    (lines.next().is_none() && !value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;

    fn sealed(text: &str) -> Vec<u8> {
        format!("{text}--\n{}\n", ObjectName::of(Algorithm::Sha1, text.as_bytes())).into_bytes()
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        let (c, x) = (format!("C{}\n", "0".repeat(40)), format!("X{}\n", "1".repeat(40)));
        let good = format!("{c}S3\nT9\nNa.b\n{x}");
        assert_eq!(
            Manifest::parse(&sealed(&good)).unwrap().root.to_string(),
            format!("data/00/{}C", "0".repeat(38))
        );
        let table = [
            (good.replace(&c, ""), 'C'),
            (good.replace(&c, &c.repeat(2)), 'C'),
            (good.replace(&c, "C../../etc/passwd\n"), 'C'),
            (good.replace(&x, "X\n"), 'X'),
            (good.replace("Na.b", "N../x"), 'N'),
        ];
        for (text, letter) in table {
            assert_eq!(Manifest::parse(&sealed(&text)), Err(BadManifest::Line(letter)), "{text}");
        }
        assert_eq!(Manifest::parse(b"x"), Err(BadManifest::Form(ManifestError::NoChecksum)));
    }
}
