//! The access log: one line a request, written when its body has ended.
//!
//! Each worker formats into a block of its own; whole blocks go to one writer thread through a bounded queue.
//! Serving never waits for the log: when the writer cannot keep up, or the disk is full, lines are dropped and
//! counted (`substratum_log_dropped_lines_total`). Whatever a client sends, a record is exactly one line.
//!
//! Not here: what the program says about itself (that is `tracing`), and any clock: times come in with the record.

mod clock;
mod combined;
mod json;
mod line;
mod queue;
mod record;
mod sink;
mod squid;
#[cfg(test)]
mod tests;
mod text;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

pub use self::json::{FIELDS, Field};
use self::line::Formatter;
use self::queue::{Queue, Refused};
pub use self::record::{Ending, LoggedHeaders, Record};
use self::sink::Sink;
use crate::config::{AccessLogFormat, Log};
use crate::metrics::LogMetrics;

/// The log of one process: owns the writer thread. Dropping it is closing it.
pub struct AccessLog {
    /// Nothing when the configuration says `access = "off"`.
    running: Option<Running>,
}

struct Running {
    format: AccessLogFormat,
    queue: Arc<Queue>,
    /// Every logger handed out, to collect their last lines. As many as there are workers.
    loggers: Mutex<Vec<Logger>>,
    writer: Option<JoinHandle<()>>,
    metrics: LogMetrics,
}

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file (or its folder) is missing, not ours to write, ...
    #[error("cannot open the access log {}: {source}", path.display())]
    File {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output is closed.
    #[error("cannot write the access log to standard output: {0}")]
    StandardOutput(#[source] io::Error),
    /// The system has no thread left for the writer.
    #[error("cannot start the writer of the access log: {0}")]
    Thread(#[source] io::Error),
}

impl AccessLog {
    /// Opens the file (or standard output) and starts the writer thread.
    pub fn open(config: &Log, metrics: LogMetrics) -> Result<Self, OpenError> {
        if config.access == AccessLogFormat::Off {
            return Ok(Self { running: None });
        }
        let sink = match &config.path {
            Some(path) => sink::open(path, config.max_size.bytes(), config.keep)
                .map_err(|source| OpenError::File { path: path.clone(), source })?,
            None => sink::standard_output().map_err(OpenError::StandardOutput)?,
        };
        Self::start(config.access, sink, metrics)
    }

    /// The seam for tests: any sink.
    fn start(
        format: AccessLogFormat,
        mut sink: Box<dyn Sink>,
        metrics: LogMetrics,
    ) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::new(QUEUE_BYTES));
        let writer = thread::Builder::new()
            .name("access-log".into())
            .spawn({
                let (queue, metrics) = (queue.clone(), metrics.clone());
                move || writer::run(&queue, sink.as_mut(), &metrics)
            })
            .map_err(OpenError::Thread)?;
        let loggers = Mutex::new(Vec::new());
        Ok(Self { running: Some(Running { format, queue, loggers, writer: Some(writer), metrics }) })
    }

    /// A logger for one worker; nothing when the log is off. Clones of it share its block, so ask once a worker.
    pub fn logger(&self) -> Option<Logger> {
        let running = self.running.as_ref()?;
        let logger = Logger {
            block: Arc::new(Mutex::new(Block {
                formatter: Formatter::new(running.format),
                lines: Vec::with_capacity(BLOCK_BYTES + BLOCK_SLACK),
            })),
            queue: running.queue.clone(),
            metrics: running.metrics.clone(),
        };
        running.loggers.lock().push(logger.clone());
        Some(logger)
    }

    /// Rotates now: `access.log` becomes `access.log.1`. When somebody else has renamed it already, a new file is
    /// opened and nothing else is touched. Does nothing on standard output. Does not wait for it to be done.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            running.queue.rotate();
        }
    }

    /// Writes what all loggers hold, and ends the writer. Waits 5 s at most for a sink that blocks.
    /// Lines logged later are dropped.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gathered before, not while, the queue is locked: a logger locks its block first and the queue second.
        let last: Vec<_> = self.loggers.get_mut().drain(..).map(|logger| logger.take()).collect();
        self.queue.close(last);
        if self.queue.wait_until_finished(CLOSE_PATIENCE) {
            if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
                tracing::error!("the writer of the access log had panicked");
            }
        } else {
            tracing::warn!("the access log blocks: its last lines are lost");
        }
    }
}

/// One worker's end of the log. Cheap to clone: clones share one block, so keep them on that worker.
#[derive(Clone)]
pub struct Logger {
    block: Arc<Mutex<Block>>,
    queue: Arc<Queue>,
    metrics: LogMetrics,
}

/// Lines that the writer has not seen yet. At most [`BLOCK_BYTES`] and one line.
struct Block {
    formatter: Formatter,
    lines: Vec<u8>,
}

impl Logger {
    /// Adds one line. Never waits for the writer.
    pub fn log(&self, record: &Record<'_>) {
        let mut block = self.block.lock();
        let Block { formatter, lines } = &mut *block;
        formatter.write(record, lines);
        if lines.len() >= BLOCK_BYTES {
            self.pass_on(lines);
        }
    }

    /// Passes what has gathered to the writer: called about once a second, so that a quiet worker's lines appear.
    pub fn flush(&self) {
        let mut block = self.block.lock();
        if !block.lines.is_empty() {
            self.pass_on(&mut block.lines);
        }
    }

    fn pass_on(&self, lines: &mut Vec<u8>) {
        let Err(why) = self.queue.push(lines) else { return };
        let dropped = match why {
            Refused::Full => &self.metrics.dropped_behind,
            Refused::Closed => &self.metrics.dropped_closed,
        };
        dropped.inc_by(text::count_lines(lines));
        lines.clear();
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.block.lock().lines)
    }
}

/// A block goes to the writer when it has grown to this.
const BLOCK_BYTES: usize = 32 << 10;
/// Room for the line that fills a block, so that it seldom grows.
const BLOCK_SLACK: usize = 2 << 10;
/// What may wait for the writer: a second's worth of lines at 40,000 requests/s.
const QUEUE_BYTES: usize = 8 << 20;
/// How long closing waits for a sink that blocks (a full pipe, a hanging file system).
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
