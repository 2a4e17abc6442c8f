//! Another capacity while it runs.

use super::*;

#[test]
fn a_smaller_capacity_drops_segments_and_disturbs_no_reader() {
    let mut place = Place::new(64 * MIB, MIB);
    let disk = place.open();
    let objects = Object::many(40, MIB - 50_000);
    for object in &objects {
        disk.put(object);
    }
    assert_eq!(found(&disk, &objects), 40);
    assert_eq!(disk.least_capacity(), ByteSize(16 * MIB));
    let open: Vec<_> = objects.iter().map(|object| disk.get(&object.name).unwrap()).collect();
    place.config.capacity = ByteSize(16 * MIB);
    place.config.max_object = ByteSize(MIB);
    disk.adjust(&place.config);
    assert_eq!((disk.usage().capacity, disk.usage().limit), (16 * MIB, 16 * MIB));
    disk.settle();
    for (object, reader) in objects.iter().zip(&open) {
        assert_eq!(read_all(reader).unwrap(), object.body);
    }
    // What readers hold open counts until they are done.
    drop(open);
    disk.settle();
    let usage = disk.usage();
    assert!(usage.stored + usage.reserved <= 16 * MIB, "{usage:?}");
    let kept = found(&disk, &objects);
    assert!((4..=16).contains(&kept), "{kept} objects");
    let large = Object::new(99, MIB + 1);
    assert!(matches!(disk.store(large.name, Share::REST, large.chunks()), Err(NotAdmitted::TooLarge)));
    disk.close();
    assert!(folder_size(&place.config.path) <= 16 * MIB);
}
