//! The object cache.

pub mod disk;
