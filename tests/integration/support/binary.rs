//! The real program as a process of its own, for what only a process can show: exit codes, signals, sudden death.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::watch;

use super::client::Client;
use super::metric::Claim;
use super::{LOOK_AGAIN, PATIENCE};

/// What the program prints when its proxy port is open.
const LISTENING: &str = "listening on ";

/// The configuration file, in the folder of the process.
const FILE: &str = "substratum.toml";

/// What it prints when its admin port is open.
const ADMIN: &str = "admin on http://";

/// A running process; killed when dropped.
pub struct Binary {
    child: Child,
    proxy: watch::Receiver<Option<SocketAddr>>,
    admin: watch::Receiver<Option<SocketAddr>>,
    said: Arc<Mutex<String>>,
    folder: TempDir,
}

/// A command line of the program.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_substratum"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

impl Binary {
    /// Starts `substratum serve` with the text of a configuration file and waits until it listens.
    pub async fn serve(config: &str) -> Self {
        let mut binary = Self::spawn(config);
        let mut proxy = binary.proxy.clone();
        let listens = tokio::time::timeout(PATIENCE, proxy.wait_for(Option::is_some)).await;
        if !matches!(listens, Ok(Ok(_))) {
            let _ = binary.child.kill();
            panic!("the program does not listen; it said:\n{}", binary.said());
        }
        binary
    }

    /// Starts `substratum serve` and leaves it to the caller what becomes of it.
    pub fn spawn(config: &str) -> Self {
        Self::spawn_with(&["serve"], config)
    }

    /// The same with other arguments.
    pub fn spawn_with(arguments: &[&str], config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(FILE);
        std::fs::write(&file, config).expect("a configuration file");
        let mut child = command(arguments)
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (proxy, proxy_seen) = watch::channel(None);
        let (admin, admin_seen) = watch::channel(None);
        let said = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let heard = said.clone();
        // Ends with the process: the pipe then has no writer left.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *heard.lock() += &format!("{line}\n");
                if let Some(address) = address_after(&line, LISTENING) {
                    proxy.send_replace(Some(address));
                }
                if let Some(address) = address_after(&line, ADMIN) {
                    admin.send_replace(Some(address));
                }
            }
        });
        Self { child, proxy: proxy_seen, admin: admin_seen, said, folder }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.proxy.borrow().expect("it listens")
    }

    /// A client that has yet to connect.
    pub fn client(&self) -> Client {
        Client::of(self.address())
    }

    /// A client of its admin port, once that is known.
    pub async fn admin(&self) -> Client {
        Client::of(self.admin_address().await)
    }

    /// Its admin port, once that is known.
    pub async fn admin_address(&self) -> SocketAddr {
        let mut admin = self.admin.clone();
        let known = tokio::time::timeout(PATIENCE, admin.wait_for(Option::is_some)).await;
        let address = known.ok().and_then(Result::ok).and_then(|address| *address);
        address.unwrap_or_else(|| panic!("no admin port; it said:\n{}", self.said()))
    }

    /// Waits until a claim about its `/metrics` is true.
    pub async fn until(&self, claim: Claim) {
        let mut admin = self.admin().await;
        let mut text = String::new();
        let came_true = tokio::time::timeout(PATIENCE, async {
            loop {
                let answer = admin.ask("/metrics").await.expect("metrics");
                text = String::from_utf8_lossy(&answer.body).into_owned();
                if claim.holds(&text) {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        assert!(came_true.await.is_ok(), "awaited {claim} in\n{text}");
    }

    /// What it wrote to standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().clone()
    }

    /// Waits until it has written `words` to standard error.
    pub async fn until_said(&self, words: &str) {
        let came = tokio::time::timeout(PATIENCE, async {
            while !self.said().contains(words) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        assert!(came.await.is_ok(), "{words} awaited, said:\n{}", self.said());
    }

    /// Writes another configuration, which it does not read by itself.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.folder.path().join(FILE), config).expect("a configuration file");
    }

    /// Asks it to read its configuration (SIGHUP).
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Sudden death (SIGKILL), and the wait for it.
    pub async fn kill(mut self) {
        self.child.kill().expect("the process is there");
        self.exit().await;
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child of ours") {
                    return status;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        let ended = ended.await;
        ended.unwrap_or_else(|_| panic!("the program does not end; it said:\n{}", self.said()))
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        // Both fail when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address_after(line: &str, words: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(words)? + words.len()..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A configuration for [`Binary`]: free ports, strata as mirrors, a disk tier in `folder` if any.
pub fn config_text(strata: &[&super::origin::Stratum], folder: Option<&Path>) -> String {
    let urls: Vec<String> = strata.iter().map(|stratum| stratum.base()).collect();
    let mut text = format!(
        "[listen]\nproxy = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nname = \"binary\"\nworkers = 2\n\
         [memory]\ncapacity = \"16 MiB\"\n[[mirrors]]\nname = \"strata\"\nurls = {urls:?}\n"
    );
    if let Some(folder) = folder {
        text += &format!("[disk]\npath = {folder:?}\ncapacity = \"64 MiB\"\n");
    }
    text
}
