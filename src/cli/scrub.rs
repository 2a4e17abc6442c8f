//! `substratum scrub`: hashes everything in the disk tier anew, while no daemon uses it.
//!
//! A line for each bad record, which is made unfindable, and a summary. A running daemon does the same by itself with
//! objects; documents it checks when it starts, and has in memory afterwards.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cache::disk::{self, OpenError, Unused};
use crate::config::{ByteSize, Config, ConfigError};
use crate::document;

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It has no disk tier.
    #[error("there is no [disk] in the configuration: nothing to check")]
    NoDisk,
    /// A daemon runs.
    #[error(
        "{0} is in use by a running daemon: stop it first, or leave it to check its objects in the background \
         ([disk] scrub_rate)"
    )]
    InUse(String),
    /// The folder cannot be read.
    #[error(transparent)]
    Folder(OpenError),
    /// The documents cannot be read.
    #[error("cannot read {path}: {source}")]
    Documents {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

impl ScrubError {
    /// 2: the configuration is to be changed; 1: anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::NoDisk => super::BAD_CONFIGURATION,
            Self::InUse(_) | Self::Folder(_) | Self::Documents { .. } | Self::Output(_) => 1,
        }
    }
}

/// Checks the folder of `config`; the report goes to `out`. How many records are bad.
pub fn run(config: Option<&Path>, out: &mut dyn Write) -> Result<u64, ScrubError> {
    let config = config.map_or_else(|| Ok(Config::builtin()), Config::load)?;
    let disk = config.disk.ok_or(ScrubError::NoDisk)?;
    let mut lines = Ok(());
    let unused = Unused::take(&disk).map_err(|error| match error {
        OpenError::Locked { path } => ScrubError::InUse(path.display().to_string()),
        other => ScrubError::Folder(other),
    })?;
    let objects = disk::scrub(&unused, &mut |finding| {
        let name = finding.name.map_or_else(|| "unknown".to_owned(), |name| name.to_string());
        let line =
            writeln!(out, "bad: {name} in {} at byte {}: {}", finding.segment, finding.offset, finding.fault);
        if lines.is_ok() {
            lines = line;
        }
    });
    let objects = objects.map_err(ScrubError::Folder)?;
    let path = unused.path().join(disk::DOCUMENTS);
    let documents = document::disk::scrub(&path, &mut |finding| {
        let line =
            writeln!(out, "bad: document {} at byte {}: {}", finding.file, finding.offset, finding.fault);
        if lines.is_ok() {
            lines = line;
        }
    });
    let documents = documents.map_err(|source| ScrubError::Documents { path, source })?;
    lines?;
    writeln!(
        out,
        "checked {} objects, {} good: {} bad",
        objects.objects,
        ByteSize(objects.bytes),
        objects.bad
    )?;
    writeln!(out, "checked {} documents and newest manifests: {} bad", documents.records, documents.bad)?;
    Ok(objects.bad + documents.bad)
}
