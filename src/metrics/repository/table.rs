//! What one worker knows: a fixed number of repositories, found by a hash of a few of their bytes.
//!
//! A name that is not known takes the seat of the one with the fewest requests, whose numbers go to the rest: what is
//! asked for much stays, whatever names are invented.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::{Add, AddAssign, Sub};

use hashbrown::HashTable;

/// Repositories that a worker counts one by one: several times as many as most sites ever see.
pub const SEATS: usize = 128;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that ended.
    pub requests: u64,
    /// Of these, the ones answered without waiting for an upstream.
    pub hits: u64,
    /// Bytes of bodies sent.
    pub body_bytes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            hits: self.hits + other.hits,
            body_bytes: self.body_bytes + other.body_bytes,
        }
    }
}

impl Sub for Counts {
    type Output = Self;

    /// Never below 0.
    fn sub(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            hits: self.hits.saturating_sub(other.hits),
            body_bytes: self.body_bytes.saturating_sub(other.body_bytes),
        }
    }
}

/// Where a request is counted when it ends. Should another name have the seat by then, the request goes to the rest.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    at: u8,
    tenant: u32,
}

struct Entry {
    name: Box<str>,
    hash: u64,
    /// Tells those apart who had this seat one after the other.
    tenant: u32,
    counts: Counts,
}

/// See the module.
pub struct Table {
    // Names are chosen outside; a secret keeps anybody from aiming at one bucket.
    secret: u64,
    places: HashTable<u8>,
    entries: Vec<Entry>,
    rest: Counts,
}

/// The sum over tables.
#[derive(Default)]
pub struct Sum {
    /// By name.
    pub known: HashMap<Box<str>, Counts>,
    /// Those whose names were forgotten.
    pub rest: Counts,
}

impl Table {
    /// Nothing known.
    pub fn new() -> Self {
        Self {
            secret: RandomState::new().hash_one(0) | 1,
            places: HashTable::with_capacity(SEATS),
            entries: Vec::new(),
            rest: Counts::default(),
        }
    }

    /// The seat of a name; the least used one is given to a name that has none.
    pub fn seat(&mut self, name: &str) -> Seat {
        let hash = hash(name, self.secret);
        let entries = &self.entries;
        if let Some(&at) = self.places.find(hash, |&at| *entries[usize::from(at)].name == *name) {
            return Seat { at, tenant: entries[usize::from(at)].tenant };
        }
        self.seat_new(name, hash)
    }

    #[cold]
    fn seat_new(&mut self, name: &str, hash: u64) -> Seat {
        let fresh = |tenant| Entry { name: name.into(), hash, tenant, counts: Counts::default() };
        let at = if self.entries.len() < SEATS {
            self.entries.push(fresh(0));
            self.entries.len() - 1
        } else {
            let least = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.counts.requests);
            let at = least.map_or(0, |(at, _)| at);
            let tenant = self.entries[at].tenant.wrapping_add(1);
            let gone = std::mem::replace(&mut self.entries[at], fresh(tenant));
            self.rest += gone.counts;
            if let Ok(place) = self.places.find_entry(gone.hash, |&place| usize::from(place) == at) {
                place.remove();
            }
            at
        };
        let entries = &self.entries;
        let place = at as u8;
        self.places.insert_unique(hash, place, |&other| entries[usize::from(other)].hash);
        Seat { at: place, tenant: self.entries[at].tenant }
    }

    /// Counts at a seat.
    pub fn add(&mut self, seat: Seat, counts: Counts) {
        match self.entries.get_mut(usize::from(seat.at)) {
            Some(entry) if entry.tenant == seat.tenant => entry.counts += counts,
            _ => self.rest += counts,
        }
    }

    /// Adds everything to a sum.
    pub fn add_to(&self, sum: &mut Sum) {
        sum.rest += self.rest;
        for entry in &self.entries {
            match sum.known.get_mut(&entry.name) {
                Some(counts) => *counts += entry.counts,
                None => _ = sum.known.insert(entry.name.clone(), entry.counts),
            }
        }
    }
}

/// Of the length and the ends of a name: names that agree in these are few, and told apart by comparing.
fn hash(name: &str, secret: u64) -> u64 {
    let bytes = name.as_bytes();
    let eight = |part: &[u8]| part.try_into().map_or(0, u64::from_le_bytes);
    let (first, last) = match bytes.len() {
        8.. => (eight(&bytes[..8]), eight(&bytes[bytes.len() - 8..])),
        _ => (bytes.iter().fold(0, |all, &c| all << 8 | u64::from(c)), 0),
    };
    let product =
        u128::from(first ^ secret) * u128::from(last ^ (bytes.len() as u64) << 56 ^ secret.rotate_left(32));
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Counts = Counts { requests: 1, hits: 0, body_bytes: 7 };

    #[test]
    fn what_is_asked_for_much_stays() {
        let mut table = Table::new();
        for round in 0..3 * SEATS {
            for name in ["atlas.cern.ch", "cms.cern.ch", &format!("nobody{round}.example.org")] {
                let seat = table.seat(name);
                table.add(seat, ONE);
            }
        }
        let mut sum = Sum::default();
        table.add_to(&mut sum);
        assert_eq!(sum.known.len(), SEATS);
        for name in ["atlas.cern.ch", "cms.cern.ch"] {
            assert_eq!(sum.known[name].requests, 3 * SEATS as u64);
        }
        let all = sum.known.values().fold(sum.rest, |all, counts| all + *counts);
        assert_eq!((all.requests, all.body_bytes), (9 * SEATS as u64, 63 * SEATS as u64));
    }

    #[test]
    fn a_request_that_outlives_its_seat_is_counted_all_the_same() {
        let mut table = Table::new();
        let early = table.seat("early.example.org");
        for n in 0..SEATS {
            let seat = table.seat(&format!("r{n}.example.org"));
            table.add(seat, ONE);
        }
        table.add(early, ONE);
        let mut sum = Sum::default();
        table.add_to(&mut sum);
        assert!(!sum.known.contains_key("early.example.org"));
        assert_eq!(sum.rest, ONE);
    }

    #[test]
    fn names_of_all_lengths_are_told_apart() {
        let mut table = Table::new();
        let names: Vec<String> = (1..100).map(|n| "a".repeat(n)).chain(["b".to_owned()]).collect();
        for name in &names {
            let seat = table.seat(name);
            table.add(seat, ONE);
        }
        let mut sum = Sum::default();
        table.add_to(&mut sum);
        assert_eq!(sum.known.len(), names.len());
        assert!(sum.known.values().all(|counts| *counts == ONE));
    }
}
