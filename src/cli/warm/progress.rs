//! What is seen while objects come: a bar on a terminal, otherwise a line now and then. On standard error.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::figures::{bytes, count, percent, time};
use super::estimate::{Course, Sum};
use crate::warm::Board;

/// How often [`Progress::show`] is worth calling.
pub const REFRESH: Duration = Duration::from_millis(200);

/// Lines come no more often than this.
const LINES: Duration = Duration::from_secs(5);

/// Never wider than the terminal: the text is cut there.
const BAR: &str = "{percent:>3} % [{bar:16}] {wide_msg}";

/// Where it is shown. Dropping it makes room.
pub struct Progress {
    all: Sum,
    rate: Option<u64>,
    begun: Instant,
    /// A bar that is drawn over itself; without a terminal none.
    bar: Option<ProgressBar>,
    latest: Instant,
}

impl Progress {
    /// For all these, at so many bytes a second at the most.
    pub fn new(all: Sum, rate: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(Some(all.work()), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(BAR).ok().filter(|_| !bar.is_hidden());
        let bar = style.map(|style| bar.with_style(style.progress_chars("=> ")));
        Self { all, rate, begun: Instant::now(), bar, latest: Instant::now() }
    }

    /// Shows how far it is.
    pub fn show(&mut self, board: &Board) {
        let failed = board.failed.load(Relaxed);
        let objects = board.brought.load(Relaxed) + failed;
        let course = Course {
            all: self.all,
            ended: Sum { objects, content: board.content.load(Relaxed) },
            received: board.bytes.load(Relaxed),
            elapsed: self.begun.elapsed(),
            rate: self.rate,
        };
        let (work, text) = (course.ended.work(), line(&course, failed));
        match &self.bar {
            Some(bar) => {
                bar.set_position(work);
                bar.set_message(text);
            }
            None if self.latest.elapsed() >= LINES => {
                self.latest = Instant::now();
                eprintln!("{:>3} %  {text}", percent(work, self.all.work()));
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

/// `120 of 490 objects, 1.20 MB of about 3.5 MB, 3.4 MB/s, about 12 s left`
fn line(course: &Course, failed: u64) -> String {
    let left = course.left();
    let (came, all) = (count(course.ended.objects - failed), count(course.all.objects));
    let mut text = format!("{came} of {all} objects, {}", bytes(course.received));
    if let Some(left) = left.filter(|left| left.bytes > 0) {
        text += &format!(" of about {}", bytes(course.received + left.bytes));
    }
    text += &format!(", {}/s", bytes(course.speed()));
    if failed > 0 {
        text += &format!(", {} failed", count(failed));
    }
    if let Some(left) = left {
        text += &format!(", about {} left", time(left.time));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let course = |objects, content, received| Course {
            all: Sum { objects: 490, content: 49_000_000 },
            ended: Sum { objects, content },
            received,
            elapsed: Duration::from_secs(2),
            rate: None,
        };
        assert_eq!(line(&course(0, 0, 0), 0), "0 of 490 objects, 0 B, 0 B/s");
        assert_eq!(
            line(&course(98, 9_800_000, 3_000_000), 0),
            "98 of 490 objects, 3.00 MB of about 15.3 MB, 1.50 MB/s, about 8.0 s left"
        );
        assert_eq!(
            line(&course(490, 49_000_000, 3_000_000), 10),
            "480 of 490 objects, 3.00 MB, 1.50 MB/s, 10 failed"
        );
    }
}
