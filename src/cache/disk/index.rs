//! What is stored where: a sharded hash table of 24-byte entries, keyed by 64 bits of the name.
//!
//! Invariants: one entry a fingerprint; an entry changes place only by [`Index::moved`], which checks that it still is
//! where the mover read it. Not here: I/O, and the certainty that an entry is about the name asked for: two names may
//! share a fingerprint, which the record's header reveals.
//! A hash table that doubles is between half and fully used. Shards are given names in uneven shares, spread evenly
//! over one octave, so that they double one after the other: the whole stays near 40 bytes an object at any size.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use parking_lot::Mutex;

use super::entry::{Entry, Packed, Place};

/// Number of tables.
pub const SHARDS: usize = 256;
// Resolution of the map from hash to shard; a power of two, 16 for each shard.
const SHARES: usize = 4096;

/// See the module.
pub struct Index {
    // Names are chosen outside; a secret keeps anybody from aiming at one bucket.
    secret: u64,
    owners: Box<[u8]>,
    shards: Box<[Mutex<HashTable<Packed>>]>,
    // Kept beside the shards, so that counting need not lock them all.
    objects: AtomicUsize,
}

impl Default for Index {
    fn default() -> Self {
        let owner = |share: usize| ((1.0 + share as f64 / SHARES as f64).log2() * SHARDS as f64) as u8;
        Self {
            secret: RandomState::new().hash_one(0) | 1,
            owners: (0..SHARES).map(owner).collect(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            objects: AtomicUsize::new(0),
        }
    }
}

impl Index {
    /// Looks a fingerprint up and counts the use. `found` runs while the entry cannot be removed: a segment whose
    /// entries have to go before it does is still there.
    pub fn hit<T>(&self, fingerprint: u64, found: impl FnOnce(Entry) -> T) -> Option<T> {
        let hash = self.hash(fingerprint);
        let mut shard = self.shard(hash).lock();
        let packed = shard.find_mut(hash, |p| p.fingerprint() == fingerprint)?;
        packed.hit();
        Some(found((*packed).into()))
    }

    /// Looks a fingerprint up without counting a use.
    pub fn peek(&self, fingerprint: u64) -> Option<Entry> {
        let hash = self.hash(fingerprint);
        let shard = self.shard(hash).lock();
        shard.find(hash, |p| p.fingerprint() == fingerprint).map(|p| (*p).into())
    }

    /// Enters an object; the entry it replaces, if any.
    pub fn put(&self, entry: Entry) -> Option<Entry> {
        self.with_slot(entry.fingerprint, |slot| match slot {
            Slot::Occupied(mut old) => Some(std::mem::replace(old.get_mut(), entry.into()).into()),
            Slot::Vacant(vacant) => {
                vacant.insert(entry.into());
                self.objects.fetch_add(1, Ordering::Relaxed);
                None
            }
        })
    }

    /// Enters an object unless its fingerprint has an entry already.
    pub fn put_if_vacant(&self, entry: Packed) -> Put {
        self.with_slot(entry.fingerprint(), |slot| match slot {
            Slot::Occupied(_) => Put::Occupied,
            Slot::Vacant(vacant) => {
                vacant.insert(entry);
                self.objects.fetch_add(1, Ordering::Relaxed);
                Put::Entered
            }
        })
    }

    /// Replaces the entry at `from` by `entry`, unless it was removed or replaced in the meantime.
    pub fn moved(&self, from: Place, entry: Entry) -> Put {
        let hash = self.hash(entry.fingerprint);
        let mut shard = self.shard(hash).lock();
        match shard.find_mut(hash, |p| p.fingerprint() == entry.fingerprint) {
            Some(old) if old.place() == from => {
                *old = entry.into();
                Put::Entered
            }
            _ => Put::Occupied,
        }
    }

    /// Removes a fingerprint.
    pub fn remove(&self, fingerprint: u64) -> Option<Entry> {
        self.remove_if(fingerprint, |_| true)
    }

    /// Removes a fingerprint if its record lies at `place`.
    pub fn remove_at(&self, fingerprint: u64, place: Place) -> Option<Entry> {
        self.remove_if(fingerprint, |packed| packed.place() == place)
    }

    /// Removes every entry of a segment, in time linear in the whole index.
    pub fn sweep(&self, slot: u32) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|packed| packed.place().slot != slot);
            self.objects.fetch_sub(before - shard.len(), Ordering::Relaxed);
        }
    }

    /// Calls `each` with the entries, shard by shard; a shard is locked while its entries are copied.
    pub fn for_each_shard<E>(&self, mut each: impl FnMut(&[Packed]) -> Result<(), E>) -> Result<(), E> {
        let mut copy = Vec::new();
        for shard in &self.shards {
            copy.clear();
            copy.extend(shard.lock().iter().copied());
            each(&copy)?;
        }
        Ok(())
    }

    /// Makes room for `objects` more, so that loading them need not grow the tables step by step.
    pub fn expect(&self, objects: usize) {
        let mut shares = [0usize; SHARDS];
        self.owners.iter().for_each(|&owner| shares[usize::from(owner)] += 1);
        for (shard, share) in self.shards.iter().zip(shares) {
            let count = objects / SHARES * share;
            shard.lock().reserve(count, |p| self.hash(p.fingerprint()));
        }
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.objects.load(Ordering::Relaxed)
    }

    /// Memory of the tables in bytes, unused places included.
    pub fn memory(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().allocation_size()).sum()
    }

    fn remove_if(&self, fingerprint: u64, test: impl FnOnce(&Packed) -> bool) -> Option<Entry> {
        let hash = self.hash(fingerprint);
        let mut shard = self.shard(hash).lock();
        let occupied = shard.find_entry(hash, |p| p.fingerprint() == fingerprint).ok()?;
        if !test(occupied.get()) {
            return None;
        }
        self.objects.fetch_sub(1, Ordering::Relaxed);
        Some(occupied.remove().0.into())
    }

    fn with_slot<T>(&self, fingerprint: u64, f: impl FnOnce(Slot<'_, Packed>) -> T) -> T {
        let hash = self.hash(fingerprint);
        let mut shard = self.shard(hash).lock();
        f(shard.entry(hash, |p| p.fingerprint() == fingerprint, |p| self.hash(p.fingerprint())))
    }

    fn hash(&self, fingerprint: u64) -> u64 {
        let product = u128::from(fingerprint ^ self.secret) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        (product >> 64) as u64 ^ product as u64
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<Packed>> {
        // hashbrown takes the lowest and the highest bits.
        let share = (hash >> 40) as usize % SHARES;
        &self.shards[usize::from(self.owners[share])]
    }
}

/// What became of a conditional entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is in the index.
    Entered,
    /// Somebody else's entry is, or none.
    Occupied,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn entry(fingerprint: u64, offset: u64) -> Entry {
        Entry {
            fingerprint,
            place: Place { slot: (offset % 5) as u32, offset: offset * 16 },
            len: offset,
            stored_at: 1,
            hits: 0,
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((0..6u8, 0..40u64, 0..50u64), 0..300)) {
            let index = Index::default();
            let mut model: HashMap<u64, Entry> = HashMap::new();
            for (step, fingerprint, offset) in steps {
                let new = entry(fingerprint, offset);
                match step {
                    0 => prop_assert_eq!(index.put(new), model.insert(fingerprint, new)),
                    1 => {
                        let vacant = !model.contains_key(&fingerprint);
                        prop_assert_eq!(index.put_if_vacant(new.into()) == Put::Entered, vacant);
                        model.entry(fingerprint).or_insert(new);
                    }
                    2 => {
                        let from = entry(fingerprint, offset + 1).place;
                        let there = model.get(&fingerprint).is_some_and(|e| e.place == from);
                        prop_assert_eq!(index.moved(from, new) == Put::Entered, there);
                        if there {
                            model.insert(fingerprint, new);
                        }
                    }
                    3 => prop_assert_eq!(index.remove(fingerprint), model.remove(&fingerprint)),
                    4 => {
                        let found = index.hit(fingerprint, |e| e);
                        if let Some(e) = model.get_mut(&fingerprint) {
                            e.hits = (e.hits + 1).min(3);
                        }
                        prop_assert_eq!(found, model.get(&fingerprint).copied());
                    }
                    _ => {
                        let slot = (offset % 5) as u32;
                        index.sweep(slot);
                        model.retain(|_, e| e.place.slot != slot);
                    }
                }
                prop_assert_eq!(index.len(), model.len());
                prop_assert_eq!(index.peek(fingerprint), model.get(&fingerprint).copied());
            }
        }
    }

    #[test]
    fn memory_stays_below_64_bytes_an_object_at_every_size() {
        let index = Index::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut worst = 0.0f64;
        for count in 1..=1_000_000u64 {
            index.put(entry(rng.u64(..), count));
            if count >= 100_000 && count.is_multiple_of(20_000) {
                worst = worst.max(index.memory() as f64 / count as f64);
            }
        }
        assert!(worst < 48.0, "{worst} bytes an object");
    }

    #[test]
    fn expected_objects_do_not_grow_the_tables() {
        let index = Index::default();
        index.expect(100_000);
        let before = index.memory();
        let mut rng = fastrand::Rng::with_seed(1);
        for count in 0..80_000 {
            index.put(entry(rng.u64(..), count));
        }
        assert_eq!(index.memory(), before);
    }
}
