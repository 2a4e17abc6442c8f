//! An answer on its way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Response, header};

use crate::response::body::Body;

/// An answer on its way. What is at hand needs neither an allocation nor a wait.
#[allow(clippy::large_enum_variant, reason = "the large variant is the frequent one, and must not allocate")]
pub enum Answering {
    /// At hand.
    Ready(Option<Response<Body>>),
    /// Waits for a disk, a fill or an upstream.
    Working(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<Body>, std::convert::Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Ready(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            Self::Working(working) => working.as_mut().poll(cx).map(Ok),
        }
    }
}

impl Answering {
    /// The same, and the end of the connection.
    pub(super) fn closing(self) -> Self {
        let close = |mut response: Response<Body>| {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        };
        match self {
            Self::Ready(response) => Self::Ready(response.map(close)),
            Self::Working(working) => Self::Working(Box::pin(async move { close(working.await) })),
        }
    }

    pub(super) fn ready(response: Response<Body>) -> Self {
        Self::Ready(Some(response))
    }
}
