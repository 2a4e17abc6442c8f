//! One question put to several sources, one after the other or side by side: the first usable head wins.
//!
//! A source that does not answer within its usual time is not given up; the next one is asked as well (hedging), and
//! whoever is first is taken. Asking before the first-byte budget is over costs an upstream request that may turn out
//! to be needless: [`HedgeBudget`] keeps these to a share of all requests, so that a slow hour does not double the load.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Response;
use tokio::time::Instant;

use super::Fetch;
use crate::upstream::{Candidate, Failure, Outgoing, UpstreamBody, UpstreamOutcome};

/// Early hedges that may come at once, after a quiet time.
const BURST: i64 = 20;

/// A candidate's turn to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its index among the candidates.
    pub candidate: usize,
    /// First or second.
    pub chance: Chance,
}

/// Sources that delivered something, but not the object, get a second chance after all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// As any other request.
    First,
    /// With `no-cache`: a cache further up may itself hold the bad copy.
    Second,
}

impl Turn {
    /// The first one of a candidate.
    pub fn first(candidate: usize) -> Self {
        Self { candidate, chance: Chance::First }
    }

    /// The next one, if there is any.
    pub fn again(self) -> Option<Self> {
        match self.chance {
            Chance::First => Some(Self { candidate: self.candidate, chance: Chance::Second }),
            Chance::Second => None,
        }
    }
}

/// Keeps early hedges to a share of all requests.
#[derive(Debug)]
pub struct HedgeBudget {
    percent: i64,
    /// Hundredths of a hedge.
    left: AtomicI64,
}

impl HedgeBudget {
    /// Of 100 requests, `percent` may be hedged early; none at all with 0.
    pub fn new(percent: usize) -> Self {
        let percent = percent.min(100) as i64;
        let left = if percent == 0 { 0 } else { BURST * 100 };
        Self { percent, left: AtomicI64::new(left) }
    }

    /// A request that may be hedged was sent.
    fn earn(&self) {
        if self.left.load(Ordering::Relaxed) < BURST * 100 {
            self.left.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Whether one more early hedge is allowed, which is then spent.
    fn spend(&self) -> bool {
        let spent = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= 100).then_some(left - 100));
        spent.is_ok()
    }
}

type Answer = Result<Response<UpstreamBody>, Failure>;

type Asking<'a> = Pin<Box<dyn Future<Output = (Turn, Answer)> + Send + 'a>>;

/// A request under way.
struct Runner {
    turn: Turn,
    since: Instant,
    /// Sent while another one was still waited for.
    hedge: bool,
}

/// Asks the candidates in `queue`, until `judge` takes an answer or none is left. `judge` sees every end and is the one who
/// records it; whoever is still running when the race is decided is recorded here.
pub async fn race<T>(
    fetch: &Fetch,
    queue: &mut VecDeque<Turn>,
    deadline: Instant,
    outgoing: impl Fn(&Turn) -> Outgoing,
    mut judge: impl FnMut(Turn, &Candidate, Answer) -> Option<T>,
) -> Option<T> {
    let mut answers: FuturesUnordered<Asking<'_>> = FuturesUnordered::new();
    let mut running: Vec<Runner> = Vec::new();
    let mut next_at = Instant::now();
    loop {
        let wait = hedge_wait(fetch, queue, &running, next_at);
        tokio::select! {
            biased;
            Some((turn, answer)) = answers.next() => {
                let place = running.iter().position(|runner| runner.turn == turn);
                let hedge = place.map(|place| running.remove(place)).is_some_and(|runner| runner.hedge);
                let candidate = &fetch.candidates[turn.candidate];
                if let Some(taken) = judge(turn, candidate, answer) {
                    if hedge {
                        fetch.client.metrics().hedges_won.inc();
                    }
                    for loser in running.into_iter().rev() {
                        let late = loser.since.elapsed() >= fetch.first_byte_budget;
                        fetch.candidates[loser.turn.candidate].upstream.record(match late {
                            true => UpstreamOutcome::FirstByteTimeout,
                            false => UpstreamOutcome::Cancelled,
                        });
                        // It has said nothing yet: should the winner's body fail, it is asked again, behind those that
                        // were waited for less long.
                        let behind_firsts = queue.iter().position(|turn| turn.chance == Chance::Second);
                        queue.insert(behind_firsts.unwrap_or(queue.len()), loser.turn);
                    }
                    return Some(taken);
                }
            }
            () = wait => {
                let turn = queue.pop_front()?;
                let candidate = &fetch.candidates[turn.candidate];
                let since = Instant::now();
                next_at = since + candidate.upstream.hedge_after(fetch.first_byte_budget);
                let hedge = !running.is_empty();
                running.push(Runner { turn, since, hedge });
                if hedge {
                    fetch.client.metrics().hedges_sent.inc();
                } else {
                    fetch.hedges.earn();
                }
                let request = outgoing(&turn);
                answers.push(Box::pin(async move {
                    let answer = fetch.client.send(candidate, request, deadline).await;
                    (turn, answer)
                }));
            }
        }
    }
}

/// Waits until the next candidate is to be asked; for ever when there is none, unless nobody runs either.
async fn hedge_wait(fetch: &Fetch, queue: &VecDeque<Turn>, running: &[Runner], next_at: Instant) {
    let Some(latest) = running.last() else {
        return;
    };
    let Some(next) = queue.front() else {
        return std::future::pending().await;
    };
    let budget_over = latest.since + fetch.first_byte_budget;
    if next.chance == Chance::Second {
        // It has failed already; quickly, perhaps, and would again before the others have said a word.
        return tokio::time::sleep_until(budget_over).await;
    }
    tokio::time::sleep_until(next_at).await;
    if Instant::now() < budget_over && !fetch.hedges.spend() {
        fetch.client.metrics().hedges_denied.inc();
        tokio::time::sleep_until(budget_over).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_hedges_are_a_share_of_all_requests() {
        let budget = HedgeBudget::new(5);
        let burst = (0..1000).filter(|_| budget.spend()).count();
        assert_eq!(burst, BURST as usize);
        let mut hedges = 0;
        for _ in 0..1000 {
            budget.earn();
            hedges += usize::from(budget.spend());
        }
        assert_eq!(hedges, 50);
        let none = HedgeBudget::new(0);
        none.earn();
        assert!(!none.spend());
    }

    #[test]
    fn a_second_chance_is_the_last() {
        let second = Turn::first(3).again();
        assert_eq!(second, Some(Turn { candidate: 3, chance: Chance::Second }));
        assert_eq!(second.and_then(Turn::again), None);
    }
}
