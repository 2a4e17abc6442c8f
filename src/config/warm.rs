//! `[[warm]]`, with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::choices::OnRevision;
use super::repository::RepositoryUrl;
use super::units::ByteSize;

/// `[[warm]]`: what is fetched before clients ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Warm {
    /// `repository`: of which.
    pub repository: RepositoryUrl,
    /// `paths`: what of it, from its root.
    pub paths: Vec<String>,
    /// `on_revision`: how much of that.
    pub on_revision: OnRevision,
    /// `rate`: bytes a second.
    pub rate: ByteSize,
    /// `interval`: how often the manifest is looked at.
    pub interval: Duration,
    /// `spread`: a new revision is begun with after a part of this, chosen by lot.
    pub spread: Duration,
    /// `key`: file with the public key that the manifest is checked with; default: none.
    pub key: Option<PathBuf>,
}

impl Warm {
    /// With the defaults of all keys that may be left out.
    pub fn new(repository: RepositoryUrl) -> Self {
        Self {
            repository,
            paths: vec!["/".to_owned()],
            on_revision: OnRevision::Catalogs,
            rate: ByteSize::mib(10),
            interval: Duration::from_secs(60),
            spread: Duration::from_secs(30),
            key: None,
        }
    }
}
