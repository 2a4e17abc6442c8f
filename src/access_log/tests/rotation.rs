//! Files: sizes, ages, and what others do to them meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::sink::{self, Sink};
use super::super::{AccessLog, Record};
use super::{metrics, record};
use crate::config::{AccessLogFormat, ByteSize, Log};

/// A folder with an open log.
struct Files {
    dir: tempfile::TempDir,
    sink: Box<dyn Sink>,
}

impl Files {
    fn new(max_size: u64, keep: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sink = sink::open(&dir.path().join("access.log"), max_size, keep).unwrap();
        Self { dir, sink }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&mut self, lines: &str) {
        self.sink.append(lines.as_bytes()).unwrap();
    }

    /// Names and contents, by name.
    fn all(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let all = self.all();
        let all: Vec<_> = all.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
        assert_eq!(all, expected);
    }
}

#[test]
fn a_file_that_would_grow_too_large_is_rotated() {
    let mut files = Files::new(8, 2);
    files.append("1111\n");
    files.append("22\n");
    files.check(&[("access.log", "1111\n22\n")]);
    files.append("3333\n");
    files.check(&[("access.log", "3333\n"), ("access.log.1", "1111\n22\n")]);
    files.append("4444\n");
    files.append("5555\n");
    files.check(&[("access.log", "5555\n"), ("access.log.1", "4444\n"), ("access.log.2", "3333\n")]);
}

#[test]
fn nothing_is_kept_when_nothing_is_to_be_kept() {
    let mut files = Files::new(8, 0);
    files.append("1111\n");
    files.append("2222\n");
    files.check(&[("access.log", "2222\n")]);
}

#[test]
fn a_rotation_can_be_asked_for() {
    let mut files = Files::new(1000, 3);
    files.append("1\n");
    files.sink.rotate().unwrap();
    files.append("2\n");
    files.check(&[("access.log", "2\n"), ("access.log.1", "1\n")]);
}

#[test]
fn a_file_that_somebody_renamed_is_only_replaced() {
    let mut files = Files::new(1000, 3);
    files.append("1\n");
    fs::rename(files.path("access.log"), files.path("access.log-20251122")).unwrap();
    files.append("2\n");
    files.sink.rotate().unwrap();
    files.append("3\n");
    files.check(&[("access.log", "3\n"), ("access.log-20251122", "1\n2\n")]);
}

#[test]
fn a_file_that_somebody_truncated_goes_on() {
    let mut files = Files::new(8, 1);
    files.append("111111\n");
    fs::OpenOptions::new().write(true).open(files.path("access.log")).unwrap().set_len(0).unwrap();
    files.append("222222\n");
    files.check(&[("access.log", "222222\n")]);
}

#[test]
fn an_older_file_is_continued_on_a_line_of_its_own() {
    let mut files = Files::new(1000, 1);
    fs::write(files.path("access.log"), "whole\ntor").unwrap();
    files.sink = sink::open(&files.path("access.log"), 1000, 1).unwrap();
    files.append("1\n");
    files.append("2\n");
    files.check(&[("access.log", "whole\ntor\n1\n2\n")]);
}

#[test]
fn when_rotating_fails_the_limit_holds() {
    let mut files = Files::new(8, 1);
    files.append("1111\n");
    // A folder with something in it cannot be renamed over.
    fs::create_dir_all(files.path("access.log.1/x")).unwrap();
    let short = files.sink.append(b"2222\n").unwrap_err();
    assert_eq!(short.kept, 0);
    fs::remove_dir_all(files.path("access.log.1")).unwrap();
    files.append("3333\n");
    files.check(&[("access.log", "3333\n"), ("access.log.1", "1111\n")]);
}

#[test]
fn others_may_not_read_it() {
    let files = Files::new(8, 1);
    let mode = fs::metadata(files.path("access.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o027, 0, "{mode:o}");
}

#[test]
fn the_whole_log_rotates() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let config = Log {
        access: AccessLogFormat::Squid,
        path: Some(path.clone()),
        max_size: ByteSize::kib(64),
        keep: 2,
    };
    let metrics = metrics();
    let log = AccessLog::open(&config, metrics.clone()).unwrap();
    let logger = log.logger().unwrap();
    for request in 0..5_000 {
        let uri = format!("/{request}");
        logger.log(&Record { uri: &uri, ..record() });
    }
    log.close();

    assert_eq!(metrics.lines.get(), 5_000);
    let names = ["access.log.2", "access.log.1", "access.log"];
    let sizes = names.map(|name| fs::metadata(dir.path().join(name)).unwrap().len());
    assert!(sizes.iter().all(|&size| size <= 64 << 10), "{sizes:?}");
    let text: String = names.map(|name| fs::read_to_string(dir.path().join(name)).unwrap()).concat();
    let last: Vec<_> = text.lines().map(|line| line.split(' ').nth_back(3).unwrap()).collect();
    let first = 5_000 - last.len();
    assert!(last.iter().zip(first..).all(|(uri, request)| *uri == format!("/{request}")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_sum_is_bounded(
        blocks in prop::collection::vec(1..200_usize, 1..40),
        max_size in 1..400_u64,
        keep in 0..4_usize,
    ) {
        let mut files = Files::new(max_size, keep);
        let largest = *blocks.iter().max().unwrap() as u64;
        for size in blocks {
            files.append(&format!("{}\n", "x".repeat(size - 1)));
            let all = files.all();
            prop_assert!(all.len() <= keep + 1);
            prop_assert!(all.iter().all(|(_, content)| content.len() as u64 <= max_size.max(largest)));
        }
    }
}
