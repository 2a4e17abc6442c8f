//! The order in which candidates are asked.
//!
//! Nobody is ever left out: a server in trouble, or without the object, is only asked behind the others, and when all are,
//! all are still tried in their usual order.

use tokio::time::Instant;

use super::health::Standing;
use super::{Candidate, Upstream, Wanted};

/// Sorts by what is known; servers of which the same is known keep their order. If the first one is due to be tried again,
/// this request is the one that tries it, and the caller must send it.
pub(super) fn sort(candidates: &mut [Candidate], wanted: Wanted<'_>, now: Instant) {
    // Another worker may take a probe between two looks: each round that loses one puts that server further back.
    for _ in 1..candidates.len() {
        candidates.sort_by_cached_key(|candidate| place(&candidate.upstream, wanted, now));
        let first = &candidates[0].upstream;
        if first.standing(now) != Standing::Due || first.claim_probe(now) {
            return;
        }
    }
}

/// Behind how many kinds of servers this one is asked. An absence is told at once, a server in trouble takes its time.
fn place(upstream: &Upstream, wanted: Wanted<'_>, now: Instant) -> u8 {
    let absent = matches!(wanted, Wanted::Object(hash) if upstream.lacks(hash, now));
    match upstream.standing(now) {
        // When all are out, the one that has answered since is not asked behind those that have not.
        Standing::Out if upstream.fails() => 4,
        Standing::Out => 3,
        _ if absent => 2,
        Standing::Probing => 1,
        Standing::Good | Standing::Due => 0,
    }
}
