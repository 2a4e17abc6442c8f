//! One reader's view of a fill, at its own pace.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::Timeout;

use super::state::{Fill, Next, Ready};
use super::{DISK_PATIENCE, FillError, Why};
use crate::cache::disk::ReadError;

/// Bytes on their way back from the disk.
type Reading = Timeout<JoinHandle<Result<Bytes, ReadError>>>;

/// A reader of a fill. Dropping it leaves the fill.
pub struct FillReader {
    fill: Arc<Fill>,
    slot: usize,
    position: u64,
    reading: Option<Pin<Box<Reading>>>,
}

impl FillReader {
    pub(super) fn new(fill: Arc<Fill>, slot: usize) -> Self {
        Self { fill, slot, position: 0, reading: None }
    }

    /// Moves to `offset`, counted from the start of the object.
    pub fn seek(&mut self, offset: u64) {
        self.position = offset;
        self.reading = None;
        self.moved();
    }

    /// Waits until there is something to answer with: the whole object, or the right to stream it.
    pub async fn ready(&mut self) -> Result<Ready, FillError> {
        std::future::poll_fn(|cx| self.fill.poll_ready(self.slot, cx.waker())).await
    }

    /// The next bytes, at most 256 KiB of them; `None` at the verified end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FillError>>> {
        if let Some(reading) = &mut self.reading {
            let read = ready!(reading.as_mut().poll(cx));
            self.reading = None;
            return Poll::Ready(Some(match read {
                Ok(Ok(Ok(bytes))) => Ok(self.took(bytes)),
                Ok(Ok(Err(error))) => {
                    Err(FillError::new(Why::Storage, format!("reading back from disk: {error}")))
                }
                Ok(Err(_)) => Err(FillError::new(Why::Abandoned, "the process is stopping")),
                Err(_) => Err(FillError::new(Why::Storage, "reading back from disk takes too long")),
            }));
        }
        let item = match ready!(self.fill.poll_next(self.slot, self.position, cx.waker())) {
            Next::Bytes(bytes) => Ok(self.took(bytes)),
            Next::OnDisk(extent, wanted) => {
                let offset = self.position;
                let reading = tokio::task::spawn_blocking(move || extent.read(offset, wanted));
                self.reading = Some(Box::pin(tokio::time::timeout(DISK_PATIENCE, reading)));
                return self.poll_next(cx);
            }
            Next::Gone => {
                Err(FillError::new(Why::Overrun, "the client was too slow for an object that is not stored"))
            }
            Next::Failed(error) => Err(error),
            Next::End => return Poll::Ready(None),
        };
        Poll::Ready(Some(item))
    }

    fn took(&mut self, bytes: Bytes) -> Bytes {
        self.position += bytes.len() as u64;
        self.moved();
        bytes
    }

    fn moved(&self) {
        self.fill.moved(self.slot, self.position);
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.leave(self.slot);
    }
}
