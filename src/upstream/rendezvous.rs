//! Which of several parents a name belongs to, without anybody keeping a list: rendezvous (highest random weight)
//! hashing. Every parent has a weight for every name; the heaviest one is asked first, the next one in its absence. Losing
//! one of n parents moves its own share of the names only, evenly to the others.
//!
//! Contract: the nodes of a site, whatever machines and versions they run on, must come to the same answer. Hence the fixed
//! functions here, over the parents' URLs as the configuration is printed. Source: Thaler and Ravishankar, "Using
//! name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1), 1998.

/// The parents, each by the hash of its URL.
#[derive(Debug)]
pub(super) struct Rendezvous(Vec<u64>);

impl Rendezvous {
    /// For parents with these URLs.
    pub(super) fn new<S: AsRef<str>>(urls: impl IntoIterator<Item = S>) -> Self {
        Self(urls.into_iter().map(|url| hash(url.as_ref())).collect())
    }

    /// The places of the parents in the list, in the order in which to ask them for the name that has this hash.
    pub(super) fn order(&self, name: u64) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.sort_by_key(|&place| std::cmp::Reverse(mix(self.0[place] ^ name)));
        places
    }
}

/// 64 well-mixed bits of a text: FNV-1a, whose high bits need the mixing.
pub(super) fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// The finaliser of SplitMix64: a permutation in which every bit of the input matters to every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: usize = 20_000;

    fn firsts(urls: &[String], names: &[u64]) -> Vec<String> {
        let parents = Rendezvous::new(urls);
        names.iter().map(|&name| urls[parents.order(name)[0]].clone()).collect()
    }

    fn names(seed: u64) -> Vec<u64> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u64(..)).take(NAMES).collect()
    }

    #[test]
    fn the_answers_are_fixed_for_ever() {
        let parents = Rendezvous::new(["http://a:3128", "http://b:3128", "http://c:3128", "http://d:3128"]);
        let table: [(&str, [usize; 4]); 3] = [
            ("/cvmfs/x.test.local/.cvmfspublished", [0, 3, 2, 1]),
            ("/cvmfs/y.test.local/.cvmfspublished", [0, 2, 1, 3]),
            ("", [2, 3, 1, 0]),
        ];
        for (name, expected) in table {
            assert_eq!(parents.order(hash(name)), expected, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_parent_has_its_share(sites in "[a-z]{1,12}", count in 2_usize..9, seed in any::<u64>()) {
            let urls: Vec<_> = (0..count).map(|n| format!("http://{sites}-{n}:3128")).collect();
            let firsts = firsts(&urls, &names(seed));
            for url in &urls {
                let share = firsts.iter().filter(|first| *first == url).count() as f64 / NAMES as f64;
                let even = 1.0 / count as f64;
                prop_assert!((share / even - 1.0).abs() < 0.1, "{} has {} of {}", url, share, even);
            }
        }

        #[test]
        fn losing_one_of_four_moves_only_its_names(sites in "[a-z]{1,12}", lost in 0_usize..4, seed in any::<u64>()) {
            let all: Vec<_> = (0..4).map(|n| format!("http://{sites}-{n}:3128")).collect();
            let names = names(seed);
            let before = firsts(&all, &names);
            let mut rest = all.clone();
            let lost = rest.remove(lost);
            let after = firsts(&rest, &names);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            prop_assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == lost));
            prop_assert!((moved as f64) <= 0.30 * NAMES as f64, "{} moved", moved);
        }

        /// Names that differ little, as paths do, are spread as well.
        #[test]
        fn paths_are_spread(repository in "[a-z]{1,12}") {
            let urls: Vec<_> = (0..4).map(|n| format!("http://cache-{n}:3128")).collect();
            let names: Vec<_> = (0..NAMES).map(|n| hash(&format!("/cvmfs/{repository}/{n}"))).collect();
            let firsts = firsts(&urls, &names);
            for url in &urls {
                let share = firsts.iter().filter(|first| *first == url).count() as f64 / NAMES as f64;
                prop_assert!((0.225..=0.275).contains(&share), "{} has {}", url, share);
            }
        }
    }
}
