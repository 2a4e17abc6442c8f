//! Finding again what the last run stored, while requests are already served.
//!
//! Every segment is taken in by one of three ways: from the snapshot of a clean stop, from the table at its end, or by
//! looking for its records. Newest segments come first: where two records have one name the newer one stays.
//! Whatever cannot be used (foreign, damaged, another version) is removed: it is a cache. Whatever the disk does not let
//! read at the moment is tried again.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::entry::Packed;
use super::folder::FoundFile;
use super::index::Put;
use super::scan::scan;
use super::segment::{OpenFile, Segment, SegmentOpenError, file_name};
use super::segments::Shortage;
use super::shared::Shared;
use super::shares::Keep;
use super::snapshot::Snapshot;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often a segment is read in vain, some seconds apart and while others can be read, before it counts as broken.
const TRIES: u32 = 30;

/// Enters the files found at start into the ledger; nothing is written before. Tries until it succeeds or the tier is
/// stopped.
pub fn list(shared: &Shared) -> Vec<FoundFile> {
    let mut pause = FIRST_PAUSE;
    loop {
        let listed = shared.folder.prepare().map_err(io::Error::other);
        match listed.and_then(|()| shared.folder.files(&shared.segments.ledger)) {
            Ok(found) => {
                let next = found.iter().map(|file| file.number.saturating_add(1)).max().unwrap_or(1);
                shared.segments.start_from(next);
                shared.segments.ledger.set_limit(u64::MAX);
                shared.segments.space.measure(&shared.segments.ledger, Instant::now());
                shared.segments.context.health.note(&Ok(()));
                shared.listed.set();
                return found;
            }
            Err(error) => {
                tracing::error!(
                    path = %shared.folder.path().display(), %error, ?pause,
                    "the disk cache cannot be used: going on without it for a while"
                );
                shared.segments.context.health.unusable(&error);
                shared.publish();
            }
        }
        if shared.segments.bell.pause(pause).is_err() {
            return Vec::new();
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Takes in the files found at start. Returns early when the tier is stopped.
pub fn load(shared: &Shared, mut found: Vec<FoundFile>) {
    found.sort_by_key(|file| file.number);
    shrink(shared, &mut found);
    let mut segments = Vec::with_capacity(found.len());
    let mut unopened = Unopened::default();
    for file in found.into_iter().rev() {
        if shared.segments.bell.is_stopped() {
            return;
        }
        segments.extend(adopt(shared, file, &mut unopened));
    }
    unopened.tell(shared);
    let covered = load_snapshot(shared, &segments);
    for segment in segments.iter().filter(|segment| !covered.contains(&segment.number)) {
        if shared.segments.bell.is_stopped() {
            return;
        }
        load_segment(shared, segment);
    }
    shared.segments.sort();
    shared.loaded.store(true, Ordering::Release);
    shared.metrics.index_loaded.set(1);
    shared.publish();
    shared.segments.bell.ring();
}

/// When the capacity was lowered: drops the oldest files, pinned ones last, before anything new is written.
fn shrink(shared: &Shared, found: &mut Vec<FoundFile>) {
    let ledger = &shared.segments.ledger;
    if ledger.excess() == 0 {
        return;
    }
    let enough = || shared.segments.is_short_of(0) == Shortage::None || shared.segments.bell.is_stopped();
    let is_pinned = |file: &FoundFile| {
        let mark = OpenFile::open(&shared.segments.context, file.number).map(|file| file.header.share);
        let shares = &shared.segments.shares;
        mark.is_ok_and(|mark| shares.limits(shares.of_mark(mark)).keep == Keep::Always)
    };
    let (pinned, others): (Vec<_>, Vec<_>) = std::mem::take(found).into_iter().partition(is_pinned);
    let mut files = others.into_iter().chain(pinned);
    while !enough() {
        let Some(file) = files.next() else { break };
        shared.metrics.evicted.shrunk.inc_by(file.charge.books().total());
        remove_file(shared, file);
    }
    found.extend(files);
    found.sort_by_key(|file| file.number);
}

fn adopt(shared: &Shared, file: FoundFile, unopened: &mut Unopened) -> Option<Arc<Segment>> {
    match open(shared, file) {
        Ok(segment) => segment,
        Err((file, error)) => {
            unopened.0.get_or_insert((file.number, error));
            shared.segments.set_aside(file);
            None
        }
    }
}

/// The first of the segments that could not be opened: there may be thousands, for one reason.
#[derive(Default)]
struct Unopened(Option<(u64, io::Error)>);

impl Unopened {
    fn tell(self, shared: &Shared) {
        let segments = shared.segments.troubled();
        match self.0 {
            Some((number, error)) => {
                let first = file_name(number);
                tracing::warn!(segments, first, %error, "segments of the disk cache cannot be opened: tried again later");
            }
            None if segments > 0 => tracing::warn!(
                segments,
                "more segments of the disk cache than half of the files that may be open: the oldest are opened as others go"
            ),
            None => {}
        }
    }
}

/// The segment of a file. One that is none of ours is removed; one that cannot be opened is given back.
fn open(shared: &Shared, file: FoundFile) -> Result<Option<Arc<Segment>>, (FoundFile, io::Error)> {
    match OpenFile::open(&shared.segments.context, file.number) {
        Ok(found) => Ok(shared.segments.adopt(found, file)),
        Err(SegmentOpenError::Io(error)) => Err((file, error)),
        Err(SegmentOpenError::Format(why)) => {
            let segment = file_name(file.number);
            tracing::warn!(segment, %why, "removing a file of the disk cache that cannot be used");
            remove_file(shared, file);
            Ok(None)
        }
    }
}

/// Tries again what could not be opened, read or removed.
pub fn retry(shared: &Shared) {
    read_again(shared);
    if shared.segments.has_too_many() {
        return;
    }
    let mut again = 0;
    for file in shared.segments.take_set_aside() {
        match open(shared, file) {
            Ok(Some(segment)) => {
                load_segment(shared, &segment);
                again += 1;
            }
            Ok(None) => {}
            Err((file, _)) => shared.segments.set_aside(file),
        }
    }
    if again > 0 {
        shared.segments.sort();
        tracing::info!(segments = again, "segments of the disk cache could be opened after all");
    }
}

/// Loads the snapshot; the numbers of the segments that need nothing more.
fn load_snapshot(shared: &Shared, segments: &[Arc<Segment>]) -> HashSet<u64> {
    let mut snapshot = match Snapshot::open(&shared.folder.snapshot_path()) {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return HashSet::new(),
        Err(error) => {
            tracing::warn!(%error, "the index of the disk cache cannot be used: reading its segments instead");
            return HashSet::new();
        }
    };
    let mut slots: Vec<Option<&Arc<Segment>>> = Vec::new();
    for segment in segments {
        if shared.segments.bell.is_stopped() {
            return HashSet::new();
        }
        match snapshot.slot_of(segment) {
            Some(slot) => {
                let slot = slot as usize;
                slots.resize(slots.len().max(slot + 1), None);
                slots[slot] = Some(segment);
            }
            // What the snapshot does not know is newer, and comes first.
            None => load_segment(shared, segment),
        }
    }
    shared.index.expect(snapshot.entries());
    let result = snapshot.read(|packed| {
        if let Some(Some(segment)) = slots.get(packed.place().slot as usize) {
            enter(shared, segment, packed.in_slot(segment.slot));
        }
    });
    match result {
        Ok(()) => segments.iter().map(|segment| segment.number).collect(),
        Err(error) => {
            tracing::warn!(%error, "the index of the disk cache is damaged: reading its segments instead");
            HashSet::new()
        }
    }
}

fn load_segment(shared: &Shared, segment: &Arc<Segment>) {
    if !shared.segments.context.health.may_try() {
        shared.segments.put_off(segment, 0);
        return;
    }
    match entries(shared, segment) {
        Ok(entries) => enter_all(shared, segment, entries),
        Err(error) => {
            let segment_file = file_name(segment.number);
            tracing::warn!(segment = segment_file, %error, "a segment of the disk cache cannot be read: tried again later");
            shared.segments.put_off(segment, 0);
        }
    }
}

fn entries(shared: &Shared, segment: &Segment) -> io::Result<Vec<Packed>> {
    if let Some(entries) = segment.table()? {
        return Ok(entries);
    }
    let found = scan(segment);
    found.ended?;
    // Without its table it is looked through again next time, that is all.
    let _ = shared.wrote(segment.seal_recovered(found.end, &found.entries));
    Ok(found.entries)
}

/// Tries again what could not be read. Only what fails time after time while others can be read is proven broken: then what
/// can be read of it is taken in, and the rest is given up.
fn read_again(shared: &Shared) {
    let health = &shared.segments.context.health;
    let (mut again, mut later) = (0, Vec::new());
    for (segment, tries) in shared.segments.take_unread() {
        if shared.segments.bell.is_stopped() || !health.may_try() {
            later.push((segment, tries));
            continue;
        }
        let is_disk_well = health.trouble().is_none();
        match entries(shared, &segment) {
            Ok(entries) => {
                enter_all(shared, &segment, entries);
                again += 1;
            }
            Err(error) if is_disk_well && tries + 1 >= TRIES => salvage(shared, &segment, &error),
            // Those that fail come last the next time: they shall not keep others from their turn.
            Err(_) => shared.segments.put_off(&segment, tries + u32::from(is_disk_well)),
        }
    }
    for (segment, tries) in later {
        shared.segments.put_off(&segment, tries);
    }
    if again > 0 {
        tracing::info!(segments = again, "segments of the disk cache could be read after all");
    }
}

fn salvage(shared: &Shared, segment: &Segment, error: &io::Error) {
    let found = scan(segment);
    let lost = segment.charge.books().stored.saturating_sub(found.end);
    let objects = found.entries.len();
    tracing::error!(
        segment = file_name(segment.number), %error, objects, lost,
        "a segment of the disk cache cannot be read time after time: only what lies before that is kept"
    );
    shared.metrics.evicted.unreadable.inc_by(lost);
    enter_all(shared, segment, found.entries);
}

/// A name can lie twice in one segment: the later record is the one that counted.
fn enter_all(shared: &Shared, segment: &Segment, entries: Vec<Packed>) {
    entries.into_iter().rev().for_each(|entry| enter(shared, segment, entry));
}

fn enter(shared: &Shared, segment: &Segment, entry: Packed) {
    segment.gained();
    if shared.index.put_if_vacant(entry) == Put::Occupied {
        segment.lost();
    }
}

/// Removes a file that was found at start; where that fails it keeps counting.
fn remove_file(shared: &Shared, file: FoundFile) {
    let path = shared.segments.context.folder.join(file_name(file.number));
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove a file of the disk cache");
        shared.segments.set_aside(file);
    }
}
