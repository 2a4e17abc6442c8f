//! The writer thread: takes blocks from the queue, and appends them to the sink.
//!
//! Trouble is said once when it begins and once when it ends; the counter says how much was lost.

use super::queue::{Order, Queue};
use super::sink::{Short, Sink};
use super::text::count_lines;
use crate::metrics::LogMetrics;

/// Runs until the queue is closed and empty.
pub(super) fn run(queue: &Queue, sink: &mut dyn Sink, metrics: &LogMetrics) {
    let _finish = Finish(queue);
    let mut condition = Condition::Good;
    loop {
        match queue.next() {
            Order::Write(lines) => {
                let written = sink.append(&lines);
                let kept = written.as_ref().map_or_else(|short| short.kept, |()| lines.len());
                let (kept, lost) = lines.split_at(kept);
                metrics.lines.inc_by(count_lines(kept));
                let lost = count_lines(lost);
                metrics.dropped_failed.inc_by(lost);
                condition = condition.after(written, lost);
                queue.recycle(lines);
            }
            Order::Rotate => {
                if let Err(error) = sink.rotate() {
                    tracing::error!(%error, "cannot rotate the access log: it goes on in the old file");
                }
            }
            Order::End => break,
        }
    }
}

/// Whether the latest block could be written.
enum Condition {
    Good,
    Failing { lost: u64 },
}

impl Condition {
    fn after(self, written: Result<(), Short>, lost_now: u64) -> Self {
        match (self, written) {
            (Self::Good, Ok(())) => Self::Good,
            (Self::Good, Err(short)) => {
                tracing::error!(error = %short.source, "cannot write the access log: lines are dropped until it works again");
                Self::Failing { lost: lost_now }
            }
            (Self::Failing { lost }, Err(_)) => Self::Failing { lost: lost + lost_now },
            (Self::Failing { lost }, Ok(())) => {
                tracing::info!(lost, "the access log is written again");
                Self::Good
            }
        }
    }
}

/// Says so even when the sink panics: whoever closes the log must not wait in vain.
struct Finish<'a>(&'a Queue);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}
