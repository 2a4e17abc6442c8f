//! All segments of the folder: the table of slots, the queues, and the append points.
//!
//! Lock order: a shard of the index, then the queues, then the slots, then one segment; nobody goes back.
//! Not here: which segment goes (`replacement`), moving its objects (`reclaim`).

mod closing;
mod trouble;
mod victims;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use super::bell::Bell;
use super::clock;
use super::entry::{MAX_SLOTS, Place};
use super::extent::Extent;
use super::folder::FoundFile;
use super::format::{Kind, SEGMENT_HEADER, SegmentHeader, footer_len};
use super::ledger::{Ledger, Limit, Purpose, blocks};
use super::pins::Evicted;
use super::queues::Queues;
use super::record::{Seal, Shape};
use super::replacement::Queue;
use super::segment::{Context, OpenFile, Ready, Segment, file_name};
use super::shares::{Keep, Share, Shares};
use super::space::Space;

/// See the module.
pub struct Segments {
    /// The books of the folder.
    pub ledger: Arc<Ledger>,
    /// Calls the maintenance thread.
    pub bell: Bell,
    /// What the segments share.
    pub context: Context,
    /// What others leave of the file system.
    pub space: Space,
    /// Who may have how much.
    pub shares: Shares,
    /// Is told of pinned objects whose segment has been removed.
    pub evicted: OnceLock<Evicted>,
    segment_size: u64,
    // Segments at a time: each is an open file.
    most: usize,
    queues: Mutex<Queues>,
    slots: RwLock<Vec<Option<Arc<Segment>>>>,
}

/// Why there is no extent.
#[derive(Debug, thiserror::Error)]
pub enum NoExtent {
    /// Not now: the maintenance thread has been called.
    #[error("no space can be had right now")]
    NoSpace,
    /// The share is at its ceiling, and nothing of it ever goes.
    #[error("all that may be pinned is pinned")]
    Pinned,
    /// A segment file could not be created.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Segments {
    /// No segments yet.
    pub fn new(
        ledger: Arc<Ledger>,
        context: Context,
        space: Space,
        shares: Shares,
        segment_size: u64,
    ) -> Arc<Self> {
        let queues = Queues::new(shares.count());
        Arc::new(Self {
            shares,
            ledger,
            bell: Bell::default(),
            context,
            space,
            evicted: OnceLock::new(),
            segment_size,
            most: trouble::most_open(),
            queues: Mutex::new(queues),
            slots: RwLock::default(),
        })
    }

    /// Space for a record at the end of `queue` of `share`.
    pub fn allocate(
        self: &Arc<Self>,
        shape: Shape,
        (share, queue): (Share, Queue),
        purpose: Purpose,
    ) -> Result<Extent, NoExtent> {
        let result = if shape.extent() > self.segment_size / 4 {
            self.allocate_single(shape, (share, queue), purpose)
        } else {
            self.allocate_shared(shape, (share, queue), purpose)
        };
        if matches!(result, Err(NoExtent::NoSpace)) && purpose == Purpose::Admit {
            self.bell.ring_for(share, shape.extent());
        }
        result
    }

    /// The segment in a slot.
    pub fn get(&self, slot: u32) -> Option<Arc<Segment>> {
        self.slots.read().get(slot as usize)?.clone()
    }

    /// Tells the segment of `place` that an index entry went elsewhere.
    pub fn lost(&self, place: Place) {
        if let Some(Some(segment)) = self.slots.read().get(place.slot as usize) {
            segment.lost();
        }
    }

    /// Takes in a file that was there at start. When there are too many it is set aside.
    pub fn adopt(&self, found: OpenFile, file: FoundFile) -> Option<Arc<Segment>> {
        let mut queues = self.queues.lock();
        let Some(slot) = self.free_slot(&mut queues) else {
            queues.set_aside.push(file);
            return None;
        };
        // One is left for what will be written.
        if queues.segments().count() + 1 >= self.most {
            queues.free_slots.push(slot);
            queues.set_aside.push(file);
            return None;
        }
        let (queue, order) = (found.header.queue, found.header.order);
        let share = self.shares.of_mark(found.header.share);
        let segment = Arc::new(Segment::found(&self.context, found, share, slot, file.charge));
        queues.next_number = queues.next_number.max(order.saturating_add(1));
        self.enter(&mut queues, &segment, queue);
        Some(segment)
    }

    /// Puts the queues in order, once all files have been taken in.
    pub fn sort(&self) {
        for line in self.queues.lock().lines_mut() {
            line.segments.make_contiguous().sort_by_key(|segment| segment.order());
        }
    }

    /// The first number to give away.
    pub fn start_from(&self, number: u64) {
        let mut queues = self.queues.lock();
        queues.next_number = queues.next_number.max(number);
    }

    /// Whether admission needs more room than there is, to have `wanted` bytes besides the usual.
    ///
    /// Evicted segments that readers hold open still count as used. They do not stop further eviction until they
    /// amount to a quarter of the capacity: slow readers shall neither block writing nor empty the cache.
    pub fn is_short_of(&self, wanted: u64) -> Shortage {
        let capacity = self.ledger.limit();
        let wanted = wanted.min(capacity / 2);
        if self.has_too_many() {
            self.sweep_up();
        }
        if self.ledger.free() >= self.low_water() + wanted && !self.has_too_many() {
            Shortage::None
        } else {
            self.held_back(capacity)
        }
    }

    /// Admission stays ahead of demand by this many free bytes.
    fn low_water(&self) -> u64 {
        self.segment_size.max(self.ledger.capacity() / 256)
    }

    /// The size of a shared segment, in bytes.
    pub fn segment_size(&self) -> u64 {
        self.segment_size
    }

    /// Sealed segments without any findable object.
    pub fn dead(&self) -> Vec<Arc<Segment>> {
        let queues = self.queues.lock();
        queues.segments().filter(|segment| segment.live() == 0 && segment.is_sealed()).cloned().collect()
    }

    /// Removes a segment that no index entry points to.
    pub fn remove(&self, segment: &Arc<Segment>) {
        let mut queues = self.queues.lock();
        queues.take(segment);
        queues.free_slots.push(segment.slot);
        queues.doomed.push(Arc::clone(segment));
        if let Some(slot) = self.slots.write().get_mut(segment.slot as usize) {
            *slot = None;
        }
        drop(queues);
        if let Err(error) = segment.unlink() {
            tracing::warn!(segment = file_name(segment.number), %error, "cannot remove a segment of the disk cache");
            self.queues.lock().stuck.push(Arc::clone(segment));
        }
        if let Some(told) = self.evicted.get() {
            segment.take_pins(|_| true).iter().for_each(told);
        }
    }

    /// An object has left the index: whoever keeps its pages is told.
    pub fn unpin(&self, segment: &Segment, fingerprint: u64) {
        if let Some(told) = self.evicted.get() {
            segment.take_pins(|name| name.hash64() == fingerprint).iter().for_each(told);
        }
    }

    /// Moves a segment with everything in it to the end of the main queue.
    pub fn promote(&self, segment: &Arc<Segment>) -> io::Result<()> {
        let mut queues = self.queues.lock();
        let order = queues.take_number();
        segment.relabel(Queue::Main, order)?;
        queues.take(segment);
        queues.line_mut(segment.share, Queue::Main).segments.push_back(Arc::clone(segment));
        Ok(())
    }

    /// A closed segment lost its last writer.
    pub fn released(&self, segment: &Arc<Segment>) {
        // Also an abandoned one, which is removed as soon as it is sealed: whoever drops a writer does not wait for that.
        self.queues.lock().sealable.push(Arc::clone(segment));
        self.bell.ring();
    }

    /// Segments that wait for [`Segment::seal`].
    pub fn take_sealable(&self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.queues.lock().sealable)
    }

    /// Closes the append points and answers with every segment that is not sealed.
    pub fn shut(&self) -> Vec<Arc<Segment>> {
        let mut queues = self.queues.lock();
        let open: Vec<_> = queues.lines_mut().filter_map(|line| line.append.take()).collect();
        queues.sealable.extend(open.into_iter().filter(|segment| segment.shut() == Ready::Sealable));
        queues.segments().filter(|segment| !segment.is_sealed()).cloned().collect()
    }

    /// Every segment, in no particular order.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.slots.read().iter().flatten().cloned().collect()
    }

    #[cfg(test)]
    pub fn orders(&self, share: Share, queue: Queue) -> Vec<u64> {
        self.queues.lock().line(share, queue).segments.iter().map(|segment| segment.order()).collect()
    }

    /// Number of segments, and when the oldest of them was created (unix seconds).
    pub fn census(&self) -> (usize, Option<u32>) {
        let queues = self.queues.lock();
        let oldest =
            queues.lines().filter_map(|line| line.segments.front()).map(|segment| segment.created_at);
        (queues.lines().map(|line| line.segments.len()).sum(), oldest.min())
    }

    fn allocate_shared(
        self: &Arc<Self>,
        shape: Shape,
        line: (Share, Queue),
        purpose: Purpose,
    ) -> Result<Extent, NoExtent> {
        let mut queues = self.queues.lock();
        if let Some(append) = &queues.line(line.0, line.1).append
            && let Some(room) = append.extend(shape)
        {
            return Ok(Extent::new(self, Arc::clone(append), room));
        }
        // The full one stays the append point while no other can be had: smaller records may still fit.
        let segment = self.create(&mut queues, Kind::Shared, line, self.segment_size, purpose)?;
        if let Some(full) = queues.line_mut(line.0, line.1).append.replace(Arc::clone(&segment))
            && full.shut() == Ready::Sealable
        {
            queues.sealable.push(full);
        }
        let room = segment.extend(shape).ok_or(NoExtent::NoSpace)?;
        self.bell.ring();
        Ok(Extent::new(self, segment, room))
    }

    fn allocate_single(
        self: &Arc<Self>,
        shape: Shape,
        line: (Share, Queue),
        purpose: Purpose,
    ) -> Result<Extent, NoExtent> {
        let end = shape.begin(SEGMENT_HEADER as u64) + shape.extent();
        let size = blocks(end + footer_len(1));
        let segment = self.create(&mut self.queues.lock(), Kind::Single, line, size, purpose)?;
        let room = segment.extend(shape).ok_or(NoExtent::NoSpace)?;
        segment.shut();
        self.bell.ring();
        Ok(Extent::new(self, segment, room))
    }

    fn create(
        &self,
        queues: &mut Queues,
        kind: Kind,
        (share, queue): (Share, Queue),
        size: u64,
        purpose: Purpose,
    ) -> Result<Arc<Segment>, NoExtent> {
        if queues.segments().count() >= self.most {
            return Err(NoExtent::NoSpace);
        }
        self.space.measure(&self.ledger, Instant::now());
        let charge = self.ledger.reserve(size, share, purpose).map_err(|limit| {
            let pinned = self.shares.limits(share).keep == Keep::Always;
            if pinned && limit == Limit::Ceiling { NoExtent::Pinned } else { NoExtent::NoSpace }
        })?;
        let slot = self.free_slot(queues).ok_or(NoExtent::NoSpace)?;
        let number = queues.take_number();
        let header = SegmentHeader {
            number,
            seal: Seal::random(),
            kind,
            queue,
            order: number,
            share: self.shares.mark(share),
            created_at: clock::unix_seconds(),
        };
        match Segment::create(&self.context, header, share, slot, charge) {
            Ok(segment) => {
                let segment = Arc::new(segment);
                self.enter(queues, &segment, queue);
                Ok(segment)
            }
            Err(error) => {
                queues.free_slots.push(slot);
                Err(error.into())
            }
        }
    }

    fn enter(&self, queues: &mut Queues, segment: &Arc<Segment>, queue: Queue) {
        queues.line_mut(segment.share, queue).segments.push_back(Arc::clone(segment));
        let mut slots = self.slots.write();
        let slot = segment.slot as usize;
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot] = Some(Arc::clone(segment));
    }

    fn free_slot(&self, queues: &mut Queues) -> Option<u32> {
        if let Some(slot) = queues.free_slots.pop() {
            return Some(slot);
        }
        let mut slots = self.slots.write();
        let slot = u32::try_from(slots.len()).ok().filter(|&slot| slot < MAX_SLOTS)?;
        slots.push(None);
        Some(slot)
    }

    fn held_back(&self, capacity: u64) -> Shortage {
        self.sweep_up();
        if self.doomed(|_| true) > capacity / 4 { Shortage::HeldByReaders } else { Shortage::Evict }
    }

    /// Bytes of evicted segments that readers hold open.
    fn doomed(&self, of: impl Fn(&Segment) -> bool) -> u64 {
        let queues = self.queues.lock();
        let theirs = queues.doomed.iter().filter(|segment| of(segment));
        theirs.map(|segment| segment.charge.books().total()).sum()
    }
}

/// Whether something has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// There is room.
    None,
    /// Yes.
    Evict,
    /// Enough has gone already and will be free when its readers are done.
    HeldByReaders,
}
