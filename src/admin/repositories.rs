//! Whose content was asked for in the last hour. Pure.

use serde::Serialize;

use super::history::View;

/// What `/status` tells of a repository, and the page for people.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Repository {
    pub(super) repository: String,
    pub(super) requests: u64,
    /// Of 100 requests, those that no upstream was waited for.
    answered_here_percent: u64,
    sent_bytes: u64,
}

pub(super) const REQUESTS: &str = "substratum_repository_requests_total";
const HITS: &str = "substratum_repository_hits_total";
pub(super) const BYTES: &str = "substratum_repository_body_bytes_total";
/// The label of all that have no name of their own.
const OTHER: &str = "other";

/// Most requests first; the others together last.
pub(super) fn busiest(view: &View) -> Vec<Repository> {
    let mut rows: Vec<Repository> = view
        .labels(REQUESTS)
        .into_iter()
        .map(|name| {
            let growth = |family: &str| view.growth(&format!("{family} {name}"));
            let (requests, hits) = (growth(REQUESTS), growth(HITS));
            Repository {
                repository: name.to_owned(),
                requests,
                answered_here_percent: (hits * 100).checked_div(requests).unwrap_or(0),
                sent_bytes: growth(BYTES),
            }
        })
        .filter(|row| row.requests > 0)
        .collect();
    rows.sort_by_key(|row| (row.repository == OTHER, std::cmp::Reverse(row.requests)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::history::History;
    use crate::metrics::{Counts, Metrics};

    #[test]
    fn the_hour_counts_and_not_what_was_before() {
        let (history, metrics) = (History::default(), Metrics::new().unwrap());
        let look = |at: f64| history.note(at, &metrics.registry.gather());
        let count = |name: &str, requests, hits| {
            let seat = metrics.repository.seat(name);
            metrics.repository.finished(seat, Counts { requests, hits, body_bytes: 10 * requests });
        };
        count("old.example", 1000, 0);
        count("both.example", 1000, 0);
        look(0.0);
        count("both.example", 3, 2);
        count("new.example", 8, 8);
        look(10.0);
        let row = |name: &str, requests, answered_here_percent| Repository {
            repository: name.to_owned(),
            requests,
            answered_here_percent,
            sent_bytes: 10 * requests,
        };
        assert_eq!(busiest(&history.view()), [row("new.example", 8, 100), row("both.example", 3, 66)]);
    }
}
