//! The books through random entries: neither the capacity nor a ceiling is ever exceeded by a promise.

use proptest::prelude::*;

use super::super::shares::Shares;
use super::*;
use crate::config::{ByteSize, Glob, Quota};

/// The rest, and a share that may have 600.
fn shares() -> [Share; 2] {
    let ceiling = Some(ByteSize(600));
    let quota = Quota { repository: Glob::new("a"), floor: ByteSize(0), ceiling, pin: false };
    let shares = Shares::new(&[quota]);
    [Share::REST, shares.of("a")]
}

fn ledger() -> Arc<Ledger> {
    Ledger::new(1000, 100, &[Ceiling::NONE, Ceiling { most: 600, headroom: 50 }])
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve(u64, usize, Purpose),
    Settle(usize, u64),
    Close(usize, u64),
    Drop(usize),
    Limit(u64),
    Capacity(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let purpose = prop_oneof![Just(Purpose::Admit), Just(Purpose::Reclaim)];
    prop_oneof![
        (1..600u64, 0..2usize, purpose).prop_map(|(n, s, p)| Step::Reserve(n, s, p)),
        (any::<usize>(), 0..600u64).prop_map(|(i, n)| Step::Settle(i, n)),
        (any::<usize>(), 0..900u64).prop_map(|(i, n)| Step::Close(i, n)),
        any::<usize>().prop_map(Step::Drop),
        (0..1500u64).prop_map(Step::Limit),
        (200..1500u64).prop_map(Step::Capacity),
    ]
}

fn sum<'a>(charges: impl Iterator<Item = &'a Charge>) -> Books {
    charges.map(Charge::books).fold(Books::default(), |sum, books| Books {
        stored: sum.stored + books.stored,
        reserved: sum.reserved + books.reserved,
    })
}

proptest! {
    #[test]
    fn never_more_than_the_capacity_or_a_ceiling(steps in proptest::collection::vec(step(), 0..200)) {
        let (ledger, shares) = (ledger(), shares());
        let mut charges: Vec<(usize, Charge)> = Vec::new();
        let (mut most, mut capacity) = (1000, 1000);
        for step in steps {
            let before = ledger.books().total();
            match step {
                Step::Reserve(bytes, share, purpose) => {
                    let had = ledger.share(shares[share]).total();
                    let (all, own) = match purpose {
                        Purpose::Admit => (most.max(100) - 100, [u64::MAX, 550][share]),
                        Purpose::Reclaim => (most, [u64::MAX, 600][share]),
                    };
                    let expected = match (had + bytes <= own, before + bytes <= all) {
                        (false, _) => Some(Limit::Ceiling),
                        (true, false) => Some(Limit::Capacity),
                        (true, true) => None,
                    };
                    let charge = ledger.reserve(bytes, shares[share], purpose);
                    prop_assert_eq!(charge.as_ref().err().copied(), expected);
                    charges.extend(charge.ok().map(|charge| (share, charge)));
                }
                Step::Settle(i, bytes) if !charges.is_empty() => {
                    let charge = &charges[i % charges.len()].1;
                    charge.settle(bytes.min(charge.books().reserved));
                }
                Step::Close(i, bytes) if !charges.is_empty() => {
                    let (share, charge) = &charges[i % charges.len()];
                    let part = charge.books().total();
                    let fits = before - part + bytes <= most
                        && (*share == 0 || ledger.share(shares[1]).total() - part + bytes <= 600);
                    prop_assert_eq!(charge.close_at(bytes).is_ok(), bytes <= part || fits);
                }
                Step::Limit(bytes) => {
                    ledger.set_limit(bytes);
                    most = bytes.min(capacity);
                    prop_assert_eq!(ledger.excess(), before.saturating_sub(most));
                }
                Step::Capacity(bytes) => {
                    ledger.set_capacity(bytes);
                    (most, capacity) = (most.min(bytes), bytes);
                    prop_assert_eq!((ledger.capacity(), ledger.limit()), (capacity, most));
                }
                Step::Drop(i) if !charges.is_empty() => {
                    let i = i % charges.len();
                    charges.swap_remove(i);
                }
                _ => {}
            }
            prop_assert!(ledger.books().total() <= capacity.max(before));
            prop_assert!(ledger.share(shares[1]).total() <= 600);
            prop_assert_eq!(ledger.books(), sum(charges.iter().map(|(_, charge)| charge)));
            for (n, &share) in shares.iter().enumerate() {
                let its = charges.iter().filter(|(share, _)| *share == n);
                prop_assert_eq!(ledger.share(share), sum(its.map(|(_, charge)| charge)));
            }
        }
        charges.clear();
        prop_assert_eq!(ledger.books(), Books::default());
    }
}

#[test]
fn files_found_at_start_may_exceed_everything_but_stop_promises() {
    let (ledger, [rest, share]) = (ledger(), shares());
    let found = ledger.found(1500);
    assert_eq!(ledger.free(), 0);
    assert!(ledger.reserve(1, rest, Purpose::Reclaim).is_err());
    drop(found);
    assert_eq!(ledger.free(), 900);
    let found = ledger.found(700);
    assert_eq!(ledger.free_below_ceiling(share), 550);
    found.assign(share);
    assert_eq!(ledger.share(share).total(), 700);
    assert_eq!(ledger.reserve(1, share, Purpose::Reclaim).err(), Some(Limit::Ceiling));
    assert!(ledger.reserve(1, rest, Purpose::Reclaim).is_ok());
    drop(found);
    assert_eq!(ledger.books(), Books::default());
}
