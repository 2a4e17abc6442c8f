//! The newest manifests over several runs.

use super::*;
use crate::digest::{Algorithm, ObjectName};
use crate::document::manifest;
use crate::document::watermark::{MarkKey, Standing};

/// A manifest of revision `number`, published that many seconds after some moment of the last week.
pub fn manifest(number: u64, padding: usize) -> Arc<Stored> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    // The same moment all day, however long a play takes.
    let published = now / 86_400 * 86_400 - 400_000;
    let text = format!("Croot\nS{number}\nT{}\nN{}\n", published + number, "n".repeat(padding));
    let checksum = ObjectName::of(Algorithm::Sha1, text.as_bytes());
    let body = format!("{text}--\n{checksum}\nsignature");
    let revision = manifest::revision(body.as_bytes()).unwrap();
    let stored = came(Duration::ZERO, &[], &[("cache-control", "max-age=61")], body);
    Arc::new(Stored::clone(&stored).with_revision(revision))
}

pub fn repository(name: &str) -> MarkKey {
    MarkKey { scope: "strata".into(), repository: name.into() }
}

/// The revision that is served when an upstream sends `number` of it.
pub fn served(run: &Run, name: &str, number: u64) -> u64 {
    let sent = manifest(number, 0);
    let standing = run.shelf.watermarks.note(repository(name), &sent, SystemTime::now());
    run.keeper.flush();
    match standing {
        Standing::Newest => number,
        Standing::Older(newest) => newest.revision().unwrap().number,
    }
}

#[test]
fn an_older_one_is_noticed_after_any_number_of_restarts() {
    let house = House::new(MIB);
    let run = house.open();
    assert_eq!((served(&run, "a", 7), served(&run, "b", 3)), (7, 3));
    drop(run);
    for _ in 0..3 {
        // Known before anything else is, and without waiting for it.
        let run = house.open_on(house.disk.faults());
        assert_eq!((served(&run, "a", 6), served(&run, "b", 2)), (7, 3));
        assert_eq!(served(&run, "c", 1), 1);
    }
    let run = house.open();
    assert_eq!((served(&run, "a", 8), served(&run, "a", 7)), (8, 8));
    run.keeper.close();
    assert_eq!(served(&house.open(), "a", 7), 8);
}

#[test]
fn marks_lapse_over_restarts_as_they_do_without() {
    let house = House::new(MIB);
    let hold = Policy::default().manifest_hold;
    let run = house.open();
    let now = SystemTime::now();
    let note = |name, ago| run.shelf.watermarks.note(repository(name), &manifest(7, 0), now - ago);
    note("old", hold + Duration::from_secs(1));
    note("counts", hold - Duration::from_secs(60));
    run.keeper.flush();
    drop(run);
    let run = house.open();
    assert_eq!((served(&run, "old", 6), served(&run, "counts", 6)), (6, 7));
}

#[test]
fn confirmations_are_written_now_and_then() {
    let house = House::new(MIB);
    let run = house.open();
    let (marks, newest, start) = (&run.shelf.watermarks, manifest(7, 0), SystemTime::now());
    let slots_in_use = || {
        run.keeper.flush();
        let file = fs::read(house.folder.join("manifests")).unwrap();
        file.chunks(SLOT as usize).filter(|slot| slot.iter().any(|byte| *byte != 0)).count()
    };
    for (second, expected) in [(0, 1), (61, 1), (122, 1), (299, 1), (301, 2), (400, 2), (602, 3)] {
        marks.note(repository("a"), &newest, start + Duration::from_secs(second));
        assert_eq!(slots_in_use(), expected, "{second} s");
    }
    marks.note(repository("a"), &manifest(8, 0), start + Duration::from_secs(603));
    assert_eq!(slots_in_use(), 4);
}

#[test]
fn bounded_in_number_and_size() {
    // Room for sixteen slots.
    let house = House::new(16 * 8 * SLOT);
    let run = house.open();
    let now = SystemTime::now();
    for n in 0..40 {
        let confirmed = now - Duration::from_secs(40 - n);
        run.shelf.watermarks.note(repository(&format!("r{n}")), &manifest(7, 0), confirmed);
        run.keeper.flush();
    }
    run.shelf.watermarks.note(repository("long"), &manifest(7, 4000), now);
    run.shelf.watermarks.note(repository("longer"), &manifest(7, 40_000), now);
    run.keeper.flush();
    assert_eq!(house.metrics.document.disk.dropped.too_large.get(), 2);
    assert!(fs::metadata(house.folder.join("manifests")).unwrap().len() <= 16 * SLOT);
    // One is always free.
    assert_eq!(run.keeper.usage().manifests, 15);
    drop(run);
    // Fewer slots: those that lie beyond find other places.
    let house = House { bound: 8 * 8 * SLOT, ..house };
    // A free slot may still have the last record of one that had to go: all the better.
    for expected in [15..=16, 7..=8] {
        let run = house.open();
        let stands = |n: &u64| {
            run.shelf.watermarks.standing(&repository(&format!("r{n}")), &manifest(6, 0), SystemTime::now())
        };
        let known: Vec<u64> = (0..40).filter(|n| matches!(stands(n), Standing::Older(_))).collect();
        assert!(expected.contains(&known.len()) && known.ends_with(&[38, 39]), "{known:?}");
        assert!(fs::metadata(house.folder.join("manifests")).unwrap().len() <= 8 * SLOT);
    }
}

#[test]
fn no_flipped_bit_and_no_torn_write_takes_a_client_back() {
    let house = House::new(MIB);
    let run = house.open();
    assert_eq!(served(&run, "a", 7), 7);
    drop(run);
    let path = house.folder.join("manifests");
    let good = fs::read(&path).unwrap();
    let length = good.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for bit in (0..length * 8).step_by(11) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bad).unwrap();
        let corrupt = house.metrics.document.disk.dropped.corrupt.get();
        let run = house.open();
        assert_eq!(house.metrics.document.disk.dropped.corrupt.get(), corrupt + 1, "bit {bit}");
        // It is lost, not something else.
        assert_eq!(run.keeper.usage().manifests, 0);
    }
    // The next one is torn at every byte: the one before is still there.
    for torn in (0..length).step_by(13) {
        fs::write(&path, &good).unwrap();
        let run = house.open();
        served(&run, "a", 8);
        drop(run);
        let whole = fs::read(&path).unwrap();
        let mut bytes = good.clone();
        bytes.resize(2 * SLOT as usize, 0);
        bytes[SLOT as usize..][..torn].copy_from_slice(&whole[SLOT as usize..][..torn]);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(served(&house.open(), "a", 6), 7, "torn at {torn}");
        fs::write(&path, &bytes[..SLOT as usize + torn]).unwrap();
        assert_eq!(served(&house.open(), "a", 6), 7, "cut at {torn}");
    }
}

#[test]
fn a_manifest_that_lies_about_itself_or_the_time_is_no_mark() {
    let house = House::new(MIB);
    let run = house.open();
    let day = Duration::from_secs(86_400);
    // Confirmed by a clock that was ahead: from now on it is an ordinary mark.
    run.shelf.watermarks.note(repository("ahead"), &manifest(7, 0), SystemTime::now() + 300 * day);
    run.keeper.flush();
    drop(run);
    let run = house.open();
    assert_eq!(served(&run, "ahead", 6), 7);
    let lapsed = SystemTime::now() + Policy::default().manifest_hold + Duration::from_secs(5);
    assert!(matches!(
        run.shelf.watermarks.standing(&repository("ahead"), &manifest(6, 0), lapsed),
        Standing::Newest
    ));
}
