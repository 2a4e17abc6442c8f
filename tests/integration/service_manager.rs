//! The program under a service manager, for which the plays stand in: sockets passed on, messages, a watchdog.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::binary::{Binary, command, config_text};
use crate::support::client::Client;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;

/// The socket on which a manager hears.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    fn start(&self, config: &str, watchdog_usec: Option<&str>) -> Binary {
        let mut command = command(&["serve"]);
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        if let Some(time) = watchdog_usec {
            command.env("WATCHDOG_USEC", time);
        }
        Binary::run(command, config)
    }

    /// The next message that is not a sign of life.
    fn hears(&self) -> String {
        loop {
            let message = self.hears_anything();
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }

    fn hears_anything(&self) -> String {
        let mut message = [0; 4096];
        let n = self.socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..n]).trim().to_owned()
    }
}

#[tokio::test]
async fn the_manager_is_told_what_goes_on() {
    let manager = Manager::new();
    let stratum = Origin::new().run();
    let config = config_text(&[&stratum], None);
    let mut binary = manager.start(&config, None);
    let ready = manager.hears();
    assert!(ready.starts_with("READY=1\nSTATUS=serving on 127.0.0.1:"), "{ready}");
    binary.hang_up();
    let reloading = manager.hears();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert!(manager.hears().starts_with("READY=1\n"));
    binary.configure("nonsense");
    binary.hang_up();
    assert!(manager.hears().starts_with("RELOADING=1\n"));
    let refused = manager.hears();
    assert!(refused.contains("the last reload was refused"), "{refused}");
    binary.terminate();
    assert!(manager.hears().starts_with("STOPPING=1\n"));
    assert_eq!(binary.exit().await.code(), Some(0));
}

#[tokio::test]
async fn the_watchdog_hears_that_all_workers_move() {
    let manager = Manager::new();
    let stratum = Origin::new().run();
    let _binary = manager.start(&config_text(&[&stratum], None), Some("3000000"));
    assert!(manager.hears().starts_with("READY=1\n"));
    for _ in 0..2 {
        assert_eq!(manager.hears_anything(), "WATCHDOG=1");
    }
}

/// Starts the program with `socket` as its first passed descriptor. A shell puts it there, and becomes the program.
fn on_socket(socket: &TcpListener, config: &str) -> Binary {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 0</dev/null"])
        .arg(env!("CARGO_BIN_EXE_substratum"))
        .arg("serve")
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    Binary::run(shell, config)
}

fn config_on(address: SocketAddr, stratum: &crate::support::origin::Stratum) -> String {
    config_text(&[stratum], None).replace("127.0.0.1:0\"]", &format!("{address}\"]"))
}

/// Clients that connect anew for each request, while the program is stopped and started five times.
#[tokio::test]
async fn restarts_refuse_nobody() {
    let object = Object::generate(1, 20_000);
    let stratum = Origin::new().object(&object).run();
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let config = config_on(address, &stratum);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (url, object, stop) = (stratum.url(&object.path()), object.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = Client::of(address).ask(&url).await;
                    match answer {
                        Ok(answer) => assert!(answer.status() == 200 && answer.body == object.bytes),
                        Err(error) => panic!("after {answered} answers: {error}"),
                    }
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for _ in 0..5 {
        let mut binary = on_socket(&socket, &config);
        binary.until(metric("substratum_requests_total").at_least(50)).await;
        binary.terminate();
        assert_eq!(binary.exit().await.code(), Some(0), "{}", binary.said());
    }
    let last = on_socket(&socket, &config);
    last.until(metric("substratum_requests_total").at_least(10)).await;
    stop.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert!(answered >= 250, "{answered}");
}

#[tokio::test]
async fn a_socket_that_nobody_would_answer_is_refused() {
    let stratum = Origin::new().run();
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut binary = on_socket(&socket, &config_text(&[&stratum], None));
    assert_eq!(binary.exit().await.code(), Some(1));
    binary.until_said(&format!("passes a socket for {}", socket.local_addr().unwrap())).await;
    // What is no listening socket is refused, too.
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("file")).unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 0</dev/null"])
        .args([env!("CARGO_BIN_EXE_substratum"), "serve"])
        .stdin(Stdio::from(file));
    let mut binary = Binary::run(shell, &config_text(&[&stratum], None));
    assert_eq!(binary.exit().await.code(), Some(1));
}
