//! `substratum demo` as a newcomer runs it, only smaller: it ends well, says what it counted, and leaves nothing.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::binary::command;
use crate::support::{LOOK_AGAIN, PATIENCE};

/// Small enough for a build that is not optimised.
const SMALL: [&str; 7] = ["demo", "--objects", "150", "--jobs", "4", "--nodes", "2"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The three numbers behind a label of the table.
fn row(report: &str, label: &str) -> [u64; 3] {
    let line = report.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(label));
    let line = line.unwrap_or_else(|| panic!("no line {label:?} in\n{report}"));
    let numbers: Vec<u64> =
        line.split_whitespace().map(|number| number.replace(',', "").parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn it_keeps_its_promises_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output: Output = command(&SMALL).env("TMPDIR", folder.path()).output().unwrap();
    let (report, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{report}\n{errors}");
    assert_eq!(entries(folder.path()), [""; 0]);
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(!report.contains('\x1b'), "no colours but on a terminal: {report}");
    for line in report.lines().chain(errors.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }

    // The image and its catalog, four times each.
    assert_eq!(row(&report, "objects that match their name"), [604; 3]);
    let sent = row(&report, "objects sent  ");
    assert!(sent[0] >= 151 && sent[1] == 0 && sent[2] > 0, "{sent:?}");
    assert_eq!(row(&report, "answers with wrong bytes"), [0; 3]);
    assert_eq!(row(&report, "requests that failed finally"), [0; 3]);
    let wrong = row(&report, "wrong answers sent");
    assert!(wrong[..2] == [0, 0] && wrong[2] > 0, "{wrong:?}");
    assert!(report.contains("As it should be"), "{report}");
}

#[test]
fn what_it_should_keep_is_kept_and_met_empty() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let tiny = ["demo", "--objects", "10", "--jobs", "1", "--nodes", "1", "--keep", keep.to_str().unwrap()];
    let output = command(&tiny).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(entries(&keep), ["node-1", "node-1.toml", "site", "site.toml"]);
    let checked = command(&["check", "--config"]).arg(keep.join("node-1.toml")).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));

    let output = command(&tiny).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is not empty"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn broken_off_it_leaves_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(&["demo", "--objects", "3000", "--jobs", "60"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(PATIENCE, async {
        // The last node's cache has its folder: the waves are about to begin.
        let place = |root: &Path| entries(root).first().map(|name| root.join(name).join("node-4"));
        while !place(folder.path()).is_some_and(|node| node.exists()) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    let status = ended.await;
    let _ = child.kill();
    assert_eq!(status.unwrap().code(), Some(130));
    assert_eq!(entries(folder.path()), [""; 0]);
}
