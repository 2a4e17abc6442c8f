//! Disks that are full, broken, read-only, gone, or filled by others.

use rustix::io::Errno;

use super::super::faults::Operation::{Create, List, Read, ReadCached, Remove, Truncate, Write};
use super::*;

const CHANGES: &[Operation] = &[Create, Write(0), Truncate, Remove];

/// Objects are stored before, refused during, and stored again after some trouble with writing.
fn writing_fails(operations: &'static [Operation], errno: Errno) {
    let place = Place::new(16 * MIB, MIB);
    let disk = place.open();
    let objects = Object::many(10, 1000);
    objects.iter().for_each(|object| disk.put(object));
    place.disk.fail(operations, errno);
    // Of a size that makes each try need a new file now and then.
    for seed in 100..140 {
        let object = Object::new(seed, 100_000);
        let _ = disk.store(object.name, Share::REST, object.chunks());
        disk.flush();
    }
    assert_eq!(disk.usage().condition, Condition::ReadOnly, "{errno}");
    assert!(disk.usage().retry_in.is_some());
    assert!(place.metrics.write_errors.get() >= 3);
    assert!(place.metrics.not_admitted.paused.get() > 0);
    assert_eq!(found(&disk, &objects), 10, "{errno}");
    place.disk.repair();
    let again = Object::new(999, 1000);
    while !disk.contains(&again.name) {
        let _ = disk.store(again.name, Share::REST, again.chunks());
        disk.flush();
        std::thread::yield_now();
    }
    assert_eq!(disk.usage().condition, Condition::Working);
    disk.close();
    drop(disk);
    let disk = place.open();
    assert_eq!(found(&disk, &objects), 10);
    assert_eq!(found(&disk, &[again]), 1);
}

#[test]
fn a_full_disk_stops_writing_but_not_reading() {
    writing_fails(&[Write(0), Create], Errno::NOSPC);
}

#[test]
fn a_disk_that_cannot_be_written_is_left_alone_for_a_while() {
    writing_fails(&[Write(0)], Errno::IO);
}

#[test]
fn a_disk_that_became_read_only_is_read() {
    writing_fails(CHANGES, Errno::ROFS);
}

#[test]
fn without_descriptors_or_rights_nothing_is_stored() {
    writing_fails(&[Create], Errno::MFILE);
    writing_fails(&[Create, Remove], Errno::ACCESS);
}

#[test]
fn a_disk_that_cannot_be_read_is_passed_over_and_tried_again() {
    let place = Place::new(16 * MIB, MIB);
    let disk = place.open();
    let objects = Object::many(10, 1000);
    objects.iter().for_each(|object| disk.put(object));
    place.disk.fail(&[Read, ReadCached], Errno::IO);
    let failed = objects.iter().filter(|object| matches!(disk.fetch(&object.name), Some(Err(_)))).count();
    // What the others hold is not lost: nobody asks the disk any more.
    assert_eq!(failed, 3);
    assert_eq!(place.metrics.read_errors.get(), 3);
    assert_eq!(disk.usage().condition, Condition::MemoryOnly);
    let more = Object::new(77, 1000);
    assert_eq!(disk.store(more.name, Share::REST, more.chunks()), Err(NotAdmitted::Paused));
    place.disk.repair();
    while disk.get(&objects[0].name).is_none() {
        std::thread::yield_now();
    }
    assert_eq!(found(&disk, &objects), 10);
    assert_eq!(disk.usage().condition, Condition::Working);
    disk.put(&more);
    assert!(disk.contains(&more.name));
}

#[test]
fn an_unreadable_folder_of_segments_is_tried_again() {
    let place = Place::new(16 * MIB, MIB);
    let objects = Object::many(10, 1000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    drop(disk);
    place.disk.fail(&[List], Errno::IO);
    let disk = Disk::open_with(&place.config, place.metrics.clone(), place.disk.faults()).unwrap();
    assert_eq!(disk.usage().condition, Condition::MemoryOnly);
    assert!(disk.get(&objects[0].name).is_none());
    assert_eq!(disk.store(objects[0].name, Share::REST, objects[0].chunks()), Err(NotAdmitted::Paused));
    place.disk.repair();
    disk.settle();
    assert_eq!(found(&disk, &objects), 10);
}

#[test]
fn a_folder_that_was_emptied_is_made_again() {
    let place = Place::new(16 * MIB, MIB);
    let disk = place.open();
    let objects = Object::many(10, 1000);
    objects.iter().for_each(|object| disk.put(object));
    fs::remove_dir_all(&place.config.path).unwrap();
    // What is open can still be read.
    assert_eq!(found(&disk, &objects), 10);
    let more = Object::many(60, 100_000);
    more.iter().for_each(|object| {
        let _ = disk.store(object.name, Share::REST, object.chunks());
        disk.flush();
    });
    let kept = found(&disk, &more);
    assert!(kept > 40, "{kept}");
    assert!(matches!(Disk::open(&place.config, place.metrics.clone()), Err(OpenError::Locked { .. })));
    disk.close();
    drop(disk);
    let disk = place.open();
    assert!(found(&disk, &more) > 30);
}

#[test]
fn what_cannot_be_removed_counts_until_it_can() {
    let place = Place::new(2 * MIB, 64 * KIB);
    let disk = place.open();
    place.disk.fail(&[Remove], Errno::ROFS);
    for object in Object::many(300, 20_000) {
        let _ = disk.store(object.name, Share::REST, object.chunks());
        disk.flush();
        let size = folder_size(&place.config.path);
        assert!(size <= 2 * MIB, "{size}");
    }
    place.disk.repair();
    disk.settle();
    disk.settle();
    let size = folder_size(&place.config.path);
    let usage = disk.usage();
    assert!(size <= usage.stored, "{size} {usage:?}");
    disk.put(&Object::new(7777, 20_000));
    assert!(disk.contains(&Object::new(7777, 20_000).name));
}

#[test]
fn a_file_system_that_others_fill_keeps_its_reserve() {
    let mut place = Place::new(8 * MIB, 256 * KIB);
    place.config.free_reserve = ByteSize(MIB);
    let disk = place.open();
    let objects = Object::many(500, 12_000);
    objects.iter().for_each(|object| disk.put(object));
    // Sealing adds tables.
    disk.settle();
    let before = disk.usage().stored;
    assert!(before > 5 * MIB);
    // Others have taken all but a quarter of the reserve.
    place.disk.make_available_beside(&place.config.path, MIB / 4);
    disk.settle();
    disk.settle();
    let usage = disk.usage();
    assert!(usage.stored + usage.reserved <= usage.limit, "{usage:?}");
    assert!(usage.limit <= before - 3 * MIB / 4 && usage.objects > 200, "{usage:?}");
    assert!(place.metrics.evicted.shrunk.get() > 0);
    assert!(folder_size(&place.config.path) <= usage.limit);
    assert_eq!(found(&disk, &objects[490..]), 10);
}

#[test]
fn a_full_file_system_is_not_written_to() {
    let mut place = Place::new(8 * MIB, 256 * KIB);
    place.config.free_reserve = ByteSize(MIB);
    place.disk.make_available(MIB);
    let disk = place.open();
    assert_eq!(disk.usage().limit, 4096);
    let object = Object::new(1, 1000);
    let _ = disk.store(object.name, Share::REST, object.chunks());
    disk.flush();
    assert!(!disk.contains(&object.name));
    assert_eq!(place.metrics.not_admitted.no_space.get(), 1);
    assert!(place.segment_files().is_empty());
    place.disk.make_available(u64::MAX);
    disk.settle();
    disk.put(&object);
    assert!(disk.contains(&object.name));
}

#[test]
fn segments_that_could_not_be_opened_are_found_later() {
    let place = Place::new(16 * MIB, MIB);
    let objects = Object::many(100, 50_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    drop(disk);
    place.disk.fail(&[Operation::Open], Errno::MFILE);
    let disk = place.open();
    assert_eq!(found(&disk, &objects), 0);
    let stored = disk.usage().stored;
    super::super::recovery::retry(disk.shared());
    assert_eq!((found(&disk, &objects), disk.usage().stored), (0, stored));
    place.disk.repair();
    super::super::recovery::retry(disk.shared());
    assert_eq!(found(&disk, &objects), objects.len());
    // In the order of their age.
    for line in [super::super::replacement::Queue::Probation, super::super::replacement::Queue::Main] {
        assert!(disk.orders(line).is_sorted());
    }
}

#[test]
fn a_folder_that_is_not_there_yet_is_used_once_it_is() {
    let mut place = Place::new(16 * MIB, MIB);
    let mount = place._dir.path().join("mount");
    fs::write(&mount, "").unwrap();
    place.config.path = mount.join("cache");
    let disk = Disk::open_with(&place.config, place.metrics.clone(), place.disk.faults()).unwrap();
    assert_eq!(disk.usage().condition, Condition::MemoryOnly);
    let object = Object::new(1, 1000);
    fs::remove_file(&mount).unwrap();
    fs::create_dir(&mount).unwrap();
    // Until the pause is over.
    while !disk.shared().listed.is_set() {
        disk.shared().listed.wait(Duration::from_secs(1));
    }
    disk.settle();
    assert_eq!(disk.usage().condition, Condition::Working);
    disk.put(&object);
    disk.close();
    drop(disk);
    assert_eq!(found(&place.open(), &[object]), 1);
}
