//! One wave: jobs that start together, and what was counted everywhere until all had ended.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::account::Account;
use super::board::Board;
use super::crew::{Crew, CrewLost};
use super::job::Job;
use super::latency::Summary;
use super::progress::{Moment, Progress, REFRESH};
use super::stratum::{Sent, Stratum};
use super::tier::{Counts, Tier};

/// What is to happen when this share of the wave is done, in per cent.
const MILESTONE: u64 = 40;

/// What happened in a wave.
pub struct Wave {
    /// How long it took.
    pub elapsed: Duration,
    /// What the jobs experienced.
    pub jobs: Account,
    /// How long they waited for first bytes.
    pub first_byte: Summary,
    /// What the caches counted.
    pub counts: Counts,
    /// What each stratum sent.
    pub sent: Vec<Sent>,
}

/// Why a wave has no result.
#[derive(Debug, thiserror::Error)]
pub enum WaveError {
    /// The system gave no threads for the jobs.
    #[error("cannot start jobs: {0}")]
    Start(#[from] io::Error),
    /// A thread of jobs is gone.
    #[error(transparent)]
    Lost(#[from] CrewLost),
}

impl Wave {
    /// Runs the jobs, each of which reads `things`, and calls `midway` when two fifths are done.
    pub async fn run(
        tier: &Tier,
        strata: &mut [Stratum],
        jobs: &[Job],
        things: u64,
        midway: impl FnOnce(&mut [Stratum]),
    ) -> Result<Self, WaveError> {
        let total = jobs.len() as u64 * things;
        let board = Board::new((total * MILESTONE / 100).max(1));
        let (counted, sent) = (tier.counts(), sent(strata));
        let started = Instant::now();
        let mut account = {
            let mut progress = Progress::new(total);
            let mut finished = pin!(Crew::start(jobs, &board)?.finished());
            let mut milestone = pin!(board.milestone());
            let mut midway = Some(midway);
            let mut tick = interval(REFRESH);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    account = &mut finished => break account?,
                    () = &mut milestone, if midway.is_some() => {
                        if let Some(midway) = midway.take() {
                            midway(strata);
                        }
                    }
                    _ = tick.tick() => {
                        let counts = &tier.counts().since(&counted);
                        let elapsed = started.elapsed();
                        progress.show(&Moment { board: &board, total, elapsed, counts });
                    }
                }
            }
        };
        let elapsed = started.elapsed();
        tier.settle().await;
        let latencies = std::mem::take(&mut account.latencies);
        Ok(Self {
            elapsed,
            jobs: account,
            first_byte: latencies.summary(),
            counts: tier.counts().since(&counted),
            sent: sent_by(strata).zip(sent).map(|(now, then)| now.since(then)).collect(),
        })
    }

    /// What all strata sent together.
    pub fn sent_by_all(&self) -> Sent {
        self.sent.iter().copied().fold(Sent::default(), Sent::plus)
    }

    /// Wrong answers that the site's cache recognised.
    pub fn caught(&self) -> u64 {
        self.counts.strata.iter().map(|asked| asked.caught).sum()
    }
}

fn sent_by(strata: &[Stratum]) -> impl Iterator<Item = Sent> {
    strata.iter().map(Stratum::sent)
}

fn sent(strata: &[Stratum]) -> Vec<Sent> {
    sent_by(strata).collect()
}
