//! What is seen while objects come: a bar on a terminal, otherwise a line now and then. On standard error.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::figures::{bytes, count, percent, time};
use super::estimate::{Course, Sum};
use crate::warm::{Board, Surveyed};

/// How often [`Progress::show`] is worth calling.
pub const REFRESH: Duration = Duration::from_millis(200);

/// Lines come no more often than this.
const LINES: Duration = Duration::from_secs(5);

/// Never wider than the terminal: the text is cut there.
const BAR: &str = "{percent:>3} % [{bar:16}] {wide_msg}";
const TEXT: &str = "{wide_msg}";

/// Where it is shown. Dropping it makes room.
struct Screen {
    /// What is drawn over itself; without a terminal nothing.
    bar: Option<ProgressBar>,
    latest: Instant,
}

impl Screen {
    fn new(all: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(all, ProgressDrawTarget::stderr());
        let template = if all.is_some() { BAR } else { TEXT };
        let style = ProgressStyle::with_template(template).ok().filter(|_| !bar.is_hidden());
        let bar = style.map(|style| bar.with_style(style.progress_chars("=> ")));
        Self { bar, latest: Instant::now() }
    }

    /// `part` of all, and in words; `share` stands before them where there is no bar.
    fn show(&mut self, part: u64, share: &str, text: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.set_position(part);
            }
            None if self.latest.elapsed() >= LINES => {
                self.latest = Instant::now();
                eprintln!("{share}{text}");
            }
            None => {}
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Of catalogs: how many there are is not known before.
pub struct Reading {
    surveyed: Arc<Surveyed>,
    screen: Screen,
}

impl Reading {
    /// Of those that this is about.
    pub fn new(surveyed: Arc<Surveyed>) -> Self {
        Self { surveyed, screen: Screen::new(None) }
    }

    /// Shows how many were read.
    pub fn show(&mut self) {
        let (catalogs, size) = (self.surveyed.catalogs(), bytes(self.surveyed.bytes()));
        self.screen.show(0, "", format!("reading catalogs: {} so far, {size}", count(catalogs)));
    }
}

/// Of objects.
pub struct Progress {
    all: Sum,
    rate: Option<u64>,
    begun: Instant,
    screen: Screen,
}

impl Progress {
    /// For all these, at so many bytes a second at the most.
    pub fn new(all: Sum, rate: Option<u64>) -> Self {
        Self { all, rate, begun: Instant::now(), screen: Screen::new(Some(all.work())) }
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
        let work = course.ended.work();
        let share = format!("{:>3} %  ", percent(work, self.all.work()));
        self.screen.show(work, &share, line(&course, failed));
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
