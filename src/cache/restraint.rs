//! How much the memory tier may hold while the machine gives the process less than the configuration does. Pure.
//!
//! Three stretches below the limit. Far from it, what was taken back is given again, step by step. Near it, the tier keeps what it has
//! and gets no more. Nearer still it gives up as much as leads back to the middle stretch, all it has if need be. Each
//! change makes the tier anew, so there are few: giving up waits until the last one has shown, giving again is slow.

use std::time::Duration;

/// The share of the limit that each stretch takes, and its bounds: below them allocators and sockets alone would move through it.
const STRETCH: u64 = 10;
const LEAST_STRETCH: u64 = 8 << 20;
const MOST_STRETCH: u64 = 1 << 30;

/// How long what was given up may take to show: allocators return memory with a delay.
const SETTLES: Duration = Duration::from_secs(2);

/// How long to wait before more is given again.
const AGAIN: Duration = Duration::from_secs(5);

/// No smaller step upward than this share of the capacity.
const STEP: u64 = 16;

/// What the machine says about memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes that the process may have, with whoever shares the limit.
    pub limit: u64,
    /// Bytes that are taken and cannot be reclaimed from without.
    pub taken: u64,
}

/// What was decided before.
#[derive(Debug, Default)]
pub struct Restraint {
    /// Bytes at the last look.
    before: Option<u64>,
    /// When the tier was changed for the last time, and what was taken then.
    changed: Option<(Duration, u64)>,
}

impl Restraint {
    /// The tier begins smaller than it is configured, while so many bytes are taken.
    pub fn begun(&mut self, taken: u64) {
        self.changed = Some((Duration::ZERO, taken));
    }

    /// The capacity that the tier should have, of which `configured` is the most. It has `allowed` now and holds `weight`, all in
    /// bytes; `now` only grows. No pressure: there is no limit.
    pub fn next(
        &mut self,
        now: Duration,
        pressure: Option<Pressure>,
        configured: u64,
        allowed: u64,
        weight: u64,
    ) -> u64 {
        let Some(Pressure { limit, taken }) = pressure else {
            (self.before, self.changed) = (None, None);
            return configured;
        };
        let stretch = (limit / STRETCH).clamp(LEAST_STRETCH, MOST_STRETCH);
        let near = limit.saturating_sub(2 * stretch);
        let nearer = limit.saturating_sub(stretch);
        // As much again may come until the next look; a leap says little about the next one.
        let growth = taken.saturating_sub(self.before.unwrap_or(taken)).min(stretch);
        let expected = taken.saturating_add(growth);
        self.before = Some(taken);
        let since = self.changed.map(|(then, _)| now.saturating_sub(then));
        let shown = since.is_none_or(|since| since >= SETTLES)
            || self.changed.is_some_and(|(_, then)| taken > then.saturating_add(stretch / 4));
        let next = if expected >= nearer {
            let excess = expected - near.midpoint(nearer);
            if shown { allowed.min(weight).saturating_sub(excess) } else { allowed }
        } else if expected >= near {
            allowed.min(weight)
        } else {
            let step = ((near - expected) / 2).min(configured.saturating_sub(allowed));
            // More than it needs says nothing about what it would take.
            let full = weight >= allowed - allowed / 8;
            let worth = full && (step >= configured / STEP || allowed + step >= configured);
            if worth && since.is_none_or(|since| since >= AGAIN) { allowed + step } else { allowed }
        };
        let next = next.min(configured);
        if next != allowed {
            self.changed = Some((now, taken));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// `limit` 1000: stretches of 100 begin at 800 (near) and 900 (nearer). All in MiB.
    fn next(restraint: &mut Restraint, seconds: u64, taken: u64, allowed: u64, weight: u64) -> u64 {
        let pressure = Pressure { limit: 1000 * MIB, taken: taken * MIB };
        let now = Duration::from_secs(seconds);
        restraint.next(now, Some(pressure), 500 * MIB, allowed * MIB, weight * MIB) / MIB
    }

    #[test]
    fn decisions() {
        // Taken at the look before and now; allowed, weight -> allowed from now on.
        for (before, taken, allowed, weight, expected, why) in [
            (300, 300, 500, 100, 500, "far away"),
            (799, 799, 500, 400, 500, "just far enough"),
            (800, 800, 500, 400, 400, "near: keeps what it has"),
            (800, 800, 300, 400, 300, "near, and more than allowed on its way out"),
            (899, 899, 400, 400, 400, "near"),
            (900, 900, 400, 400, 350, "nearer: back to the middle of the stretch before"),
            (990, 990, 400, 400, 260, "nearer"),
            (2200, 2200, 400, 400, 0, "beyond: all of it"),
            (990, 990, 400, 50, 0, "all it has"),
            (700, 800, 500, 400, 350, "fast: 900 are to be expected"),
            (700, 760, 500, 400, 400, "fast: 820 are to be expected"),
            (100, 790, 500, 400, 400, "a leap: 890 are to be expected"),
            (760, 700, 400, 400, 450, "less than before"),
            (300, 300, 0, 0, 250, "half of the way to the stretch"),
            (300, 300, 300, 300, 500, "no more than configured"),
            (760, 760, 100, 100, 100, "too small a step to be worth it"),
            (760, 760, 490, 490, 500, "but for the last one"),
        ] {
            let mut restraint = Restraint { before: Some(before * MIB), changed: None };
            assert_eq!(
                next(&mut restraint, 100, taken, allowed, weight),
                expected,
                "{before} {taken}: {why}"
            );
        }
    }

    #[test]
    fn giving_up_waits_to_show_and_giving_again_takes_its_time() {
        let mut restraint = Restraint::default();
        assert_eq!(next(&mut restraint, 10, 910, 500, 400), 340);
        assert_eq!(next(&mut restraint, 11, 910, 340, 340), 340, "it has not shown yet");
        assert_eq!(next(&mut restraint, 11, 936, 340, 340), 228, "it will not be enough");
        assert_eq!(next(&mut restraint, 13, 900, 228, 228), 178, "it was not enough");
        assert_eq!(next(&mut restraint, 14, 700, 178, 178), 178);
        assert_eq!(next(&mut restraint, 18, 700, 178, 178), 228);
        assert_eq!(next(&mut restraint, 22, 300, 228, 228), 228);
        assert_eq!(next(&mut restraint, 23, 300, 228, 228), 478);
        assert_eq!(next(&mut restraint, 28, 300, 478, 478), 500);
        assert_eq!(restraint.next(Duration::from_secs(28), None, 500, 100, 100), 500, "the limit is gone");
    }

    proptest! {
        /// Whatever comes: never more than configured, never more than it had where it is tight.
        #[test]
        fn never_more_than_there_is(
            looks in prop::collection::vec((0u64..2000, 0u64..1500, 0u64..5), 1..40),
            configured in 0u64..1500,
            limit in 0u64..1500,
        ) {
            let (mut restraint, mut allowed, mut now) = (Restraint::default(), configured, Duration::ZERO);
            for (taken, weight, seconds) in looks {
                now += Duration::from_secs(seconds);
                let pressure = Pressure { limit: limit * MIB, taken: taken * MIB };
                let next = restraint.next(now, Some(pressure), configured * MIB, allowed * MIB, weight * MIB) / MIB;
                prop_assert!(next <= configured);
                prop_assert!(taken < limit || next <= allowed, "{} of {}", next, allowed);
                allowed = next;
            }
        }
    }
}
