//! The maintenance thread: loads what was stored before, seals full segments, makes room ahead of demand.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bell::Call;
use super::blocks::{Read, ReadError, Record};
use super::entry::{Entry, Packed};
use super::file::Patience;
use super::frames::MAX_FRAME;
use super::ledger::Purpose;
use super::object::DiskObject;
use super::record::RecordHeader;
use super::recovery;
use super::replacement::{Fate, Queue, Verdict, after_chance, fates, judge, small_below};
use super::segment::Segment;
use super::shared::Shared;
use super::shares::Share;
use super::writer::{DiskWriter, write_whole};

// Segments that are moved as a whole yield nothing: not more often in a row.
const PROMOTIONS: usize = 16;

// Between two looks at what others leave of the file system.
const TICK: Duration = Duration::from_millis(500);

// Between two tries to open or read what could not be at start; and how long what is to go is waited for.
const RETRY: Duration = Duration::from_secs(10);

/// Runs until the bell is stopped.
pub fn run(shared: &Arc<Shared>) {
    recovery::load(shared, recovery::list(shared));
    let mut retry_at = Instant::now() + RETRY;
    let mut wait = Wait::default();
    while let Ok(call) = shared.segments.bell.wait(TICK) {
        if Instant::now() >= retry_at {
            recovery::retry(shared);
            retry_at = Instant::now() + RETRY;
        }
        pass(shared, call, &mut wait);
        shared.publish();
        shared.metrics.index_bytes.set(super::account::index_memory(shared) as i64);
        shared.segments.bell.pass_done();
    }
}

fn pass(shared: &Arc<Shared>, call: Call, wait: &mut Wait) {
    let ledger = &shared.segments.ledger;
    shared.segments.space.measure(ledger, Instant::now());
    let squeezed = ledger.excess() > 0;
    for segment in shared.segments.take_sealable() {
        // An unsealed segment is only slower to recover.
        let _ = shared.wrote(segment.seal());
    }
    for segment in shared.segments.dead() {
        shared.segments.remove(&segment);
    }
    let mut promotions = PROMOTIONS;
    while !shared.segments.bell.is_stopped() {
        let Some((queue, segment)) = shared.segments.victim(&call) else { break };
        let objects = match objects(shared, &segment) {
            Ok(objects) => objects,
            Err(_) if !squeezed && wait.is_worth_it(segment.number, Instant::now()) => break,
            Err(_) => Vec::new(),
        };
        let size = segment.charge.books().total();
        let small = small_below(shared.segments.ledger.books().stored, shared.index.len());
        let fates = match judge(queue, size, &objects, small) {
            Verdict::Promote if promotions > 0 => {
                promotions -= 1;
                match promote(shared, queue, &segment, &objects) {
                    Ok(()) => continue,
                    Err(_) => fates(queue, size, &objects, small),
                }
            }
            Verdict::Promote => fates(queue, size, &objects, small),
            Verdict::Reclaim(fates) => fates,
        };
        reclaim(shared, queue, &segment, objects.iter().zip(fates));
    }
    if squeezed {
        if ledger.excess() > 0 {
            // What is promised to open segments is too much as well. They are sealed, and go with the next pass.
            shared.segments.shut();
        }
        shared.segments.space.made_room(Instant::now());
    }
    shared.segments.sweep_up();
}

/// Gives a segment another round with everything in it.
fn promote(shared: &Shared, queue: Queue, segment: &Arc<Segment>, objects: &[Entry]) -> io::Result<()> {
    shared.wrote(shared.segments.promote(segment))?;
    for entry in objects {
        shared.index.moved(entry.place, Entry { hits: after_chance(queue, entry.hits), ..*entry });
    }
    Ok(())
}

/// Copies what is to be kept out of a segment, drops the rest, and removes it.
fn reclaim<'a>(
    shared: &Arc<Shared>,
    queue: Queue,
    segment: &Arc<Segment>,
    objects: impl Iterator<Item = (&'a Entry, Fate)>,
) {
    for (entry, fate) in objects {
        match fate {
            Fate::Keep { hits } => {
                copy(shared, segment, *entry, hits, ((segment.share, Queue::Main), Purpose::Reclaim));
            }
            Fate::Drop if queue == Queue::Probation => shared.ghost.lock().insert(entry.fingerprint),
            Fate::Drop => {}
        }
        let evicted = match shared.segments.ledger.excess() {
            0 => &shared.metrics.evicted.space,
            _ => &shared.metrics.evicted.shrunk,
        };
        // Still there unless it was copied.
        if shared.index.remove_at(entry.fingerprint, entry.place).is_some() {
            segment.lost();
            evicted.inc_by(entry.len);
        }
    }
    if segment.live() > 0 {
        // The table was incomplete.
        shared.index.sweep(segment.slot);
    }
    shared.segments.remove(segment);
}

/// The objects of a segment that can be found, in the order they lie there.
fn objects(shared: &Shared, segment: &Segment) -> io::Result<Vec<Entry>> {
    // A damaged table only means that its objects are dropped.
    let table = segment.table()?.unwrap_or_default();
    let current = |packed: Packed| {
        shared
            .index
            .peek(packed.fingerprint())
            .filter(|entry| entry.place == packed.in_slot(segment.slot).place())
    };
    Ok(table.into_iter().filter_map(current).collect())
}

/// How long nothing goes because it cannot be seen what is used in the segment whose turn it is.
#[derive(Default)]
struct Wait(Option<(u64, Instant)>);

impl Wait {
    /// Whether to wait for the disk, as far as segment `number` goes.
    fn is_worth_it(&mut self, number: u64, now: Instant) -> bool {
        match self.0 {
            Some((waited_for, since)) if waited_for == number => now < since + RETRY,
            _ => {
                self.0 = Some((number, now));
                true
            }
        }
    }
}

/// Copies an object of `segment` to another line. Where that fails it stays where it is.
pub fn copy(
    shared: &Arc<Shared>,
    segment: &Arc<Segment>,
    entry: Entry,
    hits: u8,
    (line, purpose): ((Share, Queue), Purpose),
) {
    let record = Record { segment, offset: entry.place.offset };
    let header = match record.header() {
        Ok(header) => header,
        // Counted where it happened.
        Err(ReadError::Io(_)) => return,
        Err(_) => return shared.metrics.corrupt_records.inc(),
    };
    if header.len != entry.len || header.name.hash64() != entry.fingerprint {
        return;
    }
    let Ok(mut extent) = shared.segments.allocate(header.shape(), line, purpose) else {
        return;
    };
    if header.len <= MAX_FRAME as u64 {
        let Ok(Read::Bytes(bytes)) = record.read(&header.name, header.len, 0, MAX_FRAME, Patience::Wait)
        else {
            shared.metrics.corrupt_records.inc();
            return;
        };
        let written = write_whole(&mut extent, &header, &[bytes]);
        if shared.wrote(written).is_ok() {
            shared.moved(extent, header, entry.place, hits);
        }
        return;
    }
    let mut writer = DiskWriter::new(shared, extent, header);
    if copy_pieces(segment, entry, header, &writer).is_some() && writer.finish().is_ok() {
        shared.moved(writer.into_extent(), header, entry.place, hits);
    }
}

fn copy_pieces(
    segment: &Arc<Segment>,
    entry: Entry,
    header: RecordHeader,
    writer: &DiskWriter,
) -> Option<()> {
    let object = DiskObject::new(Arc::clone(segment), header.name, entry);
    let mut at = 0;
    while at < header.len {
        let bytes = object.read(at, MAX_FRAME).ok()?;
        writer.append(at, &bytes).ok()?;
        at += bytes.len() as u64;
    }
    Some(())
}
