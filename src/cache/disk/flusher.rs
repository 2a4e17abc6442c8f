//! The writer thread: takes objects from the write-behind queue and appends them.

use std::sync::Arc;

use super::extent::Extent;
use super::ledger::Purpose;
use super::object::DiskObject;
use super::queue::{Job, Store};
use super::reclaim::copy;
use super::record::RecordHeader;
use super::replacement::Queue;
use super::shared::Shared;
use super::shares::Share;
use super::usage::NotAdmitted;
use super::writer::{blot, write_whole};

// Reclaiming may not make room at once, when readers hold what was evicted.
const ATTEMPTS: usize = 3;

/// Runs until the queue is stopped.
pub fn run(shared: &Arc<Shared>) {
    while let Some(job) = shared.queue.next() {
        match &job {
            Job::Store(store) => {
                if let Err(why) = append(shared, store) {
                    shared.refused(why);
                }
            }
            Job::Blot(segment, offset) => {
                // Best effort: a record that cannot be overwritten is found again, and checked again.
                let _ = shared.wrote(blot(segment, *offset));
            }
            Job::Claim(object, share) => claim(shared, object, *share),
        }
        shared.queue.done(&job);
        shared.publish();
    }
}

fn append(shared: &Shared, store: &Store) -> Result<(), NotAdmitted> {
    let Store { header, share, body } = store;
    // Checked again: it may have waited for long.
    shared.accept(header.len, *share)?;
    // Its header alone would not do: whoever stores an object could not read it a moment ago.
    if shared.has_intact(&header.name) {
        return Ok(());
    }
    let mut extent = extent_for(shared, header, *share)?;
    let written = write_whole(&mut extent, header, body);
    shared.wrote(written).map_err(|_| NotAdmitted::Failed)?;
    shared.enter(extent, *header);
    Ok(())
}

fn extent_for(shared: &Shared, header: &RecordHeader, share: Share) -> Result<Extent, NotAdmitted> {
    for _ in 0..ATTEMPTS {
        match shared.allocate(header, share) {
            Err(NotAdmitted::NoSpace) => {
                let wanted = header.shape().extent();
                shared.segments.bell.ring_and_wait(share, wanted).map_err(|_| NotAdmitted::Closed)?;
            }
            other => return other,
        }
    }
    Err(NotAdmitted::NoSpace)
}

/// Copies an object to the share that asks for it. What was copied from is dropped with its segment.
fn claim(shared: &Arc<Shared>, object: &DiskObject, share: Share) {
    let entry = shared.index.peek(object.name().hash64()).filter(|entry| entry.place == object.place());
    if let Some(entry) = entry
        && shared.accept(entry.len, share).is_ok()
    {
        copy(shared, object.segment(), entry, entry.hits, ((share, Queue::Main), Purpose::Admit));
    }
}
