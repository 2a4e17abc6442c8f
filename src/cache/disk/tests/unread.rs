//! Segments that the disk does not let read at start, though it may later.

use super::super::recovery::retry;
use super::*;

/// A tier after a sudden death, whose segments can be opened but not read.
fn unreadable() -> (Place, Vec<Object>, Disk) {
    let place = Place::new(16 * MIB, MIB);
    let objects = Object::many(100, 50_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    drop(disk);
    // The headers are read first.
    place.disk.fail_reads_after(place.segment_files().len());
    let disk = place.open();
    (place, objects, disk)
}

/// Lets the maintenance thread try again until all is found.
fn until_found(disk: &Disk, objects: &[Object]) {
    while found(disk, objects) < objects.len() {
        retry(disk.shared());
        std::thread::yield_now();
    }
}

#[test]
fn are_kept_and_read_later() {
    let (place, objects, disk) = unreadable();
    let files = place.segment_files();
    assert_eq!(found(&disk, &objects), 0);
    assert_eq!(place.metrics.segments_troubled.get(), files.len() as i64);
    for _ in 0..100 {
        // Many tries, but none while the disk could be read otherwise.
        retry(disk.shared());
        disk.settle();
    }
    assert_eq!(place.segment_files(), files);
    place.disk.repair();
    until_found(&disk, &objects);
    disk.settle();
    assert_eq!(place.metrics.segments_troubled.get(), 0);
    assert_eq!(place.metrics.evicted.unreadable.get(), 0);
    assert_eq!(disk.usage().objects, objects.len());
}

#[test]
fn are_read_by_the_next_run_after_a_clean_stop() {
    let (place, objects, disk) = unreadable();
    disk.close();
    drop(disk);
    place.disk.repair();
    assert_eq!(found(&place.open(), &objects), objects.len());
}

#[test]
fn are_given_up_only_when_proven_broken() {
    let (place, objects, disk) = unreadable();
    let health = &disk.shared().segments.context.health;
    let files = place.segment_files().len();
    for _ in 0..29 {
        // Others can be read.
        health.note(&Ok(()));
        retry(disk.shared());
    }
    disk.settle();
    assert_eq!(place.segment_files().len(), files);
    // After three errors in a row the disk is left alone, so that not all have their turn each time.
    for _ in 0..30 * files {
        health.note(&Ok(()));
        retry(disk.shared());
    }
    disk.settle();
    disk.settle();
    assert_eq!((place.segment_files().len(), place.metrics.segments_troubled.get()), (0, 0));
    assert!(place.metrics.evicted.unreadable.get() >= 100 * 50_000);
    place.disk.repair();
    health.note(&Ok(()));
    disk.put(&objects[0]);
    assert_eq!(found(&disk, &objects), 1);
}

#[test]
fn room_is_made_only_once_it_can_be_seen_what_is_used() {
    let place = Place::new(2 * MIB, 64 * KIB);
    let disk = place.open();
    let used = Object::many(20, 10_000);
    used.iter().for_each(|object| disk.put(object));
    assert_eq!(found(&disk, &used), 20);
    // Reads that wait, those of tables among them, fail; what is cached is served.
    place.disk.fail(&[Operation::Read], rustix::io::Errno::IO);
    for object in Object::many(300, 10_010) {
        let _ = disk.store(object.name, Share::REST, object.chunks());
        disk.flush();
    }
    assert_eq!(place.metrics.evicted.space.get(), 0);
    place.disk.repair();
    while disk.get(&used[0].name).is_none() {
        std::thread::yield_now();
    }
    assert_eq!(found(&disk, &used), 20);
}
