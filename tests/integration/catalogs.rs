//! Walks through the fixture repositories come to exactly what their lists say.

use std::collections::BTreeSet;
use std::fs;

use bytes::Bytes;
use substratum::catalog::manifest::Manifest;
use substratum::catalog::walk::{Bounds, Depth, Source, Walk};
use substratum::catalog::{EntryKind, Object, RepoPath, Tree};

use crate::support::fixtures;
use crate::support::repository::{Part, REVISIONS, Revision, rows};

/// A repository as it lies on a stratum's disk.
struct Folder<'a>(&'a str);

impl Source for Folder<'_> {
    type Error = std::io::Error;

    async fn catalog(&mut self, catalog: Object) -> std::io::Result<Bytes> {
        Ok(fs::read(fixtures().join(self.0).join(catalog.to_string()))?.into())
    }
}

fn manifest(repository: &str, revision: u32) -> Manifest {
    let root = fixtures().join(repository);
    let own = root.join(format!("revisions/{revision}/.cvmfspublished"));
    Manifest::parse(&fs::read(own).or_else(|_| fs::read(root.join(".cvmfspublished"))).unwrap()).unwrap()
}

async fn tree(repository: &str, revision: u32, path: &str) -> Tree {
    let root = manifest(repository, revision).root;
    let path = RepoPath::parse(path).unwrap();
    Walk::new(&mut Folder(repository), root, Bounds::default()).tree(&path, Depth::All).await.unwrap()
}

fn names(objects: impl IntoIterator<Item = Object>) -> BTreeSet<String> {
    objects.into_iter().map(|object| object.to_string()).collect()
}

/// What the lists say about everything below `path`, which is a directory.
struct Listed {
    objects: BTreeSet<String>,
    files: u64,
    bytes: u64,
    external: u64,
}

fn listed(revision: &Revision, path: &str) -> Listed {
    let mut found = Listed { objects: BTreeSet::new(), files: 0, bytes: 0, external: 0 };
    for file in revision.files.iter().filter(|file| file.path.starts_with(&format!("{path}/"))) {
        let objects: Vec<_> = file
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Object(path) => Some(path.clone()),
                Part::Range { .. } => None,
            })
            .collect();
        if objects.is_empty() {
            found.external += 1;
        } else {
            found.files += 1;
            found.bytes += file.size;
        }
        found.objects.extend(objects);
    }
    found
}

#[tokio::test]
async fn everything_in_every_revision_is_as_listed() {
    for (repository, number) in REVISIONS {
        let revision = Revision::read(repository, number);
        let (tree, expected) = (tree(repository, number, "/").await, listed(&revision, ""));
        assert_eq!(names(tree.objects.iter().copied()), expected.objects, "{repository} {number}");
        assert_eq!(tree.objects.len(), expected.objects.len(), "each once");
        assert_eq!((tree.files, tree.file_bytes), (expected.files, expected.bytes), "{repository} {number}");
        assert_eq!(tree.external, expected.external);
        let catalogs: BTreeSet<(String, String)> =
            tree.catalogs.iter().map(|(path, catalog)| (path.to_string(), catalog.to_string())).collect();
        let list = fs::read_to_string(fixtures().join(repository).join("catalogs.tsv")).unwrap();
        let list: BTreeSet<(String, String)> = rows(&list)
            .filter(|row| row[0] == number.to_string())
            .map(|row| (row[1].to_owned(), row[2].to_owned()))
            .collect();
        assert_eq!(catalogs, list, "{repository} {number}");
    }
}

#[tokio::test]
async fn an_image_is_what_stands_below_it_and_the_catalogs_on_the_way() {
    let revision = Revision::read("images.test.local", 3);
    for (path, catalogs) in [
        ("/opensciencegrid/osgvo-el7:latest", 2),
        ("/opensciencegrid/osgvo-el8:latest", 3),
        ("/opensciencegrid/osgvo-el8:latest/usr/lib/python3.6", 3),
        ("/opensciencegrid/osgvo-el8:latest/etc", 2),
        ("/opensciencegrid", 5),
    ] {
        let (tree, expected) = (tree("images.test.local", 3, path).await, listed(&revision, path));
        assert!(!expected.objects.is_empty());
        assert_eq!(names(tree.objects.iter().copied()), expected.objects, "{path}");
        assert_eq!((tree.files, tree.file_bytes), (expected.files, expected.bytes), "{path}");
        assert_eq!(tree.catalogs.len(), catalogs, "{path}");
    }
    let file = &revision.files[5];
    let alone = tree("images.test.local", 3, &file.path).await;
    assert_eq!((alone.files, alone.file_bytes, alone.objects.len()), (1, file.size, file.parts.len()));
}

#[tokio::test]
async fn a_directory_lists_what_is_in_it() {
    let mut folder = Folder("images.test.local");
    let root = manifest("images.test.local", 3).root;
    let path = RepoPath::parse("opensciencegrid").unwrap();
    let list = Walk::new(&mut folder, root, Bounds::default()).list(&path, Depth::OneCatalog).await.unwrap();
    let found: Vec<_> = list.iter().map(|(entry, tree)| (entry.path.to_string(), tree.unopened)).collect();
    let images = ["osgvo-el7:latest", "osgvo-el8:latest", "tiny:latest"];
    assert_eq!(found, images.map(|name| (format!("/opensciencegrid/{name}"), 1)));
    let list = Walk::new(&mut folder, root, Bounds::default()).list(&path, Depth::All).await.unwrap();
    let revision = Revision::read("images.test.local", 3);
    for (entry, tree) in list {
        let expected = listed(&revision, &entry.path.to_string());
        assert_eq!(entry.kind, EntryKind::Mountpoint);
        assert_eq!(names(tree.objects.iter().copied()), expected.objects, "{}", entry.path);
        assert_eq!((tree.files, tree.unopened), (expected.files, 0));
    }
}
