//! Names that were dropped unused from the probationary queue: whoever comes back soon deserves the main queue.
//!
//! A table of fixed size: 32-bit tags in buckets of eight, oldest first out. A wrong answer (one in some hundred
//! millions) only puts an object into the other queue.

const WAYS: usize = 8;

/// See the module.
pub struct Ghost {
    tags: Box<[[u32; WAYS]]>,
}

impl Ghost {
    /// Remembers about `names` names, 4 bytes each.
    pub fn new(names: usize) -> Self {
        Self { tags: vec![[0; WAYS]; names.div_ceil(WAYS).max(1)].into() }
    }

    /// Remembers a name.
    pub fn insert(&mut self, fingerprint: u64) {
        let (bucket, tag) = self.locate(fingerprint);
        let ways = &mut self.tags[bucket];
        let last = ways.iter().position(|&t| t == tag).unwrap_or(WAYS - 1);
        ways[..=last].rotate_right(1);
        ways[0] = tag;
    }

    /// Whether the name is remembered.
    pub fn contains(&self, fingerprint: u64) -> bool {
        let (bucket, tag) = self.locate(fingerprint);
        self.tags[bucket].contains(&tag)
    }

    /// Memory in bytes.
    pub fn memory(&self) -> usize {
        std::mem::size_of_val(&*self.tags)
    }

    fn locate(&self, fingerprint: u64) -> (usize, u32) {
        let bucket = ((fingerprint >> 32) * self.tags.len() as u64) >> 32;
        // 0 marks an empty place.
        (bucket as usize, (fingerprint as u32).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_latest_and_forgets_the_oldest() {
        let mut ghost = Ghost::new(8);
        (1..=9).for_each(|n| ghost.insert(n));
        assert!(!ghost.contains(1));
        assert!((2..=9).all(|n| ghost.contains(n)));
        ghost.insert(2);
        ghost.insert(10);
        assert!(ghost.contains(2) && !ghost.contains(3));
    }

    #[test]
    fn spreads_over_its_buckets() {
        let mut ghost = Ghost::new(10_000);
        let mut rng = fastrand::Rng::with_seed(3);
        let names: Vec<u64> = (0..5_000).map(|_| rng.u64(..)).collect();
        names.iter().for_each(|&n| ghost.insert(n));
        assert!(names.iter().filter(|&&n| ghost.contains(n)).count() > 4_800);
        assert!((0..5_000).filter(|_| ghost.contains(rng.u64(..))).count() < 2);
    }
}
