//! Hashing everything stored anew, so that bytes which went bad are found before somebody asks for them.
//!
//! In a running tier a thread of its own reads at a fixed rate and drops what is bad. Without one, [`scrub`] reads
//! everything at once and makes bad records unfindable. Damaged headers cannot tell whose they were.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::blocks::{Part, ReadError, Record};
use super::clock::unix_seconds;
use super::entry::{Entry, Packed};
use super::faults::Faults;
use super::file::Medium;
use super::folder::{Folder, OpenError};
use super::frames::MAX_FRAME;
use super::health::ReadHealth;
use super::ledger::{Ceiling, Ledger};
use super::object::DiskObject;
use super::scan::scan;
use super::segment::{Context, OpenFile, Segment, file_name};
use super::shared::Shared;
use super::shares::Share;
use super::snapshot::Snapshot;
use super::usage::RemoveReason;
use super::writer::blot;
use crate::config;
use crate::digest::ObjectName;

/// Between two passes, and before the first.
const REST: Duration = Duration::from_secs(60);

/// A record that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the segment's file.
    pub segment: String,
    /// First byte of the record.
    pub offset: u64,
    /// Whose record it is; unknown when the header is damaged.
    pub name: Option<ObjectName>,
    /// What is wrong with it.
    pub fault: String,
}

/// What [`scrub`] has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Records, the bad ones included.
    pub objects: u64,
    /// Bytes of good objects.
    pub bytes: u64,
    /// Records that are bad or cannot be read.
    pub bad: u64,
}

/// How a record is.
enum State {
    Good(u64),
    /// Removed or overwritten.
    Gone,
    Bad(Option<ObjectName>, String),
    Unreadable(Option<ObjectName>, io::Error),
    /// Whoever paces the reading wants it to end.
    Stopped,
}

/// A folder that no process uses, and that none can use until this is dropped.
pub struct Unused(Folder);

impl Unused {
    /// Takes the folder of a tier that does not run.
    pub fn take(config: &config::Disk) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: config.path.clone(), source };
        // Looking at a folder must not make it a cache.
        std::fs::metadata(config.path.join("format")).map_err(failed)?;
        Folder::open(&config.path, Faults::default()).map(Self)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Checks all objects of a folder; tells each finding as it is made, and makes the record unfindable.
pub fn scrub(unused: &Unused, found: &mut dyn FnMut(Finding)) -> Result<Scrubbed, OpenError> {
    let Unused(folder) = unused;
    let failed = |source| OpenError::Io { path: folder.path().to_owned(), source };
    let context = Context {
        folder: folder.segments_path(),
        frames: Arc::default(),
        medium: Medium::of(folder.path()).map_err(failed)?,
        health: Arc::new(ReadHealth::uncounted()),
        faults: Faults::default(),
    };
    // Nothing is written that would need room.
    let ledger = Ledger::new(0, 0, &[Ceiling::NONE]);
    let mut files = folder.files(&ledger).map_err(failed)?;
    files.sort_by_key(|file| file.number);
    let mut sum = Scrubbed::default();
    for file in files {
        let name = file_name(file.number);
        let whole = |fault: String| Finding { segment: name.clone(), offset: 0, name: None, fault };
        let segment = match OpenFile::open(&context, file.number) {
            Ok(found) => Arc::new(Segment::found(&context, found, Share::REST, 0, file.charge)),
            Err(error) => {
                sum.bad += 1;
                found(whole(error.to_string()));
                continue;
            }
        };
        match entries(&segment) {
            Ok(entries) => {
                for packed in entries {
                    check_one(&segment, packed.into(), &mut sum, found);
                }
            }
            Err(error) => {
                sum.bad += 1;
                found(whole(error.to_string()));
            }
        }
    }
    if let Err(error) = check_index(folder) {
        sum.bad += 1;
        found(Finding { segment: "index".to_owned(), offset: 0, name: None, fault: error.to_string() });
    }
    Ok(sum)
}

fn check_one(segment: &Arc<Segment>, entry: Entry, sum: &mut Scrubbed, found: &mut dyn FnMut(Finding)) {
    let (name, fault) = match inspect(segment, entry, &mut |_| Ok(())) {
        State::Good(bytes) => {
            sum.objects += 1;
            sum.bytes += bytes;
            return;
        }
        State::Gone | State::Stopped => return,
        State::Bad(name, fault) => {
            // Best effort: what cannot be overwritten is found bad again when it is read.
            let _ = blot(segment, entry.place.offset);
            (name, fault)
        }
        State::Unreadable(name, error) => (name, error.to_string()),
    };
    sum.objects += 1;
    sum.bad += 1;
    found(Finding { segment: file_name(segment.number), offset: entry.place.offset, name, fault });
}

fn entries(segment: &Segment) -> io::Result<Vec<Packed>> {
    match segment.table()? {
        Some(entries) => Ok(entries),
        None => {
            let found = scan(segment);
            found.ended.map(|()| found.entries)
        }
    }
}

fn check_index(folder: &Folder) -> io::Result<()> {
    match Snapshot::open(&folder.snapshot_path())? {
        Some(mut snapshot) => snapshot.read(|_| {}),
        None => Ok(()),
    }
}

/// Reads a record and hashes it. `pace` is told what was read after each piece.
fn inspect(
    segment: &Arc<Segment>,
    entry: Entry,
    pace: &mut dyn FnMut(u64) -> Result<(), super::bell::Stopped>,
) -> State {
    let header = match (Record { segment, offset: entry.place.offset }).header() {
        Ok(header) => header,
        Err(error) => return State::of(None, error),
    };
    if header.len != entry.len || header.name.hash64() != entry.fingerprint {
        return State::Gone;
    }
    let object = DiskObject::new(Arc::clone(segment), header.name, entry);
    let mut verifier = header.name.verifier();
    let mut at = 0;
    loop {
        match object.read(at, MAX_FRAME) {
            Ok(bytes) => {
                verifier.update(&bytes);
                at += bytes.len() as u64;
                if pace(bytes.len() as u64).is_err() {
                    return State::Stopped;
                }
                if at >= header.len {
                    break;
                }
            }
            Err(error) => return State::of(Some(header.name), error),
        }
    }
    match verifier.finish() {
        Ok(()) => State::Good(header.len),
        Err(mismatch) => State::Bad(Some(header.name), mismatch.to_string()),
    }
}

impl State {
    fn of(name: Option<ObjectName>, error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Unreadable(name, error),
            ReadError::Corrupt { part, .. } => Self::Bad(name, format!("{} damaged", Self::words(part))),
            ReadError::Foreign => Self::Gone,
        }
    }

    fn words(part: Part) -> &'static str {
        match part {
            Part::Header => "header",
            Part::Block => "block",
            Part::End => "end",
        }
    }
}

/// The thread of a running tier: looks at everything again and again until the tier is closed.
pub(super) fn run(shared: &Arc<Shared>) {
    while shared.segments.bell.pause(REST).is_ok() {
        if shared.is_loaded() && rate(shared).is_some() && pass(shared).is_ok() {
            shared.metrics.scrub_passes.inc();
            shared.metrics.scrub_last_pass.set(i64::from(unix_seconds()));
        }
    }
}

/// Bytes a second; it may change at any time.
fn rate(shared: &Shared) -> Option<f64> {
    let rate = shared.scrub_rate.load(Ordering::Relaxed);
    (rate > 0).then_some(rate as f64)
}

/// Looks at every object once; [`super::bell::Stopped`] when the tier was closed before, or nothing is to be read any more.
pub(super) fn pass(shared: &Arc<Shared>) -> Result<(), super::bell::Stopped> {
    let mut segments = shared.segments.all();
    segments.sort_by_key(|segment| segment.number);
    let numbers: Vec<(u32, u64)> = segments.iter().map(|segment| (segment.slot, segment.number)).collect();
    // None is kept open for the whole pass.
    drop(segments);
    for (slot, number) in numbers {
        let Some(segment) = shared.segments.get(slot).filter(|segment| segment.number == number) else {
            continue;
        };
        // Without a table it is still being written, or searched after the next start.
        let Ok(Some(table)) = segment.table() else { continue };
        for packed in table {
            let place = packed.in_slot(slot).place();
            let current = shared.index.peek(packed.fingerprint()).filter(|entry| entry.place == place);
            let Some(entry) = current else { continue };
            let mut pace = |bytes: u64| {
                shared.metrics.scrubbed_bytes.inc_by(bytes);
                let rate = rate(shared).ok_or(super::bell::Stopped)?;
                shared.segments.bell.pause(Duration::from_secs_f64(bytes.max(4096) as f64 / rate))
            };
            let reason = match inspect(&segment, entry, &mut pace) {
                State::Good(_) | State::Gone => continue,
                State::Stopped => return Err(super::bell::Stopped),
                State::Bad(name, fault) => {
                    tracing::warn!(
                        ?name,
                        fault,
                        segment = file_name(number),
                        "a stored object has gone bad and is dropped"
                    );
                    RemoveReason::Corrupt
                }
                State::Unreadable(name, error) => {
                    tracing::warn!(?name, %error, "a stored object cannot be read and is dropped");
                    RemoveReason::Unreadable
                }
            };
            if let Some(entry) = shared.index.remove_at(entry.fingerprint, entry.place) {
                shared.metrics.scrub_bad.inc();
                shared.removed(entry, reason);
            }
        }
    }
    Ok(())
}
