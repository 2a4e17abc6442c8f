//! When the pages of an object may be locked, and what becomes of them.

use std::time::SystemTime;

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
