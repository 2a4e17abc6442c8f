//! The folder of a disk tier: whose it is, in which format, and that nobody else uses it.
//!
//! ```text
//! <path>/format      the format's name and version; the checksum of that line
//! <path>/lock        locked while a process uses the folder
//! <path>/index       the index as of the last clean stop
//! <path>/segments/   segment-<number in hexadecimal>
//! <path>/documents/  not the business of this tier (document/disk.rs)
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::faults::{Faults, Operation};
use super::format::VERSION;
use super::ledger::{Charge, Ledger, blocks};
use super::segment::number_in;
use crate::config::ByteSize;

const FORMAT: &str = "format";
const LOCK: &str = "lock";
const INDEX: &str = "index";
const SEGMENTS: &str = "segments";
/// The folder in the configured one where documents are.
pub const DOCUMENTS: &str = "documents";
const MAGIC: &str = "substratum disk cache, format ";

/// Why the disk tier cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something that is not a folder.
    #[error("{path} is not a folder: remove it or choose another [disk] path")]
    NotAFolder {
        /// The configured path.
        path: PathBuf,
    },
    /// It cannot be created.
    #[error(
        "cannot create {path}: {source}; create it and make it writable for the user this program runs as"
    )]
    Create {
        /// What could not be created.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its files cannot be written.
    #[error("cannot write to {path}: {source}; make the folder writable for the user this program runs as")]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "{path} is in use by another running instance: stop it, take over from it with `serve --wait`, or give this one another [disk] path"
    )]
    Locked {
        /// The configured path.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "{path} was written in format {found}, this program knows up to {VERSION}: use the newer program, or another \
         [disk] path"
    )]
    Newer {
        /// The configured path.
        path: PathBuf,
        /// Version found.
        found: u16,
    },
    /// It has other contents.
    #[error("{path} is not a disk cache (it contains {found}): choose an empty or new folder as [disk] path")]
    NotOurs {
        /// The configured path.
        path: PathBuf,
        /// Something found in it.
        found: String,
    },
    /// It could hold next to nothing.
    #[error(
        "[disk] capacity is {capacity}, but at least {minimum} are needed: raise it, or leave [disk] out"
    )]
    TooSmall {
        /// As configured.
        capacity: ByteSize,
        /// The least possible.
        minimum: ByteSize,
    },
    /// Something else failed.
    #[error("cannot use {path} as disk cache: {source}")]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether it may be otherwise without anybody changing the configuration: a disk that is not mounted yet, or in
    /// trouble.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Create { .. } | Self::NotWritable { .. } | Self::Io { .. } => true,
            Self::NotAFolder { .. }
            | Self::Locked { .. }
            | Self::Newer { .. }
            | Self::NotOurs { .. }
            | Self::TooSmall { .. } => false,
        }
    }
}

/// A folder of ours, locked.
pub struct Folder {
    path: PathBuf,
    // Taken when the tier is closed.
    lock: Mutex<Option<File>>,
    charges: Mutex<Charges>,
    faults: Faults,
}

/// Of the files beside the segments.
#[derive(Default)]
struct Charges {
    _format: Option<Charge>,
    snapshot: Option<Charge>,
}

/// A segment file that was there at start.
pub struct FoundFile {
    /// From its name.
    pub number: u64,
    /// Its bytes in the ledger.
    pub charge: Charge,
}

impl Folder {
    /// The folder at `path`, untouched.
    pub fn at(path: &Path, faults: Faults) -> Self {
        Self { path: path.to_owned(), lock: Mutex::default(), charges: Mutex::default(), faults }
    }

    /// The same, prepared.
    pub fn open(path: &Path, faults: Faults) -> Result<Self, OpenError> {
        let folder = Self::at(path, faults);
        folder.prepare()?;
        Ok(folder)
    }

    /// Locks the folder, creating it where it is missing. Contents in an older format are removed. Does nothing when that
    /// was done before.
    pub fn prepare(&self) -> Result<(), OpenError> {
        let mut held = self.lock.lock();
        if held.is_some() {
            return Ok(());
        }
        let path = &self.path;
        create(path)?;
        let format = read_format(path)?;
        if format == Format::Missing {
            refuse_foreign(path, &STARTED)?;
        }
        let file = lock(path)?;
        match format {
            Format::Version(version) if version == VERSION => {}
            Format::Version(_) => {
                tracing::warn!(path = %path.display(), "removing a disk cache in an older format");
                self.clear()?;
                self.write_format()?;
            }
            // Segments and index say their own version.
            Format::Damaged => {
                tracing::warn!(path = %path.display(), "the format file of the disk cache is damaged: written anew");
                self.write_format()?;
            }
            Format::Missing => self.write_format()?,
        }
        create(&self.segments_path())?;
        *held = Some(file);
        Ok(())
    }

    /// The configured path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where segments are.
    pub fn segments_path(&self) -> PathBuf {
        self.path.join(SEGMENTS)
    }

    /// Where the index is between two runs.
    pub fn snapshot_path(&self) -> PathBuf {
        self.path.join(INDEX)
    }

    /// Enters all files into the ledger, without opening any. What does not belong among the segments is removed,
    /// unless it is a folder.
    pub fn files(&self, ledger: &Arc<Ledger>) -> io::Result<Vec<FoundFile>> {
        self.faults.check(Operation::List)?;
        *self.charges.lock() = Charges {
            _format: Some(ledger.found(blocks(MAGIC.len() as u64))),
            snapshot: fs::metadata(self.snapshot_path()).ok().map(|file| ledger.found(blocks(file.len()))),
        };
        let mut files = Vec::new();
        for file in fs::read_dir(self.segments_path())? {
            let file = file?;
            match number_in(Path::new(&file.file_name())) {
                Some(number) => {
                    let bytes = file.metadata()?.len();
                    files.push(FoundFile { number, charge: ledger.found(blocks(bytes)) });
                }
                None if file.file_type()?.is_dir() => {}
                None => {
                    let removed = fs::remove_file(file.path()).is_ok();
                    tracing::warn!(path = %file.path().display(), removed, "not a segment of the disk cache");
                }
            }
        }
        Ok(files)
    }

    /// The bytes of the index file, if there is one; for whoever removes it.
    pub fn take_snapshot_charge(&self) -> Option<Charge> {
        self.charges.lock().snapshot.take()
    }

    /// Makes the folder usable again when somebody has emptied it under us: format, lock and the folder of segments. What
    /// was stored can be read until the end of this run.
    pub fn mend(&self) -> Result<(), OpenError> {
        let mut held = self.lock.lock();
        let is_ours = held.as_ref().is_some_and(|file| is_at(file, &self.path.join(LOCK)));
        if is_ours && self.segments_path().is_dir() {
            return Ok(());
        }
        self.faults
            .check(Operation::Create)
            .map_err(|source| OpenError::Create { path: self.path.clone(), source })?;
        create(&self.path)?;
        if !is_ours {
            *held = Some(lock(&self.path)?);
        }
        self.write_format()?;
        create(&self.segments_path())
    }

    /// Lets another process use the folder.
    pub fn unlock(&self) {
        self.lock.lock().take();
    }

    fn clear(&self) -> Result<(), OpenError> {
        for (path, result) in [
            (self.segments_path(), fs::remove_dir_all(self.segments_path())),
            (self.snapshot_path(), fs::remove_file(self.snapshot_path())),
        ] {
            match result {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(OpenError::NotWritable { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Written under another name first: a format file is there whole or not at all.
    fn write_format(&self) -> Result<(), OpenError> {
        let (path, new) = (self.path.join(FORMAT), self.path.join("format.new"));
        let write = || {
            let mut file = File::create(&new)?;
            let line = format!("{MAGIC}{VERSION}");
            writeln!(file, "{line}\nchecksum {:08x}", crc32fast::hash(line.as_bytes()))?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| OpenError::NotWritable { path: path.clone(), source })
    }
}

fn create(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(OpenError::NotAFolder { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(|source| OpenError::Create { path: path.to_owned(), source })
        }
        Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// Whether the open file is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = || Some((file.metadata().ok()?.ino(), fs::metadata(path).ok()?.ino()));
    same().is_some_and(|(ours, there)| ours == there)
}

/// What the format file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// There is none.
    Missing,
    /// A version up to ours.
    Version(u16),
    /// It was ours, and its checksum does not match.
    Damaged,
}

fn read_format(path: &Path) -> Result<Format, OpenError> {
    let text = match fs::read(path.join(FORMAT)) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Format::Missing),
        Err(source) => return Err(OpenError::Io { path: path.join(FORMAT), source }),
    };
    let mut lines = text.lines();
    let (line, checksum) = (lines.next().unwrap_or_default(), lines.next());
    let is_intact =
        checksum.is_none_or(|text| text == format!("checksum {:08x}", crc32fast::hash(line.as_bytes())));
    let version: Option<u16> = line.strip_prefix(MAGIC).and_then(|rest| rest.trim().parse().ok());
    match version {
        Some(found) if is_intact && found > VERSION => Err(OpenError::Newer { path: path.to_owned(), found }),
        Some(found) if is_intact => Ok(Format::Version(found)),
        _ if path.join(SEGMENTS).is_dir() && refuse_foreign(path, &OURS).is_ok() => Ok(Format::Damaged),
        _ => Err(OpenError::NotOurs {
            path: path.to_owned(),
            found: "a file `format` of something else".into(),
        }),
    }
}

/// What a start that was interrupted may leave behind. A file system of our own brings lost+found along.
const STARTED: [&str; 3] = [LOCK, "format.new", "lost+found"];
/// All that there is in a folder of ours.
const OURS: [&str; 7] = [LOCK, "format.new", "lost+found", FORMAT, INDEX, SEGMENTS, DOCUMENTS];

/// Refuses a folder with anything but `known` files.
fn refuse_foreign(path: &Path, known: &[&str]) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    for file in fs::read_dir(path).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        if !known.iter().any(|known| name == *known) {
            let found = format!("`{}`", name.to_string_lossy());
            return Err(OpenError::NotOurs { path: path.to_owned(), found });
        }
    }
    Ok(())
}

/// Waits until no process uses the folder, if there is one. Whoever is first afterwards has it.
pub fn wait_until_free(path: &Path) -> io::Result<()> {
    let file = match File::open(path.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let lock = path.join(LOCK);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock)
        .map_err(|source| OpenError::NotWritable { path: lock.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(OpenError::Locked { path: path.to_owned() }),
        Err(error) => Err(OpenError::Io { path: lock, source: error.into() }),
    }
}

#[cfg(test)]
mod tests;
