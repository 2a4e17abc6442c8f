//! A response that came too slowly to be waited for: read on for all who want it, then stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use http_body::Body;
use tokio::time::timeout;

use super::body::{PassBody, joined, next_data};
use super::budget::Reservation;
use super::failure::Failure;
use super::flow::{Flow, Source};
use super::refresh::Job;
use super::shelf::Shelf;
use super::stored::Stored;

/// A response whose length is known and whose body is still on its way.
pub struct Slow<B> {
    /// The head, as it will be stored.
    pub head: Arc<Stored>,
    /// Bytes of the body.
    pub length: u64,
    /// The body, from where reading stopped.
    pub body: PassBody<B>,
    /// Holds `length` bytes.
    pub reservation: Reservation,
}

impl<B> Slow<B> {
    /// For one client alone, not to be stored.
    pub fn passed_on(self) -> Response<PassBody<B>> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.head.status();
        *response.headers_mut() = self.head.headers().clone();
        response.headers_mut().insert(header::CONTENT_LENGTH, self.length.into());
        response
    }
}

impl<B> Slow<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Reads the rest and stores the whole. `announce` tells head and flow to those who wait.
    ///
    /// It ends within [`super::Policy::longest_fetch`], with or without readers.
    pub async fn finish<E>(
        self,
        job: &Job,
        shelf: &Shelf,
        announce: impl FnOnce(Arc<Stored>, Flow<E>),
    ) -> Finished<E>
    where
        B::Error: Into<E>,
        E: Clone,
    {
        let _in_progress = shelf.refreshing();
        let Self { head, length, body, reservation: _held } = self;
        let (prefix, mut rest) = body.into_parts();
        let mut pieces: Vec<Bytes> = prefix.into();
        let (source, flow) = Source::start(pieces.clone(), length);
        announce(head.clone(), flow);
        let end = within(shelf.policy.longest_fetch, drain(&mut rest, length, &mut pieces, &source)).await;
        if end.is_ok() {
            let stored = head.with_body(joined(pieces, length));
            if job.worth_keeping(&stored, job.clock.now()).is_ok() {
                shelf.keep(&job.key, &job.headers, Arc::new(stored));
            }
        }
        Finished { source, end }
    }
}

/// A slow body that has been read, and whose readers do not know it yet.
pub struct Finished<E> {
    source: Source<E>,
    end: Result<(), Failure<E>>,
}

impl<E: Clone> Finished<E> {
    /// Tells the readers.
    pub fn tell(self) {
        self.source.end(self.end);
    }
}

async fn within<E>(
    limit: Duration,
    work: impl Future<Output = Result<(), Failure<E>>>,
) -> Result<(), Failure<E>> {
    timeout(limit, work).await.unwrap_or(Err(Failure::TooSlow))
}

async fn drain<B, E>(
    body: &mut B,
    expected: u64,
    pieces: &mut Vec<Bytes>,
    source: &Source<E>,
) -> Result<(), Failure<E>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<E>,
    E: Clone,
{
    let mut received = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    while let Some(data) = next_data(body).await {
        let data = data.map_err(|error| Failure::Upstream(error.into()))?;
        received += data.len() as u64;
        if received > expected {
            break;
        }
        pieces.push(data.clone());
        source.push(data);
    }
    if received == expected { Ok(()) } else { Err(Failure::Length { expected, received }) }
}
