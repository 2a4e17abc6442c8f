//! The bytes of a client's connection on their way to the parser: whole heads, each checked, with the content of those that
//! have some; or nothing. Pure.
//!
//! GET and HEAD have no content here. Other methods have as much as they say, where they are served at all; where not, whatever
//! follows their head is never looked at, since the refusal closes the connection. Nor is what follows CONNECT: it is somebody
//! else's, or comes to nothing with the connection. In place of a flawed head the parser gets a
//! stand-in ([`request::stand_in`]), so that the refusal is an answer like any other: in its turn, counted and logged. After it
//! nothing more is taken in.

use crate::config::WriteMethod;
use crate::request;
use crate::syntax::{Flaw, Limits, Lines, content, request_line};

/// Which requests may have content, and how much.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The methods.
    pub methods: Vec<WriteMethod>,
    /// The most, in bytes.
    pub max: u64,
}

/// One connection's bytes.
#[derive(Debug)]
pub struct Intake {
    lines: Lines,
    contents: Contents,
    /// What comes behind the latest head.
    behind: Behind,
    /// Bytes not yet handed on: those that may be first, then the beginning of a head.
    held: Vec<u8>,
    /// How many of them may be handed on.
    whole: usize,
    refused: bool,
}

/// What comes behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// So many bytes of content that have yet to come, then the next head.
    Content(u64),
    /// What a tunnel carries, to the end.
    Tunnel,
}

impl Intake {
    /// Before the first byte.
    pub fn new(limits: Limits, contents: Contents) -> Self {
        Self {
            lines: Lines::new(limits),
            contents,
            behind: Behind::Content(0),
            held: Vec::new(),
            whole: 0,
            refused: false,
        }
    }

    /// Whether a flawed head came; the rest is not looked at.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether a head has begun and not ended.
    pub fn is_in_head(&self) -> bool {
        self.held.len() > self.whole
    }

    /// Whether all that came were whole requests, which were handed on.
    pub fn is_between_requests(&self) -> bool {
        self.held.is_empty() && self.behind == Behind::Content(0) && !self.refused
    }

    /// Bytes that were handed on and given back are the next ones to be.
    pub fn give_back(&mut self, bytes: &[u8]) {
        self.held.splice(..0, bytes.iter().copied());
        self.whole += bytes.len();
    }

    /// Whether content was announced that has not come.
    pub fn awaits_content(&self) -> bool {
        matches!(self.behind, Behind::Content(1..))
    }

    /// What may be handed on.
    pub fn ready(&self) -> &[u8] {
        &self.held[..self.whole]
    }

    /// `n` bytes of it were.
    pub fn handed_on(&mut self, n: usize) {
        self.held.drain(..n);
        self.whole -= n;
        if self.held.is_empty() {
            // Most clients never need it again.
            self.held = Vec::new();
        }
    }

    /// Whether all of what came may be handed on as it lies there, and nothing is held. Else [`Intake::take`] takes it in.
    pub fn passes(&mut self, came: &[u8]) -> bool {
        if !self.held.is_empty() {
            return false;
        }
        let behind = self.behind;
        if self.scan(came, 0) == Ok(came.len()) {
            return true;
        }
        // Looked at once more, from where it is held.
        self.behind = behind;
        self.lines.restart();
        false
    }

    /// Takes in what came.
    pub fn take(&mut self, came: &[u8]) {
        let start = self.held.len();
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(came);
        let (whole, flaw) = match self.scan(&held, start) {
            Ok(whole) => (whole, None),
            Err((whole, flaw)) => (whole, Some(flaw)),
        };
        self.held = held;
        self.whole = whole;
        if let Some(flaw) = flaw {
            self.held.truncate(whole);
            self.held.extend_from_slice(request::stand_in(flaw).as_bytes());
            self.whole = self.held.len();
            self.refused = true;
        }
    }

    /// How many of `bytes` may be handed on, of which all before `seen` were looked at and found to be the beginning of a head.
    fn scan(&mut self, bytes: &[u8], seen: usize) -> Result<usize, (usize, Flaw)> {
        let (mut whole, mut at) = (0, seen);
        loop {
            match &mut self.behind {
                Behind::Content(0) => {}
                Behind::Content(content) => {
                    let n = (*content).min((bytes.len() - at) as u64);
                    *content -= n;
                    // Fits: it is no more than there are bytes.
                    at += n as usize;
                    whole = at;
                }
                Behind::Tunnel => return Ok(bytes.len()),
            }
            match self.lines.feed(&bytes[at..]) {
                Ok(None) => return Ok(whole),
                Ok(Some(n)) => {
                    at += n;
                    self.behind = self.judge(&bytes[whole..at]).map_err(|flaw| (whole, flaw))?;
                    whole = at;
                }
                Err(flaw) => return Err((whole, flaw)),
            }
        }
    }

    /// What comes behind a whole head.
    fn judge(&self, head: &[u8]) -> Result<Behind, Flaw> {
        request_line(head)?;
        let line = head.strip_prefix(b"\r\n").unwrap_or(head);
        if line.starts_with(b"CONNECT ") {
            return Ok(Behind::Tunnel);
        }
        if self.contents.methods.is_empty() {
            return Ok(Behind::Content(0));
        }
        let method = line.split(|&c| c == b' ').next().unwrap_or_default();
        let served = self.contents.methods.iter().any(|one| one.as_str().as_bytes() == method);
        let length = if served { content::length(head, self.contents.max)? } else { 0 };
        Ok(Behind::Content(length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { head: 200, first_line: 100, fields: 5, empty_lines: 1 };

    fn intake() -> Intake {
        Intake::new(LIMITS, Contents { methods: vec![WriteMethod::Post], max: 50 })
    }

    /// What the parser sees of bytes that come in pieces of these sizes.
    fn seen(bytes: &[u8], pieces: &[usize]) -> String {
        let (mut intake, mut out, mut rest) = (intake(), Vec::new(), bytes);
        let mut sizes = pieces.iter().copied().cycle();
        while !rest.is_empty() && !intake.is_refused() {
            let (came, later) = rest.split_at(sizes.next().unwrap_or(rest.len()).clamp(1, rest.len()));
            rest = later;
            if intake.passes(came) {
                out.extend_from_slice(came);
                continue;
            }
            intake.take(came);
            let ready = intake.ready().to_vec();
            intake.handed_on(ready.len());
            out.extend_from_slice(&ready);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    const GET: &str = "GET /x HTTP/1.1\r\nA: b\r\n\r\n";
    const CONNECT: &str = "CONNECT a.example.org:443 HTTP/1.1\r\n\r\n";

    #[test]
    fn content_is_as_long_as_it_says() {
        let post = |length: &str, content: &str| {
            format!("POST /y HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{content}")
        };
        let refused = |flaw: Flaw| request::stand_in(flaw);
        let table = [
            (post("5", "a\nb\rc") + GET, post("5", "a\nb\rc") + GET),
            (post("0", GET), post("0", GET)),
            (post("5", "a\nb\rcGET\n"), post("5", "a\nb\rc") + &refused(Flaw::BareLf)),
            (post("51", "x"), refused(Flaw::ContentTooLong)),
            (post("5, 5", "hello"), refused(Flaw::ContentLength)),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".into(), refused(Flaw::LengthRequired)),
            // Whatever comes behind CONNECT, and nothing of it is looked at.
            (format!("{GET}{CONNECT}\n\nGET\x16"), format!("{GET}{CONNECT}\n\nGET\x16")),
            // Not served here: its content is looked at as if it were a head, and the refusal of the head comes first.
            (
                "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\n".into(),
                "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n".to_owned() + &refused(Flaw::BareLf),
            ),
        ];
        for (bytes, expected) in table {
            for pieces in [&[1000][..], &[1], &[7, 2, 30]] {
                assert_eq!(seen(bytes.as_bytes(), pieces), expected, "{bytes:?} in {pieces:?}");
            }
        }
    }

    proptest! {
        /// However the bytes are cut, the parser sees the same.
        #[test]
        fn pieces_make_no_difference(
            texts in prop::collection::vec(prop::sample::select(vec![
                GET, CONNECT, "POST /y HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "\r\n", "\n", "GET ", "hello", "\r\nA: b\r\n",
            ]), 0..8),
            pieces in prop::collection::vec(1usize..40, 1..5),
        ) {
            let bytes = texts.concat();
            prop_assert_eq!(seen(bytes.as_bytes(), &pieces), seen(bytes.as_bytes(), &[1]));
        }
    }
}
