//! Bodies of documents: read whole within bounds, or passed through from where reading stopped.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::budget::{NoRoom, Reservation};
use super::failure::Failure;
use super::flow::FlowBody;
use super::keeping::KeepBody;

/// How much of a body is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Appetite {
    /// Bytes; a longer body is passed through.
    pub size: u64,
    /// Until when; of what comes later, the beginning should be on its way to the client already.
    pub until: Instant,
}

/// How reading ended.
pub enum Collected<B: Body> {
    /// The body, complete.
    Whole(Bytes),
    /// Longer than wanted.
    TooLarge(PassBody<B>),
    /// Not all there in time.
    TooSlow(PassBody<B>),
    /// No memory for it.
    NoRoom(PassBody<B>),
    /// It broke off.
    Broken(B::Error),
    /// It ended cleanly but not where it was announced to.
    Length {
        /// `Content-Length`
        expected: u64,
        /// Bytes that came.
        received: u64,
    },
}

/// Reads `body`, whose head announced `expected` bytes if it announced any. Trailers are dropped.
pub async fn collect<B>(
    body: B,
    expected: Option<u64>,
    appetite: Appetite,
    reservation: &mut Reservation,
) -> Collected<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = PassBody::new(body);
    let mut received = 0u64;
    if expected.is_some_and(|expected| expected > appetite.size) {
        return Collected::TooLarge(read);
    }
    loop {
        let data = match timeout_at(appetite.until, next_data(&mut read.rest)).await {
            Err(_) => return Collected::TooSlow(read),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Collected::Broken(error),
            Ok(Some(Ok(data))) => data,
        };
        let length = data.len() as u64;
        received += length;
        read.prefix.push_back(data);
        if received > appetite.size {
            return Collected::TooLarge(read);
        }
        if reservation.grow(length) == Err(NoRoom) {
            return Collected::NoRoom(read);
        }
    }
    match expected.filter(|expected| *expected != received) {
        Some(expected) => Collected::Length { expected, received },
        None => Collected::Whole(joined(read.prefix, received)),
    }
}

/// The next data of a body; `None` at its end.
pub async fn next_data<B>(body: &mut B) -> Option<Result<Bytes, B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match body.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => return Some(Ok(data)),
                Err(_trailers) => {}
            },
            Err(error) => return Some(Err(error)),
        }
    }
}

/// One piece of exactly the right size: a stored slice of a read buffer would keep the whole buffer alive.
pub fn joined(pieces: impl IntoIterator<Item = Bytes>, length: u64) -> Bytes {
    let mut whole = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}

/// A body on its way through: what was read already, then the rest. Its end, and its errors, are the upstream's.
#[derive(Debug)]
pub struct PassBody<B> {
    prefix: VecDeque<Bytes>,
    rest: B,
}

impl<B> PassBody<B> {
    /// A body of which nothing was read.
    pub fn new(body: B) -> Self {
        Self { prefix: VecDeque::new(), rest: body }
    }

    /// What was read, and the rest.
    pub fn into_parts(self) -> (VecDeque<Bytes>, B) {
        (self.prefix, self.rest)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for PassBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(data) = self.prefix.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting: u64 = self.prefix.iter().map(|data| data.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(waiting));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(waiting));
        }
        hint
    }
}

/// The body of an answer.
pub enum AnswerBody<B, E> {
    /// All of it, from the store or just collected; empty where the message has no body.
    Complete(Bytes),
    /// As it arrives, for this client alone.
    Passing(PassBody<B>),
    /// The same, and it is kept when all of it has come.
    Keeping(Box<KeepBody<B>>),
    /// As it arrives, with others.
    Flowing(FlowBody<E>),
}

impl<B, E> Body for AnswerBody<B, E>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<E>,
    E: Clone,
{
    type Data = Bytes;
    type Error = Failure<E>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure<E>>>> {
        match &mut *self {
            Self::Complete(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Complete(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Passing(body) => {
                Pin::new(body).poll_frame(cx).map_err(|error| Failure::Upstream(error.into()))
            }
            Self::Keeping(body) => {
                Pin::new(&mut **body).poll_frame(cx).map_err(|error| Failure::Upstream(error.into()))
            }
            Self::Flowing(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Complete(bytes) => bytes.is_empty(),
            Self::Passing(body) => body.is_end_stream(),
            Self::Keeping(body) => body.is_end_stream(),
            Self::Flowing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Complete(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Passing(body) => body.size_hint(),
            Self::Keeping(body) => body.size_hint(),
            Self::Flowing(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::budget::Budget;
    use super::*;

    #[derive(Clone, Copy)]
    enum End {
        Clean,
        Broken,
        Silent,
    }

    /// A body of given pieces that then ends, breaks, or stays silent.
    struct Pieces(VecDeque<&'static str>, End);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match (self.0.pop_front(), self.1) {
                (Some(data), _) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data.as_bytes()))))),
                (None, End::Clean) => Poll::Ready(None),
                (None, End::Broken) => Poll::Ready(Some(Err("broken"))),
                (None, End::Silent) => Poll::Pending,
            }
        }
    }

    async fn check(data: &[&'static str], end: End, announced: Option<u64>, expected: &str) {
        let appetite = Appetite { size: 6, until: Instant::now() + Duration::from_secs(1) };
        let mut reservation = Budget::new(7).reservation();
        let body = Pieces(data.iter().copied().collect(), end);
        let collected = collect(body, announced, appetite, &mut reservation).await;
        let (name, prefix) = match collected {
            Collected::Whole(bytes) => ("whole", vec![bytes]),
            Collected::TooLarge(body) => ("too large", body.prefix.into()),
            Collected::TooSlow(body) => ("too slow", body.prefix.into()),
            Collected::NoRoom(body) => ("no room", body.prefix.into()),
            Collected::Broken(error) => (error, vec![]),
            Collected::Length { .. } => ("length", vec![]),
        };
        let told = format!("{name}: {}", String::from_utf8_lossy(&prefix.concat()));
        assert_eq!(told, expected, "{data:?}, announced {announced:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn ends_of_collecting() {
        check(&[], End::Clean, None, "whole: ").await;
        check(&["ab", "cd"], End::Clean, None, "whole: abcd").await;
        check(&["ab", "cdef"], End::Clean, Some(6), "whole: abcdef").await;
        check(&["ab"], End::Clean, Some(3), "length: ").await;
        check(&["abcd"], End::Clean, Some(3), "length: ").await;
        check(&["abcd", "efg"], End::Clean, None, "too large: abcdefg").await;
        check(&["abcdefg"], End::Clean, Some(7), "too large: ").await;
        check(&["ab"], End::Broken, None, "broken: ").await;
        check(&["ab"], End::Silent, None, "too slow: ab").await;
    }

    #[tokio::test]
    async fn without_room() {
        let budget = Budget::new(3);
        let appetite = Appetite { size: 6, until: Instant::now() + Duration::from_secs(1) };
        let body = Pieces(["ab", "cd", "ef"].into(), End::Clean);
        match collect(body, None, appetite, &mut budget.reservation()).await {
            Collected::NoRoom(body) => assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdef"),
            _ => panic!("there was no room"),
        }
    }

    #[tokio::test]
    async fn passing_gives_everything_in_order() {
        let rest = Pieces(["cd", "ef"].into(), End::Clean);
        let body = PassBody { prefix: [Bytes::from_static(b"ab")].into(), rest };
        assert_eq!(body.size_hint().lower(), 2);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdef");
        let broken =
            PassBody { prefix: [Bytes::from_static(b"ab")].into(), rest: Pieces([].into(), End::Broken) };
        assert_eq!(broken.collect().await.unwrap_err(), "broken");
    }
}
