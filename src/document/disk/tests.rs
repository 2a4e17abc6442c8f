//! The store and its image on disk over several runs: stored, restarted, killed, damaged, on disks that fail.

mod crash;
mod damage;
mod manifests;
mod trouble;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};
use tempfile::TempDir;

use super::*;
use crate::cache::disk::blocks;
use crate::cache::disk::tests::faulty::Faulty;
use crate::config::{self, ByteSize};
use crate::document::cache_control::RequestDirectives;
use crate::document::freshness::Exchange;
use crate::document::key::DocumentKey;
use crate::document::policy::Policy;
use crate::document::reuse::{self, Reuse};
use crate::document::store::Lookup;
use crate::document::stored::Stored;
use crate::document::terms::Terms;
use crate::document::vary::Selection;
use crate::metrics::Metrics;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn map(fields: Fields<'_>) -> HeaderMap {
    let parse = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    fields.iter().map(parse).collect()
}

fn key(target: &str) -> DocumentKey {
    DocumentKey::new("stratum.example:8000", target)
}

/// The answer to a request, as it came `ago`.
fn came(ago: Duration, asked: Fields<'_>, fields: Fields<'_>, body: impl AsRef<[u8]>) -> Arc<Stored> {
    let at = SystemTime::now() - ago;
    answer(at, asked, fields, body)
}

fn answer(at: SystemTime, asked: Fields<'_>, fields: Fields<'_>, body: impl AsRef<[u8]>) -> Arc<Stored> {
    let headers = map(fields);
    let selection = Selection::of(&headers, &map(asked)).unwrap();
    let body = Bytes::copy_from_slice(body.as_ref());
    let exchange = Exchange { requested: at, received: at };
    Arc::new(Stored::new(StatusCode::OK, headers, body, selection, &Terms::default(), exchange))
}

/// Fresh for an hour.
fn fresh(body: impl AsRef<[u8]>) -> Arc<Stored> {
    came(Duration::ZERO, &[], &[("cache-control", "max-age=3600")], body)
}

/// What outlives runs.
struct House {
    _dir: TempDir,
    folder: PathBuf,
    bound: u64,
    memory: config::Memory,
    disk: Arc<Faulty>,
    metrics: Metrics,
}

/// One run.
struct Run {
    shelf: Arc<Shelf>,
    keeper: Keeper,
}

impl House {
    fn new(bound: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let memory = config::Memory { documents: ByteSize::mib(64), ..config::Memory::default() };
        let (disk, metrics) = (Faulty::new(), Metrics::new().unwrap());
        Self { folder: dir.path().join("documents"), _dir: dir, bound, memory, disk, metrics }
    }

    /// A run that does not wait for anything to be loaded.
    fn open_on(&self, faults: Faults) -> Run {
        let place =
            Place { folder: self.folder.clone(), bound: self.bound, faults, mend: Box::new(|| Ok(())) };
        let metrics = self.metrics.document.clone();
        let desk = place.desk(&metrics.disk);
        let shelf = Arc::new(Shelf::new(&self.memory, &[], Policy::default(), desk.clone(), metrics));
        let keeper = Keeper::start(place, desk, shelf.clone()).unwrap();
        Run { shelf, keeper }
    }

    fn open(&self) -> Run {
        let run = self.open_on(self.disk.faults());
        run.until_loaded();
        run
    }

    /// All files.
    fn files(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Files of documents.
    fn documents(&self) -> Vec<PathBuf> {
        let mut files = self.files();
        files.retain(|file| !file.ends_with("manifests"));
        files
    }

    /// Bytes of all files, in blocks.
    fn size(&self) -> u64 {
        self.files().iter().map(|file| blocks(fs::metadata(file).unwrap().len())).sum()
    }
}

impl Run {
    fn until_loaded(&self) {
        while !self.keeper.usage().is_loaded {
            std::thread::yield_now();
        }
    }

    fn put(&self, target: &str, asked: Fields<'_>, stored: &Arc<Stored>) {
        self.shelf.store.put(&key(target), &map(asked), stored.clone());
        self.keeper.flush();
    }

    fn put_two_variants(&self, target: &str) {
        let vary: Fields<'_> = &[("cache-control", "max-age=3600"), ("vary", "f")];
        for value in ["1", "2"] {
            let asked: Fields<'_> = &[("f", value)];
            self.put(target, asked, &came(Duration::ZERO, asked, vary, value));
        }
    }

    fn remove(&self, target: &str, asked: Fields<'_>) {
        self.shelf.store.remove(&key(target), &map(asked));
        self.keeper.flush();
    }

    fn find(&self, target: &str, asked: Fields<'_>) -> Option<Arc<Stored>> {
        match self.shelf.store.find(&key(target), &map(asked)) {
            Lookup::Found(stored) => Some(stored),
            Lookup::OtherVariants | Lookup::Nothing => None,
        }
    }

    fn text(&self, target: &str, asked: Fields<'_>) -> Option<String> {
        self.find(target, asked).map(|stored| String::from_utf8_lossy(stored.body()).into_owned())
    }
}

fn decision(stored: &Stored, now: SystemTime) -> Reuse {
    reuse::decide(stored.facts(&RequestDirectives::default(), now))
}

#[test]
fn variants_fields_and_statuses_survive_good_and_bad_ends() {
    let house = House::new(MIB);
    let fields: Fields<'_> = &[
        ("cache-control", "max-age=3600"),
        ("vary", "accept, x-which"),
        ("etag", "\"v1\""),
        ("x-unusual", "a \u{e9} b"),
        ("date", "Sat, 21 Nov 2020 08:00:00 GMT"),
    ];
    let (one, two): (Fields<'_>, Fields<'_>) = (&[("x-which", "1")], &[("x-which", "2"), ("accept", "")]);
    let gone = HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=99"))]);
    let now = SystemTime::now();
    let at = Exchange { requested: now, received: now };
    let gone = Stored::new(StatusCode::GONE, gone, Bytes::new(), Selection::default(), &Terms::default(), at);
    let run = house.open();
    run.put("/x?a=1&b", one, &came(Duration::ZERO, one, fields, "one"));
    run.put("/x?a=1&b", two, &came(Duration::ZERO, two, fields, "two"));
    run.put("/gone", &[], &Arc::new(gone));
    let before = run.find("/x?a=1&b", two).unwrap();
    drop(run);
    for _ in 0..2 {
        let run = house.open();
        assert_eq!(run.text("/x?a=1&b", one).as_deref(), Some("one"));
        let after = run.find("/x?a=1&b", two).unwrap();
        assert_eq!((after.body(), after.headers()), (before.body(), before.headers()));
        assert_eq!(after.selection(), before.selection());
        assert_eq!(run.text("/x?a=1&b", &[]), None);
        assert_eq!(run.find("/gone", &[]).unwrap().status(), StatusCode::GONE);
        run.keeper.close();
    }
    assert_eq!(house.metrics.document.disk.loaded.get(), 6);
}

#[test]
fn the_time_between_two_runs_counts() {
    let house = House::new(MIB);
    let run = house.open();
    let minute = Duration::from_secs(60);
    let with_age: Fields<'_> = &[("cache-control", "max-age=200"), ("age", "30"), ("etag", "\"a\"")];
    run.put("/aged", &[], &came(minute, &[], with_age, "x"));
    run.put("/stale", &[], &came(5 * minute, &[], with_age, "x"));
    run.put("/useless", &[], &came(5 * minute, &[], &[("cache-control", "max-age=200")], "x"));
    let before = *run.find("/aged", &[]).unwrap().freshness();
    drop(run);
    let run = house.open();
    let now = SystemTime::now();
    let after = *run.find("/aged", &[]).unwrap().freshness();
    assert!((90..100).contains(&after.age(now).as_secs()), "{after:?}");
    // Nothing becomes younger, and what is lost to rounding is milliseconds.
    let lost = after.age(now) - before.age(now);
    assert!(lost <= Duration::from_millis(2), "{lost:?}");
    assert_eq!(decision(&run.find("/aged", &[]).unwrap(), now), Reuse::Fresh);
    assert_ne!(decision(&run.find("/stale", &[]).unwrap(), now), Reuse::Fresh);
    assert!(run.find("/useless", &[]).is_none());
    assert_eq!(house.metrics.document.disk.dropped.expired.get(), 1);
    assert_eq!(house.documents().len(), 2);
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_fresh() {
    let house = House::new(MIB);
    let run = house.open();
    let fields: Fields<'_> = &[("cache-control", "max-age=300, stale-if-error=60"), ("age", "7")];
    let year = Duration::from_secs(365 * 86_400);
    run.put("/x", &[], &answer(SystemTime::now() + year, &[], fields, "x"));
    drop(run);
    let run = house.open();
    let (now, stored) = (SystemTime::now(), run.find("/x", &[]).unwrap());
    assert_eq!(stored.freshness().age(now).as_secs(), 300);
    assert_ne!(decision(&stored, now), Reuse::Fresh);
    let asked = RequestDirectives::default();
    assert!(reuse::may_stand_in(stored.facts(&asked, now), Duration::ZERO));
    assert!(!reuse::may_stand_in(stored.facts(&asked, now + Duration::from_secs(62)), Duration::ZERO));
}

#[test]
fn what_changes_in_memory_changes_on_disk() {
    let house = House::new(MIB);
    let run = house.open();
    run.put_two_variants("/x");
    run.put("/y", &[], &fresh("old"));
    run.put("/y", &[], &fresh("new"));
    run.put("/z", &[], &fresh("z"));
    assert_eq!(house.documents().len(), 4);
    run.remove("/z", &[]);
    // What no longer varies takes the place of those that this request selects, and only of these.
    run.put("/x", &[("f", "1")], &fresh("any"));
    assert_eq!(house.documents().len(), 3);
    drop(run);
    let run = house.open();
    assert_eq!(run.text("/x", &[("f", "3")]).as_deref(), Some("any"));
    assert_eq!(run.text("/y", &[]).as_deref(), Some("new"));
    assert_eq!(run.text("/z", &[]), None);
    // Resting is not worth a write.
    let writes = house.metrics.document.disk.writes.get();
    let held = run.find("/y", &[]).unwrap();
    let rested = held.resting_until(SystemTime::now() + Duration::from_secs(5));
    run.shelf.store.replace(&key("/y"), &held, Arc::new(rested));
    run.keeper.flush();
    assert_eq!(house.metrics.document.disk.writes.get(), writes);
}

#[test]
fn what_was_forgotten_altogether_does_not_come_back() {
    let house = House::new(MIB);
    let run = house.open();
    run.put_two_variants("/x");
    run.put("/y", &[], &fresh("y"));
    assert!(run.shelf.store.forget(&key("/x")) && !run.shelf.store.forget(&key("/x")));
    run.keeper.flush();
    assert_eq!(house.documents().len(), 1);
    drop(run);
    // Before it is loaded, too.
    let run = house.open_on(house.disk.faults());
    run.shelf.store.forget(&key("/y"));
    run.until_loaded();
    run.keeper.flush();
    assert_eq!((run.text("/y", &[]), house.documents().len()), (None, 0));
}

#[test]
fn a_large_body_that_was_only_confirmed_is_not_written_again_at_once() {
    let house = House::new(4 * MIB);
    let run = house.open();
    let writes = &house.metrics.document.disk.writes;
    let at = |ago| came(ago, &[], &[("cache-control", "max-age=60"), ("etag", "\"a\"")], vec![7; 100_000]);
    let first = at(Duration::from_secs(60));
    run.put("/x", &[], &first);
    let confirmed = |fields: Fields<'_>| {
        let now = SystemTime::now();
        let headers = first.fields_confirmed_by(map(fields));
        let at = Exchange { requested: now, received: now };
        let body = first.body().clone();
        Arc::new(Stored::new(first.status(), headers, body, Selection::default(), &Terms::default(), at))
    };
    run.put("/x", &[], &confirmed(&[]));
    assert_eq!(writes.get(), 1);
    run.put("/x", &[], &confirmed(&[("cache-control", "max-age=61")]));
    assert_eq!(writes.get(), 2);
    run.put("/x", &[], &at(Duration::ZERO));
    assert_eq!(writes.get(), 3);
    let small = fresh("x");
    run.put("/y", &[], &small);
    run.put("/y", &[], &Arc::new(small.with_body(small.body().clone())));
    assert_eq!(writes.get(), 5);
}

#[test]
fn credentials_are_not_written() {
    let house = House::new(MIB);
    let run = house.open();
    for field in ["authorization", "cookie", "proxy-authorization"] {
        let fields: Fields<'_> = &[("cache-control", "public, max-age=3600"), ("vary", field)];
        let asked: Fields<'_> = &[(field, "secret-of-a-client")];
        run.put("/x", &[], &fresh("for all"));
        run.put("/x", asked, &came(Duration::ZERO, asked, fields, field));
        assert_eq!(run.text("/x", asked).as_deref(), Some(field));
    }
    assert_eq!(house.documents().len(), 0);
    assert_eq!(house.metrics.document.disk.dropped.credentials.get(), 3);
}

#[test]
fn files_never_take_more_than_their_bound_and_the_oldest_go() {
    let house = House::new(256 * KIB);
    let run = house.open();
    for n in 0..200_usize {
        run.put(&format!("/{n}"), &[], &fresh(vec![n as u8; n * 37 % 9000]));
        run.put(&format!("/{}", n / 2), &[], &fresh(vec![n as u8; n * 53 % 9000]));
        assert!(house.size() <= house.bound, "{n}: {}", house.size());
    }
    let dropped = &house.metrics.document.disk.dropped;
    assert!(dropped.space.get() > 100);
    // Memory has all of them.
    assert!((0..200).all(|n| run.find(&format!("/{n}"), &[]).is_some()));
    run.put("/large", &[], &fresh(vec![1; 100_000]));
    assert_eq!(dropped.too_large.get(), 1);
    drop(run);
    let run = house.open();
    let found: Vec<usize> = (0..200).filter(|n| run.find(&format!("/{n}"), &[]).is_some()).collect();
    assert!(found.len() > 20 && found.contains(&199) && !found.contains(&101), "{found:?}");
    drop(run);

    // A lower bound holds before anything is written; none at all empties the folder.
    let house = House { bound: 64 * KIB, ..house };
    let run = house.open();
    assert!(house.size() <= 64 * KIB && run.find("/199", &[]).is_some());
    drop(run);
    let house = House { bound: 0, ..house };
    let run = house.open();
    run.put("/x", &[], &fresh("x"));
    assert_eq!(house.files(), Vec::<PathBuf>::new());
}

#[test]
fn what_has_to_leave_memory_leaves_the_disk() {
    let mut house = House::new(16 * MIB);
    house.memory.documents = ByteSize(256 * KIB);
    let run = house.open();
    for n in 0..200 {
        run.put(&format!("/{n}"), &[], &fresh(vec![0; 4000]));
    }
    // What the last changes made it do, it does with the next look.
    (0..200).for_each(|n| drop(run.find(&format!("/{n}"), &[])));
    run.put("/last", &[], &fresh("x"));
    run.shelf.store.remove(&key("/last"), &HeaderMap::new());
    run.keeper.flush();
    let held = (0..200).filter(|n| run.find(&format!("/{n}"), &[]).is_some()).count();
    assert!(held < 60 && house.documents().len() <= held + 10, "{held}, {}", house.documents().len());
}
