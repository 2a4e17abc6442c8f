//! A part of a document on its way to the client, which is kept as well once all of it has come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::body::{PassBody, joined};
use super::budget::Reservation;
use super::cache_control::RequestDirectives;
use super::key::DocumentKey;
use super::partial::NewPart;
use super::shelf::Shelf;
use super::storable::Asked;
use super::terms::Terms;

/// What is to be kept, and where. The reservation holds as many bytes as the part has.
pub struct Intake {
    /// Where.
    pub shelf: Arc<Shelf>,
    /// Under which name.
    pub key: DocumentKey,
    /// Fields of the request, as the client sent them.
    pub headers: HeaderMap,
    /// Its directives.
    pub directives: RequestDirectives,
    /// The operator's word about the document.
    pub terms: Terms,
    /// The part.
    pub part: NewPart,
    /// Its memory.
    pub reservation: Reservation,
}

/// The body on its way. Kept before its last bytes are passed on, so that whoever has them finds the part here.
pub struct KeepBody<B> {
    body: PassBody<B>,
    intake: Option<Intake>,
    pieces: Vec<Bytes>,
    left: u64,
}

impl<B> KeepBody<B> {
    /// Keeps `body`, whose length is that of the part.
    pub fn new(body: PassBody<B>, intake: Intake) -> Self {
        let left = intake.part.range.end - intake.part.range.start;
        Self { body, intake: Some(intake), pieces: Vec::new(), left }
    }

    fn came(&mut self, bytes: &Bytes) {
        if self.intake.is_none() {
            return;
        }
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else { return self.give_up() };
        self.left = left;
        self.pieces.push(bytes.clone());
        if left == 0
            && let Some(intake) = self.intake.take()
        {
            intake.keep(std::mem::take(&mut self.pieces));
        }
    }

    fn give_up(&mut self) {
        (self.intake, self.pieces) = (None, Vec::new());
    }
}

impl Intake {
    fn keep(self, pieces: Vec<Bytes>) {
        let Self { shelf, key, headers, directives, terms, part, reservation: _held } = self;
        let length = part.range.end - part.range.start;
        let asked = Asked { method: &http::Method::GET, headers: &headers, directives: &directives };
        shelf.keep_part(&key, asked, part, &joined(pieces, length), &terms);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for KeepBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(bytes) = frame.data_ref() {
                    self.came(bytes);
                }
            }
            Poll::Ready(None | Some(Err(_))) => self.give_up(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
