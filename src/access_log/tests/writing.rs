//! From the loggers to the sink: order, loss, the end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::queue::{Order, Queue, Refused};
use super::super::sink::{Short, Sink};
use super::super::{AccessLog, BLOCK_BYTES, OpenError, QUEUE_BYTES, Record};
use super::{metrics, record};
use crate::config::{AccessLogFormat, ByteSize, Log};

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Sink for Memory {
    fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        self.0.lock().extend_from_slice(lines);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.0.lock().extend_from_slice(b"-- rotated --\n");
        Ok(())
    }
}

/// Says when it is given something, and waits for leave.
struct Gate {
    entered: Sender<()>,
    leave: Receiver<()>,
    memory: Memory,
}

impl Sink for Gate {
    fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        self.entered.send(()).unwrap();
        // Once the test has dropped its end, everything passes.
        let _ = self.leave.recv();
        self.memory.append(lines)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.memory.rotate()
    }
}

/// Fails after some bytes of each block, for a while.
struct Failing {
    times: usize,
    kept: usize,
    memory: Memory,
}

impl Sink for Failing {
    fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        if self.times == 0 {
            return self.memory.append(lines);
        }
        self.times -= 1;
        self.memory.append(&lines[..self.kept])?;
        Err(Short { kept: self.kept, source: io::ErrorKind::StorageFull.into() })
    }

    fn rotate(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn config(access: AccessLogFormat, path: Option<PathBuf>) -> Log {
    Log { access, path, max_size: ByteSize::mib(1), keep: 1 }
}

#[test]
fn off_means_no_logger() {
    let log = AccessLog::open(&config(AccessLogFormat::Off, None), metrics()).unwrap();
    assert!(log.logger().is_none());
    log.reopen();
    log.close();
}

#[test]
fn a_missing_folder_is_named() {
    let path = PathBuf::from("/nonexistent/access.log");
    let error = AccessLog::open(&config(AccessLogFormat::Json, Some(path)), metrics()).err().unwrap();
    assert!(matches!(error, OpenError::File { .. }));
    assert!(error.to_string().contains("/nonexistent/access.log"), "{error}");
}

#[test]
fn closing_writes_what_every_logger_holds() {
    let memory = Memory::default();
    let metrics = metrics();
    let log = AccessLog::start(AccessLogFormat::Combined, Box::new(memory.clone()), metrics.clone()).unwrap();
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let logger = log.logger().unwrap();
            thread::spawn(move || {
                for request in 0..1000 {
                    let uri = format!("/{worker}/{request}");
                    logger.log(&Record { uri: &uri, ..record() });
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    log.close();

    let written = String::from_utf8(memory.0.lock().clone()).unwrap();
    for worker in 0..4 {
        let prefix = format!("GET /{worker}/");
        let order: Vec<usize> = written
            .lines()
            .filter_map(|line| line.split_once(&prefix)?.1.split_once(' ')?.0.parse().ok())
            .collect();
        assert_eq!(order, Vec::from_iter(0..1000));
    }
    assert_eq!(metrics.lines.get(), 4000);
}

#[test]
fn full_blocks_and_flushed_ones_are_written_before_the_end() {
    let (entered, blocks) = mpsc::channel();
    let (leave, wait) = mpsc::channel();
    let memory = Memory::default();
    let gate = Gate { entered, leave: wait, memory: memory.clone() };
    let log = AccessLog::start(AccessLogFormat::Json, Box::new(gate), metrics()).unwrap();
    drop(leave);
    let logger = log.logger().unwrap();

    logger.flush(); // Nothing to write.
    logger.log(&record());
    logger.flush();
    blocks.recv().unwrap();

    let line = "x".repeat(8000);
    for _ in 0..BLOCK_BYTES / line.len() {
        logger.log(&Record { uri: &line, ..record() });
    }
    blocks.recv().unwrap();
    log.close();
    assert!(blocks.try_recv().is_err(), "two blocks are due");
}

#[test]
fn a_blocked_writer_costs_lines_and_nothing_else() {
    let (entered, blocks) = mpsc::channel();
    let (leave, wait) = mpsc::channel();
    let memory = Memory::default();
    let metrics = metrics();
    let gate = Gate { entered, leave: wait, memory: memory.clone() };
    let log = AccessLog::start(AccessLogFormat::Squid, Box::new(gate), metrics.clone()).unwrap();
    let logger = log.logger().unwrap();
    logger.log(&record());
    logger.flush();
    blocks.recv().unwrap(); // Now it blocks.

    let uri = "x".repeat(8000);
    let lines = 2 * QUEUE_BYTES as u64 / 8000;
    for _ in 0..lines {
        logger.log(&Record { uri: &uri, ..record() });
    }
    let dropped = metrics.dropped_behind.get();
    assert!(dropped > lines / 3, "{dropped} of {lines}");
    assert_eq!(metrics.lines.get(), 0);

    drop(leave);
    log.close();
    assert_eq!(metrics.dropped_behind.get(), dropped);
    assert_eq!(metrics.lines.get(), lines + 1 - dropped);
    let written = memory.0.lock();
    assert_eq!(written.iter().filter(|&&c| c == b'\n').count() as u64, metrics.lines.get());
    assert!(written.len() < QUEUE_BYTES + 3 * BLOCK_BYTES);
}

#[test]
fn what_could_not_be_written_is_counted_and_the_next_lines_are_tried() {
    let memory = Memory::default();
    let metrics = metrics();
    let mut line = Vec::new();
    super::super::line::Formatter::new(AccessLogFormat::Squid).write(&record(), &mut line);
    let sink = Failing { times: 2, kept: line.len(), memory: memory.clone() };
    let log = AccessLog::start(AccessLogFormat::Squid, Box::new(sink), metrics.clone()).unwrap();
    let logger = log.logger().unwrap();
    for _ in 0..3 {
        for _ in 0..5 {
            logger.log(&record());
        }
        logger.flush();
    }
    log.close();
    assert_eq!(metrics.dropped_failed.get(), 8, "four of each block that failed");
    assert_eq!(metrics.lines.get(), 7);
    assert_eq!(*memory.0.lock(), line.repeat(7));
}

#[test]
fn a_full_device_drops_lines() {
    let metrics = metrics();
    let config = config(AccessLogFormat::Squid, Some("/dev/full".into()));
    let log = AccessLog::open(&config, metrics.clone()).unwrap();
    log.logger().unwrap().log(&record());
    log.close();
    assert_eq!((metrics.lines.get(), metrics.dropped_failed.get()), (0, 1));
}

#[test]
fn after_the_end_lines_are_dropped() {
    let metrics = metrics();
    let memory = Memory::default();
    let log = AccessLog::start(AccessLogFormat::Squid, Box::new(memory.clone()), metrics.clone()).unwrap();
    let logger = log.logger().unwrap();
    log.close();
    logger.log(&record());
    logger.flush();
    assert_eq!(metrics.dropped_closed.get(), 1);
    assert!(memory.0.lock().is_empty());
}

#[test]
fn the_queue_is_bounded_and_ends_once_empty() {
    let queue = Queue::new(10);
    assert_eq!(queue.push(&mut vec![0; 6]), Ok(()));
    let mut second = vec![1; 5];
    assert_eq!(queue.push(&mut second), Err(Refused::Full));
    assert_eq!(second, [1; 5], "refused lines stay");

    queue.rotate();
    queue.close(vec![second, vec![]]);
    assert_eq!(queue.push(&mut vec![2]), Err(Refused::Closed));
    assert!(matches!(queue.next(), Order::Rotate));
    assert!(matches!(queue.next(), Order::Write(lines) if lines == [0; 6]));
    assert!(matches!(queue.next(), Order::Write(lines) if lines == [1; 5]));
    assert!(matches!(queue.next(), Order::End));
    assert!(!queue.wait_until_finished(Duration::ZERO));
    queue.finish();
    assert!(queue.wait_until_finished(Duration::ZERO));
}
