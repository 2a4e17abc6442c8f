//! One segment file: an append point while it is open, immutable once sealed.
//!
//! Open -> closed (takes no more extents, writers may still be busy) -> sealed (table and trailer written). Several
//! writers fill their extents at the same time; whatever an extent holds when its writer gives up is dead.
//! The file and its charge live as long as anybody holds the segment: eviction only unlinks it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::entry::{ENTRY, Entry, Packed};
use super::faults::{Faults, Operation};
use super::file::{Filled, Medium, Patience, SegmentFile};
use super::format::{
    Footer, Kind, SEGMENT_HEADER, SegmentError, SegmentHeader, TRAILER, Trailer, footer_len,
};
use super::frames::Frames;
use super::health::ReadHealth;
use super::ledger::{Charge, NoRoom, blocks};
use super::record::{Seal, Shape};
use super::replacement::Queue;
use super::shares::Share;
use crate::digest::ObjectName;

// Entries of a table that are written in one call.
const TABLE_PIECE: usize = 16 << 10;

/// See the module.
pub struct Segment {
    /// Its number and file name.
    pub number: u64,
    /// Its place in the table of open segments.
    pub slot: u32,
    /// The mark of its records.
    pub seal: Seal,
    /// How it is used.
    pub kind: Kind,
    /// Whose objects it holds.
    pub share: Share,
    /// When it was created, unix seconds.
    pub created_at: u32,
    /// Its bytes in the ledger.
    pub charge: Charge,
    /// Its file.
    pub file: SegmentFile,
    /// Where reads take their buffers from.
    pub frames: Arc<Frames>,
    // Of its share; kept when nobody knows it, so that the quota may come back.
    mark: u64,
    path: PathBuf,
    faults: Faults,
    // Place in the queue; changes only under the lock of the segment table.
    order: AtomicU64,
    // Entries of the index that point here.
    live: AtomicU32,
    tail: Mutex<Tail>,
    // What the tail will not say as long as it is held.
    sealed: AtomicBool,
    // Objects whose pages somebody keeps beyond a reading.
    pins: Mutex<HashSet<ObjectName>>,
}

enum Tail {
    Open(Append),
    Sealed,
}

/// The append point.
struct Append {
    at: u64,
    limit: u64,
    writers: usize,
    entries: Vec<Packed>,
    door: Door,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

/// Whether a segment can be sealed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It takes more, or somebody still writes.
    NotYet,
    /// Closed, and the last writer has gone.
    Sealable,
}

/// How a writer left its extent.
#[derive(Clone, Copy)]
pub enum Left {
    /// With a valid record.
    Record(Entry),
    /// With nothing that counts.
    Nothing,
    /// With nothing that counts but perhaps a header, which a search would believe: it stays a hole.
    Header,
}

/// Why a file could not be opened as a segment.
#[derive(Debug, thiserror::Error)]
pub enum SegmentOpenError {
    /// The file could not be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not one of ours.
    #[error(transparent)]
    Format(#[from] SegmentError),
}

/// What all segments of a folder share.
#[derive(Clone)]
pub struct Context {
    /// The folder of segment files.
    pub folder: PathBuf,
    /// Buffers for reads.
    pub frames: Arc<Frames>,
    /// What the folder lies on.
    pub medium: Medium,
    /// How reading goes.
    pub health: Arc<ReadHealth>,
    /// Test seam.
    pub faults: Faults,
}

impl Segment {
    /// Creates the file of a new segment that may grow to what `charge` has reserved.
    pub fn create(
        context: &Context,
        header: SegmentHeader,
        share: Share,
        slot: u32,
        charge: Charge,
    ) -> io::Result<Self> {
        let path = context.folder.join(file_name(header.number));
        context.faults.check(Operation::Create)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let limit = charge.books().reserved;
        let at = SEGMENT_HEADER as u64;
        let tail = Tail::Open(Append { at, limit, writers: 0, entries: Vec::new(), door: Door::Open });
        let segment = Self::new(context, header, share, slot, charge, file, tail);
        if let Err(error) = segment.file.write(&mut [IoSlice::new(&header.encode())], 0) {
            // An empty file is all that may stay behind.
            let _ = segment.unlink();
            return Err(error);
        }
        segment.charge.settle(at);
        Ok(segment)
    }

    /// The segment of a file that was there at start; it takes no more extents.
    pub fn found(context: &Context, found: OpenFile, share: Share, slot: u32, charge: Charge) -> Self {
        charge.assign(share);
        Self::new(context, found.header, share, slot, charge, found.file, Tail::Sealed)
    }

    fn new(
        context: &Context,
        header: SegmentHeader,
        share: Share,
        slot: u32,
        charge: Charge,
        file: File,
        tail: Tail,
    ) -> Self {
        Self {
            number: header.number,
            slot,
            seal: header.seal,
            kind: header.kind,
            share,
            mark: header.share,
            created_at: header.created_at,
            charge,
            file: SegmentFile::new(file, context.medium, context.faults.clone(), Arc::clone(&context.health)),
            frames: Arc::clone(&context.frames),
            path: context.folder.join(file_name(header.number)),
            faults: context.faults.clone(),
            order: AtomicU64::new(header.order),
            live: AtomicU32::new(0),
            sealed: AtomicBool::new(matches!(tail, Tail::Sealed)),
            tail: Mutex::new(tail),
            pins: Mutex::default(),
        }
    }

    /// Reserves room at the append point: what is taken, and where in it the record begins. `None` when it does not fit.
    pub fn extend(&self, shape: Shape) -> Option<(Range<u64>, u64)> {
        let mut tail = self.tail.lock();
        let Tail::Open(append) = &mut *tail else { return None };
        // Every writer at work may add an entry to the table.
        let footer = footer_len(append.entries.len() + append.writers + 1);
        let begin = shape.begin(append.at);
        let taken = append.at..begin + shape.extent();
        if append.door == Door::Closed || taken.end + footer > append.limit {
            return None;
        }
        append.at = taken.end;
        append.writers += 1;
        Some((taken, begin))
    }

    /// The writer of an extent has gone.
    pub fn leave(&self, taken: &Range<u64>, left: Left) -> Ready {
        let extent = taken.end - taken.start;
        let mut tail = self.tail.lock();
        let Tail::Open(append) = &mut *tail else { return Ready::NotYet };
        append.writers -= 1;
        match left {
            Left::Record(entry) => {
                append.entries.push(entry.into());
                self.charge.settle(extent);
            }
            // The latest extent is given back; an earlier one stays a hole.
            Left::Nothing if append.at == taken.end => append.at = taken.start,
            Left::Nothing | Left::Header => self.charge.settle(extent),
        }
        append.ready()
    }

    /// Takes no more extents.
    pub fn shut(&self) -> Ready {
        match &mut *self.tail.lock() {
            Tail::Open(append) => {
                append.door = Door::Closed;
                append.ready()
            }
            Tail::Sealed => Ready::NotYet,
        }
    }

    /// Writes table and trailer, so that a restart need not look for the records. Does nothing while somebody writes.
    /// After an error the segment is as good as sealed, only slower to recover.
    pub fn seal(&self) -> io::Result<()> {
        let mut tail = self.tail.lock();
        let Tail::Open(append) = &mut *tail else { return Ok(()) };
        if append.ready() == Ready::NotYet {
            return Ok(());
        }
        let result = self.write_footer(append.at, &append.entries);
        // An abandoned extent at the end may have left bytes beyond the trailer.
        let len = self.file.len().unwrap_or(append.limit).min(append.limit);
        // Shrinking cannot fail.
        let _ = self.charge.close_at(blocks(len));
        *tail = Tail::Sealed;
        self.sealed.store(true, Ordering::Release);
        result
    }

    /// Gives a segment that was found unsealed its table; its last record ends at `end`.
    pub fn seal_recovered(&self, end: u64, entries: &[Packed]) -> io::Result<()> {
        let end = end.max(SEGMENT_HEADER as u64);
        self.charge
            .close_at(blocks(end + footer_len(entries.len())))
            .map_err(|NoRoom| io::Error::from(io::ErrorKind::StorageFull))?;
        // Some of its records may have been known before.
        self.file.change(|| self.write_footer(end, entries))
    }

    /// Whether nobody writes to it any more.
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// The table at the end of the file; `None` when it was not sealed or is damaged.
    pub fn table(&self) -> io::Result<Option<Vec<Packed>>> {
        let Some(at) = self.file.len()?.checked_sub((SEGMENT_HEADER + TRAILER) as u64) else {
            return Ok(None);
        };
        let at = at + SEGMENT_HEADER as u64;
        let mut trailer = [0; TRAILER];
        if self.file.read(&mut trailer, at, Patience::Wait)? != Filled::Whole {
            return Ok(None);
        }
        let Some(trailer) = Trailer::decode(&trailer, self.seal) else { return Ok(None) };
        let Some(start) = at.checked_sub((trailer.entries * ENTRY) as u64) else { return Ok(None) };
        let mut table = vec![0; trailer.entries * ENTRY];
        if self.file.read(&mut table, start, Patience::Wait)? != Filled::Whole {
            return Ok(None);
        }
        Ok(trailer.table(&table, self.slot))
    }

    /// Puts the segment at another place of a queue, on the disk too.
    pub fn relabel(&self, queue: Queue, order: u64) -> io::Result<()> {
        let (number, seal, kind, created_at) = (self.number, self.seal, self.kind, self.created_at);
        let header = SegmentHeader { number, seal, kind, queue, order, share: self.mark, created_at };
        self.file.change(|| self.file.write(&mut [IoSlice::new(&header.encode())], 0))?;
        self.order.store(order, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the file; who has it open keeps it.
    pub fn unlink(&self) -> io::Result<()> {
        self.faults.check(Operation::Remove)?;
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Somebody keeps the pages of this object.
    pub fn pin(&self, name: ObjectName) {
        self.pins.lock().insert(name);
    }

    /// Objects whose pages somebody keeps, or has kept.
    pub fn take_pins(&self, which: impl FnMut(&ObjectName) -> bool) -> Vec<ObjectName> {
        let mut which = which;
        self.pins.lock().extract_if(|name| which(name)).collect()
    }

    /// Place in the queue.
    pub fn order(&self) -> u64 {
        self.order.load(Ordering::Relaxed)
    }

    /// Number of index entries that point here.
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    /// An index entry points here from now on.
    pub fn gained(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    /// An index entry does not point here any more.
    pub fn lost(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    fn write_footer(&self, end: u64, entries: &[Packed]) -> io::Result<()> {
        self.file.truncate(end)?;
        let (mut footer, mut at) = (Footer::new(self.seal), end);
        let (pieces, last) = entries.split_at(entries.len() / TABLE_PIECE * TABLE_PIECE);
        for piece in pieces.chunks(TABLE_PIECE) {
            let bytes = footer.table(piece);
            self.file.write(&mut [IoSlice::new(&bytes)], at)?;
            at += bytes.len() as u64;
        }
        let mut bytes = footer.table(last);
        bytes.extend(footer.trailer());
        self.file.write(&mut [IoSlice::new(&bytes)], at)
    }
}

impl Append {
    fn ready(&self) -> Ready {
        if self.door == Door::Closed && self.writers == 0 { Ready::Sealable } else { Ready::NotYet }
    }
}

/// `segment-` and the number in hexadecimal.
pub fn file_name(number: u64) -> String {
    format!("segment-{number:016x}")
}

/// The number in a file name; `None` for the names of other files.
pub fn number_in(name: &Path) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix("segment-")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (file_name(number) == name.to_str()?).then_some(number)
}

/// A segment file that was there at start.
pub struct OpenFile {
    file: File,
    /// What it says about itself.
    pub header: SegmentHeader,
}

impl OpenFile {
    /// Opens the file of a number and reads its header.
    pub fn open(context: &Context, number: u64) -> Result<Self, SegmentOpenError> {
        let path = context.folder.join(file_name(number));
        context.faults.check(Operation::Open)?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut header = [0; SEGMENT_HEADER];
        context.faults.check(Operation::Read)?;
        if rustix::io::pread(&file, &mut header, 0).map_err(io::Error::from)? != SEGMENT_HEADER {
            return Err(SegmentError::Damaged.into());
        }
        let header = SegmentHeader::decode(&header)?;
        if header.number != number {
            return Err(SegmentError::Foreign.into());
        }
        Ok(Self { file, header })
    }
}
