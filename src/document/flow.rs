//! A body that many read while it still arrives: for documents that come too slowly to be waited for.
//!
//! ```text
//! Source: push* -> end(Ok | Err)        dropped without end: the readers see Interrupted
//! Flow:   every reader at its own pace, from the first byte; a slow or vanished one holds up nobody
//! ```
//! Bounded: the length is known beforehand and paid for by the reservation of whoever feeds it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::failure::Failure;

/// The writing end; there is one.
pub struct Source<E> {
    shared: Arc<Mutex<Shared<E>>>,
}

/// A place from which readers start. Cheap to clone.
pub struct Flow<E> {
    shared: Arc<Mutex<Shared<E>>>,
    length: u64,
}

/// One reader's body.
pub struct FlowBody<E> {
    shared: Arc<Mutex<Shared<E>>>,
    reader: u64,
    next: usize,
    left: u64,
}

struct Shared<E> {
    pieces: Vec<Bytes>,
    end: Option<Result<(), Failure<E>>>,
    readers: u64,
    // By reader, so that one polled many times waits once.
    waiting: HashMap<u64, Waker>,
}

impl<E: Clone> Source<E> {
    /// A body of `length` bytes, of which `pieces` are there.
    pub fn start(pieces: Vec<Bytes>, length: u64) -> (Self, Flow<E>) {
        let shared = Shared { pieces, end: None, readers: 0, waiting: HashMap::new() };
        let shared = Arc::new(Mutex::new(shared));
        (Self { shared: shared.clone() }, Flow { shared, length })
    }

    /// The next bytes.
    pub fn push(&self, piece: Bytes) {
        self.change(|shared| shared.pieces.push(piece));
    }

    /// The end, once everything behind it is done.
    pub fn end(self, end: Result<(), Failure<E>>) {
        self.change(|shared| shared.end = Some(end));
    }
}

impl<E> Source<E> {
    fn change(&self, change: impl FnOnce(&mut Shared<E>)) {
        let waiting = {
            let mut shared = self.shared.lock();
            change(&mut shared);
            std::mem::take(&mut shared.waiting)
        };
        // Woken outside the lock, which they take at once.
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<E> Drop for Source<E> {
    fn drop(&mut self) {
        self.change(|shared| {
            shared.end.get_or_insert(Err(Failure::Interrupted));
        });
    }
}

impl<E> Clone for Flow<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), length: self.length }
    }
}

impl<E> Flow<E> {
    /// Length of the whole body, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A body for one more reader.
    pub fn read(&self) -> FlowBody<E> {
        let mut shared = self.shared.lock();
        shared.readers += 1;
        FlowBody { shared: self.shared.clone(), reader: shared.readers, next: 0, left: self.length }
    }
}

impl<E> Drop for FlowBody<E> {
    fn drop(&mut self) {
        self.shared.lock().waiting.remove(&self.reader);
    }
}

impl<E: Clone> Body for FlowBody<E> {
    type Data = Bytes;
    type Error = Failure<E>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure<E>>>> {
        let this = &mut *self;
        let mut shared = this.shared.lock();
        if let Some(piece) = shared.pieces.get(this.next) {
            this.next += 1;
            this.left = this.left.saturating_sub(piece.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        match &shared.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(failure)) => Poll::Ready(Some(Err(failure.clone()))),
            None => {
                shared.waiting.insert(this.reader, cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    type Read = Result<Bytes, Failure<&'static str>>;

    fn spawn(flow: &Flow<&'static str>) -> tokio::task::JoinHandle<Read> {
        let body = flow.read();
        tokio::spawn(async move { body.collect().await.map(|body| body.to_bytes()) })
    }

    #[tokio::test]
    async fn every_reader_gets_all_of_it() {
        let (source, flow) = Source::start(vec![Bytes::from_static(b"ab")], 4);
        let early = spawn(&flow);
        tokio::task::yield_now().await;
        source.push(Bytes::from_static(b"cd"));
        let (late, gone) = (spawn(&flow), flow.read());
        drop(gone);
        source.end(Ok(()));
        for reader in [early, late, spawn(&flow)] {
            assert_eq!(reader.await.unwrap().unwrap(), "abcd");
        }
        assert_eq!(flow.length(), 4);
    }

    #[tokio::test]
    async fn every_reader_learns_of_the_failure() {
        let (source, flow) = Source::start(vec![], 4);
        let reader = spawn(&flow);
        source.end(Err(Failure::Upstream("gone")));
        assert_eq!(reader.await.unwrap(), Err(Failure::Upstream("gone")));

        let (source, flow) = Source::<&str>::start(vec![Bytes::from_static(b"ab")], 4);
        let reader = spawn(&flow);
        tokio::task::yield_now().await;
        drop(source);
        assert_eq!(reader.await.unwrap(), Err(Failure::Interrupted));
    }
}
