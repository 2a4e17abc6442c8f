//! When the pages of an object may be locked, and what becomes of them.

use std::time::SystemTime;

use super::super::record::{PAGED_FROM, Shape};
use super::super::replacement::Queue;
use super::*;

fn age(place: &Place) {
    for path in place.segment_files() {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }
}

#[test]
fn what_is_still_being_written_to_is_not_locked() {
    let place = Place::new(64 * MIB, 4 * MIB);
    let disk = place.open();
    let object = Object::new(1, 200_000);
    disk.put(&object);
    let record = disk.get(&object.name).unwrap();
    age(&place);
    assert!(!record.is_lockable() && record.lock().unwrap().is_none());
    disk.seal();
    assert!(record.is_lockable() && record.lock().unwrap().is_none(), "it was just now");
    age(&place);
    assert!(record.lock().unwrap().is_some());
}

#[test]
fn what_this_program_writes_beside_it_does_not_count() {
    let place = Place::new(64 * MIB, 4 * MIB);
    let disk = place.open();
    let (object, other) = (Object::new(1, 200_000), Object::new(2, 100));
    disk.put(&object);
    disk.put(&other);
    disk.seal();
    age(&place);
    let record = disk.get(&object.name).unwrap();
    let watch = record.lock().unwrap().unwrap().watch();
    record.segment().relabel(Queue::Main, 7).unwrap();
    assert!(!watch.is_torn());
    assert!(disk.remove(&other.name, RemoveReason::Purged));
    disk.flush();
    assert!(!watch.is_torn(), "what was removed beside it is nothing to it");
    let path = place.segment_files().remove(0);
    let first = fs::read(&path).unwrap()[0];
    std::os::unix::fs::FileExt::write_all_at(
        &fs::OpenOptions::new().write(true).open(path).unwrap(),
        &[first],
        0,
    )
    .unwrap();
    assert!(watch.is_torn(), "that was somebody else");
}

#[test]
fn what_is_wanted_again_is_finished_before_its_segment_is_full() {
    let place = Place::new(64 * MIB, 4 * MIB);
    let disk = place.open();
    let objects: Vec<_> = (0..4).map(|n| Object::new(n, 200_000)).collect();
    let settled = |object: &Object| {
        disk.close_early(&disk.get(&object.name).unwrap());
        disk.settle();
        disk.get(&object.name).unwrap().is_lockable()
    };
    disk.put(&objects[0]);
    age(&place);
    assert!(!settled(&objects[0]), "it is nearly empty");
    disk.put(&objects[1]);
    disk.put(&objects[2]);
    assert!(!settled(&objects[0]), "it was written to just now");
    age(&place);
    assert!(settled(&objects[0]) && settled(&objects[2]));
    (3..6).for_each(|n| disk.put(&Object::new(n, 200_000)));
    assert_eq!(place.segment_files().len(), 2, "nothing more goes into it");
    age(&place);
    assert!(!settled(&objects[3]), "not one after the other");
}

#[test]
fn large_objects_begin_with_a_page_and_are_found_again_without_a_table() {
    let place = Place::new(64 * MIB, 4 * MIB);
    let sizes = [100, 128 << 10, 77, 128 << 10, 200_001, (128 << 10) - 1, 16, 2_000_000, 1_000_000];
    let objects: Vec<_> = sizes.iter().zip(0..).map(|(&size, n)| Object::new(n, size)).collect();
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    let found = |disk: &Disk| {
        objects.iter().all(|object| disk.get(&object.name).is_some_and(|record| record.verify()))
    };
    assert!(found(&disk));
    for object in &objects {
        let record = disk.get(&object.name).unwrap();
        let begins = record.place().offset + Shape { len: record.len() }.body_at();
        assert!(record.len() < PAGED_FROM || begins.is_multiple_of(4096), "{} at {begins}", record.len());
    }
    // As by a sudden death.
    drop(disk);
    assert!(found(&place.open()));
}
