//! The stage for the plays: a stratum that can misbehave, the tier under test, clients, and the fixture repositories.

pub mod binary;
pub mod client;
pub mod dns;
pub mod hole;
pub mod image;
pub mod metric;
pub mod object;
pub mod origin;
pub mod peer;
pub mod proxy;
pub mod repository;
pub mod storage;

use std::path::PathBuf;
use std::time::Duration;

/// No barrier, answer or process may keep a test longer than this: what is awaited has then failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks at a counter or a process that cannot call back; always within [`PATIENCE`].
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The fixture tree that stands for `/cvmfs/` on a stratum.
pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cvmfs")
}
