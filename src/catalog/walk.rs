//! From a root catalog to what stands under a path: through nested catalogs, one open at a time.
//!
//! Bounded in catalogs, their bytes, entries and objects; a catalog that is mounted is mounted below the one that names it, so that there is
//! no way back. Whatever is refused is named with the catalog it came from.

use std::future::Future;

use bytes::Bytes;

use super::database::{BadCatalog, Catalog, Entry, EntryKind, MAX_CATALOG};
use super::inflate::InflateError;
use super::object::Object;
use super::path::RepoPath;
use super::tree::Tree;

/// Bytes of the entries that are still to be looked at, of all directories on the way down.
const MAX_OPEN: usize = 128 << 20;

/// Links followed on the way to a path.
const MAX_LINKS: usize = 16;

/// Whoever brings catalogs; the bytes are as their names say.
pub trait Source {
    /// Why it cannot.
    type Error: std::error::Error;

    /// A catalog as it is stored.
    fn catalog(&mut self, catalog: Object) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;
}

/// How much is walked at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Catalogs.
    pub catalogs: usize,
    /// Bytes of all of them, inflated: each opening of one counts, since each takes its time.
    pub inflated: u64,
    /// Entries of all of them.
    pub entries: usize,
    /// Different objects: each takes about 100 bytes of memory.
    pub objects: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        // A row of a catalog takes some 300 bytes, with its share of the indexes: the entries are the bound of honest ones.
        Self { catalogs: 20_000, inflated: 16 << 30, entries: 20_000_000, objects: 4_000_000 }
    }
}

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum WalkError<E: std::error::Error> {
    /// A catalog cannot be had.
    #[error("the catalog of {path} ({catalog}) cannot be had: {error}")]
    Source {
        /// Where it is mounted.
        path: RepoPath,
        /// Which.
        catalog: Object,
        /// Why.
        error: E,
    },
    /// A catalog is refused.
    #[error("the catalog of {path} ({catalog}) is refused: {why}")]
    Refused {
        /// Where it is mounted.
        path: RepoPath,
        /// Which.
        catalog: Object,
        /// Why.
        why: BadCatalog,
    },
    /// Links without end.
    #[error("{0} leads through more than {MAX_LINKS} links, or out of the repository")]
    Link(RepoPath),
    /// Nothing there.
    #[error("there is no {path}{}", nearest.hint())]
    Missing {
        /// As far as it goes, and one name more.
        path: RepoPath,
        /// What is there.
        nearest: Nearest,
    },
    /// More bytes than are inflated in one walk.
    #[error(
        "the catalogs up to that of {path} have more than {most} bytes together, inflated: name a path that needs fewer"
    )]
    TooLarge {
        /// Where the one is mounted that is too much.
        path: RepoPath,
        /// The bound.
        most: u64,
    },
    /// More than is walked.
    #[error("below {path} are more than {most} {what}")]
    TooMuch {
        /// Where.
        path: RepoPath,
        /// The bound.
        most: usize,
        /// Of what.
        what: &'static str,
    },
}

/// The names beside a missing one that are most like it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest(pub Vec<RepoPath>);

impl Nearest {
    /// So many are named.
    const MOST: usize = 5;

    fn among(wanted: &[u8], mut entries: Vec<Entry>) -> Self {
        let wanted = String::from_utf8_lossy(wanted);
        let likeness =
            |entry: &Entry| strsim::jaro_winkler(&wanted, &String::from_utf8_lossy(entry.path.name()));
        entries.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)).then_with(|| a.path.cmp(&b.path)));
        Self(entries.into_iter().take(Self::MOST).map(|entry| entry.path).collect())
    }

    fn hint(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let names: Vec<_> = self.0.iter().map(RepoPath::to_string).collect();
        format!("; the nearest are {}", names.join(", "))
    }
}

/// Whether catalogs below the path are gone into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All.
    All,
    /// Only the one that the path is in.
    OneCatalog,
    /// All of them, but for their catalogs only.
    Catalogs,
}

/// A catalog to be read, and where.
type Mount = (RepoPath, Object);

/// Where a step led.
enum Step {
    There(Box<(Catalog, Entry, Vec<Mount>)>),
    Elsewhere(RepoPath),
}

/// A walk from one root catalog.
pub struct Walk<'s, S> {
    source: &'s mut S,
    root: Object,
    bounds: Bounds,
    entries: usize,
    inflated: u64,
}

impl<'s, S: Source> Walk<'s, S> {
    /// From this root.
    pub fn new(source: &'s mut S, root: Object, bounds: Bounds) -> Self {
        Self { source, root, bounds, entries: 0, inflated: 0 }
    }

    async fn open(&mut self, (path, catalog): Mount) -> Result<Catalog, WalkError<S::Error>> {
        let stored = self.source.catalog(catalog).await;
        let stored = stored.map_err(|error| WalkError::Source { path: path.clone(), catalog, error })?;
        let left = self.bounds.inflated - self.inflated;
        match Catalog::open(&stored, path.clone(), left) {
            Ok(catalog) => {
                self.inflated += catalog.len;
                Ok(catalog)
            }
            Err(BadCatalog::Inflate(InflateError::TooLarge { limit })) if limit < MAX_CATALOG => {
                Err(WalkError::TooLarge { path, most: self.bounds.inflated })
            }
            Err(why) => Err(WalkError::Refused { path, catalog, why }),
        }
    }

    /// The catalog that has the entries of a path, and all on the way to it, it being the last. Links on the way are followed.
    async fn reach(&mut self, path: &RepoPath) -> Result<(Catalog, Entry, Vec<Mount>), WalkError<S::Error>> {
        let mut path = path.clone();
        for _ in 0..MAX_LINKS {
            match self.step(&path).await? {
                Step::There(there) => return Ok(*there),
                Step::Elsewhere(next) => path = next,
            }
        }
        Err(WalkError::Link(path))
    }

    /// From the root to a path, or to the first link on the way.
    async fn step(&mut self, path: &RepoPath) -> Result<Step, WalkError<S::Error>> {
        let mut way = vec![(RepoPath::default(), self.root)];
        let mut catalog = self.open(way[0].clone()).await?;
        let mut at = RepoPath::default();
        let mut entry = Entry { path: at.clone(), kind: EntryKind::Directory, size: 0 };
        let mut names = path.names();
        while let Some(name) = names.next() {
            let mount = way[way.len() - 1].clone();
            let refused = |why| WalkError::Refused { path: mount.0.clone(), catalog: mount.1, why };
            // A part of `path`, which is well formed.
            let next = at.child(name).map_err(|_| WalkError::Link(path.clone()))?;
            let Some(found) = catalog.entry(&next).map_err(refused)? else {
                let beside = catalog.children(&at, self.bounds.entries).map_err(refused)?;
                let nearest = Nearest::among(name, beside.unwrap_or_default());
                return Err(WalkError::Missing { path: next, nearest });
            };
            match &found.kind {
                EntryKind::Mountpoint => {
                    let nested = catalog.nested(&next).map_err(refused)?;
                    let nested =
                        nested.ok_or_else(|| refused(BadCatalog::Entry(next.clone(), "no catalog")))?;
                    way.push((next.clone(), nested));
                    catalog = self.open((next.clone(), nested)).await?;
                }
                EntryKind::Link(target) => {
                    let target = at.link(target).ok_or_else(|| WalkError::Link(next.clone()))?;
                    let rest = names.try_fold(target, |path, name| path.child(name));
                    return Ok(Step::Elsewhere(rest.map_err(|_| WalkError::Link(next))?));
                }
                _ => {}
            }
            (at, entry) = (next, found);
        }
        Ok(Step::There(Box::new((catalog, entry, way))))
    }

    /// The entries of a directory by name; a file is its own only entry.
    pub async fn entries(&mut self, path: &RepoPath) -> Result<Vec<Entry>, WalkError<S::Error>> {
        let (catalog, entry, way) = self.reach(path).await?;
        self.entries_of(&catalog, &way[way.len() - 1], entry)
    }

    fn entries_of(
        &self,
        catalog: &Catalog,
        mount: &Mount,
        entry: Entry,
    ) -> Result<Vec<Entry>, WalkError<S::Error>> {
        let refused = |why| WalkError::Refused { path: mount.0.clone(), catalog: mount.1, why };
        let most = self.bounds.entries;
        let mut entries = match entry.kind {
            EntryKind::Directory | EntryKind::Mountpoint => {
                let found = catalog.children(&entry.path, most).map_err(refused)?;
                found.ok_or(WalkError::TooMuch { path: entry.path, most, what: "entries" })?
            }
            _ => vec![entry],
        };
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// All that stands under a path.
    pub async fn tree(&mut self, path: &RepoPath, depth: Depth) -> Result<Tree, WalkError<S::Error>> {
        let (catalog, entry, way) = self.reach(path).await?;
        let mut tree = Tree::default();
        let mut catalog_of = way[way.len() - 1].clone();
        tree.catalogs = way;
        let mut mounts = Vec::new();
        self.collect(&catalog, &catalog_of, entry, depth, &mut tree, &mut mounts)?;
        drop(catalog);
        if depth == Depth::OneCatalog {
            tree.unopened = mounts.len() as u64;
            return Ok(tree);
        }
        while let Some(mount) = mounts.pop() {
            if tree.catalogs.len() == self.bounds.catalogs {
                return Err(WalkError::TooMuch {
                    path: path.clone(),
                    most: self.bounds.catalogs,
                    what: "catalogs",
                });
            }
            tree.catalogs.push(mount.clone());
            catalog_of = mount.clone();
            let catalog = self.open(mount).await?;
            let top = Entry { path: catalog.mounted.clone(), kind: EntryKind::Directory, size: 0 };
            self.collect(&catalog, &catalog_of, top, depth, &mut tree, &mut mounts)?;
        }
        Ok(tree)
    }

    /// The entries of a directory by name, each with what stands under it as far as `depth` goes. A file is its own only entry.
    pub async fn list(
        &mut self,
        path: &RepoPath,
        depth: Depth,
    ) -> Result<Vec<(Entry, Tree)>, WalkError<S::Error>> {
        let (catalog, entry, way) = self.reach(path).await?;
        let mount = way[way.len() - 1].clone();
        let entries = self.entries_of(&catalog, &mount, entry)?;
        let mut listed = Vec::new();
        let mut below = Vec::new();
        for entry in entries {
            let (mut tree, mut mounts) = (Tree::default(), Vec::new());
            self.collect(&catalog, &mount, entry.clone(), depth, &mut tree, &mut mounts)?;
            tree.unopened = mounts.len() as u64;
            listed.push((entry, tree));
            below.push(mounts);
        }
        drop(catalog);
        if depth == Depth::OneCatalog {
            return Ok(listed);
        }
        let mut opened = 0;
        for ((_, tree), mut mounts) in listed.iter_mut().zip(below) {
            tree.unopened = 0;
            while let Some(mount) = mounts.pop() {
                opened += 1;
                if opened > self.bounds.catalogs {
                    let (path, most) = (path.clone(), self.bounds.catalogs);
                    return Err(WalkError::TooMuch { path, most, what: "catalogs" });
                }
                tree.catalogs.push(mount.clone());
                let catalog = self.open(mount.clone()).await?;
                let top = Entry { path: catalog.mounted.clone(), kind: EntryKind::Directory, size: 0 };
                self.collect(&catalog, &mount, top, depth, tree, &mut mounts)?;
            }
        }
        Ok(listed)
    }

    /// What one catalog has under `from`; catalogs below it go to `mounts`.
    fn collect(
        &mut self,
        catalog: &Catalog,
        mount: &Mount,
        from: Entry,
        depth: Depth,
        tree: &mut Tree,
        mounts: &mut Vec<Mount>,
    ) -> Result<(), WalkError<S::Error>> {
        let refused = |why| WalkError::Refused { path: mount.0.clone(), catalog: mount.1, why };
        let too_much = |most, what| WalkError::TooMuch { path: mount.0.clone(), most, what };
        let mut held = from.held();
        let mut open = vec![from];
        while let Some(entry) = open.pop() {
            held -= entry.held();
            let left = self.bounds.objects.saturating_sub(tree.objects.len());
            match &entry.kind {
                // The catalog's own top is where it is mounted.
                EntryKind::Mountpoint if entry.path != catalog.mounted => {
                    let nested = catalog.nested(&entry.path).map_err(refused)?;
                    let nested =
                        nested.ok_or_else(|| refused(BadCatalog::Entry(entry.path.clone(), "no catalog")))?;
                    if mounts.len() == self.bounds.catalogs {
                        return Err(too_much(self.bounds.catalogs, "catalogs"));
                    }
                    mounts.push((entry.path, nested));
                }
                EntryKind::Directory | EntryKind::Mountpoint => {
                    let most = self.bounds.entries - self.entries;
                    let children = catalog.children(&entry.path, most).map_err(refused)?;
                    let children = children.ok_or_else(|| too_much(self.bounds.entries, "entries"))?;
                    self.entries += children.len();
                    held += children.iter().map(Entry::held).sum::<usize>();
                    if held > MAX_OPEN {
                        return Err(too_much(MAX_OPEN, "bytes of paths"));
                    }
                    open.extend(children);
                }
                _ if depth == Depth::Catalogs => {}
                EntryKind::File(object) => {
                    tree.file(entry.size);
                    if !tree.add(*object, entry.size, self.bounds.objects) {
                        return Err(too_much(self.bounds.objects, "objects"));
                    }
                }
                EntryKind::Chunked(algorithm) => {
                    tree.file(entry.size);
                    let parts = catalog.chunks(&entry, *algorithm, left).map_err(refused)?;
                    let parts = parts.ok_or_else(|| too_much(self.bounds.objects, "objects"))?;
                    for (part, size) in parts {
                        tree.add(part, size, self.bounds.objects);
                    }
                }
                EntryKind::External => {
                    tree.external += 1;
                    tree.external_bytes = tree.external_bytes.saturating_add(entry.size);
                }
                EntryKind::Link(_) | EntryKind::Special => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
