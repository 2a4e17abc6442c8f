//! Checking everything on disk at once, while no process uses it. A running one checks what it loads, and needs no more:
//! answers come from memory.

use std::io;
use std::path::Path;

use super::codec;
use super::files::Files;
use super::name::Name;
use super::record::Fault;
use super::slots::{self, SLOT};
use crate::cache::disk::faults::Faults;

/// A file, or a part of one, that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which file.
    pub file: String,
    /// First byte of the bad part.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: String,
}

/// What [`scrub`] has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Documents and newest manifests, the bad ones included.
    pub records: u64,
    /// Of these, those that are bad or cannot be read. They are not there any more.
    pub bad: u64,
}

/// Checks a folder; tells each finding as it is made, and removes what is bad.
pub fn scrub(folder: &Path, found: &mut dyn FnMut(Finding)) -> io::Result<Scrubbed> {
    let mut sum = Scrubbed::default();
    if !folder.is_dir() {
        return Ok(sum);
    }
    let files = Files::new(folder.to_owned(), Faults::default());
    for file in files.list()? {
        sum.records += 1;
        let fault = match check(&files, file.name, file.bytes) {
            Ok(()) => continue,
            Err(fault) => fault,
        };
        sum.bad += 1;
        // Best effort: what cannot be removed is found bad again when it is loaded.
        let _ = files.remove(file.name);
        found(Finding { file: file.name.to_string(), offset: 0, fault });
    }
    let manifests = slots::read(&files)?;
    sum.records += (manifests.marks.len() + manifests.faults.len()) as u64;
    for (slot, fault) in manifests.faults {
        if matches!(fault, Fault::Newer(_)) {
            continue;
        }
        sum.bad += 1;
        if let Ok(file) = files.open_manifests() {
            let _ = files.write_at(&file, &[0; SLOT as usize], slot * SLOT);
        }
        found(Finding { file: "manifests".to_owned(), offset: slot * SLOT, fault: fault.to_string() });
    }
    Ok(sum)
}

/// Whether a document is intact, or a newer program's, who alone can tell.
fn check(files: &Files, name: Name, length: u64) -> Result<(), String> {
    let bytes = files.read(name, length).map_err(|error| error.to_string())?.unwrap_or_default();
    match codec::read_document(&bytes.into()) {
        Err(fault @ Fault::Damaged) => Err(fault.to_string()),
        Err(Fault::Newer(_)) => Ok(()),
        Ok((key, written)) if Name::of(Name::url_of(&key), &written.selection) == name => Ok(()),
        Ok((key, _)) => Err(format!("the record of {key:?} under the name of another")),
    }
}
