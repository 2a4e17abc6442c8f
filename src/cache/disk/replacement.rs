//! What goes when space is needed: S3-FIFO, by the segment. Pure decisions: no clock, no I/O.
//!
//! New objects enter a small probationary queue; when its oldest segment goes, objects used since are copied to the
//! main queue and the others remembered as ghosts. The main queue is a FIFO with second chances: used objects are
//! copied to its end, one use forgotten. A segment more than half of which is in use is not copied but moved as a
//! whole: so each reclaimed segment yields half its size, and a byte written causes at most one byte copied.
//! Small objects cost next to nothing to keep, and are most of what is asked for: some stay unused for another round.
//! What each rule is worth, in hits: docs/replacement.md.
//! Source: "FIFO queues are all you need for cache eviction" (SOSP 2023).

use std::cmp::Reverse;

use super::entry::Entry;

/// A queue of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Queue {
    /// Objects on trial.
    Probation = 1,
    /// Objects that were used, or wanted again soon after they had gone.
    Main = 2,
}

impl Queue {
    /// From the stored form.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Probation),
            2 => Some(Self::Main),
            _ => None,
        }
    }
}

/// What a queue has to offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Bytes of all its segments.
    pub bytes: u64,
    /// Segments that nobody writes to any more.
    pub sealed: usize,
}

/// The queue whose oldest sealed segment goes next; `None` when neither has one.
pub fn victim(probation: Holding, main: Holding, capacity: u64) -> Option<Queue> {
    let crowded = probation.bytes > capacity / 10;
    match (probation.sealed > 0, main.sealed > 0) {
        (true, _) if crowded => Some(Queue::Probation),
        (_, true) => Some(Queue::Main),
        (true, false) => Some(Queue::Probation),
        (false, false) => None,
    }
}

/// What happens to a segment whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It moves to the end of the main queue with everything in it.
    Promote,
    /// It goes. The fate of each object, in the order given.
    Reclaim(Vec<Fate>),
}

/// What happens to one object of a segment that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Copied to the main queue, where it starts with so many hits.
    Keep {
        /// Uses remembered.
        hits: u8,
    },
    /// Dropped.
    Drop,
}

/// The size in bytes below which an object counts as small: an eighth of what the mean one takes.
pub fn small_below(stored: u64, objects: usize) -> u64 {
    stored / (objects as u64).max(1) / 8
}

/// Judges a segment of `size` bytes, in `queue`, by its findable objects; `small` as for [`fates`].
pub fn judge(queue: Queue, size: u64, objects: &[Entry], small: u64) -> Verdict {
    let used: u64 = objects.iter().filter(|object| object.hits > 0).map(Entry::extent).sum();
    if used > size / 2 { Verdict::Promote } else { Verdict::Reclaim(fates(queue, size, objects, small)) }
}

/// The fates of the objects of a segment that must go: the most used ones are kept, up to half of its `size`; of the
/// unused ones those of less than `small` bytes, the smallest first, up to an eighth of it and within the same half.
pub fn fates(queue: Queue, size: u64, objects: &[Entry], small: u64) -> Vec<Fate> {
    let (mut used, mut spared): (Vec<usize>, Vec<usize>) =
        (0..objects.len()).partition(|&i| objects[i].hits > 0);
    used.sort_by_key(|&i| (Reverse(objects[i].hits), objects[i].len));
    spared.retain(|&i| objects[i].len < small);
    spared.sort_by_key(|&i| objects[i].len);
    let mut fates = vec![Fate::Drop; objects.len()];
    let mut keep = |order: Vec<usize>, mut budget: u64| {
        for i in order {
            let Some(rest) = budget.checked_sub(objects[i].extent()) else { continue };
            budget = rest;
            fates[i] = Fate::Keep { hits: after_chance(queue, objects[i].hits) };
        }
        budget
    };
    let rest = keep(used, size / 2);
    keep(spared, rest.min(size / 8));
    fates
}

/// Hits that remain when an object has used up a chance.
pub fn after_chance(queue: Queue, hits: u8) -> u8 {
    match queue {
        Queue::Probation => 0,
        Queue::Main => hits.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Place;
    use super::*;

    #[test]
    fn victims() {
        let check = |probation: (u64, usize), main: (u64, usize), expected| {
            let holding = |(bytes, sealed)| Holding { bytes, sealed };
            assert_eq!(victim(holding(probation), holding(main), 1000), expected, "{probation:?} {main:?}");
        };
        check((0, 0), (0, 0), None);
        check((500, 3), (0, 0), Some(Queue::Probation));
        check((101, 1), (800, 5), Some(Queue::Probation));
        check((100, 1), (800, 5), Some(Queue::Main));
        check((101, 0), (800, 5), Some(Queue::Main));
        check((50, 1), (800, 0), Some(Queue::Probation));
    }

    fn objects(hits: &[u8]) -> Vec<Entry> {
        let place = Place { slot: 0, offset: 64 };
        let object = |&hits| Entry { fingerprint: 0, place, len: 400 - 80, stored_at: 0, hits };
        hits.iter().map(object).collect()
    }

    fn kept(fates: Vec<Fate>) -> Vec<Option<u8>> {
        let hits = |fate| match fate {
            Fate::Keep { hits } => Some(hits),
            Fate::Drop => None,
        };
        fates.into_iter().map(hits).collect()
    }

    #[test]
    fn the_most_used_half_is_kept() {
        let check = |queue, hits: &[u8], expected: &[Option<u8>]| {
            let kept = kept(fates(queue, 2000, &objects(hits), 0));
            assert_eq!(kept, expected);
        };
        check(Queue::Probation, &[0, 1, 0, 2, 0], &[None, Some(0), None, Some(0), None]);
        check(Queue::Main, &[0, 1, 0, 3, 0], &[None, Some(0), None, Some(2), None]);
        check(Queue::Main, &[1, 2, 3, 1, 1], &[None, Some(1), Some(2), None, None]);
    }

    #[test]
    fn small_unused_objects_get_another_round_in_an_eighth_of_the_segment() {
        // Records take 80 bytes more than such objects, and multiples of 16.
        let check = |sizes: &[u64], small, hits: &[u8], expected: &[Option<u8>]| {
            let objects: Vec<Entry> =
                objects(hits).into_iter().zip(sizes).map(|(object, &len)| Entry { len, ..object }).collect();
            assert_eq!(kept(fates(Queue::Probation, 4000, &objects, small)), expected, "{sizes:?} {small}");
        };
        let unused = [0; 5];
        check(&[160, 800, 144, 176, 2000], 200, &unused, &[Some(0), None, Some(0), None, None]);
        check(&[160, 800, 144, 176, 2000], 160, &unused, &[None, None, Some(0), None, None]);
        check(&[160, 800, 144, 176, 2000], 0, &unused, &[None; 5]);
        // What is used comes first: both together stay within half of the segment.
        check(&[160, 1800, 16, 16, 16], 200, &[0, 1, 0, 0, 0], &[None, Some(0), Some(0), None, None]);
    }

    #[test]
    fn objects_of_one_size_are_not_small() {
        assert!(small_below(1000 * 8000, 1000) <= 1000);
        assert_eq!(small_below(1000, 0), 125);
    }

    #[test]
    fn segments_mostly_in_use_are_moved_as_a_whole() {
        let check = |hits: &[u8], promoted| {
            let verdict = judge(Queue::Probation, 2000, &objects(hits), 0);
            assert_eq!(verdict == Verdict::Promote, promoted, "{hits:?}");
        };
        check(&[0, 0, 1, 1, 0], false);
        check(&[0, 1, 1, 1, 0], true);
        check(&[], false);
    }
}
