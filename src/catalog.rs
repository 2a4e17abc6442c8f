//! What a CernVM-FS repository consists of: from its manifest through its catalogs to the objects under a path.
//!
//! Catalogs come from outside and are believed in nothing: whatever is damaged, absurd or endless is named and refused within
//! bounds. Not here: HTTP, and where catalogs are fetched from ([`walk::Source`]).
//!
//! Codemap: [`manifest`] leads to the root, [`trust`] tells whether it is genuine, `inflate` unpacks, `database` reads one
//! catalog, [`walk`] goes through all of them.

mod database;
mod inflate;
pub mod manifest;
mod object;
mod path;
mod tree;
pub mod trust;
pub mod walk;

pub use database::{BadCatalog, Catalog, Entry, EntryKind, MAX_CATALOG};
pub use inflate::{InflateError, inflate};
pub use object::{Kind, Object};
pub use path::{BadPath, RepoPath, printable};
pub use tree::Tree;
