//! The stage for the plays: a stratum that can misbehave, the tier under test, clients, and the fixture repositories.

pub mod client;
pub mod object;
pub mod origin;
pub mod repository;

use std::path::PathBuf;
use std::time::Duration;

/// No barrier, answer or process may keep a test longer than this: what is awaited has then failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The fixture tree that stands for `/cvmfs/` on a stratum.
pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cvmfs")
}
