//! One connection to a stratum: requests in, answers out, correct or with a fault.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Fault, Page, Seen, Stage};

/// Bytes a write, so that counters move while a large body is on its way.
const PIECE: usize = 64 << 10;

/// What becomes of the connection.
enum Then {
    NextRequest,
    Close,
}

pub(super) async fn connection(stream: TcpStream, stage: Arc<Stage>, number: usize) {
    let _ = stream.set_nodelay(true);
    let mut wire = Wire { stream: BufReader::new(stream), stage, answered: 0 };
    while let Some(seen) = Seen::read(&mut wire.stream, number).await {
        let fault = wire.stage.note(&seen);
        let page = wire.stage.content.lock().page(seen.path());
        let answer = Answer::of(page, &seen);
        match wire.answer(answer, fault).await {
            Ok(Then::NextRequest) if !wants_close(&seen) => wire.answered += 1,
            _ => return,
        }
    }
}

fn wants_close(seen: &Seen) -> bool {
    seen.get("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

/// A complete answer, before any fault.
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Bytes,
    /// Left after a HEAD request: the length is told, the body not sent.
    sending: BodyIs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyIs {
    Sent,
    Left,
}

impl Answer {
    fn of(page: Page, seen: &Seen) -> Self {
        let sending = if seen.method == "HEAD" { BodyIs::Left } else { BodyIs::Sent };
        let plain = |page: Page| Self { status: page.status, fields: page.fields, body: page.body, sending };
        if page.status != 200 {
            return plain(page);
        }
        if not_modified(&page, seen) {
            return plain(Page { body: Bytes::new(), ..page.status(304) });
        }
        match seen.get("Range").and_then(|range| parse_range(range, page.body.len())) {
            None => plain(page),
            Some(Err(Unsatisfiable)) => {
                let range = format!("bytes */{}", page.body.len());
                plain(Page { body: Bytes::new(), ..page.field("Content-Range", range).status(416) })
            }
            Some(Ok(range)) => {
                let told = format!("bytes {}-{}/{}", range.start, range.end - 1, page.body.len());
                let body = page.body.slice(range);
                plain(Page { body, ..page.field("Content-Range", told).status(206) })
            }
        }
    }

    /// The head with the given framing field.
    fn head(&self, framing: &str) -> String {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        let date = httpdate::fmt_http_date(SystemTime::now());
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
            head += &format!("Date: {date}\r\n");
        }
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        head + framing + "\r\n"
    }

    fn has_body(&self) -> bool {
        self.sending == BodyIs::Sent && self.status != 304 && self.status != 204
    }
}

fn not_modified(page: &Page, seen: &Seen) -> bool {
    if let Some(asked) = seen.get("If-None-Match") {
        return page.get("ETag").is_some_and(|etag| asked.split(',').any(|one| one.trim() == etag));
    }
    match (seen.get("If-Modified-Since"), page.get("Last-Modified")) {
        (Some(since), Some(modified)) => since == modified,
        _ => false,
    }
}

struct Unsatisfiable;

/// A single `bytes=a-b`, `a-` or `-n`; anything else is as if it were not there.
fn parse_range(text: &str, len: usize) -> Option<Result<Range<usize>, Unsatisfiable>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = if first.is_empty() {
        len.saturating_sub(last.parse().ok()?)..len
    } else {
        let last = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
        first.parse().ok()?..last.saturating_add(1).min(len)
    };
    Some(if range.is_empty() { Err(Unsatisfiable) } else { Ok(range) })
}

struct Wire {
    stream: BufReader<TcpStream>,
    stage: Arc<Stage>,
    /// Requests of this connection that were.
    answered: usize,
}

impl Wire {
    async fn answer(&mut self, answer: Answer, fault: Option<Fault>) -> io::Result<Then> {
        let Some(fault) = fault else {
            self.correct(&answer).await?;
            return Ok(Then::NextRequest);
        };
        let len = answer.body.len();
        match fault {
            Fault::HoldHead => {
                self.stage.released().await;
                self.correct(&answer).await?;
                return Ok(Then::NextRequest);
            }
            Fault::LateHead(by) => {
                tokio::time::sleep(by).await;
                self.correct(&answer).await?;
                return Ok(Then::NextRequest);
            }
            Fault::Hold(n) => {
                self.head(&answer, len).await?;
                if answer.has_body() {
                    let n = n.min(len);
                    self.body(&answer.body[..n]).await?;
                    self.stage.released().await;
                    self.body(&answer.body[n..]).await?;
                }
                return Ok(Then::NextRequest);
            }
            Fault::NeverAnswer => self.until_the_peer_leaves().await,
            Fault::Stall(n) => {
                self.head(&answer, len).await?;
                self.body(&answer.body[..n.min(len)]).await?;
                self.until_the_peer_leaves().await;
            }
            Fault::CloseUnanswered => {}
            Fault::Truncate(n) => {
                self.head(&answer, len).await?;
                self.body(&answer.body[..n.min(len)]).await?;
            }
            Fault::Reset(n) => {
                self.head(&answer, len).await?;
                self.body(&answer.body[..n.min(len)]).await?;
                socket2::SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO))?;
            }
            Fault::OverLong(n) => {
                self.head(&answer, len).await?;
                self.body(&answer.body).await?;
                self.body(&vec![b'+'; n]).await?;
                return Ok(Then::NextRequest);
            }
            Fault::WrongLength(by) => {
                self.head(&answer, len.saturating_add_signed(by as isize)).await?;
                self.body(&answer.body).await?;
            }
            Fault::Flip(at) => {
                let mut body = answer.body.to_vec();
                if !body.is_empty() {
                    body[at % len] ^= 1;
                }
                self.correct(&Answer { body: body.into(), ..answer }).await?;
                return Ok(Then::NextRequest);
            }
            Fault::Status(status) => {
                let page = Page::new("as ordered\n").status(status);
                self.correct(&Answer { status, fields: page.fields, body: page.body, ..answer }).await?;
                return Ok(Then::NextRequest);
            }
            Fault::GarbageHead => self.write(b"\x16\x03\x01\x02 what is this\r\n\r\n").await?,
            Fault::Drip { bytes, every } => {
                self.head(&answer, len).await?;
                for piece in answer.body.chunks(bytes) {
                    self.body(piece).await?;
                    tokio::time::sleep(every).await;
                }
                return Ok(Then::NextRequest);
            }
            Fault::CloseAfter => self.correct(&answer).await?,
            Fault::Chunked => {
                self.write(answer.head("Transfer-Encoding: chunked\r\n").as_bytes()).await?;
                self.chunks(&answer).await?;
                self.write(b"0\r\n\r\n").await?;
                return Ok(Then::NextRequest);
            }
            Fault::BadChunk(n) => {
                self.write(answer.head("Transfer-Encoding: chunked\r\n").as_bytes()).await?;
                let body = answer.body.slice(..n.min(len));
                self.chunks(&Answer { body, ..answer }).await?;
                self.write(b"xyz\r\n").await?;
            }
            Fault::CloseDelimited => {
                self.write(answer.head("Connection: close\r\n").as_bytes()).await?;
                if answer.has_body() {
                    self.body(&answer.body).await?;
                }
            }
            Fault::Interim => {
                self.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n").await?;
                self.correct(&answer).await?;
                return Ok(Then::NextRequest);
            }
            Fault::InterimFlood => loop {
                self.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n").await?;
                // Yields, so that the others on this thread have their turn.
                tokio::time::sleep(Duration::from_millis(1)).await;
            },
            Fault::StallInHead => {
                let head = answer.head(&format!("Content-Length: {len}\r\n"));
                self.write(&head.as_bytes()[..head.len() / 2]).await?;
                self.until_the_peer_leaves().await;
            }
            Fault::HugeHead(n) => {
                let page = Page::new(answer.body.clone()).field("X-Huge", "x".repeat(n));
                self.correct(&Answer { fields: page.fields, ..answer }).await?;
                return Ok(Then::NextRequest);
            }
            Fault::Vanish if self.answered == 0 => {
                self.correct(&answer).await?;
                return Ok(Then::NextRequest);
            }
            Fault::Vanish => self.until_the_peer_leaves().await,
        }
        Ok(Then::Close)
    }

    async fn correct(&mut self, answer: &Answer) -> io::Result<()> {
        self.head(answer, answer.body.len()).await?;
        if answer.has_body() {
            self.body(&answer.body).await?;
        }
        Ok(())
    }

    async fn head(&mut self, answer: &Answer, announced: usize) -> io::Result<()> {
        let framing =
            if answer.status == 304 { String::new() } else { format!("Content-Length: {announced}\r\n") };
        self.write(answer.head(&framing).as_bytes()).await
    }

    async fn chunks(&mut self, answer: &Answer) -> io::Result<()> {
        if answer.has_body() {
            for piece in answer.body.chunks(10_000) {
                self.write(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                self.body(piece).await?;
                self.write(b"\r\n").await?;
            }
        }
        Ok(())
    }

    async fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut due = Instant::now();
        for piece in bytes.chunks(PIECE) {
            // Before the write: whoever has the bytes finds them counted.
            self.stage.sent.fetch_add(piece.len(), Ordering::Relaxed);
            self.write(piece).await?;
            if let Some(rate) = self.stage.rate {
                due += Duration::from_secs_f64(piece.len() as f64 / f64::from(rate.get()));
                tokio::time::sleep_until(due).await;
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    async fn until_the_peer_leaves(&mut self) {
        let mut ignored = [0; 512];
        while matches!(self.stream.read(&mut ignored).await, Ok(n) if n > 0) {}
    }
}
