//! Floors, ceilings and pins: kept at every moment, through stops and sudden deaths, whatever the others store.

use proptest::prelude::*;

use super::*;
use crate::config::{Glob, Quota};

const CAPACITY: u64 = 4 * MIB;
const FLOOR: u64 = MIB;
const CEILING: u64 = 5 * MIB / 4;

fn quota(repository: &str) -> Quota {
    Quota { repository: Glob::new(repository), floor: ByteSize(0), ceiling: None, pin: false }
}

fn with_floor(repository: &str) -> Quota {
    Quota { floor: ByteSize(FLOOR), ..quota(repository) }
}

fn with_ceiling(repository: &str) -> Quota {
    Quota { ceiling: Some(ByteSize(CEILING)), ..quota(repository) }
}

fn pinned(repository: &str) -> Quota {
    Quota { pin: true, ..with_ceiling(repository) }
}

fn place(quotas: &[Quota]) -> Place {
    let mut place = Place::new(CAPACITY, MIB);
    place.config.quotas = quotas.to_vec();
    place
}

impl Disk {
    fn put_for(&self, repository: &str, objects: &[Object]) {
        let share = self.share(repository);
        for object in objects {
            self.store(object.name, share, object.chunks()).unwrap();
            self.flush();
            self.check_limits();
        }
        self.settle();
    }

    fn bytes_of(&self, repository: &str) -> u64 {
        self.shared().segments.ledger.share(self.share(repository)).total()
    }

    fn stored_of(&self, repository: &str) -> u64 {
        self.quotas().into_iter().find(|quota| quota.repository == repository).unwrap().stored
    }

    fn check_limits(&self) {
        let usage = self.usage();
        assert!(usage.stored + usage.reserved <= CAPACITY);
        for quota in self.quotas() {
            let (bytes, ceiling) = (self.bytes_of(&quota.repository), quota.ceiling.unwrap_or(CAPACITY));
            assert!(bytes <= ceiling, "{bytes} of {}", quota.repository);
        }
    }
}

/// So many bytes in objects of 7 kB, different for each seed.
fn objects(seed: u64, bytes: u64) -> Vec<Object> {
    (0..bytes / 7_000).map(|n| Object::new(1_000_000 * (seed + 1) + n, 7_000)).collect()
}

/// Three times the capacity, for no quota.
fn flood(disk: &Disk, seed: u64) {
    disk.put_for("others", &objects(seed, 3 * CAPACITY));
}

#[test]
fn below_its_floor_a_share_gives_nothing_to_others() {
    let place = place(&[with_floor("a")]);
    let mut disk = place.open();
    let its = objects(0, FLOOR * 3 / 4);
    disk.put_for("a", &its);
    for round in 1..4 {
        flood(&disk, round);
        assert_eq!(found(&disk, &its), its.len(), "round {round}");
        if round == 1 {
            disk.close();
        }
        drop(disk);
        disk = place.open();
    }
}

#[test]
fn above_its_floor_a_share_gives_what_is_above() {
    let place = place(&[with_floor("a")]);
    let disk = place.open();
    disk.put_for("a", &objects(0, 3 * MIB));
    flood(&disk, 1);
    let segment = disk.shared().segments.all().iter().map(|segment| segment.charge.books().total()).max();
    let left = disk.stored_of("a");
    assert!((FLOOR..=FLOOR + segment.unwrap()).contains(&left), "{left}");
}

#[test]
fn at_its_ceiling_a_share_makes_room_itself() {
    let place = place(&[with_ceiling("a")]);
    let disk = place.open();
    let others = objects(1, 2 * MIB);
    disk.put_for("others", &others);
    let its = objects(0, 3 * CAPACITY);
    disk.put_for("a", &its);
    assert_eq!(found(&disk, &others), others.len());
    assert_eq!(found(&disk, &its[its.len() - 20..]), 20, "the latest are there");
    assert!(disk.stored_of("a") > CEILING / 2);
}

#[test]
fn a_ceiling_that_was_lowered_is_kept_soon() {
    let mut place = place(&[quota("a")]);
    let disk = place.open();
    disk.put_for("a", &objects(0, 3 * MIB));
    disk.close();
    drop(disk);
    place.config.quotas = vec![with_ceiling("a")];
    let disk = place.open();
    disk.settle();
    disk.check_limits();
    assert!(disk.stored_of("a") > CEILING / 2);
}

#[test]
fn pinned_objects_stay_until_they_are_unpinned() {
    let mut place = place(&[pinned("a")]);
    let mut disk = place.open();
    let its = objects(0, CEILING * 3 / 4);
    disk.put_for("a", &its);
    for round in 1..4 {
        flood(&disk, round);
        assert_eq!(found(&disk, &its), its.len(), "round {round}");
        if round == 2 {
            disk.close();
        }
        drop(disk);
        disk = place.open();
    }
    disk.close();
    drop(disk);
    place.config.quotas = vec![Quota { ceiling: Some(ByteSize(CEILING / 2)), ..quota("a") }];
    let disk = place.open();
    disk.settle();
    disk.check_limits();
    let left = found(&disk, &its);
    assert!(0 < left && left <= its.len() / 2 + 1, "{left}");
}

#[test]
fn what_cannot_be_pinned_is_said_and_kept_like_others() {
    let place = place(&[pinned("a")]);
    let disk = place.open();
    let (first, more) = (objects(0, CEILING * 3 / 4), objects(1, CEILING * 3 / 4));
    disk.put_for("a", &first);
    let not_pinned = |disk: &Disk| disk.shared().quotas[0].not_pinned.get();
    assert_eq!(not_pinned(&disk), 0);
    disk.put_for("a", &more);
    assert!(not_pinned(&disk) > 50, "{}", not_pinned(&disk));
    assert_eq!(found(&disk, &first) + found(&disk, &more), first.len() + more.len());
    // Larger than what is left of the ceiling, and than a segment.
    let large = Object::new(7, MIB / 2);
    disk.put_for("a", std::slice::from_ref(&large));
    assert_eq!(found(&disk, &[large]), 1);
}

#[test]
fn when_others_fill_the_file_system_pinned_objects_go_last() {
    for (reserve, pinned_stay) in [(CAPACITY / 2, true), (CAPACITY, false)] {
        let mut place = place(&[pinned("a")]);
        place.config.free_reserve = ByteSize(reserve);
        let disk = place.open();
        let its = objects(0, CEILING * 3 / 4);
        disk.put_for("a", &its);
        flood(&disk, 1);
        place.disk.make_available(0);
        disk.settle();
        disk.settle();
        let usage = disk.usage();
        assert!(usage.stored + usage.reserved <= usage.limit.max(4096), "{usage:?}");
        assert_eq!(found(&disk, &its), if pinned_stay { its.len() } else { 0 }, "{usage:?}");
    }
}

#[test]
fn what_was_stored_before_comes_to_its_quota_when_it_is_used() {
    let mut place = place(&[]);
    let disk = place.open();
    let its = objects(0, CEILING * 3 / 4);
    disk.put_for("a", &its);
    disk.close();
    drop(disk);
    place.config.quotas = vec![pinned("a")];
    let disk = place.open();
    assert_eq!(disk.stored_of("a"), 0);
    for object in &its {
        disk.claim(&disk.get(&object.name).unwrap(), disk.share("a"));
        disk.flush();
    }
    assert!(disk.stored_of("a") >= CEILING / 2, "{}", disk.stored_of("a"));
    flood(&disk, 1);
    assert_eq!(found(&disk, &its), its.len());
    // Nothing is moved twice.
    let before = place.metrics.copied_bytes.get();
    disk.claim(&disk.get(&its[0].name).unwrap(), disk.share("a"));
    disk.flush();
    assert_eq!(place.metrics.copied_bytes.get(), before);
}

#[test]
fn quotas_may_change_places_and_come_back() {
    let mut place = place(&[pinned("a"), with_floor("b")]);
    let its = objects(0, CEILING / 2);
    let disk = place.open();
    disk.put_for("a", &its);
    let stored = disk.stored_of("a");
    drop(disk);
    for quotas in [vec![with_floor("b")], vec![with_floor("b"), pinned("a")]] {
        place.config.quotas = quotas;
        let disk = place.open();
        disk.settle();
        let (a, b) = (disk.bytes_of("a"), disk.stored_of("b"));
        assert!(a >= stored && b == 0, "{a} {b}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Three repositories and the rest store in any order, with restarts and deaths between.
    #[test]
    fn no_share_is_driven_below_its_floor_by_others(
        steps in proptest::collection::vec((0..4usize, 1..MIB, 0..8u8), 1..30),
    ) {
        const NAMES: [&str; 4] = ["a", "b", "c", "others"];
        let place = place(&[with_floor("a"), Quota { floor: ByteSize(MIB / 2), ..with_ceiling("b") }, pinned("c")]);
        let floors = [FLOOR, MIB / 2, CEILING];
        let mut disk = place.open();
        for (n, (who, bytes, end)) in steps.into_iter().enumerate() {
            let before = [0, 1, 2].map(|share| disk.stored_of(NAMES[share]));
            disk.put_for(NAMES[who], &objects(n as u64, bytes));
            for share in (0..3).filter(|&share| share != who) {
                let now = disk.stored_of(NAMES[share]);
                prop_assert!(now >= before[share].min(floors[share]), "{} fell to {now}", NAMES[share]);
            }
            if end < 2 {
                if end == 0 {
                    disk.close();
                }
                drop(disk);
                disk = place.open();
                disk.settle();
                disk.check_limits();
            }
        }
    }
}
