//! The content of a request on its way to an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// What a client sends, or nothing.
#[derive(Debug, Default)]
pub enum Content {
    /// As with GET and HEAD.
    #[default]
    Nothing,
    /// As it arrives from a client.
    From(Arriving),
}

/// Content that arrives.
#[derive(Debug)]
pub struct Arriving {
    incoming: Incoming,
    progress: Progress,
}

/// How many frames of content were passed on. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The number so far.
    pub fn frames(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl From<Incoming> for Content {
    fn from(incoming: Incoming) -> Self {
        Self::From(Arriving { incoming, progress: Progress::default() })
    }
}

impl Content {
    /// A count that moves as it is passed on.
    pub fn progress(&self) -> Progress {
        match self {
            Self::Nothing => Progress::default(),
            Self::From(arriving) => arriving.progress.clone(),
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Nothing => Poll::Ready(None),
            Self::From(Arriving { incoming, progress }) => {
                let polled = Pin::new(incoming).poll_frame(cx);
                if polled.is_ready() {
                    progress.0.fetch_add(1, Ordering::Relaxed);
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::From(arriving) => arriving.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::From(arriving) => arriving.incoming.size_hint(),
        }
    }
}
