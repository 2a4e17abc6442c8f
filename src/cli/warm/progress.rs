//! What is seen while objects come: a bar on a terminal, otherwise a line now and then. On standard error.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::figures::{bytes, count, percent, time};
use crate::warm::Board;

/// How often [`Progress::show`] is worth calling.
pub const REFRESH: Duration = Duration::from_millis(200);

/// Lines come no more often than this.
const LINES: Duration = Duration::from_secs(5);

/// Never wider than the terminal: the text is cut there.
const BAR: &str = "{percent:>3} % [{bar:16}] {wide_msg}";

/// Where it is shown. Dropping it makes room.
pub struct Progress {
    total: u64,
    begun: Instant,
    /// A bar that is drawn over itself; without a terminal none.
    bar: Option<ProgressBar>,
    latest: Instant,
}

impl Progress {
    /// For so many objects.
    pub fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(BAR).ok().filter(|_| !bar.is_hidden());
        let bar = style.map(|style| bar.with_style(style.progress_chars("=> ")));
        Self { total, begun: Instant::now(), bar, latest: Instant::now() }
    }

    /// Shows how far it is.
    pub fn show(&mut self, board: &Board) {
        let (done, failed) = (board.brought.load(Relaxed), board.failed.load(Relaxed));
        let text = line(done, failed, board.bytes.load(Relaxed), self.total, self.begun.elapsed());
        match &self.bar {
            Some(bar) => {
                bar.set_position(done + failed);
                bar.set_message(text);
            }
            None if self.latest.elapsed() >= LINES => {
                self.latest = Instant::now();
                eprintln!("{:>3} %  {text}", percent(done + failed, self.total));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `120 of 490 objects, 1.20 MB, 3.4 MB/s, 12 s left`
fn line(done: u64, failed: u64, received: u64, total: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = (received as f64 / seconds) as u64;
    let mut text =
        format!("{} of {} objects, {}, {}/s", count(done), count(total), bytes(received), bytes(rate));
    if failed > 0 {
        text += &format!(", {} failed", count(failed));
    }
    let ended = done + failed;
    if ended > 0 && ended < total {
        let left = seconds * (total - ended) as f64 / ended as f64;
        text += &format!(", {} left", time(Duration::from_secs_f64(left)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let after = Duration::from_secs(2);
        assert_eq!(line(0, 0, 0, 490, after), "0 of 490 objects, 0 B, 0 B/s");
        assert_eq!(line(98, 0, 3_000_000, 490, after), "98 of 490 objects, 3.00 MB, 1.50 MB/s, 8.0 s left");
        assert_eq!(line(480, 10, 0, 490, after), "480 of 490 objects, 0 B, 0 B/s, 10 failed");
    }
}
