//! Bytes that went bad are found without anybody asking for them.

use super::*;

fn scrub(config: &config::Disk, found: &mut dyn FnMut(Finding)) -> Result<Scrubbed, OpenError> {
    super::super::scrub(&Unused::take(config)?, found)
}

/// Stores objects and lets the bytes of one go bad.
fn spoiled() -> (Place, Vec<Object>) {
    let place = Place::new(16 * MIB, MIB);
    let objects = Object::many(20, 30_000);
    let disk = place.open();
    objects.iter().for_each(|object| disk.put(object));
    disk.close();
    let path = place.segment_files().remove(0);
    let bytes = fs::read(&path).unwrap();
    let body = &objects[3].body[..64];
    let at = bytes.windows(64).position(|window| window == body).unwrap();
    let mut bad = bytes;
    bad[at + 10] ^= 1;
    fs::write(&path, bad).unwrap();
    (place, objects)
}

#[test]
fn a_folder_at_rest_is_checked() {
    let (place, objects) = spoiled();
    let mut findings = Vec::new();
    let sum = scrub(&place.config, &mut |finding| findings.push(finding)).unwrap();
    assert_eq!((sum.objects, sum.bad), (20, 1));
    assert_eq!(findings[0].name, Some(objects[3].name));
    assert_eq!(findings[0].fault, "block damaged");
    let again = scrub(&place.config, &mut |finding| panic!("{finding:?}")).unwrap();
    assert_eq!((again.objects, again.bad), (19, 0));
    assert_eq!(found(&place.open(), &objects), 19);
}

#[test]
fn bytes_that_do_not_deserve_their_name_are_found() {
    let place = Place::new(16 * MIB, MIB);
    let disk = place.open();
    // The tier believes whoever stores.
    let wrong = Object { name: Object::new(1, 10).name, body: Bytes::from_static(b"something else") };
    disk.put(&wrong);
    disk.close();
    let mut names = Vec::new();
    let sum = scrub(&place.config, &mut |finding| names.push(finding.name)).unwrap();
    assert_eq!((sum.bad, names), (1, vec![Some(wrong.name)]));
}

#[test]
fn a_folder_in_use_or_missing_is_left_alone() {
    let place = Place::new(16 * MIB, MIB);
    assert!(matches!(scrub(&place.config, &mut |_| {}), Err(OpenError::Io { .. })));
    assert!(!place.config.path.exists());
    let _disk = place.open();
    assert!(matches!(scrub(&place.config, &mut |_| {}), Err(OpenError::Locked { .. })));
}

#[test]
fn a_running_tier_drops_what_went_bad() {
    let (place, objects) = spoiled();
    let disk = place.open();
    assert!(disk.contains(&objects[3].name));
    disk.shared().scrub_rate.store(u64::MAX, Ordering::Relaxed);
    scrub::pass(disk.shared()).unwrap();
    assert!(!disk.contains(&objects[3].name));
    assert_eq!(place.metrics.scrub_bad.get(), 1);
    assert_eq!(place.metrics.corrupt_records.get(), 1);
    assert_eq!(found(&disk, &objects), 19);
    let bytes: u64 = objects.iter().map(|object| object.body.len() as u64).sum();
    assert_eq!(place.metrics.scrubbed_bytes.get(), bytes - objects[3].body.len() as u64);
    drop(disk);
    assert_eq!(found(&place.open(), &objects), 19);
}
