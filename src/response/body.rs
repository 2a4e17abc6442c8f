//! Bodies of answers: from memory, from disk, from a fill, from a document; counted as they leave.
//!
//! A body that cannot be finished ends in an error, which makes the connection be cut: never a clean end of a short
//! body.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Timeout;

use super::multipart::Multipart;
use crate::access_log::Ending;
use crate::cache::disk::{DiskObject, ReadError};
use crate::cache::{CHUNK, Cache, FillError, FillReader, MemoryObject};
use crate::digest::ObjectName;
use crate::document::{self, AnswerBody};
use crate::reason::Reason;
use crate::tally::Tally;
use crate::upstream::UpstreamBody;

/// Why a body could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The object's transfer failed.
    #[error("the transfer failed: {0}")]
    Fill(#[from] FillError),
    /// The disk failed, or its bytes went bad.
    #[error("reading from disk: {0}")]
    Disk(#[from] ReadError),
    /// A document that was passed on while it arrived broke off.
    #[error(transparent)]
    Document(#[from] document::Failure<FillError>),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

impl BodyError {
    /// Why, in the words that operators read.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Fill(error) => error.why.reason(),
            Self::Disk(_) => Reason::Storage,
            Self::Document(failure) => failure.reason().unwrap_or_else(|upstream| upstream.why.reason()),
            Self::Stopping => Reason::Interrupted,
        }
    }
}

/// The body of an answer.
pub struct Body {
    source: Source,
    /// Bytes still to be sent, if known.
    left: Option<u64>,
    tally: Option<Tally>,
}

/// Asks elsewhere for the bytes from an offset on.
pub type Remainder = Box<dyn FnOnce(u64) -> Following + Send>;

/// The body that follows.
type Following = Pin<Box<dyn Future<Output = Result<Body, FillError>> + Send>>;

/// Bytes on their way from the disk.
type Reading = Timeout<JoinHandle<Result<Bytes, ReadError>>>;

/// How long the disk may take for bytes in the middle of an answer. CVMFS clients give up after 5 s.
pub const READ_PATIENCE: Duration = Duration::from_secs(2);

enum Source {
    Nothing,
    Once(Bytes),
    Memory {
        object: Arc<MemoryObject>,
        offset: u64,
    },
    Disk(DiskSource),
    /// What the disk could not give is on its way.
    Following(Following),
    Fill(Box<FillReader>),
    Document(Box<AnswerBody<UpstreamBody, FillError>>),
    /// One after the other, each of a known length.
    Several(VecDeque<Body>),
}

/// A stored object being read.
pub struct DiskSource {
    cache: Arc<Cache>,
    name: ObjectName,
    object: DiskObject,
    offset: u64,
    /// The first bytes, when they were read before the head was sent.
    first: Option<Bytes>,
    reading: Option<(Pin<Box<Reading>>, AbortHandle)>,
    remainder: Option<Remainder>,
}

impl DiskSource {
    /// Reads `object` from `offset` on; `first` are the bytes there, if they were read already. Whoever has a `remainder` gets
    /// what the disk fails to give.
    pub fn new(
        cache: Arc<Cache>,
        name: ObjectName,
        object: DiskObject,
        offset: u64,
        first: Option<Bytes>,
        remainder: Option<Remainder>,
    ) -> Self {
        Self { cache, name, object, offset, first, reading: None, remainder }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, BodyError>> {
        if let Some(mut first) = self.first.take() {
            first.truncate(max);
            self.offset += first.len() as u64;
            return Poll::Ready(Ok(first));
        }
        let read = match &mut self.reading {
            Some((reading, begun)) => {
                let read = ready!(reading.as_mut().poll(cx));
                if read.is_err() {
                    // One that has not begun yet need not begin.
                    begun.abort();
                }
                self.reading = None;
                match read {
                    Ok(read) => read.map_err(|_| BodyError::Stopping)?,
                    Err(_late) => {
                        self.cache.disk_is_slow();
                        Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
                    }
                }
            }
            None => match self.object.try_read(self.offset, max) {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => {
                    let (object, offset) = (self.object.clone(), self.offset);
                    let reading = tokio::task::spawn_blocking(move || object.read(offset, max));
                    let begun = reading.abort_handle();
                    self.reading = Some((Box::pin(tokio::time::timeout(READ_PATIENCE, reading)), begun));
                    return self.poll_read(cx, max);
                }
                Err(error) => Err(error),
            },
        };
        match read {
            Ok(bytes) => {
                self.offset += bytes.len() as u64;
                Poll::Ready(Ok(bytes))
            }
            Err(error) => {
                self.cache.unreadable(&self.name, &error);
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::of(Source::Nothing, Some(0))
    }

    /// These bytes.
    pub fn once(bytes: Bytes) -> Self {
        let left = bytes.len() as u64;
        Self::of(Source::Once(bytes), Some(left))
    }

    /// `len` bytes of an object in memory.
    pub fn memory(object: Arc<MemoryObject>, offset: u64, len: u64) -> Self {
        Self::of(Source::Memory { object, offset }, Some(len))
    }

    /// `len` bytes of an object on disk.
    pub fn disk(source: DiskSource, len: u64) -> Self {
        Self::of(Source::Disk(source), Some(len))
    }

    /// Several stretches of a representation, each of which `stretch` makes a body of.
    pub fn parts(parts: &Multipart, stretch: impl Fn(Range<u64>) -> Self) -> Self {
        let heads_and_bytes =
            parts.parts().iter().flat_map(|(head, part)| [Self::once(head.clone()), stretch(part.clone())]);
        let bodies = heads_and_bytes.chain([Self::once(parts.end().clone())]).collect();
        Self::of(Source::Several(bodies), Some(parts.body_len()))
    }

    /// The bytes of a fill from the reader's position on.
    pub fn fill(reader: FillReader, len: Option<u64>) -> Self {
        Self::of(Source::Fill(Box::new(reader)), len)
    }

    /// A document, at hand or as it arrives.
    pub fn document(body: AnswerBody<UpstreamBody, FillError>) -> Self {
        match body {
            // Cut into frames of the usual size.
            AnswerBody::Complete(bytes) => Self::once(bytes),
            arriving => {
                let left = arriving.size_hint().exact();
                Self::of(Source::Document(Box::new(arriving)), left)
            }
        }
    }

    fn of(source: Source, left: Option<u64>) -> Self {
        Self { source, left, tally: None }
    }

    /// Keeps the account of the request until the body ends.
    pub fn with_tally(mut self, mut tally: Tally) -> Self {
        if self.left == Some(0) {
            tally.ended(Ending::Complete);
        }
        self.tally = Some(tally);
        self
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let max = self.left.map_or(CHUNK, |left| left.min(CHUNK as u64) as usize);
        match &mut self.source {
            Source::Nothing => Poll::Ready(None),
            Source::Once(bytes) => Poll::Ready(Some(Ok(bytes.split_to(max.min(bytes.len()))))),
            Source::Memory { object, offset } => {
                let mut bytes = object.chunk_at(*offset);
                bytes.truncate(
                    self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX)),
                );
                *offset += bytes.len() as u64;
                Poll::Ready(Some(
                    object.unpinned_if_short(bytes).map_err(|error| ReadError::from(error).into()),
                ))
            }
            Source::Disk(disk) => {
                let read = ready!(disk.poll_read(cx, max));
                let failed = matches!(read, Err(BodyError::Disk(_)));
                let Some(remainder) = disk.remainder.take_if(|_| failed) else {
                    return Poll::Ready(Some(read));
                };
                self.source = Source::Following(remainder(disk.offset));
                if let Some(tally) = &mut self.tally {
                    tally.because(Reason::Damaged);
                }
                self.poll_source(cx)
            }
            Source::Following(following) => match ready!(following.as_mut().poll(cx)) {
                Ok(body) => {
                    self.source = body.source;
                    self.poll_source(cx)
                }
                Err(error) => {
                    self.source = Source::Nothing;
                    Poll::Ready(Some(Err(error.into())))
                }
            },
            Source::Fill(reader) => reader.poll_next(cx).map(|next| {
                next.map(|read| {
                    read.map(|mut bytes| {
                        bytes.truncate(max);
                        bytes
                    })
                    .map_err(Into::into)
                })
            }),
            Source::Several(bodies) => loop {
                let Some(body) = bodies.front_mut() else { return Poll::Ready(None) };
                if body.left == Some(0) {
                    bodies.pop_front();
                    continue;
                }
                let read = ready!(body.poll_source(cx));
                if let (Some(Ok(bytes)), Some(left)) = (&read, &mut body.left) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                return Poll::Ready(read);
            },
            Source::Document(body) => {
                loop {
                    let Some(frame) = ready!(Pin::new(&mut **body).poll_frame(cx)) else {
                        return Poll::Ready(None);
                    };
                    // Trailers are not passed on: the fields that matter stand in the head.
                    match frame.map(Frame::into_data) {
                        Ok(Ok(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                        Ok(Err(_trailers)) => {}
                        Err(error) => return Poll::Ready(Some(Err(error.into()))),
                    }
                }
            }
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.left == Some(0) {
            return Poll::Ready(None);
        }
        let next = ready!(this.poll_source(cx));
        match next {
            // Less than was promised: without an end of ours the connection is cut.
            Some(Ok(bytes)) if bytes.is_empty() => Poll::Ready(None),
            Some(Ok(bytes)) => {
                if let Some(left) = &mut this.left {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                if let Some(tally) = &mut this.tally {
                    tally.sent(bytes.len());
                    if this.left == Some(0) {
                        tally.ended(Ending::Complete);
                    }
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            None => {
                if let Some(tally) = &mut this.tally {
                    tally.ended(Ending::Complete);
                }
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                if let Some(tally) = &mut this.tally {
                    tally.ended(Ending::BrokenOff);
                    tally.because(error.reason());
                }
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
