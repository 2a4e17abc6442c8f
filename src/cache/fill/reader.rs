//! One reader's view of a fill, at its own pace.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::Timeout;

use super::{DISK_PATIENCE, Fill, FillError, Phase, Why};
use crate::cache::disk::ReadError;
use crate::cache::object::{CHUNK, Object};

/// What a reader can begin with.
pub enum Ready {
    /// The fill is over and its object is at rest in a tier.
    Complete(Object),
    /// Bytes flow; the length in bytes, if the source told it.
    Streaming {
        /// Bytes in all.
        len: Option<u64>,
    },
}

/// A reader of a fill. Dropping it leaves the fill.
pub struct FillReader {
    fill: Arc<Fill>,
    slot: usize,
    position: u64,
    reading: Option<Pin<Box<Timeout<JoinHandle<Result<Bytes, ReadError>>>>>>,
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
        std::future::poll_fn(|cx| self.poll_ready(cx)).await
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ready, FillError>> {
        let mut state = self.fill.state.lock();
        match &state.phase {
            Phase::Hidden => {
                state.readers.wait(self.slot, cx.waker());
                Poll::Pending
            }
            Phase::Streaming => Poll::Ready(Ok(Ready::Streaming { len: state.len })),
            Phase::Complete(Some(object)) => Poll::Ready(Ok(Ready::Complete(object.clone()))),
            Phase::Complete(None) => Poll::Ready(Ok(Ready::Streaming { len: Some(state.received) })),
            Phase::Failed(error) => Poll::Ready(Err(error.clone())),
        }
    }

    /// The next bytes, at most [`CHUNK`] of them; `None` at the verified end.
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
        let mut state = self.fill.state.lock();
        if let Phase::Failed(error) = &state.phase {
            return Poll::Ready(Some(Err(error.clone())));
        }
        let visible = state.visible();
        if self.position < visible {
            if self.position >= state.base() {
                let mut bytes = state.at(self.position);
                bytes.truncate((visible - self.position).min(CHUNK as u64) as usize);
                drop(state);
                return Poll::Ready(Some(Ok(self.took(bytes))));
            }
            let Some(extent) = state.extent.clone() else {
                return Poll::Ready(Some(Err(FillError::new(
                    Why::Overrun,
                    "the client was too slow for an object that is not stored",
                ))));
            };
            let wanted = (state.base() - self.position).min(CHUNK as u64) as usize;
            drop(state);
            let offset = self.position;
            let reading = tokio::task::spawn_blocking(move || extent.read(offset, wanted));
            self.reading = Some(Box::pin(tokio::time::timeout(DISK_PATIENCE, reading)));
            return self.poll_next(cx);
        }
        if matches!(state.phase, Phase::Complete(_)) {
            return Poll::Ready(None);
        }
        state.readers.wait(self.slot, cx.waker());
        Poll::Pending
    }

    fn took(&mut self, bytes: Bytes) -> Bytes {
        self.position += bytes.len() as u64;
        self.moved();
        bytes
    }

    fn moved(&self) {
        let mut state = self.fill.state.lock();
        state.readers.moved(self.slot, self.position);
        if let Some(writer) = state.writer.take() {
            drop(state);
            writer.wake();
        }
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        let mut state = self.fill.state.lock();
        state.readers.remove(self.slot);
        if let Some(writer) = state.writer.take() {
            drop(state);
            writer.wake();
        }
    }
}
