//! Which repositories are named, and what is shown for each, so that no counter ever goes back. Pure: time is passed in.
//!
//! Whoever is named keeps its place until another had twice as many requests, or bytes, since the last review. What a
//! repository had before it was named was shown as "other" and stays there; what one had that lost its name is shown
//! nowhere any more, as every counter whose label has gone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::NAMED;
use super::table::{Counts, Sum};

/// The label of all that are not named; also of a repository that should be called so.
pub const OTHER: &str = "other";

/// Time between two reviews: much longer than between two scrapes.
const TERM: Duration = Duration::from_secs(600);

/// See the module.
pub struct Board {
    named: Vec<Named>,
    /// Shown under names that have gone.
    gone: Counts,
    /// Numbers at the last review, of all that were known.
    before: HashMap<Box<str>, Counts>,
    review_at: Instant,
}

struct Named {
    name: Box<str>,
    /// What it had when it was named.
    base: Counts,
    shown: Counts,
}

impl Board {
    /// Nobody is named.
    pub fn new(now: Instant) -> Self {
        Self { named: Vec::new(), gone: Counts::default(), before: HashMap::new(), review_at: now + TERM }
    }

    /// The rows to show, most requests first and [`OTHER`] last.
    pub fn rows(&mut self, all: &Sum, now: Instant) -> Vec<(Box<str>, Counts)> {
        self.fill(all);
        if now >= self.review_at {
            self.review(all);
            self.review_at = now + TERM;
        }
        let mut other = all.known.values().fold(all.rest, |sum, counts| sum + *counts) - self.gone;
        for named in &mut self.named {
            let now = all.known.get(&named.name).copied().unwrap_or_default() - named.base;
            // A worker may have forgotten it.
            if now.requests >= named.shown.requests {
                named.shown = now;
            }
            other = other - named.shown;
        }
        self.named.sort_by(|a, b| b.shown.requests.cmp(&a.shown.requests).then_with(|| a.name.cmp(&b.name)));
        let named = self.named.iter().map(|named| (named.name.clone(), named.shown));
        named.chain([(OTHER.into(), other)]).collect()
    }

    /// Free places go to whoever is asked for most.
    fn fill(&mut self, all: &Sum) {
        if self.named.len() >= NAMED {
            return;
        }
        let mut unnamed: Vec<_> = all.known.iter().filter(|(name, _)| !self.is_named(name)).collect();
        unnamed.sort_by(|a, b| b.1.requests.cmp(&a.1.requests).then_with(|| a.0.cmp(b.0)));
        // Nothing of them was shown before: while there are places, nobody is among the others.
        let places = NAMED - self.named.len();
        self.named.extend(unnamed.into_iter().take(places).map(|(name, _)| Named {
            name: name.clone(),
            base: Counts::default(),
            shown: Counts::default(),
        }));
    }

    /// Exchanges those that are asked for less than half as much as one who has no name.
    fn review(&mut self, all: &Sum) {
        let grown: HashMap<&str, Counts> = all
            .known
            .iter()
            .map(|(name, counts)| (&**name, *counts - self.before.get(name).copied().unwrap_or_default()))
            .collect();
        let total = grown.values().fold(Counts::default(), |sum, counts| sum + *counts);
        let weight = |name: &str| {
            let grown = grown.get(name).copied().unwrap_or_default();
            let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
            share(grown.requests, total.requests).max(share(grown.body_bytes, total.body_bytes))
        };
        let mut rivals: Vec<_> = all.known.keys().filter(|name| !self.is_named(name)).collect();
        rivals.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.cmp(b)));
        for rival in rivals {
            let least = self.named.iter_mut().min_by(|a, b| weight(&a.name).total_cmp(&weight(&b.name)));
            let Some(least) = least.filter(|least| weight(rival) > 2.0 * weight(&least.name)) else { break };
            self.gone += least.shown;
            let base = all.known.get(rival).copied().unwrap_or_default();
            *least = Named { name: rival.clone(), base, shown: Counts::default() };
        }
        self.before = all.known.clone();
    }

    fn is_named(&self, name: &str) -> bool {
        name == OTHER || self.named.iter().any(|named| *named.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(n: u64) -> Counts {
        Counts { requests: n, hits: 0, body_bytes: n }
    }

    fn shown(rows: &[(Box<str>, Counts)], name: &str) -> Option<u64> {
        rows.iter().find(|(found, _)| **found == *name).map(|(_, counts)| counts.requests)
    }

    #[test]
    fn who_becomes_important_is_named_and_no_counter_goes_back() {
        let start = Instant::now();
        let mut board = Board::new(start);
        let mut all = Sum::default();
        for n in 0..=NAMED as u64 {
            all.known.insert(format!("r{n:02}.example").into(), requests(100 + n));
        }
        all.rest = requests(5);
        let rows = board.rows(&all, start);
        assert_eq!(rows.len(), NAMED + 1);
        assert_eq!((shown(&rows, "r00.example"), shown(&rows, OTHER)), (None, Some(105)));

        // It grows, and is still among the others until the review.
        *all.known.get_mut("r00.example").unwrap() = requests(1100);
        assert_eq!(shown(&board.rows(&all, start + TERM / 2), OTHER), Some(1105));
        let rows = board.rows(&all, start + TERM);
        assert_eq!((shown(&rows, "r00.example"), shown(&rows, OTHER)), (Some(0), Some(1105)));
        let lost = (1..=NAMED).filter(|n| shown(&rows, &format!("r{n:02}.example")).is_none()).count();
        assert_eq!(lost, 1, "it took the place of one");
        *all.known.get_mut("r00.example").unwrap() = requests(1150);
        let rows = board.rows(&all, start + TERM);
        assert_eq!((shown(&rows, "r00.example"), shown(&rows, OTHER)), (Some(50), Some(1105)));
    }

    #[test]
    fn a_repository_called_other_is_among_the_others() {
        let mut all = Sum::default();
        all.known.insert(OTHER.into(), requests(3));
        let rows = Board::new(Instant::now()).rows(&all, Instant::now());
        assert_eq!(rows, [(OTHER.into(), requests(3))]);
    }

    #[test]
    fn nearly_equals_do_not_change_places() {
        let start = Instant::now();
        let mut board = Board::new(start);
        let mut all = Sum::default();
        for n in 0..2 * NAMED as u64 {
            all.known.insert(format!("r{n:02}.example").into(), requests(100 + n));
        }
        let names = |rows: Vec<(Box<str>, Counts)>| -> std::collections::BTreeSet<Box<str>> {
            rows.into_iter().map(|(name, _)| name).collect()
        };
        let before = names(board.rows(&all, start));
        for term in 1..5 {
            all.known.values_mut().for_each(|counts| *counts += requests(100 + u64::from(term)));
            assert_eq!(names(board.rows(&all, start + TERM * term)), before);
        }
    }
}
