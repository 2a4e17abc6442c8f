//! The newest manifests on disk: one file of equal slots, a record of record.rs in each.
//!
//! A manifest is written into a free slot, and only then the slot it had becomes free: whatever interrupts a write, the
//! one before is still there. Slots are never emptied; of several records of one repository the highest sequence counts.
//! So the file is bounded by its form, nothing has to be tidied up, and one read of a few MiB at most brings everything back.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::time::SystemTime;

use bytes::Bytes;

use super::codec::{self, WrittenMark};
use super::files::Files;
use super::record::Fault;
use crate::document::stored::Stored;
use crate::document::watermark::MarkKey;

/// Bytes of a slot: a manifest has less than 1 kB, its fields seldom more.
pub const SLOT: u64 = 4096;
/// More repositories than there are.
pub const MAX_SLOTS: u64 = 1024;

/// See the module.
pub struct Slots {
    files: Files,
    file: Option<File>,
    held: HashMap<MarkKey, Held>,
    // To be written next: at the front.
    free: VecDeque<u64>,
    sequence: u64,
}

#[derive(Clone, Copy)]
struct Held {
    slot: u64,
    confirmed: SystemTime,
}

/// What was in the file.
#[derive(Debug, Default)]
pub struct Contents {
    /// The last record of each repository, in the order they were written in.
    pub marks: Vec<WrittenMark>,
    /// Slots that are damaged, and what a newer program wrote.
    pub faults: Vec<(u64, Fault)>,
}

/// Why a manifest was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// It is longer than a slot.
    #[error("longer than {SLOT} bytes")]
    TooLarge,
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Slots {
    /// A file of `count` slots of which nothing is known.
    pub fn new(files: Files, count: u64) -> Self {
        Self { files, file: None, held: HashMap::new(), free: (0..count).collect(), sequence: 0 }
    }

    /// A file of `count` slots, and what is in it. One that has more is cut off: what was there is no longer held.
    pub fn open(files: Files, count: u64) -> io::Result<(Self, Contents)> {
        let read = read(&files)?;
        let mut slots = Self::new(files, count);
        if read.length > count * SLOT {
            let file = slots.files.open_manifests()?;
            slots.files.truncate(&file, count * SLOT)?;
        }
        for (slot, mark) in &read.marks {
            slots.sequence = slots.sequence.max(mark.sequence);
            if *slot < count {
                slots.held.insert(mark.key.clone(), Held { slot: *slot, confirmed: mark.confirmed });
                slots.free.retain(|free| free != slot);
            }
        }
        // What a newer program wrote goes last.
        for (slot, fault) in &read.faults {
            if matches!(fault, Fault::Newer(_)) && slots.free.contains(slot) {
                slots.free.retain(|free| free != slot);
                slots.free.push_back(*slot);
            }
        }
        let marks = read.marks.into_iter().map(|(_, mark)| mark).collect();
        Ok((slots, Contents { marks, faults: read.faults }))
    }

    /// Whether the file has a record of a repository.
    pub fn holds(&self, key: &MarkKey) -> bool {
        self.held.contains_key(key)
    }

    /// Number of repositories.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Forgets a repository: its slot may be used for another.
    pub fn forget(&mut self, key: &MarkKey) {
        self.free.extend(self.held.remove(key).map(|held| held.slot));
    }

    /// Writes the newest manifest of a repository. When all slots are taken, the repository goes that was not confirmed
    /// for the longest time.
    pub fn write(
        &mut self,
        key: &MarkKey,
        manifest: &Stored,
        confirmed: SystemTime,
    ) -> Result<(), NotWritten> {
        // The wall clock keeps the order when the file could not be read; the count does when the clock is set back.
        let sequence = (self.sequence + 1).max(codec::milliseconds(confirmed));
        let record = codec::mark(key, sequence, confirmed, manifest).ok_or(NotWritten::TooLarge)?;
        if record.len() as u64 > SLOT {
            return Err(NotWritten::TooLarge);
        }
        let mut slot_bytes = vec![0; SLOT as usize];
        slot_bytes[..record.len()].copy_from_slice(&record);
        // One stays free: it is where the next one goes, whosever it is, while the one before is still there.
        let wanted = if self.holds(key) { 1 } else { 2 };
        while self.free.len() < wanted
            && let Some(oldest) = self.oldest_but(key)
        {
            self.forget(&oldest);
        }
        let Some(&slot) = self.free.front() else { return Err(NotWritten::TooLarge) };
        let file = match self.file.take() {
            Some(file) => file,
            None => self.files.open_manifests()?,
        };
        // On failure the slot stays free, whatever is in it now.
        let written = self.files.write_at(&file, &slot_bytes, slot * SLOT);
        self.file = Some(file);
        written?;
        self.sequence = sequence;
        self.free.pop_front();
        let old = self.held.insert(key.clone(), Held { slot, confirmed });
        self.free.extend(old.map(|held| held.slot));
        Ok(())
    }

    /// The repository that was not confirmed for the longest time, other than this one.
    fn oldest_but(&self, key: &MarkKey) -> Option<MarkKey> {
        let others = self.held.iter().filter(|(other, _)| *other != key);
        others.min_by_key(|(_, held)| held.confirmed).map(|(oldest, _)| oldest.clone())
    }
}

/// What [`read`] finds.
#[derive(Debug, Default)]
pub struct Read {
    /// Bytes, as far as they were read.
    pub length: u64,
    /// The last record of each repository and its slot, in the order they were written in.
    pub marks: Vec<(u64, WrittenMark)>,
    /// Slots that are damaged, and what a newer program wrote.
    pub faults: Vec<(u64, Fault)>,
}

/// Reads the file without changing anything.
pub fn read(files: &Files) -> io::Result<Read> {
    let bytes = Bytes::from(files.read_manifests(MAX_SLOTS * SLOT)?.unwrap_or_default());
    let mut read = Read { length: bytes.len() as u64, ..Read::default() };
    let mut last: HashMap<MarkKey, (u64, WrittenMark)> = HashMap::new();
    for (slot, start) in (0..).zip((0..bytes.len()).step_by(SLOT as usize)) {
        let content = bytes.slice(start..bytes.len().min(start + SLOT as usize));
        if content.iter().all(|byte| *byte == 0) {
            continue;
        }
        match codec::read_mark(&content) {
            Ok(mark) if last.get(&mark.key).is_some_and(|(_, other)| other.sequence >= mark.sequence) => {}
            Ok(mark) => {
                last.insert(mark.key.clone(), (slot, mark));
            }
            Err(fault) => read.faults.push((slot, fault)),
        }
    }
    read.marks = last.into_values().collect();
    read.marks.sort_by_key(|(_, mark)| mark.sequence);
    Ok(read)
}
