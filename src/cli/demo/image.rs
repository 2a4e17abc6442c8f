//! A container image as a stratum holds it: many small objects, some large chunks, a catalog that lists them, and a
//! manifest that names the catalog.
//!
//! Sizes follow a log-normal distribution, as published repositories do (median 2 kB, one in a hundred above 200 kB);
//! files beyond that are stored in chunks of 4 to 8 MB. The content is noise, which is what compressed data looks
//! like. The same seed makes the same objects.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::digest::{Algorithm, ObjectName};

/// The repository that holds the image.
pub const REPOSITORY: &str = "images.example.org";

/// Median size of a file's object, in bytes.
const MEDIAN: f64 = 2_000.0;

/// Standard deviation of the logarithm of the size.
const SPREAD: f64 = 2.0;

/// Smallest object, in bytes: an empty compressed file.
const SMALLEST: f64 = 8.0;

/// Sizes of chunks, in bytes.
const CHUNKS: std::ops::RangeInclusive<usize> = 4 << 20..=8 << 20;

/// In the first revision, every so many objects one is a chunk of a large file ...
const CHUNK_EVERY: usize = 700;

/// ... and among the objects of a new one, where packages were updated.
const NEW_CHUNK_EVERY: usize = 100;

/// The share of objects that a new revision replaces.
const REPLACED: (usize, usize) = (4, 35);

/// One published state of the repository. Cheap to clone.
#[derive(Clone)]
pub struct Image {
    /// Counts publications, from 1.
    pub revision: u64,
    entries: Vec<Entry>,
    /// What the stratum serves, by the path below the repository: objects of earlier revisions, too.
    objects: Arc<HashMap<String, Bytes>>,
    manifest: Bytes,
}

/// One object of the image, as its catalog lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The checksum of the bytes.
    pub name: ObjectName,
    /// What it is a part of.
    pub kind: Kind,
}

/// What an object is: the letter behind its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole file.
    File,
    /// A chunk of a large file.
    Chunk,
    /// A list of the others.
    Catalog,
}

impl Kind {
    const fn suffix(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Chunk => "P",
            Self::Catalog => "C",
        }
    }
}

impl Entry {
    /// Where a stratum has it: `/cvmfs/<repository>/data/xx/rest[suffix]`.
    pub fn path(&self) -> String {
        let hex = self.name.to_string();
        format!("/cvmfs/{REPOSITORY}/data/{}/{}{}", &hex[..2], &hex[2..], self.kind.suffix())
    }
}

/// The path of the manifest, where every job begins.
pub fn manifest_path() -> String {
    format!("/cvmfs/{REPOSITORY}/.cvmfspublished")
}

impl Image {
    /// The first revision: `objects` objects besides the catalog. `published` is in seconds since 1970.
    pub fn generate(objects: usize, rng: &mut fastrand::Rng, published: u64) -> Self {
        let mut stored = HashMap::with_capacity(objects + 1);
        let kinds = kinds(objects, CHUNK_EVERY);
        let entries = kinds.map(|kind| create(kind, rng, &mut stored)).collect();
        Self::publish(1, entries, stored, rng, published)
    }

    /// The next revision: some objects are replaced, evenly over the image; the others stay as they are.
    pub fn update(&self, rng: &mut fastrand::Rng, published: u64) -> Self {
        let mut stored = HashMap::clone(&self.objects);
        let mut entries = self.entries.clone();
        let replaced = (entries.len() * REPLACED.0 / REPLACED.1).max(1);
        for (number, kind) in kinds(replaced, NEW_CHUNK_EVERY).enumerate() {
            let place = number * entries.len() / replaced;
            entries[place] = create(kind, rng, &mut stored);
        }
        Self::publish(self.revision + 1, entries, stored, rng, published)
    }

    fn publish(
        revision: u64,
        entries: Vec<Entry>,
        mut objects: HashMap<String, Bytes>,
        rng: &mut fastrand::Rng,
        published: u64,
    ) -> Self {
        let catalog = Bytes::from(catalog(&entries));
        let root = Entry { name: ObjectName::of(Algorithm::Sha1, &catalog), kind: Kind::Catalog };
        let text = format!(
            "C{}\nB{}\nRd41d8cd98f00b204e9800998ecf8427e\nD240\nS{revision}\nGno\nN{REPOSITORY}\nT{published}\n",
            root.name,
            catalog.len()
        );
        let checksum = ObjectName::of(Algorithm::Sha1, text.as_bytes());
        let mut manifest = format!("{text}--\n{checksum}\n").into_bytes();
        // Where the signature stands, which no cache can check.
        manifest.extend(std::iter::repeat_with(|| rng.u8(..)).take(256));
        objects.insert(root.path(), catalog);
        Self { revision, entries, objects: Arc::new(objects), manifest: manifest.into() }
    }

    /// What the catalog lists.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What stands at `path`, if it is the path of an object.
    pub fn object(&self, path: &str) -> Option<&Bytes> {
        self.objects.get(path)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Bytes {
        &self.manifest
    }

    /// Objects and bytes that are here and not in `earlier`: the catalog, too.
    pub fn news(&self, earlier: Option<&Self>) -> Extent {
        let mut extent = Extent::default();
        for (path, bytes) in &*self.objects {
            if earlier.is_none_or(|earlier| earlier.object(path).is_none()) {
                extent.objects += 1;
                extent.bytes += bytes.len() as u64;
                extent.largest = extent.largest.max(bytes.len() as u64);
            }
        }
        extent
    }
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Number of objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the largest one.
    pub largest: u64,
}

/// `n` kinds with a chunk in the middle of every `every`, and at least one.
fn kinds(n: usize, every: usize) -> impl Iterator<Item = Kind> {
    let every = every.min(n);
    (0..n).map(move |i| if i % every == every / 2 { Kind::Chunk } else { Kind::File })
}

fn create(kind: Kind, rng: &mut fastrand::Rng, stored: &mut HashMap<String, Bytes>) -> Entry {
    let len = match kind {
        Kind::Chunk => rng.usize(CHUNKS),
        Kind::File | Kind::Catalog => file_len(rng),
    };
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    let entry = Entry { name: ObjectName::of(Algorithm::Sha1, &bytes), kind };
    stored.insert(entry.path(), bytes.into());
    entry
}

/// Box and Muller's way from uniform to normal numbers.
fn file_len(rng: &mut fastrand::Rng) -> usize {
    let (radius, angle) = ((1.0 - rng.f64()).ln(), TAU * rng.f64());
    let normal = (-2.0 * radius).sqrt() * angle.cos();
    (MEDIAN * (SPREAD * normal).exp()).clamp(SMALLEST, *CHUNKS.start() as f64) as usize
}

/// A line an object: its name and the letter of its kind.
fn catalog(entries: &[Entry]) -> String {
    let mut text = String::with_capacity(entries.len() * 42);
    for entry in entries {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{}", entry.name, entry.kind.suffix());
    }
    text
}

/// What a catalog lists; `None` when it is none.
pub fn parse_catalog(bytes: &[u8]) -> Option<Vec<Entry>> {
    let parse_line = |line: &[u8]| {
        let (line, kind) = match line.strip_suffix(b"P") {
            Some(line) => (line, Kind::Chunk),
            None => (line, Kind::File),
        };
        Some(Entry { name: ObjectName::from_hex(Algorithm::Sha1, line, &[])?, kind })
    };
    bytes.strip_suffix(b"\n")?.split(|&c| c == b'\n').map(parse_line).collect()
}

/// The catalog that a manifest names.
pub fn parse_root(manifest: &[u8]) -> Option<Entry> {
    let hex = manifest.split(|&c| c == b'\n').find_map(|line| line.strip_prefix(b"C"))?;
    Some(Entry { name: ObjectName::from_hex(Algorithm::Sha1, hex, &[])?, kind: Kind::Catalog })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::manifest;

    fn image(objects: usize) -> Image {
        Image::generate(objects, &mut fastrand::Rng::with_seed(1), 1_700_000_000)
    }

    #[test]
    fn a_client_finds_everything_from_the_manifest() {
        let image = image(50);
        let revision = manifest::revision(image.manifest()).unwrap();
        assert_eq!((revision.number, revision.published), (1, 1_700_000_000));
        let root = parse_root(image.manifest()).unwrap();
        let catalog = image.object(&root.path()).unwrap();
        assert!(root.name.names(catalog));
        assert_eq!(parse_catalog(catalog).unwrap(), image.entries());
        for entry in image.entries() {
            assert!(entry.name.names(image.object(&entry.path()).unwrap()));
            assert_eq!(crate::layout::object(&entry.path()).unwrap().name, entry.name);
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(image(50).entries(), image(50).entries());
        let other = Image::generate(50, &mut fastrand::Rng::with_seed(2), 1_700_000_000);
        assert_ne!(image(50).entries(), other.entries());
    }

    #[test]
    fn sizes_are_those_of_a_repository() {
        let image = image(1_000);
        let mut sizes: Vec<usize> =
            image.entries().iter().map(|entry| image.object(&entry.path()).unwrap().len()).collect();
        sizes.sort_unstable();
        assert!((1_500..2_600).contains(&sizes[500]), "{}", sizes[500]);
        assert!((80_000..600_000).contains(&sizes[985]), "{}", sizes[985]);
        assert!(CHUNKS.contains(&sizes[999]));
    }

    #[test]
    fn an_update_replaces_some_and_keeps_the_rest() {
        let first = image(70);
        let second = first.update(&mut fastrand::Rng::with_seed(3), 1_700_000_001);
        let changed =
            first.entries().iter().zip(second.entries()).filter(|(before, after)| before != after).count();
        assert_eq!((changed, second.entries().len(), second.revision), (8, 70, 2));
        assert_eq!(second.news(Some(&first)).objects, 9);
        assert!(first.entries().iter().all(|entry| second.object(&entry.path()).is_some()));
    }

    #[test]
    fn what_is_no_catalog() {
        for bytes in [&b""[..], b"x\n", b"0123\n", b"da39a3ee5e6b4b0d3255bfef95601890afd80709"] {
            assert_eq!(parse_catalog(bytes), None);
        }
    }
}
