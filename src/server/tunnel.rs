//! What goes through a tunnel, in both directions, until both ends are done: a byte stream that nobody looks at.
//!
//! A tunnel through which nothing goes is closed by the sweep like any idle connection. When the process is stopping, one
//! through which nothing goes for [`QUIET`] is ended; the others have until `drain_timeout`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;

use super::stream::ClientStream;
use super::{Phase, draining};
use crate::service::{Legacy, Tunnel};
use crate::tally::{Activity, Ending, Tally};

/// Seconds without a byte after which a tunnel ends that holds up the end of the process.
const QUIET: u32 = 2;
/// How often to look whether it does.
const LOOK: Duration = Duration::from_millis(250);
/// Bytes on their way in each direction.
const BUFFER: usize = 16 << 10;

/// Takes the connection over from the parser, and carries what is to go through it.
pub(super) async fn inherit(
    Legacy { connection, tunnel }: Legacy,
    phase: watch::Receiver<Phase>,
    activity: &Arc<Activity>,
) {
    let Ok(connection) = connection.await else { return };
    // Nothing else is ever served.
    let Ok(parts) = connection.downcast::<TokioIo<ClientStream>>() else { return };
    let mut client = parts.io.into_inner();
    let result = match tunnel {
        Some(tunnel) => carry(client, &parts.read_buf, tunnel, phase, activity).await,
        None => client.shutdown().await,
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a tunnel or its connection ended early");
    }
}

async fn carry(
    mut client: ClientStream,
    sent_ahead: &[u8],
    Tunnel { mut server, tally, place }: Tunnel,
    mut phase: watch::Receiver<Phase>,
    activity: &Arc<Activity>,
) -> io::Result<()> {
    client.carry();
    server.write_all(sent_ahead).await?;
    let metrics = place.metrics();
    metrics.to_server.inc_by(sent_ahead.len() as u64);
    let mut client = Client {
        stream: client,
        activity: Arc::clone(activity),
        tally,
        to_client: metrics.to_client.clone(),
        to_server: metrics.to_server.clone(),
        end: End::Open,
    };
    let ended = {
        let copying = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER);
        tokio::select! {
            biased;
            ended = copying => ended.map(|_| Ending::Complete),
            () = quiet_end(&mut phase, activity) => Ok(Ending::BrokenOff),
        }
    };
    match ended {
        Ok(ending) => {
            client.tally.ended(ending);
            // One end may be open still.
            client.stream.shutdown().await
        }
        Err(error) => {
            match client.end {
                End::Broken => {}
                // What is still said to it finds nobody: most clients of TLS leave like that.
                End::Done => client.tally.ended(Ending::Complete),
                End::Open => client.tally.ended(Ending::BrokenOff),
            }
            Err(error)
        }
    }
}

/// Waits until the process is stopping and the tunnel is quiet.
async fn quiet_end(phase: &mut watch::Receiver<Phase>, activity: &Activity) {
    draining(phase).await;
    while activity.idle(activity.seconds()) < QUIET {
        tokio::time::sleep(LOOK).await;
    }
}

/// The client's end: what goes through is counted here.
struct Client {
    stream: ClientStream,
    activity: Arc<Activity>,
    tally: Tally,
    to_client: IntCounter,
    to_server: IntCounter,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// The client has said all it had to say.
    Done,
    /// It was the client that broke the connection, before it was done.
    Broken,
}

impl Client {
    fn broke(&mut self) {
        if self.end == End::Open {
            self.end = End::Broken;
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if came > 0 {
            self.activity.touch_now();
            self.to_server.inc_by(came as u64);
        }
        match read {
            Poll::Ready(Ok(())) if came == 0 => self.end = End::Done,
            Poll::Ready(Err(_)) => self.broke(),
            _ => {}
        }
        read
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        match &written {
            Poll::Ready(Ok(taken)) => {
                self.activity.touch_now();
                self.tally.sent(*taken);
                self.to_client.inc_by(*taken as u64);
            }
            Poll::Ready(Err(_)) => self.broke(),
            Poll::Pending => {}
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
