//! Which files there are and how much room they take. Pure: the bound holds because nothing is written without a promise.
//!
//! Invariant: files + what is being written never exceed the bound, unless the files of an earlier run already do.

use std::collections::BTreeMap;
use std::time::Instant;

use super::name::Name;

/// See the module.
#[derive(Debug)]
pub struct Books {
    bound: u64,
    used: u64,
    // Of the one file that is being written.
    promised: u64,
    files: BTreeMap<Name, File>,
    // By when they were written.
    turns: BTreeMap<u64, Name>,
    next_turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct File {
    bytes: u64,
    turn: u64,
    state: FileState,
}

/// How a file came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// An earlier run wrote it, and it was not looked into yet.
    Found,
    /// It is known.
    Known(Instant),
}

/// The answer to a request for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is promised.
    Promised,
    /// Once this file is gone, ask again.
    Evict(Name),
    /// There is none.
    Never,
}

impl Books {
    /// Of files that may take `bound` bytes.
    pub fn new(bound: u64) -> Self {
        Self { bound, used: 0, promised: 0, files: BTreeMap::new(), turns: BTreeMap::new(), next_turn: 0 }
    }

    /// These files are there, and no others; those written last come last. What was known about them still is.
    pub fn recount(&mut self, found: impl Iterator<Item = (Name, u64)>) {
        let before = std::mem::take(&mut self.files);
        self.turns.clear();
        self.used = 0;
        for (name, bytes) in found {
            self.enter(name, bytes, before.get(&name).map_or(FileState::Found, |file| file.state));
        }
    }

    /// A file of `bytes` that is there already, in place of any of the same name.
    pub fn enter(&mut self, name: Name, bytes: u64, state: FileState) {
        self.remove(name);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(turn, name);
        self.files.insert(name, File { bytes, turn, state });
        self.used += bytes;
    }

    /// A file is gone.
    pub fn remove(&mut self, name: Name) {
        if let Some(file) = self.files.remove(&name) {
            self.turns.remove(&file.turn);
            self.used -= file.bytes;
        }
    }

    /// Asks for room for a file that is to have this name. The one it replaces is there until it is written.
    pub fn promise(&mut self, name: Name, bytes: u64) -> Room {
        if self.used + self.promised + bytes <= self.bound {
            self.promised += bytes;
            return Room::Promised;
        }
        if self.promised + bytes > self.bound {
            return Room::Never;
        }
        // The one that is replaced goes last: until the new one is there it is better than none.
        let oldest = self.turns.values().find(|one| **one != name).or(self.turns.values().next());
        oldest.map_or(Room::Never, |oldest| Room::Evict(*oldest))
    }

    /// The file for which room was promised has its name.
    pub fn keep(&mut self, name: Name, bytes: u64, now: Instant) {
        self.take_back(bytes);
        self.enter(name, bytes, FileState::Known(now));
    }

    /// The file for which room was promised is not there.
    pub fn take_back(&mut self, bytes: u64) {
        self.promised -= bytes;
    }

    /// A file was looked into.
    pub fn know(&mut self, name: Name, now: Instant) {
        if let Some(file) = self.files.get_mut(&name) {
            file.state = FileState::Known(now);
        }
    }

    /// What is known about a file.
    pub fn state(&self, name: Name) -> Option<FileState> {
        self.files.get(&name).map(|file| file.state)
    }

    /// The files of a URL.
    pub fn of_url(&self, url: u64) -> impl Iterator<Item = Name> {
        self.files.range(Name::all_of(url)).map(|(name, _)| *name)
    }

    /// The file to go first while there is more than the bound.
    pub fn surplus(&self) -> Option<Name> {
        if self.used + self.promised <= self.bound { None } else { self.turns.values().next().copied() }
    }

    /// Bytes of files and of what is being written.
    pub fn used(&self) -> u64 {
        self.used + self.promised
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::vary::Selection;
    use super::*;

    fn name(n: u64) -> Name {
        Name::of(n, &Selection::default())
    }

    #[test]
    fn the_oldest_goes_first_and_the_replaced_one_last() {
        let now = Instant::now();
        let mut books = Books::new(10);
        for n in 0..3 {
            assert_eq!(books.promise(name(n), 3), Room::Promised);
            books.keep(name(n), 3, now);
        }
        assert_eq!((books.used(), books.files()), (9, 3));
        assert_eq!(books.promise(name(0), 3), Room::Evict(name(1)));
        books.remove(name(1));
        assert_eq!(books.promise(name(0), 3), Room::Promised);
        books.keep(name(0), 3, now);
        assert_eq!(books.promise(name(3), 7), Room::Evict(name(2)));
        assert_eq!(books.promise(name(3), 11), Room::Never);
        assert_eq!(books.of_url(0).collect::<Vec<_>>(), [name(0)]);
    }

    proptest! {
        #[test]
        fn never_more_than_the_bound(steps in prop::collection::vec((0..6_u64, 1..9_u64, any::<bool>()), 0..200)) {
            let now = Instant::now();
            let mut books = Books::new(16);
            let mut model = std::collections::HashMap::new();
            for (n, bytes, fails) in steps {
                loop {
                    match books.promise(name(n), bytes) {
                        Room::Promised => break,
                        Room::Evict(victim) => {
                            prop_assert!(model.remove(&victim).is_some());
                            books.remove(victim);
                        }
                        Room::Never => prop_assert!(false, "no room for {bytes}"),
                    }
                }
                prop_assert!(books.used() <= 16);
                if fails {
                    books.take_back(bytes);
                } else {
                    books.keep(name(n), bytes, now);
                    model.insert(name(n), bytes);
                }
                prop_assert_eq!(books.used(), model.values().sum::<u64>());
                prop_assert_eq!(books.files(), model.len());
                prop_assert_eq!(books.surplus(), None);
            }
        }
    }
}
