//! Manifests never go back in time: the newest one seen of every repository, and how long it counts.
//!
//! One mark for each repository *and scope*: hosts whose copies may stand for one another (a mirror group, or a
//! single host). Without the scope, anyone who may name a host could have its manifest served for everybody's.
//! A mark is no proof: it counts only while `hold` has not passed since an upstream last sent it, and a manifest
//! from the future never becomes one. So a broken mirror can at worst freeze a repository for `hold`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moka::ops::compute::Op;
use moka::sync::Cache;

use super::disk::Desk;
use super::stored::Stored;

/// Repository and scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MarkKey {
    /// Name of the mirror group, or the authority.
    pub scope: Arc<str>,
    /// The repository, as the path names it.
    pub repository: Box<str>,
}

#[derive(Clone)]
struct Mark {
    manifest: Arc<Stored>,
    confirmed: SystemTime,
    // The confirmation that the disk was told of.
    written: SystemTime,
}

/// A confirmation is not told to the disk when the last one it knows is no older than this part of `hold`.
const GRAIN: u32 = 12;

/// The newest manifests.
pub struct Watermarks {
    marks: Cache<MarkKey, Mark>,
    hold: Duration,
    desk: Option<Arc<Desk>>,
}

/// How a manifest compares with the newest known.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It is as new as any.
    Newest,
    /// This one is newer, and is to be served in its place.
    Older(Arc<Stored>),
}

/// The newest manifest that is known of a repository, for people.
#[derive(Clone, Debug)]
pub struct ManifestStatus {
    /// The repository.
    pub repository: Box<str>,
    /// Whose manifests stand for one another.
    pub scope: Arc<str>,
    /// Its revision.
    pub revision: u64,
    /// Since it was published.
    pub age: Duration,
    /// Since an upstream sent or confirmed it.
    pub confirmed: Duration,
}

impl Watermarks {
    /// At most `capacity` bytes of manifests; a mark counts for `hold`.
    pub fn new(capacity: u64, hold: Duration, desk: Option<Arc<Desk>>) -> Self {
        let marks = Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &MarkKey, mark: &Mark| {
                let weight = key.scope.len() + key.repository.len() + mark.manifest.weight();
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .build();
        Self { marks, hold, desk }
    }

    /// Takes note of a manifest that an upstream has just sent, or has just confirmed.
    pub fn note(&self, key: MarkKey, manifest: &Arc<Stored>, now: SystemTime) -> Standing {
        let Some(revision) = manifest.revision().filter(|revision| !revision.is_implausible(now)) else {
            return self.standing(&key, manifest, now);
        };
        let mut standing = Standing::Newest;
        self.marks.entry_by_ref(&key).and_compute_with(|entry| {
            let known = entry.map(|entry| entry.into_value()).filter(|mark| self.counts(mark, now));
            match known {
                Some(mark) if mark.manifest.revision().is_some_and(|known| revision.is_older(known)) => {
                    standing = Standing::Older(mark.manifest);
                    Op::Nop
                }
                known => {
                    let written = known.filter(|mark| mark.manifest.revision() == manifest.revision());
                    let written =
                        written.map(|mark| mark.written).filter(|written| self.is_recent(*written, now));
                    let mark =
                        Mark { manifest: manifest.clone(), confirmed: now, written: written.unwrap_or(now) };
                    if written.is_none() {
                        self.tell(&key, &mark);
                    }
                    Op::Put(mark)
                }
            }
        });
        standing
    }

    /// Takes note of a manifest that is stored and was the newest when it came, unless a newer one is known: its mark may
    /// be lost while it is not.
    pub fn remember(&self, key: &MarkKey, manifest: &Arc<Stored>, now: SystemTime) {
        let (_, received) = manifest.freshness().on_arrival();
        if manifest.revision().is_some() && !self.marks.contains_key(key) {
            self.restore(key, manifest.clone(), received, now);
        }
    }

    /// Puts back the mark of an earlier run; whether it counts, and more than what is known.
    pub fn restore(
        &self,
        key: &MarkKey,
        manifest: Arc<Stored>,
        confirmed: SystemTime,
        now: SystemTime,
    ) -> bool {
        let mark = Mark { manifest, confirmed, written: confirmed };
        let Some(revision) = mark.manifest.revision().filter(|revision| !revision.is_implausible(now)) else {
            return false;
        };
        let mut is_restored = false;
        if self.counts(&mark, now) {
            self.marks.entry_by_ref(key).and_compute_with(|entry| {
                let known = entry.map(|entry| entry.into_value()).filter(|mark| self.counts(mark, now));
                let known = known.and_then(|mark| mark.manifest.revision());
                is_restored = known.is_none_or(|known| known.is_older(revision));
                if is_restored { Op::Put(mark) } else { Op::Nop }
            });
        }
        is_restored
    }

    /// Tells the disk once more.
    pub fn write_again(&self, key: &MarkKey) {
        if let Some(mark) = self.marks.get(key) {
            self.tell(key, &mark);
        }
    }

    /// The same of all.
    pub fn write_all_again(&self) {
        self.marks.iter().for_each(|(key, mark)| self.tell(&key, &mark));
    }

    /// How a manifest that is already here compares.
    pub fn standing(&self, key: &MarkKey, manifest: &Arc<Stored>, now: SystemTime) -> Standing {
        let known = self.marks.get(key).filter(|mark| self.counts(mark, now));
        match (known, manifest.revision()) {
            (Some(mark), Some(revision))
                if mark.manifest.revision().is_some_and(|known| revision.is_older(known)) =>
            {
                Standing::Older(mark.manifest)
            }
            _ => Standing::Newest,
        }
    }

    /// Those that were confirmed last.
    pub fn latest(&self, most: usize, now: SystemTime) -> Vec<ManifestStatus> {
        let since = |then| now.duration_since(then).unwrap_or_default();
        let mut all: Vec<_> = self
            .marks
            .iter()
            .filter_map(|(key, mark)| {
                let revision = mark.manifest.revision()?;
                Some(ManifestStatus {
                    repository: key.repository.clone(),
                    scope: Arc::clone(&key.scope),
                    revision: revision.number,
                    age: since(SystemTime::UNIX_EPOCH + Duration::from_secs(revision.published)),
                    confirmed: since(mark.confirmed),
                })
            })
            .collect();
        all.sort_by(|a, b| (a.confirmed, &a.repository).cmp(&(b.confirmed, &b.repository)));
        all.truncate(most);
        all
    }

    fn tell(&self, key: &MarkKey, mark: &Mark) {
        if let Some(desk) = &self.desk {
            desk.mark(key, &mark.manifest, mark.confirmed);
        }
    }

    fn is_recent(&self, written: SystemTime, now: SystemTime) -> bool {
        now.duration_since(written).is_ok_and(|since| since < self.hold / GRAIN)
    }

    fn counts(&self, mark: &Mark, now: SystemTime) -> bool {
        // A clock set back makes the difference negative; then the mark still counts.
        now.duration_since(mark.confirmed).is_ok_and(|since| since < self.hold) || now < mark.confirmed
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::super::freshness::Exchange;
    use super::super::manifest::Revision;
    use super::super::terms::Terms;
    use super::super::vary::Selection;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW + second)
    }

    fn manifest(published: u64, number: u64) -> Arc<Stored> {
        let exchange = Exchange { requested: at(0), received: at(0) };
        let stored = Stored::new(
            StatusCode::OK,
            HeaderMap::new(),
            Bytes::new(),
            Selection::default(),
            &Terms::default(),
            exchange,
        );
        Arc::new(stored.with_revision(Revision { published, number }))
    }

    fn key(scope: &str) -> MarkKey {
        MarkKey { scope: scope.into(), repository: "r.example".into() }
    }

    fn numbers(marks: &Watermarks, scope: &str, sent: &Arc<Stored>, second: u64) -> u64 {
        match marks.note(key(scope), sent, at(second)) {
            Standing::Newest => sent.revision().unwrap().number,
            Standing::Older(known) => known.revision().unwrap().number,
        }
    }

    #[test]
    fn never_back_in_time_within_a_scope() {
        let marks = Watermarks::new(1 << 20, Duration::from_secs(100), None);
        let (old, new) = (manifest(NOW - 20, 1), manifest(NOW - 10, 2));
        assert_eq!(numbers(&marks, "a", &old, 0), 1);
        assert_eq!(numbers(&marks, "a", &new, 1), 2);
        assert_eq!(numbers(&marks, "a", &old, 2), 2);
        assert_eq!(numbers(&marks, "b", &old, 3), 1);
        assert!(matches!(marks.standing(&key("a"), &old, at(4)), Standing::Older(_)));
        assert!(matches!(marks.standing(&key("a"), &new, at(4)), Standing::Newest));
    }

    #[test]
    fn a_mark_lapses_unless_confirmed() {
        let marks = Watermarks::new(1 << 20, Duration::from_secs(100), None);
        let (old, new) = (manifest(NOW - 20, 1), manifest(NOW - 10, 2));
        numbers(&marks, "a", &new, 0);
        numbers(&marks, "a", &new, 60);
        assert_eq!(numbers(&marks, "a", &old, 159), 2);
        assert_eq!(numbers(&marks, "a", &old, 160), 1);
        // A clock set back does not undo it.
        assert_eq!(numbers(&marks, "a", &new, 200), 2);
        assert_eq!(numbers(&marks, "a", &old, 50), 2);
    }

    #[test]
    fn lies_about_the_revision() {
        let marks = Watermarks::new(1 << 20, Duration::from_secs(100), None);
        let honest = manifest(NOW - 10, 2);
        // From the future: never a mark.
        assert_eq!(numbers(&marks, "a", &manifest(NOW + 999_999, 9), 0), 9);
        assert_eq!(numbers(&marks, "a", &honest, 1), 2);
        // A revision beyond all others: outdone by the next publication.
        assert_eq!(numbers(&marks, "a", &manifest(NOW - 5, u64::MAX), 2), u64::MAX);
        assert_eq!(numbers(&marks, "a", &manifest(NOW - 4, 3), 3), 3);
    }
}
