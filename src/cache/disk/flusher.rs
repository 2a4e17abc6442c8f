//! The writer thread: takes objects from the write-behind queue and appends them.

use super::extent::Extent;
use super::ledger::Purpose;
use super::queue::{Job, Store};
use super::record::RecordHeader;
use super::segments::NoExtent;
use super::shared::Shared;
use super::usage::NotAdmitted;
use super::writer::{blot, write_whole};

// Reclaiming may not make room at once, when readers hold what was evicted.
const ATTEMPTS: usize = 3;

/// Runs until the queue is stopped.
pub fn run(shared: &Shared) {
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
        }
        shared.queue.done(&job);
        shared.publish();
    }
}

fn append(shared: &Shared, store: &Store) -> Result<(), NotAdmitted> {
    let Store { header, body } = store;
    // Checked again: it may have waited for long.
    shared.accept(header.len)?;
    // Its header alone would not do: whoever stores an object could not read it a moment ago.
    if shared.has_intact(&header.name) {
        return Ok(());
    }
    let extent = extent_for(shared, header)?;
    let written = write_whole(extent.segment(), extent.place().offset, header, body);
    shared.wrote(written).map_err(|_| NotAdmitted::Failed)?;
    shared.enter(extent, *header);
    Ok(())
}

fn extent_for(shared: &Shared, header: &RecordHeader) -> Result<Extent, NotAdmitted> {
    let (queue, len) = (shared.queue_for(&header.name), header.shape().extent());
    for _ in 0..ATTEMPTS {
        match shared.segments.allocate(len, queue, Purpose::Admit) {
            Ok(extent) => return Ok(extent),
            Err(NoExtent::NoSpace) => {
                shared.segments.bell.ring_and_wait(len).map_err(|_| NotAdmitted::Closed)?;
            }
            Err(NoExtent::Io(error)) => {
                let _ = shared.wrote(Err(error));
                return Err(NotAdmitted::Failed);
            }
        }
    }
    Err(NotAdmitted::NoSpace)
}
