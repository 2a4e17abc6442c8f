//! Objects made up for a test: bytes of any length under their true name.

use bytes::Bytes;
use substratum::digest::{Algorithm, ObjectName};

/// The repository in the path of generated objects, unless a test names another.
pub const REPOSITORY: &str = "objects.test.local";

/// Bytes and the name they deserve.
#[derive(Clone, Debug)]
pub struct Object {
    /// The checksum of `bytes`.
    pub name: ObjectName,
    /// The bytes as they travel.
    pub bytes: Bytes,
}

impl Object {
    /// `len` incompressible bytes that depend on `seed` alone, named by SHA-1.
    pub fn generate(seed: u64, len: usize) -> Self {
        Self::named_by(Algorithm::Sha1, seed, len)
    }

    /// The same under another algorithm.
    pub fn named_by(algorithm: Algorithm, seed: u64, len: usize) -> Self {
        let mut bytes = vec![0; len];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        Self { name: ObjectName::of(algorithm, &bytes), bytes: bytes.into() }
    }

    /// Its path in [`REPOSITORY`].
    pub fn path(&self) -> String {
        self.path_in(REPOSITORY)
    }

    /// Its path in `repository`.
    pub fn path_in(&self, repository: &str) -> String {
        let name = self.name.to_string();
        format!("/cvmfs/{repository}/data/{}/{}", &name[..2], &name[2..])
    }
}
