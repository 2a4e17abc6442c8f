//! Objects as catalogs and manifests name them.

use std::fmt;

use crate::digest::ObjectName;

/// What an object is, as the letter behind its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A whole file.
    File,
    /// A part of a file.
    Part,
    /// A catalog.
    Catalog,
    /// A certificate.
    Certificate,
}

/// An object of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// Its name.
    pub name: ObjectName,
    /// What it is.
    pub kind: Kind,
}

impl fmt::Display for Object {
    /// Its path from the root of the repository: `data/03/2eb8...C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.to_string();
        let (head, tail) = name.split_at(2);
        let suffix = match self.kind {
            Kind::File => "",
            Kind::Part => "P",
            Kind::Catalog => "C",
            Kind::Certificate => "X",
        };
        write!(f, "data/{head}/{tail}{suffix}")
    }
}
