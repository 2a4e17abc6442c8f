//! The jobs of a wave on threads of their own, apart from the caches they ask.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::account::Account;
use super::board::Board;
use super::job::Job;

/// More threads would only take the processors from the caches.
const MAX_THREADS: usize = 4;

/// Jobs at work. Dropping it stops them.
pub struct Crew {
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    accounts: Vec<oneshot::Receiver<Account>>,
}

/// A thread ended without an account of its jobs.
#[derive(Debug, thiserror::Error)]
#[error("a thread of jobs ended early")]
pub struct CrewLost;

impl Crew {
    /// Starts all jobs at once.
    pub fn start(jobs: &[Job], board: &Arc<Board>) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.min(MAX_THREADS).min(jobs.len()).max(1);
        let (stop, stopped) = watch::channel(false);
        let mut crew = Self { stop, threads: Vec::new(), accounts: Vec::new() };
        for first in 0..threads {
            let jobs: Vec<Job> = jobs.iter().skip(first).step_by(threads).cloned().collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (report, account) = oneshot::channel();
            let (board, mut stopped) = (Arc::clone(board), stopped.clone());
            let run = move || {
                let work = async {
                    tokio::select! {
                        account = all(jobs, board) => {
                            // Nobody asks any more when the crew is gone.
                            let _ = report.send(account);
                        }
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                };
                runtime.block_on(work);
            };
            crew.threads.push(std::thread::Builder::new().name(format!("jobs-{first}")).spawn(run)?);
            crew.accounts.push(account);
        }
        Ok(crew)
    }

    /// Waits for all jobs; the sum of what they experienced.
    pub async fn finished(mut self) -> Result<Account, CrewLost> {
        let mut sum = Account::default();
        for account in self.accounts.drain(..) {
            sum.merge(account.await.map_err(|_| CrewLost)?);
        }
        Ok(sum)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Nobody listens when all have finished.
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of jobs had panicked");
            }
        }
    }
}

async fn all(jobs: Vec<Job>, board: Arc<Board>) -> Account {
    let mut running: JoinSet<Account> = jobs.into_iter().map(|job| job.run(Arc::clone(&board))).collect();
    let mut sum = Account::default();
    while let Some(job) = running.join_next().await {
        match job {
            Ok(account) => sum.merge(account),
            Err(error) => {
                tracing::error!(%error, "a job cannot go on");
                sum.failed += 1;
            }
        }
    }
    sum
}
