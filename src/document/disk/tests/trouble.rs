//! Disks that are full, broken, read-only, slow, emptied or not there at the start.

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::*;
use crate::cache::disk::faults::Operation::{Create, List, Open, Read, Remove, Rename, Truncate, Write};
use crate::cache::disk::faults::{Interference, Operation, Verdict};

/// Documents are written before, kept in memory during, and written again after some trouble with writing.
fn writing_fails(operations: &'static [Operation], errno: Errno) {
    let house = House::new(MIB);
    let run = house.open();
    let metrics = &house.metrics.document.disk;
    run.put("/kept", &[], &fresh("kept"));
    run.put("/changed", &[], &fresh("old"));
    house.disk.fail(operations, errno);
    run.put("/changed", &[], &fresh("new"));
    for n in 0..6 {
        run.put(&format!("/{n}"), &[], &fresh("x"));
        manifests::served(&run, "a", n);
        assert_eq!(run.text(&format!("/{n}"), &[]).as_deref(), Some("x"));
    }
    let usage = run.keeper.usage();
    assert_eq!(usage.condition, Condition::ReadOnly, "{errno}");
    assert!(usage.retry_at.is_some());
    assert_eq!(metrics.condition.each_ref().map(|state| state.get()), [0, 1, 0]);
    assert_eq!(metrics.dropped.failed.get(), 3, "{errno}");
    assert!(metrics.dropped.paused.get() > 3);
    assert!(house.size() <= house.bound);
    house.disk.repair();
    while run.keeper.usage().condition != Condition::Working {
        run.put("/again", &[], &fresh("again"));
        std::thread::yield_now();
    }
    run.keeper.close();
    drop(run);
    let run = house.open();
    assert_eq!(run.text("/kept", &[]).as_deref(), Some("kept"), "{errno}");
    assert_eq!(run.text("/again", &[]).as_deref(), Some("again"));
    assert_ne!(run.text("/changed", &[]).as_deref(), Some("old"), "{errno}");
}

#[test]
fn a_full_disk() {
    writing_fails(&[Write(0), Create], Errno::NOSPC);
    writing_fails(&[Write(0)], Errno::NOSPC);
}

#[test]
fn a_disk_that_cannot_be_written() {
    writing_fails(&[Write(0)], Errno::IO);
    writing_fails(&[Create, Rename], Errno::IO);
}

#[test]
fn a_disk_that_became_read_only() {
    writing_fails(&[Create, Write(0), Truncate, Remove, Rename], Errno::ROFS);
}

#[test]
fn a_disk_that_cannot_be_read_is_tried_again_and_nothing_is_lost() {
    let house = House::new(MIB);
    let run = house.open();
    for n in 0..10 {
        run.put(&format!("/{n}"), &[], &fresh("x"));
    }
    drop(run);
    let metrics = &house.metrics.document.disk;
    house.disk.fail(&[Read], Errno::IO);
    let run = house.open_on(house.disk.faults());
    while metrics.dropped.unreadable.get() < 3 {
        std::thread::yield_now();
    }
    run.put("/more", &[], &fresh("more"));
    assert_eq!(run.keeper.usage().condition, Condition::MemoryOnly);
    assert_eq!(metrics.is_loaded.get(), 0);
    house.disk.repair();
    run.until_loaded();
    assert_eq!(run.keeper.usage().condition, Condition::Working);
    assert_eq!(metrics.loaded.get(), 10 - metrics.dropped.unreadable.get());
    drop(run);
    let run = house.open();
    assert!((0..10).all(|n| run.find(&format!("/{n}"), &[]).is_some()));
    assert_eq!(run.text("/more", &[]).as_deref(), Some("more"));
}

#[test]
fn a_folder_that_cannot_be_listed_is_not_written_to() {
    let house = House::new(64 * KIB);
    let run = house.open();
    for n in 0..10 {
        run.put(&format!("/{n}"), &[], &fresh("x"));
    }
    drop(run);
    let metrics = &house.metrics.document.disk;
    for operations in [&[List][..], &[List, Open, Read, Create, Write(0), Remove]] {
        house.disk.fail(operations, Errno::IO);
        let run = house.open_on(house.disk.faults());
        for n in 0..30 {
            run.put(&format!("/more{n}"), &[], &fresh("x"));
            assert!(house.size() <= house.bound);
        }
        assert_eq!(run.text("/more29", &[]).as_deref(), Some("x"));
        run.put("/3", &[], &fresh("newer"));
        assert_eq!(run.keeper.usage().condition, Condition::MemoryOnly);
        assert_eq!(metrics.condition.each_ref().map(|state| state.get()), [0, 0, 1]);
        house.disk.repair();
        run.until_loaded();
        assert_eq!(run.text("/3", &[]).as_deref(), Some("newer"));
        assert_eq!(run.text("/4", &[]).as_deref(), Some("x"));
        // What the last run had of it is not good any more.
        drop(run);
        assert_eq!(house.open().text("/3", &[]), None);
        let run = house.open();
        run.put("/3", &[], &fresh("x"));
    }
}

#[test]
fn a_folder_that_somebody_emptied_is_made_again() {
    let house = House::new(MIB);
    let run = house.open();
    run.put("/x", &[], &fresh("x"));
    assert_eq!(manifests::served(&run, "a", 7), 7);
    fs::remove_dir_all(&house.folder).unwrap();
    run.put("/y", &[], &fresh("y"));
    while run.keeper.usage().documents != 1 || !run.keeper.usage().is_loaded {
        run.put("/z", &[], &fresh("z"));
        std::thread::yield_now();
    }
    drop(run);
    let run = house.open();
    assert_eq!(run.text("/z", &[]).as_deref(), Some("z"));
    assert_eq!(run.text("/x", &[]), None);
    assert_eq!(manifests::served(&run, "a", 6), 7);
}

/// A disk on which some operations wait until it is opened.
struct Gate {
    waits: fn(Operation) -> bool,
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn new(waits: fn(Operation) -> bool) -> Arc<Self> {
        Arc::new(Self { waits, state: Mutex::default(), changed: Condvar::new() })
    }

    fn until_somebody_waits(&self) {
        let mut state = self.state.lock();
        while state.0 == 0 {
            self.changed.wait(&mut state);
        }
    }

    fn open(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }
}

impl Interference for Gate {
    fn judge(&self, operation: Operation) -> Verdict {
        if (self.waits)(operation) {
            let mut state = self.state.lock();
            state.0 += 1;
            self.changed.notify_all();
            while !state.1 {
                self.changed.wait(&mut state);
            }
        }
        Verdict::Go
    }
}

#[test]
fn what_came_since_the_start_is_not_replaced_by_what_is_loaded() {
    let house = House::new(MIB);
    let run = house.open();
    let vary: Fields<'_> = &[("cache-control", "max-age=3600"), ("vary", "f")];
    for target in ["/put", "/removed", "/varied", "/kept"] {
        run.put(target, &[("f", "1")], &came(Duration::ZERO, &[("f", "1")], vary, "old"));
    }
    drop(run);
    let gate = Gate::new(|operation| operation == Read);
    let run = house.open_on(Faults::of(gate.clone()));
    gate.until_somebody_waits();
    assert!(run.shelf.store.is_loading());
    let store = &run.shelf.store;
    store.put(&key("/put"), &map(&[("f", "1")]), fresh("new"));
    store.put(&key("/varied"), &map(&[("f", "2")]), came(Duration::ZERO, &[("f", "2")], vary, "two"));
    store.remove(&key("/removed"), &map(&[("f", "1")]));
    gate.open();
    run.until_loaded();
    for _ in 0..2 {
        let run = if house.metrics.document.disk.loaded.get() < 2 { &run } else { &house.open() };
        assert_eq!(run.text("/put", &[("f", "1")]).as_deref(), Some("new"));
        assert_eq!(run.text("/removed", &[("f", "1")]), None);
        assert_eq!(run.text("/varied", &[("f", "1")]), None);
        assert_eq!(run.text("/varied", &[("f", "2")]).as_deref(), Some("two"));
        assert_eq!(run.text("/kept", &[("f", "1")]).as_deref(), Some("old"));
        run.keeper.flush();
        house.metrics.document.disk.loaded.inc();
    }
}

#[test]
fn a_slow_disk_delays_nobody_and_what_waits_for_it_is_bounded() {
    let house = House::new(256 * MIB);
    let run = house.open();
    run.put("/37", &[], &fresh("old"));
    drop(run);
    let gate = Gate::new(|operation| matches!(operation, Write(_)));
    let run = house.open_on(Faults::of(gate.clone()));
    run.until_loaded();
    // The first is in the clerk's hands, sixteen wait, the others find no room.
    for n in 0..40 {
        run.shelf.store.put(&key(&format!("/{n}")), &HeaderMap::new(), fresh(vec![n; 1_000_000]));
        if n == 0 {
            gate.until_somebody_waits();
        }
    }
    assert!((0..40).all(|n| run.find(&format!("/{n}"), &[]).is_some()));
    assert_eq!(house.metrics.document.disk.dropped.queue_full.get(), 40 - 1 - 16);
    gate.open();
    run.keeper.close();
    drop(run);
    let run = house.open();
    assert_eq!((0..40).filter(|n| run.find(&format!("/{n}"), &[]).is_some()).count(), 17);
    // What found no room took its older answer along.
    assert!(run.find("/37", &[]).is_none());
}

#[test]
fn a_start_does_not_wait_for_a_disk_that_hangs() {
    let house = House::new(MIB);
    let run = house.open();
    assert_eq!(manifests::served(&run, "a", 7), 7);
    run.put("/x", &[], &fresh("x"));
    drop(run);
    let gate = Gate::new(|operation| operation == Read);
    let begun = std::time::Instant::now();
    let run = house.open_on(Faults::of(gate.clone()));
    assert!(begun.elapsed() < Duration::from_secs(5));
    // Its manifests are unknown until it answers, and count again from then on.
    let sent = |number| {
        run.shelf.watermarks.note(
            manifests::repository("a"),
            &manifests::manifest(number, 0),
            SystemTime::now(),
        )
    };
    sent(6);
    gate.open();
    run.until_loaded();
    assert!(matches!(sent(6), crate::document::watermark::Standing::Older(_)));
    assert_eq!(run.text("/x", &[]).as_deref(), Some("x"));
}
