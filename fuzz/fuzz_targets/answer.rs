//! Answers of upstreams through the strict reader and hyper: a body that is taken for complete is the one that a reader of
//! RFC 9112 §6.3 and §7.1 finds, written here a second time.
#![no_main]

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use substratum::upstream::framing;
use substratum::upstream::stream::{Exchanges, UpstreamStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const MAX_HEAD: usize = 1024;

/// An upstream that says `bytes`, some at a time, once it was asked, and closes.
struct Script {
    bytes: Vec<u8>,
    said: usize,
    piece: usize,
    asked: bool,
    waiting: Option<Waker>,
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = self.piece.min(buf.remaining()).min(self.bytes.len() - self.said);
        buf.put_slice(&self.bytes[self.said..self.said + n]);
        self.said += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        self.waiting.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Status and body, as the program reads them; `None` for whatever it would not take for complete.
async fn ours(bytes: Vec<u8>, piece: usize, head: bool) -> Option<(u16, Bytes)> {
    let script = Script { bytes, said: 0, piece, asked: false, waiting: None };
    let stream = UpstreamStream::new(script, MAX_HEAD, Exchanges::Several);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(128 << 10)
        .max_header_size(32 << 10)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .ok()?;
    let mut connection = Box::pin(connection);
    let method = if head { "HEAD" } else { "GET" };
    let request = http::Request::builder().method(method).uri("/x").header("host", "h").body(Empty::new()).ok()?;
    let mut exchange = Box::pin(async move {
        let answer = sender.send_request(request).await.ok()?;
        framing::check(&answer).ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.into_body().collect().await.ok()?.to_bytes()))
    });
    // No task: the fuzzer likes it single and repeatable.
    let mut open = true;
    poll_fn(|cx| {
        for _ in 0..2 {
            if let Poll::Ready(done) = exchange.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            open = open && connection.as_mut().poll(cx).is_pending();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    Some(line)
}

/// The same, by the book: status and body of the final answer, if it is complete.
fn by_the_book(mut rest: &[u8], head: bool) -> Option<(u16, Vec<u8>)> {
    loop {
        let first = line(&mut rest)?;
        let status: u16 = std::str::from_utf8(first.get(9..12)?).ok()?.parse().ok()?;
        let (mut length, mut chunked) = (None::<u64>, false);
        loop {
            let field = line(&mut rest)?;
            if field.is_empty() {
                break;
            }
            let colon = field.iter().position(|c| *c == b':')?;
            let (name, value) = (&field[..colon], field[colon + 1..].trim_ascii());
            // An interim answer has no body, whatever it says (RFC 9112 §6.3, 1).
            let interim = (100..200).contains(&status);
            if !interim && name.eq_ignore_ascii_case(b"content-length") {
                let value: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
                assert!(length.is_none_or(|length| length == value), "two lengths");
                length = Some(value);
            }
            chunked |= name.eq_ignore_ascii_case(b"transfer-encoding");
        }
        if (100..200).contains(&status) {
            continue;
        }
        if head || matches!(status, 204 | 304) {
            return Some((status, Vec::new()));
        }
        assert!(!(chunked && length.is_some()), "two framings");
        if !chunked {
            let body = match length {
                Some(length) => rest.get(..usize::try_from(length).ok()?)?,
                None => rest,
            };
            return Some((status, body.to_vec()));
        }
        let mut body = Vec::new();
        loop {
            let size = line(&mut rest)?;
            let digits = size.iter().take_while(|c| c.is_ascii_hexdigit()).count();
            let size = usize::from_str_radix(std::str::from_utf8(&size[..digits]).ok()?, 16).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(rest.get(..size)?);
            rest = &rest[size..];
            assert_eq!(line(&mut rest)?, b"", "a chunk that does not end where it says");
        }
        while !line(&mut rest)?.is_empty() {}
        return Some((status, body));
    }
}

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (piece, head, bytes) = input;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let read = |piece: usize| runtime.block_on(ours(bytes.to_vec(), piece, head));
    let whole = read(usize::MAX);
    assert_eq!(whole, read(usize::from(piece).max(1)), "in pieces as in one");
    if let Some((status, body)) = whole {
        let expected = by_the_book(bytes, head);
        assert_eq!(Some((status, body.to_vec())), expected);
    }
});
