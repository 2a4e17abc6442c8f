//! One object in the index, in the tables at the end of segments and in the snapshot: 24 bytes everywhere.
//!
//! ```text
//! word 0   fingerprint: 64 bits of the name
//! word 1   slot 24 | offset in units of 16 bytes 26 | hits 2 | length, upper 12
//! word 2   length, lower 32 | stored_at 32 (unix seconds)
//! ```

use super::record::{ALIGN, MAX_LEN, Shape, u64_at};

/// Bytes of an entry.
pub const ENTRY: usize = 24;
/// Number of segments that can be open at a time.
pub const MAX_SLOTS: u32 = 1 << 24;
/// Longest shared segment in bytes: what an offset can reach.
pub const MAX_SEGMENT: u64 = 1 << 30;
/// Hits are counted up to here.
pub const MAX_HITS: u8 = 3;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's place in the table of open segments; less than [`MAX_SLOTS`].
    pub slot: u32,
    /// First byte of the record, a multiple of [`ALIGN`] below [`MAX_SEGMENT`].
    pub offset: u64,
}

/// What is known of an object without asking the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 64 bits of the name. Two names may share them: the record's header decides.
    pub fingerprint: u64,
    /// Where its record lies.
    pub place: Place,
    /// Length in bytes, at most [`MAX_LEN`].
    pub len: u64,
    /// When it was first stored, unix seconds.
    pub stored_at: u32,
    /// Uses since it was stored or last copied, at most [`MAX_HITS`].
    pub hits: u8,
}

impl Entry {
    /// Bytes of its record.
    pub fn extent(&self) -> u64 {
        Shape { len: self.len }.extent()
    }
}

/// The packed form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packed([u64; 3]);

impl Packed {
    const OFFSET: u32 = 24;
    const HITS: u32 = 50;
    const LENGTH: u32 = 52;

    /// The fingerprint alone.
    pub fn fingerprint(self) -> u64 {
        self.0[0]
    }

    /// The place alone.
    pub fn place(self) -> Place {
        let word = self.0[1];
        Place {
            slot: (word & u64::from(MAX_SLOTS - 1)) as u32,
            offset: (word >> Self::OFFSET & (MAX_SEGMENT / ALIGN - 1)) * ALIGN,
        }
    }

    /// Counts a use.
    pub fn hit(&mut self) {
        if self.0[1] >> Self::HITS & 3 < u64::from(MAX_HITS) {
            self.0[1] += 1 << Self::HITS;
        }
    }

    /// The same in another slot.
    pub fn in_slot(self, slot: u32) -> Self {
        let [fingerprint, word, rest] = self.0;
        Self([fingerprint, word & !u64::from(MAX_SLOTS - 1) | u64::from(slot), rest])
    }

    /// The stored form.
    pub fn to_bytes(self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        for (bytes, word) in out.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// From the stored form. Panics unless `bytes` has [`ENTRY`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self([u64_at(bytes, 0), u64_at(bytes, 8), u64_at(bytes, 16)])
    }
}

impl From<Entry> for Packed {
    fn from(entry: Entry) -> Self {
        let Place { slot, offset } = entry.place;
        debug_assert!(slot < MAX_SLOTS && offset < MAX_SEGMENT && offset.is_multiple_of(ALIGN));
        debug_assert!(entry.len <= MAX_LEN && entry.hits <= MAX_HITS);
        Self([
            entry.fingerprint,
            u64::from(slot)
                | (offset / ALIGN) << Self::OFFSET
                | u64::from(entry.hits) << Self::HITS
                | (entry.len >> 32) << Self::LENGTH,
            entry.len & u64::from(u32::MAX) | u64::from(entry.stored_at) << 32,
        ])
    }
}

impl From<Packed> for Entry {
    fn from(packed: Packed) -> Self {
        let [fingerprint, word, rest] = packed.0;
        Self {
            fingerprint,
            place: packed.place(),
            len: word >> Packed::LENGTH << 32 | rest & u64::from(u32::MAX),
            stored_at: (rest >> 32) as u32,
            hits: (word >> Packed::HITS & 3) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_loses_nothing(
            fingerprint: u64,
            slot in 0..MAX_SLOTS,
            unit in 0..MAX_SEGMENT / ALIGN,
            len in 0..=MAX_LEN,
            stored_at: u32,
            hits in 0..=MAX_HITS,
        ) {
            let entry = Entry { fingerprint, place: Place { slot, offset: unit * ALIGN }, len, stored_at, hits };
            let mut packed = Packed::from(entry);
            prop_assert_eq!(Entry::from(packed), entry);
            prop_assert_eq!(Packed::from_bytes(&packed.to_bytes()).0, packed.0);
            prop_assert_eq!(packed.in_slot(7).place(), Place { slot: 7, offset: unit * ALIGN });
            packed.hit();
            prop_assert_eq!(Entry::from(packed), Entry { hits: (hits + 1).min(MAX_HITS), ..entry });
        }
    }
}
