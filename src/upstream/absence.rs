//! Which objects a mirror said it does not have, a moment ago.
//!
//! After a release thousands of jobs ask for objects that a mirror has yet to copy; each such request would ask it in vain
//! before the next one. An absence only moves the mirror back for that object, and only for a few seconds: copies arrive at
//! any time, so nothing is ever refused from here.
//!
//! Names are told by their hashes. A table with one slot for each, where a new name displaces the old one: bounded, and forgetting is harmless. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Names remembered; a power of two. 96 KiB, once there is anything to remember.
const SLOTS: usize = 4096;

/// The absences of one mirror.
#[derive(Debug)]
pub(super) struct Absences {
    slots: Vec<Option<Absence>>,
    /// How long an absence is believed.
    believed: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Absence {
    name: u64,
    until: Instant,
}

impl Absences {
    /// Nothing is known; what will be is believed for so long.
    pub(super) fn new(believed: Duration) -> Self {
        Self { slots: Vec::new(), believed }
    }

    /// What is noted from now on is believed for so long.
    pub(super) fn believe(&mut self, believed: Duration) {
        self.believed = believed;
    }

    /// The mirror does not have it.
    pub(super) fn note(&mut self, name: u64, now: Instant) {
        self.slots.resize(SLOTS, None);
        self.slots[slot(name)] = Some(Absence { name, until: now + self.believed });
    }

    /// Whether it said so a moment ago. Two names of one hash pass for the same, which costs one of them its order.
    pub(super) fn has(&self, name: u64, now: Instant) -> bool {
        let absence = self.slots.get(slot(name)).copied().flatten();
        absence.is_some_and(|absence| absence.name == name && now < absence.until)
    }
}

fn slot(name: u64) -> usize {
    name as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const BELIEVED: Duration = Duration::from_secs(5);

    fn name(n: usize) -> u64 {
        fastrand::Rng::with_seed(n as u64).u64(..)
    }

    #[test]
    fn absences_are_believed_for_a_moment() {
        let (mut absences, now) = (Absences::new(BELIEVED), Instant::now());
        assert!(!absences.has(name(1), now));
        absences.note(name(1), now);
        assert!(absences.has(name(1), now + Duration::from_millis(4999)));
        assert!(!absences.has(name(2), now));
        assert!(!absences.has(name(1), now + BELIEVED));
    }

    #[test]
    fn they_are_bounded() {
        let (mut absences, now) = (Absences::new(BELIEVED), Instant::now());
        (0..10 * SLOTS).for_each(|n| absences.note(name(n), now));
        assert_eq!(absences.slots.len(), SLOTS);
        let remembered = (0..10 * SLOTS).filter(|&n| absences.has(name(n), now)).count();
        assert!((SLOTS * 9 / 10..=SLOTS).contains(&remembered), "{remembered}");
    }
}
