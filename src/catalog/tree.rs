//! What stands under a path, added up: each object once, whatever shares it.

use std::collections::HashMap;

use super::object::Object;
use super::path::RepoPath;

/// What stands under a path.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Catalogs, with where they are mounted: those on the way to the path, and those below it.
    pub catalogs: Vec<(RepoPath, Object)>,
    /// Objects of files, each once.
    pub objects: Vec<Object>,
    /// Bytes of content of these objects: what they take when nothing is compressed.
    pub bytes: u64,
    /// Files with content of their own.
    pub files: u64,
    /// Bytes of all files, whatever they share.
    pub file_bytes: u64,
    /// Files whose content comes from elsewhere.
    pub external: u64,
    /// Bytes of these.
    pub external_bytes: u64,
    /// Catalogs below the path that were not gone into.
    pub unopened: u64,
    sizes: HashMap<Object, u64>,
}

impl Tree {
    /// A file with content of its own.
    pub(super) fn file(&mut self, size: u64) {
        self.files = self.files.saturating_add(1);
        self.file_bytes = self.file_bytes.saturating_add(size);
    }

    /// An object with so many bytes of content, unless there are `most` others; whether there was room for it.
    pub(super) fn add(&mut self, object: Object, size: u64, most: usize) -> bool {
        if self.sizes.contains_key(&object) {
            return true;
        }
        if self.objects.len() >= most {
            return false;
        }
        self.sizes.insert(object, size);
        self.objects.push(object);
        self.bytes = self.bytes.saturating_add(size);
        true
    }

    /// Bytes of content of one of the objects.
    pub fn content(&self, object: &Object) -> u64 {
        self.sizes.get(object).copied().unwrap_or(0)
    }

    /// Takes over what another tree has.
    pub fn merge(&mut self, other: &Self) {
        for object in &other.objects {
            self.add(*object, other.content(object), usize::MAX);
        }
        for catalog in &other.catalogs {
            if !self.catalogs.contains(catalog) {
                self.catalogs.push(catalog.clone());
            }
        }
        self.files = self.files.saturating_add(other.files);
        self.file_bytes = self.file_bytes.saturating_add(other.file_bytes);
        self.external = self.external.saturating_add(other.external);
        self.external_bytes = self.external_bytes.saturating_add(other.external_bytes);
        self.unopened = self.unopened.saturating_add(other.unopened);
    }
}
