//! `serve --ephemeral`: a cache that a job starts for itself, and that leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::client::Client;
use crate::support::{LOOK_AGAIN, PATIENCE};

/// The address in `CVMFS_HTTP_PROXY="http://127.0.0.1:4711"`.
fn address(line: &str) -> SocketAddr {
    let value =
        line.trim().strip_prefix("CVMFS_HTTP_PROXY=\"http://").and_then(|rest| rest.strip_suffix('"'));
    value.unwrap_or_else(|| panic!("not the setting: {line}")).parse().unwrap()
}

async fn until_empty(folder: &Path) {
    let emptied = tokio::time::timeout(PATIENCE, async {
        while std::fs::read_dir(folder).unwrap().next().is_some() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    assert!(emptied.await.is_ok(), "something is left in {}", folder.display());
}

/// A shell that starts the program and waits; its death must be the program's end.
#[tokio::test]
async fn it_serves_until_its_parent_ends_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh")
        .args(["-c", "\"$0\" serve --ephemeral & wait"])
        .arg(env!("CARGO_BIN_EXE_substratum"))
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = address(&line);
    assert!(address.ip().is_loopback());
    let answer = Client::of(address).ask("/index.html").await.unwrap();
    assert_eq!(answer.status(), 403, "it answers, and serves nothing but repositories");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_some(), "it has its folder there");
    kill_process(Pid::from_child(&shell), Signal::KILL).unwrap();
    shell.wait().unwrap();
    until_empty(folder.path()).await;
    assert!(Client::of(address).ask("/index.html").await.is_err(), "nobody listens any more");
}
