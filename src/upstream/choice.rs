//! The order in which candidates are asked.
//!
//! Nobody is ever left out: a server in trouble is only asked behind the others, and when all are in trouble, all are
//! still tried in their usual order.

use tokio::time::Instant;

use super::Candidate;
use super::health::Standing;

/// Sorts by health; servers of equal health keep their order. If the first one is due to be tried again, this request
/// is the one that tries it, and the caller must send it.
pub(super) fn by_health(candidates: &mut [Candidate], now: Instant) {
    // Another worker may take a probe between two looks: each round that loses one puts that server further back.
    for _ in 1..candidates.len() {
        candidates.sort_by_cached_key(|candidate| place(candidate.upstream.standing(now)));
        let first = &candidates[0].upstream;
        if first.standing(now) != Standing::Due || first.claim_probe(now) {
            return;
        }
    }
}

/// Behind how many kinds of servers one of this standing is asked.
fn place(standing: Standing) -> u8 {
    match standing {
        Standing::Good | Standing::Due => 0,
        Standing::Probing => 1,
        Standing::Out => 2,
    }
}
