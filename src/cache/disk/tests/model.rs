//! The tier against a map, through random lives: stored, removed, abandoned, restarted, killed.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Stored behind the caller's back.
    Store(u64),
    /// Written while it arrives; whether it is committed.
    Write(u64, bool),
    Remove(u64),
    Read(u64),
    /// Waits until all that is written.
    Flush,
    Restart,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..25u64;
    prop_oneof![
        5 => name.clone().prop_map(Step::Store),
        3 => (name.clone(), any::<bool>()).prop_map(|(n, commit)| Step::Write(n, commit)),
        2 => name.clone().prop_map(Step::Remove),
        5 => name.prop_map(Step::Read),
        2 => Just(Step::Flush),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

/// What the map says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Stored,
    Removed,
    /// It was on its way when the process was killed.
    Either,
}

fn size(name: u64) -> u64 {
    if name == 0 { 0 } else { [7, 10, 3_000, 40_000, 70_000][name as usize % 5] }
}

/// Lives through the steps. With space for everything, exactly what the map says is found; with less, nothing more.
fn live(capacity: u64, steps: &[Step]) {
    let place = Place::new(capacity, 64 * KIB);
    let roomy = capacity > 10 * MIB;
    let objects: Vec<Object> = (0..25).map(|name| Object::new(name, size(name))).collect();
    let mut model: HashMap<u64, Known> = HashMap::new();
    let mut on_their_way: Vec<u64> = Vec::new();
    let mut disk = place.open();
    for step in steps {
        match *step {
            Step::Store(n) => {
                let object = &objects[n as usize];
                if disk.store(object.name, Share::REST, object.chunks()).is_ok() {
                    model.insert(n, Known::Stored);
                    on_their_way.push(n);
                }
            }
            Step::Write(n, commit) => {
                let object = &objects[n as usize];
                // A store that is still on its way must not come later than this.
                disk.flush();
                if let Ok(writer) = disk.reserve(object.name, Share::REST, object.body.len() as u64) {
                    writer.write_at(0, &object.body).unwrap();
                    if commit {
                        writer.commit().unwrap();
                        model.insert(n, Known::Stored);
                    }
                }
            }
            Step::Remove(n) => {
                disk.flush();
                disk.remove(&objects[n as usize].name, RemoveReason::Purged);
                model.insert(n, Known::Removed);
                on_their_way.push(n);
            }
            Step::Read(n) => {
                let object = &objects[n as usize];
                let known = model.get(&n).copied().unwrap_or(Known::Removed);
                // In this order: it may be written in between.
                let queued = disk.queued(&object.name).map(|(body, _)| body.concat());
                let read = queued.or_else(|| match disk.fetch(&object.name)? {
                    Ok(bytes) => Some(bytes),
                    // Removed, and found again by the table of its segment.
                    Err(ReadError::Foreign) => None,
                    Err(error) => panic!("{error}"),
                });
                match (known, read) {
                    (_, Some(bytes)) if known != Known::Removed => assert!(bytes == object.body),
                    (Known::Stored, None) => assert!(!roomy, "{n} is missing"),
                    (_, read) => assert!(read.is_none(), "{n} is there, but should be {known:?}"),
                }
            }
            Step::Flush => {
                disk.flush();
                on_their_way.clear();
            }
            Step::Restart => {
                disk.close();
                drop(disk);
                on_their_way.clear();
                disk = place.open();
            }
            Step::Kill => {
                drop(disk);
                model.extend(on_their_way.drain(..).map(|n| (n, Known::Either)));
                disk = place.open();
            }
        }
        let usage = disk.usage();
        assert!(usage.stored + usage.reserved <= capacity);
        assert!(folder_size(&place.config.path) <= capacity);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn behaves_like_a_map(steps in proptest::collection::vec(step(), 0..80)) {
        live(16 * MIB, &steps);
    }

    #[test]
    fn behaves_like_a_map_that_forgets(steps in proptest::collection::vec(step(), 0..80)) {
        live(MIB, &steps);
    }
}
