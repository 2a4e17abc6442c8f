//! Death at every change to a file: what was stored is found again, nothing wrong is, and the capacity holds.
//!
//! Writes of up to a sector happen or do not; longer ones are torn anywhere.

use super::*;

/// What the process does until it dies: small objects and large ones, more than fit, some in use, some removed.
fn live(disk: &Disk) -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    for seed in 0..60 {
        let object = Object::new(seed, if seed % 9 == 8 { 90_000 } else { 1 + seed * 700 });
        match seed % 5 {
            4 => {
                if let Ok(writer) = disk.reserve(object.name, Share::REST, object.body.len() as u64) {
                    let (first, second) = object.body.split_at(object.body.len() / 2);
                    let written =
                        writer.write_at(0, first).and_then(|()| writer.write_at(first.len() as u64, second));
                    if written.is_ok() && seed % 10 == 4 {
                        let _ = writer.commit();
                    }
                }
            }
            _ => {
                let _ = disk.store(object.name, Share::REST, object.chunks());
            }
        }
        disk.settle();
        if seed % 7 == 3 {
            disk.remove(&objects[seed as usize / 2 % objects.len()].name, RemoveReason::Purged);
        }
        disk.get(&object.name);
        objects.push(object);
    }
    objects
}

/// Dies at the given change, or lives on when there are fewer; how many there were.
fn die_at(change: usize) -> (usize, bool) {
    let place = Place::new(MIB, 64 * KIB);
    let disk = place.open();
    place.disk.die_at(change);
    let objects = live(&disk);
    let changes = place.disk.changes();
    let stored: Vec<Object> =
        objects.iter().filter(|object| matches!(disk.fetch(&object.name), Some(Ok(_)))).cloned().collect();
    if change.is_multiple_of(2) {
        disk.close();
    }
    drop(disk);
    let evicted = place.metrics.evicted.space.get();
    place.disk.die_at(usize::MAX);
    assert!(folder_size(&place.config.path) <= MIB, "change {change}");
    let disk = place.open();
    assert!(folder_size(&place.config.path) <= MIB, "change {change}");
    // What had no room any more, since a segment was not closed, went in good order.
    let made_room = place.metrics.evicted.space.get() > evicted;
    for object in stored.iter().filter(|_| !made_room) {
        let read = disk.fetch(&object.name);
        assert!(matches!(read, Some(Ok(_))), "change {change}: {} bytes {read:?}", object.body.len());
    }
    // Checks the bytes of whatever else is there.
    found(&disk, &objects);
    let last = Object::new(7777, 20_000);
    disk.put(&last);
    assert_eq!(found(&disk, &[last]), 1, "change {change}");
    (changes, made_room)
}

#[test]
fn death_at_every_change_loses_nothing_that_was_stored() {
    let (all, _) = die_at(usize::MAX);
    assert!(all > 100, "{all}");
    let made_room = (0..all).filter(|&change| die_at(change).1).count();
    assert!(made_room < all / 2, "{made_room} of {all} show little");
}

#[test]
fn a_header_that_a_failed_write_left_hides_nothing() {
    let place = Place::new(64 * MIB, 4 * MIB);
    let disk = place.open();
    disk.put(&Object::new(1, 100));
    place.disk.die_at(1);
    disk.put(&Object::new(2, 100));
    let torn = Object::new(3, 50_000);
    let _ = disk.store(torn.name, Share::REST, torn.chunks());
    disk.flush();
    assert!(place.disk.changes() == 2 && disk.fetch(&torn.name).is_none(), "it has failed, with a header");
    place.disk.die_at(usize::MAX);
    let large = Object::new(4, 200_000);
    disk.put(&large);
    drop(disk);
    let disk = place.open();
    assert!(matches!(disk.fetch(&large.name), Some(Ok(_))));
    assert!(!matches!(disk.fetch(&torn.name), Some(Ok(_))));
}
