//! The content of a request on its way to an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

/// How far the content is. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Passed>);

#[derive(Debug, Default)]
struct Passed {
    frames: AtomicU64,
    missing: AtomicBool,
}

impl Progress {
    /// Frames that were passed on so far.
    pub fn frames(&self) -> u64 {
        self.0.frames.load(Ordering::Relaxed)
    }

    /// Whether it is the client that has to go on, or that broke off.
    pub fn is_missing(&self) -> bool {
        self.0.missing.load(Ordering::Relaxed)
    }
}

impl From<Incoming> for Content {
    fn from(incoming: Incoming) -> Self {
        Self::From(Arriving { incoming, progress: Progress::default() })
    }
}

impl Content {
    /// An account that moves as it is passed on.
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
                let missing = matches!(polled, Poll::Pending | Poll::Ready(Some(Err(_))));
                progress.0.missing.store(missing, Ordering::Relaxed);
                if polled.is_ready() {
                    progress.0.frames.fetch_add(1, Ordering::Relaxed);
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
