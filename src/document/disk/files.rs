//! The files of one folder, by way of the seam for faults. Blocking; nothing is synced: records tell whether they are whole.
//!
//! ```text
//! <folder>/<name>      one variant of one document
//! <folder>/new         what is being written; takes its name when it is whole
//! <folder>/manifests   the newest manifests (slots.rs)
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::name::Name;
use crate::cache::disk::faults::{Faults, Operation, Verdict};

const NEW: &str = "new";
const MANIFESTS: &str = "manifests";

/// See the module.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
    faults: Faults,
}

/// A file of a document.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Its name.
    pub name: Name,
    /// Its length.
    pub bytes: u64,
    /// When it was written.
    pub written: SystemTime,
}

impl Files {
    /// Of this folder, which need not be there.
    pub fn new(folder: PathBuf, faults: Faults) -> Self {
        Self { folder, faults }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, unless it is there.
    pub fn create_folder(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        self.faults.check(Operation::Create)?;
        fs::create_dir(&self.folder)
    }

    /// All documents, those written last at the end. What does not belong here is removed, unless it is a folder.
    pub fn list(&self) -> io::Result<Vec<Found>> {
        self.faults.check(Operation::List)?;
        let mut found = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            let name = file.file_name();
            if let Some(name) = name.to_str().and_then(Name::parse) {
                let metadata = file.metadata()?;
                found.push(Found { name, bytes: metadata.len(), written: metadata.modified()? });
            } else if name != MANIFESTS && !file.file_type()?.is_dir() {
                self.faults.check(Operation::Remove)?;
                fs::remove_file(file.path())?;
                if name != NEW {
                    tracing::warn!(path = %file.path().display(), "removed: not a document of the cache");
                }
            }
        }
        found.sort_by_key(|file| (file.written, file.name));
        Ok(found)
    }

    /// All of a file that is no longer than `most`; `None` if there is none.
    pub fn read(&self, name: Name, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.read_at(&self.path(name), most)
    }

    /// Writes a file whole, or leaves what was there.
    pub fn write(&self, name: Name, bytes: &[u8]) -> io::Result<()> {
        self.faults.check(Operation::Create)?;
        let new = self.folder.join(NEW);
        let file = File::create(&new)?;
        self.write_at(&file, bytes, 0)?;
        drop(file);
        self.faults.check(Operation::Rename)?;
        fs::rename(new, self.path(name))
    }

    /// Removes what is left of a write that failed.
    pub fn discard_new(&self) -> io::Result<()> {
        self.remove_at(&self.folder.join(NEW))
    }

    /// Removes a file; one that is not there is as good as removed.
    pub fn remove(&self, name: Name) -> io::Result<()> {
        self.remove_at(&self.path(name))
    }

    /// The file of manifests: all of it that is no longer than `most`.
    pub fn read_manifests(&self, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.read_at(&self.folder.join(MANIFESTS), most)
    }

    /// The same file, to be written to.
    pub fn open_manifests(&self) -> io::Result<File> {
        self.faults.check(Operation::Create)?;
        OpenOptions::new().write(true).create(true).truncate(false).open(self.folder.join(MANIFESTS))
    }

    /// Removes it.
    pub fn remove_manifests(&self) -> io::Result<()> {
        self.remove_at(&self.folder.join(MANIFESTS))
    }

    /// Cuts an open file off.
    pub fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.faults.check(Operation::Truncate)?;
        file.set_len(bytes)
    }

    /// Writes into an open file.
    pub fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.faults.judge(Operation::Write(bytes.len())) {
            Verdict::Go => file.write_all_at(bytes, offset),
            Verdict::Fail(errno) => Err(errno.into()),
            Verdict::Torn(length, errno) => {
                file.write_all_at(&bytes[..length.min(bytes.len())], offset)?;
                Err(errno.into())
            }
        }
    }

    fn path(&self, name: Name) -> PathBuf {
        self.folder.join(name.to_string())
    }

    fn read_at(&self, path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.faults.check(Operation::Open)?;
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        self.faults.check(Operation::Read)?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn remove_at(&self, path: &Path) -> io::Result<()> {
        self.faults.check(Operation::Remove)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
