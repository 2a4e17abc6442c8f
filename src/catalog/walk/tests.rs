//! Walks through catalogs that were made to lead astray.

use std::collections::HashMap;

use super::super::database::tests::{row, with};
use super::super::object::Kind;
use super::*;
use crate::digest::{Algorithm, ObjectName};

/// Catalogs by name.
#[derive(Default)]
struct Shelf(HashMap<Object, Bytes>);

#[derive(Debug, thiserror::Error)]
#[error("not on the shelf")]
struct Absent;

impl Source for Shelf {
    type Error = Absent;

    async fn catalog(&mut self, catalog: Object) -> Result<Bytes, Absent> {
        self.0.get(&catalog).cloned().ok_or(Absent)
    }
}

impl Shelf {
    fn put(&mut self, stored: Vec<u8>) -> Object {
        let catalog = Object { name: ObjectName::of(Algorithm::Sha1, &stored), kind: Kind::Catalog };
        self.0.insert(catalog, stored.into());
        catalog
    }

    async fn tree(&mut self, root: Object, path: &str, bounds: Bounds) -> Result<Tree, String> {
        let path = RepoPath::parse(path).unwrap();
        Walk::new(self, root, bounds).tree(&path, Depth::All).await.map_err(|error| error.to_string())
    }
}

fn mount(path: &str, catalog: &Object) -> String {
    format!("INSERT INTO nested_catalogs VALUES ('{path}', '{}', 0);", catalog.name)
}

#[tokio::test]
async fn a_catalog_mounted_in_itself_or_elsewhere_leads_nowhere() {
    let mut shelf = Shelf::default();
    // Its own top says that it is a mountpoint, and one of its directories claims to be the root.
    let nested = shelf.put(with(&[row("/a", 0, 1 | 2 | 32), row("/a/f", 7, 4)]));
    let root = shelf.put(with(&[row("/a", 0, 3), mount("/a", &nested)]));
    let tree = shelf.tree(root, "/", Bounds::default()).await.unwrap();
    assert_eq!((tree.catalogs.len(), tree.objects.len(), tree.bytes, tree.files), (2, 1, 7, 1));
    // The same catalog a second time, where it does not belong.
    let root =
        shelf.put(with(&[row("/a", 0, 3), mount("/a", &nested), row("/b", 0, 3), mount("/b", &nested)]));
    let said = shelf.tree(root, "/", Bounds::default()).await.unwrap_err();
    assert!(
        said.contains("the catalog of /b") && said.ends_with("it has no directory /b, where it is mounted"),
        "{said}"
    );
    let root = shelf.put(with(&[row("/a", 0, 3)]));
    let said = shelf.tree(root, "/", Bounds::default()).await.unwrap_err();
    assert!(said.contains("its entry /a has no catalog"), "{said}");
    let root =
        shelf.put(with(&[row("/a", 0, 3), mount("/a", &nested).replace(&nested.name.to_string(), "../x")]));
    let said = shelf.tree(root, "/a/f", Bounds::default()).await.unwrap_err();
    assert!(said.contains("its entry /a has a catalog without a checksum"), "{said}");
    let lost = Object { name: ObjectName::of(Algorithm::Sha1, b"lost"), kind: Kind::Catalog };
    let root = shelf.put(with(&[row("/a", 0, 3), mount("/a", &lost)]));
    let said = shelf.tree(root, "/", Bounds::default()).await.unwrap_err();
    assert!(said.contains("the catalog of /a") && said.contains("cannot be had: not on the shelf"), "{said}");
}

#[tokio::test]
async fn a_walk_ends_at_its_bounds() {
    let mut shelf = Shelf::default();
    let file = |n: u8| row(&format!("/f{n}"), 1, 4).replace("x'00", &format!("x'{n:02}"));
    let root = shelf.put(with(&(0..9).map(file).collect::<Vec<_>>()));
    let bounds = Bounds { catalogs: 1, inflated: 1 << 20, entries: 9, objects: 9 };
    assert_eq!(shelf.tree(root, "/", bounds).await.unwrap().objects.len(), 9);
    let said = shelf.tree(root, "/", Bounds { objects: 8, ..bounds }).await.unwrap_err();
    assert_eq!(said, "below / are more than 8 objects");
    let said = shelf.tree(root, "/", Bounds { entries: 8, ..bounds }).await.unwrap_err();
    assert_eq!(said, "below / are more than 8 entries");
    let nested = shelf.put(with(&[row("/a", 0, 33)]));
    let root = shelf.put(with(&[row("/a", 0, 3), mount("/a", &nested)]));
    let said = shelf.tree(root, "/", bounds).await.unwrap_err();
    assert_eq!(said, "below / are more than 1 catalogs");
}

#[tokio::test]
async fn a_walk_inflates_no_more_bytes_than_it_may() {
    let mut shelf = Shelf::default();
    let nested = shelf.put(with(&[row("/a", 0, 33)]));
    let root = shelf.put(with(&[row("/a", 0, 3), mount("/a", &nested)]));
    let len = |catalog: Object, path: &str| {
        let stored = &shelf.0[&catalog];
        Catalog::open(stored, RepoPath::parse(path).unwrap(), MAX_CATALOG).unwrap().len
    };
    // Each of them is small.
    let both = len(root, "/") + len(nested, "/a");
    let bounds = |inflated| Bounds { inflated, ..Bounds::default() };
    assert_eq!(shelf.tree(root, "/", bounds(both)).await.unwrap().catalogs.len(), 2);
    let said = shelf.tree(root, "/", bounds(both - 1)).await.unwrap_err();
    let most = both - 1;
    assert_eq!(
        said,
        format!(
            "the catalogs up to that of /a have more than {most} bytes together, inflated: name a path that needs fewer"
        )
    );
    // The one that leads to a path counts as well.
    let said = shelf.tree(root, "/a", bounds(1)).await.unwrap_err();
    assert!(said.starts_with("the catalogs up to that of / have more than 1 bytes"), "{said}");
}

#[tokio::test]
async fn what_is_missing_has_neighbours() {
    let mut shelf = Shelf::default();
    let names = ["/el7:latest", "/el8:latest", "/other", "/README"];
    let root = shelf.put(with(&names.map(|name| row(name, 0, 1))));
    let said = shelf.tree(root, "/el9:latest/usr", Bounds::default()).await.unwrap_err();
    assert!(
        said.starts_with("there is no /el9:latest; the nearest are /el7:latest, /el8:latest, "),
        "{said}"
    );
}
