//! Layouts: which URL paths name objects by checksum.
//!
//! A layout is a pure function from a path to a name or nothing. It sees the path as received, never decoded:
//! a path that needs decoding is not one of ours.

pub mod cvmfs;
pub mod frontier;

use crate::digest::ObjectName;

/// An object as a URL path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedObject<'a> {
    /// The checksum.
    pub name: ObjectName,
    /// The repository in whose tree the path stands, for accounting only.
    pub repository: &'a str,
}

/// The object that `path` names, if any layout recognises it.
pub fn object(path: &str) -> Option<NamedObject<'_>> {
    cvmfs::object(path)
}
