//! The fixture repositories as their lists describe them: what a client asks for, and what it must have in the end.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Read;

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use sha2::{Digest, Sha256};
use substratum::digest::{Algorithm, ObjectName};

use super::fixtures;

/// Repositories and their revisions, with data below `data/`.
pub const REVISIONS: [(&str, u32); 6] = [
    ("images.test.local", 1),
    ("images.test.local", 2),
    ("images.test.local", 3),
    ("rmd160.test.local", 1),
    ("shake128.test.local", 2),
    ("external.test.local", 1),
];

/// One revision of one repository.
#[derive(Debug)]
pub struct Revision {
    /// Name of the repository.
    pub repository: String,
    /// Its regular files.
    pub files: Vec<File>,
    /// Paths of its catalogs, from the root of the repository.
    pub catalogs: Vec<String>,
    /// Path of the certificate that signs the manifest.
    pub certificate: String,
}

/// A regular file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path in the mounted repository.
    pub path: String,
    /// Length of its content in bytes.
    pub size: u64,
    /// Its parts, in order.
    pub parts: Vec<Part>,
    encoding: Encoding,
    sha256: String,
}

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// An object, by its path from the root of the repository.
    Object(String),
    /// Bytes of an external file; the checksum is of this range.
    Range {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// Their SHA-1.
        name: ObjectName,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Zlib,
    None,
    External,
}

impl Revision {
    /// Reads the lists of the fixtures.
    pub fn read(repository: &str, revision: u32) -> Self {
        let root = fixtures().join(repository);
        let list =
            fs::read_to_string(root.join(format!("files-rev{revision}.tsv"))).expect("a list of files");
        let catalogs = fs::read_to_string(root.join("catalogs.tsv")).expect("a list of catalogs");
        let own = root.join(format!("revisions/{revision}/.cvmfspublished"));
        let manifest = fs::read(own).or_else(|_| fs::read(root.join(".cvmfspublished"))).expect("a manifest");
        Self {
            repository: repository.to_owned(),
            files: rows(&list).map(|row| File::parse(&row)).collect(),
            catalogs: rows(&catalogs)
                .filter(|row| row[0] == revision.to_string())
                .map(|row| row[2].to_owned())
                .collect(),
            certificate: certificate(&manifest).expect("a certificate in the manifest"),
        }
    }

    /// The URL path of `path` in this repository.
    pub fn url_path(&self, path: &str) -> String {
        format!("/cvmfs/{}/{path}", self.repository)
    }

    /// Path from the root of every distinct object that a client reads who reads everything: file objects,
    /// catalogs and the certificate.
    pub fn objects(&self) -> BTreeSet<&str> {
        let parts = self.files.iter().flat_map(|file| &file.parts).filter_map(|part| match part {
            Part::Object(path) => Some(path.as_str()),
            Part::Range { .. } => None,
        });
        parts.chain(self.catalogs.iter().map(String::as_str)).chain([self.certificate.as_str()]).collect()
    }

    /// URL paths of everything a cold client asks for: manifest, whitelist and the objects.
    pub fn cold_urls(&self) -> Vec<String> {
        let documents = [".cvmfspublished", ".cvmfswhitelist"];
        documents.into_iter().chain(self.objects()).map(|path| self.url_path(path)).collect()
    }
}

impl File {
    fn parse(row: &[&str]) -> Self {
        let encoding = match row[4] {
            "zlib" => Encoding::Zlib,
            "none" => Encoding::None,
            "external" => Encoding::External,
            other => panic!("encoding {other}"),
        };
        let parts = row[3].split(',').map(|text| Part::parse(encoding, text)).collect();
        let size = row[1].parse().expect("a size");
        Self { path: row[0].to_owned(), size, parts, encoding, sha256: row[2].to_owned() }
    }

    /// Compares the content made of `parts` (stored bytes by path from the root) with the list.
    pub fn check(&self, parts: &HashMap<String, Bytes>) -> Result<(), String> {
        let mut content = Vec::new();
        for part in &self.parts {
            let Part::Object(path) = part else { return Err(format!("{}: external", self.path)) };
            let stored = parts.get(path).ok_or_else(|| format!("{path} was not fetched"))?;
            match self.encoding {
                Encoding::Zlib => {
                    let read = ZlibDecoder::new(stored.as_ref()).read_to_end(&mut content);
                    read.map_err(|error| format!("{}: {path}: {error}", self.path))?;
                }
                _ => content.extend_from_slice(stored),
            }
        }
        self.check_content(&content)
    }

    /// Compares inflated content with the list.
    pub fn check_content(&self, content: &[u8]) -> Result<(), String> {
        let actual: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        if content.len() as u64 == self.size && actual == self.sha256 {
            Ok(())
        } else {
            Err(format!("{}: {} bytes with sha256 {actual}", self.path, content.len()))
        }
    }
}

impl Part {
    fn parse(encoding: Encoding, text: &str) -> Self {
        if encoding != Encoding::External {
            return Self::Object(text.to_owned());
        }
        let (range, hex) = text.split_once(':').expect("a range and a checksum");
        let (offset, len) = range.split_once('+').expect("offset+length");
        Self::Range {
            offset: offset.parse().expect("an offset"),
            len: len.parse().expect("a length"),
            name: ObjectName::from_hex(Algorithm::Sha1, b"", hex.as_bytes()).expect("a checksum"),
        }
    }
}

/// Rows of a list without its `#` head line.
pub fn rows(list: &str) -> impl Iterator<Item = Vec<&str>> {
    list.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

/// The object behind line `X` of a manifest.
fn certificate(manifest: &[u8]) -> Option<String> {
    let lines = manifest.split(|&byte| byte == b'\n').take_while(|line| *line != b"--");
    let hash = lines.filter_map(|line| line.strip_prefix(b"X")).next()?;
    let hash = std::str::from_utf8(hash).ok()?;
    Some(format!("data/{}/{}X", hash.get(..2)?, hash.get(2..)?))
}
