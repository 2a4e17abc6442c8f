//! A repository at its latest revision, as far as the tier shows it.

use std::sync::Arc;
use std::time::SystemTime;

use super::client::{Lane, Trouble, Way};
use crate::catalog::manifest::{BadManifest, Manifest};
use crate::catalog::trust::{self, Distrust, MAX_KEY, Proofs, PublicKey};
use crate::catalog::{InflateError, inflate};
use crate::document::manifest::MAX_MANIFEST;

/// A manifest that was read, and what clients read beside it.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The manifest.
    pub manifest: Manifest,
    /// Whether it is genuine.
    pub trust: Trust,
}

/// How far the manifest is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its signature was checked with a key that was given.
    Verified,
    /// No key was given: only its own checksum was checked.
    Unchecked,
}

/// Why there is no repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// Something that every client reads first cannot be had.
    #[error("cannot get {0} of {1}: {2}")]
    Get(String, String, #[source] Trouble),
    /// No manifest.
    #[error("what {0} shows as its manifest is refused: {1}")]
    Manifest(String, #[source] BadManifest),
    /// Another repository's manifest.
    #[error("asked for {0}, but the manifest is that of {1}")]
    Another(String, String),
    /// The certificate.
    #[error("the certificate of {0} is refused: {1}")]
    Certificate(String, #[source] InflateError),
    /// Not genuine.
    #[error("the manifest of {0} is refused: {1}")]
    Distrust(String, #[source] Distrust),
}

impl Repository {
    /// Asks for what a client asks for first: manifest, certificate, whitelist. With keys, they must fit together.
    pub async fn open(lane: &mut Lane, way: &Arc<Way>, keys: &[PublicKey]) -> Result<Self, RepositoryError> {
        let name = way.repository.name.to_string();
        let cannot =
            |what: &str, trouble| RepositoryError::Get(what.to_owned(), way.repository.to_string(), trouble);
        let text = lane.document(".cvmfspublished", MAX_MANIFEST).await;
        let text = text.map_err(|trouble| cannot("the manifest", trouble))?;
        let manifest = Manifest::parse(&text).map_err(|why| RepositoryError::Manifest(name.clone(), why))?;
        if *manifest.repository != *name {
            return Err(RepositoryError::Another(name, manifest.repository));
        }
        let certificate = lane.object(manifest.certificate).await;
        let certificate = certificate.map_err(|trouble| cannot("the certificate", trouble))?;
        let whitelist = lane.document(".cvmfswhitelist", MAX_MANIFEST).await;
        let whitelist = whitelist.map_err(|trouble| cannot("the whitelist", trouble))?;
        if keys.is_empty() {
            return Ok(Self { manifest, trust: Trust::Unchecked });
        }
        let certificate = inflate(&certificate, MAX_KEY as u64);
        let certificate = certificate.map_err(|why| RepositoryError::Certificate(name.clone(), why))?;
        let proofs = Proofs { manifest: &text, certificate: &certificate, whitelist: &whitelist };
        trust::verify(&manifest, proofs, keys, SystemTime::now())
            .map_err(|why| RepositoryError::Distrust(name, why))?;
        Ok(Self { manifest, trust: Trust::Verified })
    }
}
