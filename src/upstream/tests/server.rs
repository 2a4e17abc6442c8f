//! A server that does what a script says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

use crate::upstream::task::OwnedTask;

/// One act of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Read a request head.
    Read,
    /// Write this.
    Write(&'static str),
    /// Wait for [`Server::release`].
    Wait,
    /// Wait until the peer closes.
    AwaitClose,
    /// Close with a reset rather than in good order.
    Reset,
}
pub(super) use Act::*;

pub(super) const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Plays one script a connection, in order, and closes the connection at the script's end.
pub(super) struct Server {
    address: std::net::SocketAddr,
    stage: Arc<Stage>,
    _task: OwnedTask,
}

#[derive(Default)]
struct Stage {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    closed: AtomicUsize,
    changed: Notify,
    released: Option<Semaphore>,
}

impl Server {
    pub(super) async fn play(scripts: &[&[Act]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stage = Arc::new(Stage { released: Some(Semaphore::new(0)), ..Stage::default() });
        let address = listener.local_addr().unwrap();
        let scripts: Vec<Vec<Act>> = scripts.iter().map(|script| script.to_vec()).collect();
        let on_stage = Arc::clone(&stage);
        let task = OwnedTask::spawn(async move {
            let mut playing = Vec::new();
            for script in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                on_stage.connections.fetch_add(1, Ordering::Relaxed);
                playing.push(OwnedTask::spawn(perform(stream, script, Arc::clone(&on_stage))));
            }
            // Connections beyond the scripts are refused.
            drop(listener);
            std::future::pending::<()>().await;
        });
        Self { address, stage, _task: task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.stage.requests.lock().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::Relaxed)
    }

    /// Lets one [`Act::Wait`] go on.
    pub(super) fn release(&self) {
        self.stage.released.as_ref().unwrap().add_permits(1);
    }

    /// Waits until `count` connections have come to their end.
    pub(super) async fn closed(&self, count: usize) {
        loop {
            let changed = self.stage.changed.notified();
            if self.stage.closed.load(Ordering::Relaxed) >= count {
                return;
            }
            changed.await;
        }
    }
}

async fn perform(mut stream: TcpStream, script: Vec<Act>, stage: Arc<Stage>) {
    for act in script {
        match act {
            Read => match read_head(&mut stream).await {
                Some(head) => stage.requests.lock().push(head),
                None => break,
            },
            Write(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    break;
                }
            }
            Wait => stage.released.as_ref().unwrap().acquire().await.unwrap().forget(),
            AwaitClose => while stream.read(&mut [0; 256]).await.is_ok_and(|n| n > 0) {},
            Reset => SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap(),
        }
    }
    drop(stream);
    stage.closed.fetch_add(1, Ordering::Relaxed);
    stage.changed.notify_waiters();
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}
