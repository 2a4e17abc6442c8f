//! What is seen while a wave runs: a bar on a terminal, otherwise a line a second at most.
//!
//! Goes to standard error, so that the report on standard output can be kept.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::Board;
use super::figures::{bytes, count, percent};
use super::tier::Counts;

/// How often [`Progress::show`] is worth calling.
pub const REFRESH: Duration = Duration::from_millis(100);

/// Lines come no more often than this.
const LINES: Duration = Duration::from_secs(1);

/// At most 100 columns, whatever the numbers.
const BAR: &str = "   [{bar:20}] {msg}";

/// Where the progress of one wave is shown. Dropping it makes room for the report.
pub enum Progress {
    /// A bar that is drawn over itself.
    Bar(ProgressBar),
    /// Lines for a log; the latest was written then.
    Lines(Instant),
}

/// A wave in numbers, while it runs.
pub struct Moment<'a> {
    /// What the jobs have done.
    pub board: &'a Board,
    /// What they will have done in the end.
    pub total: u64,
    /// Since the start of the wave.
    pub elapsed: Duration,
    /// What the caches counted since then.
    pub counts: &'a Counts,
}

impl Progress {
    /// A bar, if standard error is a terminal.
    pub fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        match (bar.is_hidden(), ProgressStyle::with_template(BAR)) {
            (false, Ok(style)) => Self::Bar(bar.with_style(style.progress_chars("=> "))),
            _ => Self::Lines(Instant::now()),
        }
    }

    /// Shows where the wave is.
    pub fn show(&mut self, moment: &Moment<'_>) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(moment.line());
                bar.set_position(moment.board.progress().0);
            }
            Self::Lines(latest) if latest.elapsed() >= LINES => {
                *latest = Instant::now();
                let (done, _) = moment.board.progress();
                eprintln!("   {:>3} %  {}", percent(done, moment.total), moment.line());
            }
            Self::Lines(_) => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Moment<'_> {
    fn line(&self) -> String {
        let (done, received) = self.board.progress();
        let rate = (done as f64 / self.elapsed.as_secs_f64().max(0.001)) as u64;
        let strata: u64 = self.counts.strata.iter().map(|asked| asked.requests).sum();
        format!(
            "{} answers, {}/s, {}; site asked {}, strata {}",
            count(done),
            count(rate),
            bytes(received),
            count(self.counts.site.all()),
            count(strata),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tier::{Answers, Asked};
    use super::*;

    #[test]
    fn a_line_has_room_on_a_terminal() {
        let board = Board::new(0);
        board.received(123_456_789_012);
        (0..2_880_288).for_each(|_| board.done());
        let asked = Asked { requests: 12_345, ..Asked::default() };
        let counts = Counts { nodes: Answers::default(), site: Answers::default(), strata: vec![asked; 3] };
        let elapsed = Duration::from_secs(60);
        let moment = Moment { board: &board, total: 2_880_288, elapsed, counts: &counts };
        let site_asked_too = ",123,456".len();
        let width = "   [====================] ".len() + moment.line().len() + site_asked_too;
        assert!(width <= 100, "{width}: {}", moment.line());
    }
}
