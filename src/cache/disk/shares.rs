//! Shares of the disk by repository: who may have how much. Pure: no clock, no I/O.
//!
//! A share is a property of whole segments. An object belongs to the share of the fill that brought it, and stays with it
//! when it is copied. What has no quota is *the rest*, without floor and ceiling.
//! Segments name their share by a checksum of the quota's pattern, so that entries of the configuration may change
//! places; what belongs to a quota that is no longer there counts as the rest.

use super::replacement::{Holding, Queue, victim};
use crate::config;

/// Shares at a time: the rest, and one for each quota.
pub const MAX_SHARES: usize = config::MAX_QUOTAS + 1;

/// For whom an object is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// Whatever has no quota.
    pub const REST: Self = Self(0);

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How much a share may have, in bytes of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nothing goes for others as long as there would be less than this.
    pub floor: u64,
    /// Never more than this.
    pub ceiling: u64,
    /// Whether anything goes at all.
    pub keep: Keep,
}

/// How long objects of a share are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As long as they deserve it.
    Deserving,
    /// Until the quota is changed.
    Always,
}

/// The shares of a configuration.
pub struct Shares {
    quotas: Box<[config::Quota]>,
    // The rest, then one for each quota.
    limits: Box<[Limits]>,
}

impl Shares {
    /// Those of the first [`MAX_SHARES`] - 1 quotas.
    pub fn new(quotas: &[config::Quota]) -> Self {
        let quotas = &quotas[..quotas.len().min(MAX_SHARES - 1)];
        let rest = Limits { floor: 0, ceiling: u64::MAX, keep: Keep::Deserving };
        let limits = quotas.iter().map(|quota| Limits {
            floor: quota.floor.bytes(),
            ceiling: quota.ceiling.map_or(u64::MAX, |ceiling| ceiling.bytes()),
            keep: if quota.pin { Keep::Always } else { Keep::Deserving },
        });
        let limits = std::iter::once(rest).chain(limits).collect();
        Self { quotas: quotas.into(), limits }
    }

    /// The share of a repository: that of the first quota that matches.
    pub fn of(&self, repository: &str) -> Share {
        let at = self.quotas.iter().position(|quota| quota.repository.matches(repository));
        Share(at.map_or(0, |at| at as u8 + 1))
    }

    /// All of them, the rest first.
    pub fn all(&self) -> impl Iterator<Item = Share> + use<> {
        (0..self.limits.len() as u8).map(Share)
    }

    /// How many there are, at least one.
    pub fn count(&self) -> usize {
        self.limits.len()
    }

    /// What a share may have.
    pub fn limits(&self, share: Share) -> Limits {
        self.limits[share.index()]
    }

    /// The pattern of its quota.
    pub fn label(&self, share: Share) -> &str {
        match share.index().checked_sub(1) {
            Some(quota) => self.quotas[quota].repository.as_str(),
            None => REST_LABEL,
        }
    }

    /// The stored form.
    pub fn mark(&self, share: Share) -> u64 {
        match share {
            Share::REST => 0,
            _ => mark(self.label(share)),
        }
    }

    /// From the stored form.
    pub fn of_mark(&self, mark: u64) -> Share {
        self.all().find(|&share| self.mark(share) == mark).unwrap_or_default()
    }

    /// The smallest ceiling there is.
    pub fn lowest_ceiling(&self) -> u64 {
        self.limits.iter().map(|limits| limits.ceiling).min().unwrap_or(u64::MAX)
    }
}

/// How the rest is called in metrics; no repository has such a name.
const REST_LABEL: &str = "(others)";

/// FNV-1a of the pattern; not zero, which is the rest.
fn mark(label: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    label.bytes().fold(0xcbf2_9ce4_8422_2325, step).max(1)
}

/// A segment that could go next: the oldest sealed one of a queue of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// Its share.
    pub share: Share,
    /// Its queue.
    pub queue: Queue,
    /// Its bytes on the disk.
    pub size: u64,
    /// Its place among all segments; lower goes first.
    pub order: u64,
}

/// What a share has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it may have.
    pub limits: Limits,
    /// Bytes of its segments that are on the disk.
    pub stored: u64,
    /// Bytes of all its segments, promised ones included, by queue: probation, main.
    pub bytes: [u64; 2],
    /// Bytes that could not be had for it.
    pub wanted: u64,
}

/// Why something has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A share is at its ceiling.
    Ceiling(Share),
    /// Less than usual is kept free. What was wanted can be had.
    Ahead,
    /// What was wanted cannot be had.
    Urgent,
    /// More is used than may be.
    Squeezed,
}

/// The front that goes next: as if all shares that may give were one S3-FIFO. `limit` is what may be used by all
/// together. `None` when nobody may give anything.
///
/// A share below its floor gives nothing to others; it may replace its own. Only when more is used than may be, floors
/// are passed over, and last of all what is pinned goes.
pub fn choose(need: Need, fronts: &[Front], standings: &[Standing], limit: u64) -> Option<Front> {
    let of = |front: &Front| &standings[front.share.index()];
    let pinned = |front: &Front| of(front).limits.keep == Keep::Always;
    let spare = |front: &Front| {
        let standing = of(front);
        !pinned(front) && standing.stored.saturating_sub(front.size) >= standing.limits.floor
    };
    let own = |front: &Front| !pinned(front) && of(front).wanted > 0;
    let among = |may: &dyn Fn(&Front) -> bool| {
        let fronts: Vec<Front> = fronts.iter().copied().filter(|front| may(front)).collect();
        oldest(&fronts, standings, limit)
    };
    match need {
        Need::Ceiling(share) => among(&|front| front.share == share && !pinned(front)),
        Need::Ahead => among(&spare),
        Need::Urgent => among(&spare).or_else(|| among(&own)),
        Need::Squeezed => {
            among(&spare).or_else(|| among(&|front| !pinned(front))).or_else(|| among(&|_| true))
        }
    }
}

/// S3-FIFO over the shares of these fronts: probation gives when it has more than its part of what they have together.
fn oldest(fronts: &[Front], standings: &[Standing], limit: u64) -> Option<Front> {
    let gives = |share: usize| fronts.iter().any(|front| front.share.index() == share);
    let (mut all, mut theirs) = (0, [0, 0]);
    for (share, standing) in standings.iter().enumerate() {
        let [probation, main] = standing.bytes;
        all += probation + main;
        if gives(share) {
            theirs = [theirs[0] + probation, theirs[1] + main];
        }
    }
    let sealed = |queue| fronts.iter().filter(|front| front.queue == queue).count();
    let part = u128::from(limit) * u128::from(theirs[0] + theirs[1]) / u128::from(all.max(1));
    let queue = victim(
        Holding { bytes: theirs[0], sealed: sealed(Queue::Probation) },
        Holding { bytes: theirs[1], sealed: sealed(Queue::Main) },
        u64::try_from(part).unwrap_or(u64::MAX),
    )?;
    fronts.iter().copied().filter(|front| front.queue == queue).min_by_key(|front| front.order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ByteSize, Glob};

    fn quota(repository: &str, floor: u64, ceiling: Option<u64>, pin: bool) -> config::Quota {
        let ceiling = ceiling.map(ByteSize);
        config::Quota { repository: Glob::new(repository), floor: ByteSize(floor), ceiling, pin }
    }

    #[test]
    fn the_first_quota_that_matches_counts() {
        let shares = Shares::new(&[quota("a.cern.ch", 0, None, false), quota("*.cern.ch", 0, None, false)]);
        let check = |repository, expected| assert_eq!(shares.label(shares.of(repository)), expected);
        check("a.cern.ch", "a.cern.ch");
        check("b.cern.ch", "*.cern.ch");
        check("a.example.org", "(others)");
        assert_eq!(shares.count(), 3);
    }

    #[test]
    fn marks_survive_changes_of_the_order() {
        let [a, b] = ["a.cern.ch", "b.cern.ch"].map(|name| quota(name, 0, None, false));
        let (before, after) = (Shares::new(&[a.clone(), b.clone()]), Shares::new(&[b, a.clone()]));
        for name in ["a.cern.ch", "b.cern.ch", "c.cern.ch"] {
            assert_eq!(after.of_mark(before.mark(before.of(name))), after.of(name));
        }
        let fewer = Shares::new(&[a]);
        assert_eq!(fewer.of_mark(before.mark(before.of("b.cern.ch"))), Share::REST);
    }

    /// Three shares of two segments of 10 each; the oldest is that of the rest, then those of a and b.
    fn check(need: Need, limits: [(u64, Keep); 3], wanted: [u64; 3], expected: Option<u8>) {
        let standing = |n: usize| Standing {
            limits: Limits { floor: limits[n].0, ceiling: u64::MAX, keep: limits[n].1 },
            stored: 20,
            bytes: [0, 20],
            wanted: wanted[n],
        };
        let front = |n: u8| Front { share: Share(n), queue: Queue::Main, size: 10, order: 1 + u64::from(n) };
        let chosen = choose(need, &[0, 1, 2].map(front), &[0, 1, 2].map(standing), 60);
        assert_eq!(chosen.map(|front| front.share), expected.map(Share), "{need:?} {limits:?} {wanted:?}");
    }

    #[test]
    fn whoever_has_more_than_its_floor_gives_the_oldest() {
        use Keep::{Always, Deserving};
        use Need::{Ahead, Ceiling, Squeezed, Urgent};
        let free = (0, Deserving);
        let kept = (15, Deserving);
        let pinned = (0, Always);
        check(Ahead, [free, free, free], [0; 3], Some(0));
        check(Ahead, [free, (10, Deserving), free], [0; 3], Some(0));
        check(Ahead, [pinned, kept, free], [0; 3], Some(2));
        check(Ahead, [pinned, kept, kept], [0, 0, 5], None);
        check(Urgent, [pinned, kept, kept], [0, 0, 5], Some(2));
        check(Urgent, [pinned, kept, kept], [5, 0, 0], None);
        check(Squeezed, [pinned, kept, kept], [0; 3], Some(1));
        check(Squeezed, [pinned, pinned, pinned], [0; 3], Some(0));
        check(Ceiling(Share(2)), [free, free, kept], [0; 3], Some(2));
        check(Ceiling(Share(2)), [free, free, pinned], [0; 3], None);
    }

    #[test]
    fn probation_is_measured_against_those_who_may_give() {
        let deserving = |floor| Limits { floor, ceiling: u64::MAX, keep: Keep::Deserving };
        let standings = [(0, [20, 80]), (1000, [0, 900])].map(|(floor, bytes): (u64, [u64; 2])| Standing {
            limits: deserving(floor),
            stored: bytes[0] + bytes[1],
            bytes,
            wanted: 0,
        });
        let front = |share, queue, order| Front { share: Share(share), queue, size: 10, order };
        let fronts = [front(0, Queue::Main, 1), front(0, Queue::Probation, 2), front(1, Queue::Main, 0)];
        // 20 are more than a tenth of the 100 that the rest has, though not of 1000.
        let chosen = choose(Need::Ahead, &fronts, &standings, 1000);
        assert_eq!(chosen, Some(fronts[1]));
    }
}
