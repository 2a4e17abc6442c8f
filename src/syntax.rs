//! What hyper's parser forgives in HTTP/1 heads and we do not (RFC 9112 §2.2, §3, §5.2): pure, on bytes as they arrive.
//!
//! The parser takes a bare LF for the end of a line, skips empty lines before a head and drops fragments from targets;
//! the next server may read such a message differently. [`Lines`] checks lines of requests and answers alike,
//! [`request_line`] the first line of a request, [`content`] how long its content is. Names and values of fields stay the parser's business.

pub mod content;

use memchr::{memchr2, memrchr};

use crate::reason::Reason;

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// LF without CR.
    BareLf,
    /// CR without LF.
    BareCr,
    /// Empty lines before the first line.
    EmptyLines,
    /// A field continued on the next line.
    Folded,
    /// Not `method SP target SP HTTP-version`.
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// Characters that no URI has, a fragment, or a percent sign without two hexadecimal digits.
    Target,
    /// The first line is longer than allowed.
    TargetTooLong,
    /// The head is longer than allowed.
    HeadTooLong,
    /// More fields than allowed.
    TooManyFields,
    /// A length of the content that is none, or that is told twice.
    ContentLength,
    /// Content whose length is not told beforehand.
    LengthRequired,
    /// Longer content than allowed.
    ContentTooLong,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::BareLf,
        Self::BareCr,
        Self::EmptyLines,
        Self::Folded,
        Self::RequestLine,
        Self::Version,
        Self::Target,
        Self::TargetTooLong,
        Self::HeadTooLong,
        Self::TooManyFields,
        Self::ContentLength,
        Self::LengthRequired,
        Self::ContentTooLong,
    ];

    /// Why the request is refused, in the words that operators read.
    pub const fn reason(self) -> Reason {
        match self {
            Self::TargetTooLong => Reason::TargetTooLong,
            Self::HeadTooLong => Reason::HeadTooLong,
            Self::TooManyFields => Reason::TooManyFields,
            _ => Reason::Malformed,
        }
    }

    /// A stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::EmptyLines => "empty-lines",
            Self::Folded => "folded-field",
            Self::RequestLine => "request-line",
            Self::Version => "version",
            Self::Target => "target",
            Self::TargetTooLong => "target-too-long",
            Self::HeadTooLong => "head-too-long",
            Self::TooManyFields => "too-many-fields",
            Self::ContentLength => "content-length",
            Self::LengthRequired => "length-required",
            Self::ContentTooLong => "content-too-long",
        }
    }
}

/// Bounds on a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes in all.
    pub head: usize,
    /// Bytes of the first line.
    pub first_line: usize,
    /// Fields.
    pub fields: usize,
    /// Empty lines before it: one before a request (RFC 9112 §2.2), none before an answer.
    pub empty_lines: usize,
}

/// The lines of heads, one head after the other, in pieces of any size.
#[derive(Debug)]
pub struct Lines {
    limits: Limits,
    /// The last byte was a CR, which must be followed by LF.
    after_cr: bool,
    /// Bytes of this head so far.
    head: usize,
    /// Bytes of the current line so far, without its end.
    line: usize,
    /// Lines that ended.
    lines: usize,
    empty_lines: usize,
}

impl Lines {
    /// Before the first head.
    pub fn new(limits: Limits) -> Self {
        Self { limits, after_cr: false, head: 0, line: 0, lines: 0, empty_lines: 0 }
    }

    /// Forgets the bytes of a head that is not complete: they come again.
    pub fn restart(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Takes in more bytes, up to the end of a head: how many of them belong to it. `None` where it goes on; all were
    /// taken in then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if !self.after_cr {
                let end = memchr2(b'\r', b'\n', rest);
                let text = end.unwrap_or(rest.len());
                match (self.line, self.lines, rest[0]) {
                    // Whoever speaks TLS here need not wait until it has said enough to fill a head.
                    (0, 0, first) if first.is_ascii_control() && !matches!(first, b'\r' | b'\n') => {
                        return Err(Flaw::RequestLine);
                    }
                    (0, 1.., b' ' | b'\t') => return Err(Flaw::Folded),
                    _ => {}
                }
                self.line += text;
                if self.lines == 0 && self.line > self.limits.first_line {
                    return Err(Flaw::TargetTooLong);
                }
                let Some(end) = end else {
                    self.grow(text)?;
                    return Ok(None);
                };
                if rest[end] == b'\n' {
                    return Err(Flaw::BareLf);
                }
                self.grow(text + 1)?;
                taken += text + 1;
                self.after_cr = true;
            }
            match bytes.get(taken) {
                None => return Ok(None),
                Some(b'\n') => {}
                Some(_) => return Err(Flaw::BareCr),
            }
            self.grow(1)?;
            taken += 1;
            self.after_cr = false;
            if self.end_line()? {
                *self = Self::new(self.limits);
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    /// Whether that was the empty line after the fields.
    fn end_line(&mut self) -> Result<bool, Flaw> {
        match (std::mem::take(&mut self.line), self.lines) {
            (0, 0) => {
                self.empty_lines += 1;
                if self.empty_lines > self.limits.empty_lines {
                    return Err(Flaw::EmptyLines);
                }
            }
            (0, _) => return Ok(true),
            _ => {
                self.lines += 1;
                if self.lines > self.limits.fields + 1 {
                    return Err(Flaw::TooManyFields);
                }
            }
        }
        Ok(false)
    }

    fn grow(&mut self, by: usize) -> Result<(), Flaw> {
        self.head += by;
        if self.head > self.limits.head { Err(Flaw::HeadTooLong) } else { Ok(()) }
    }
}

/// Bytes that no URI has; `#` is one: a fragment is never sent (RFC 9112 §3.2).
const FOREIGN: u8 = 1;
/// What begins an escape.
const PERCENT: u8 = 2;

/// Kinds of bytes in a target (RFC 3986 §2).
const TARGET: [u8; 256] = {
    let mut table = [FOREIGN; 256];
    let mut c = 0;
    while c < 128 {
        let byte = c as u8;
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'?' | b'[' | b']' | b'@')
            || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
        {
            table[c] = 0;
        }
        c += 1;
    }
    table[b'%' as usize] = PERCENT;
    table
};

/// Checks the first line of a request, from a whole head whose lines are in order.
pub fn request_line(head: &[u8]) -> Result<(), Flaw> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let line = &head[..memchr2(b'\r', b'\n', head).unwrap_or(head.len())];
    let version = memrchr(b' ', line).ok_or(Flaw::RequestLine)?;
    let method = memchr2(b' ', b'\t', line).filter(|&end| end > 0).ok_or(Flaw::RequestLine)?;
    match &line[version + 1..] {
        b"HTTP/1.1" | b"HTTP/1.0" => {}
        version if version.starts_with(b"HTTP/") => return Err(Flaw::Version),
        _ => return Err(Flaw::RequestLine),
    }
    let target =
        line.get(method + 1..version).filter(|target| !target.is_empty()).ok_or(Flaw::RequestLine)?;
    // Without a way out of the loop, several bytes are looked at together.
    let kinds = target.iter().fold(0, |kinds, &c| kinds | TARGET[usize::from(c)]);
    if kinds & FOREIGN != 0 || (kinds & PERCENT != 0 && !escapes_are_whole(target)) {
        return Err(Flaw::Target);
    }
    Ok(())
}

fn escapes_are_whole(target: &[u8]) -> bool {
    let mut escapes = target.split(|&c| c == b'%').skip(1);
    escapes.all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 100, first_line: 50, fields: 3, empty_lines: 1 };

    /// Whole and byte by byte.
    fn check(head: &str, expected: Result<Option<usize>, Flaw>) {
        assert_eq!(Lines::new(LIMITS).feed(head.as_bytes()), expected, "{head:?}");
        let mut lines = Lines::new(LIMITS);
        let mut got = Ok(None);
        for (n, byte) in (1..).zip(head.as_bytes()) {
            got = lines.feed(&[*byte]).map(|end| end.map(|_| n));
            if got != Ok(None) {
                break;
            }
        }
        assert_eq!(got, expected, "{head:?} in pieces");
    }

    #[test]
    fn lines() {
        check("GET / HTTP/1.1\r\nA: b\r\n\r\nGET", Ok(Some(24)));
        check("\r\nGET / HTTP/1.1\r\n\r\n", Ok(Some(20)));
        check("GET / HTTP/1.1\r\nA: b\r\n", Ok(None));
        check("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Err(Flaw::EmptyLines));
        check("\nGET / HTTP/1.1\r\n\r\n", Err(Flaw::BareLf));
        check("GET / HTTP/1.1\n\n", Err(Flaw::BareLf));
        check("GET / HTTP/1.1\r\nA: b\n\r\n", Err(Flaw::BareLf));
        check("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", Err(Flaw::BareCr));
        check("GET / HTTP/1.1\r\r\n\r\n", Err(Flaw::BareCr));
        check("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Err(Flaw::Folded));
        check("GET / HTTP/1.1\r\n\tA: b\r\n\r\n", Err(Flaw::Folded));
        check("\x16\x03\x01\x02", Err(Flaw::RequestLine));
        check("\r\n\x16", Err(Flaw::RequestLine));
        check(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(99)), Err(Flaw::TargetTooLong));
        check(&format!("GET / HTTP/1.1\r\nA: {}\r\n", "x".repeat(99)), Err(Flaw::HeadTooLong));
        check("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n", Err(Flaw::TooManyFields));
    }

    #[test]
    fn first_lines() {
        let table = [
            ("GET / HTTP/1.1", Ok(())),
            ("GET /a%2Fb?c=%00 HTTP/1.0", Ok(())),
            ("OPTIONS * HTTP/1.1", Ok(())),
            ("GET /", Err(Flaw::RequestLine)),
            ("GET", Err(Flaw::RequestLine)),
            ("GET  HTTP/1.1", Err(Flaw::RequestLine)),
            (" GET / HTTP/1.1", Err(Flaw::RequestLine)),
            ("GET\t/\tHTTP/1.1", Err(Flaw::RequestLine)),
            ("GET  / HTTP/1.1", Err(Flaw::Target)),
            ("GET / HTTP/1.1 ", Err(Flaw::RequestLine)),
            ("GET / http/1.1", Err(Flaw::RequestLine)),
            ("GET / HTTP/1.2", Err(Flaw::Version)),
            ("PRI * HTTP/2.0", Err(Flaw::Version)),
            ("GET /a#b HTTP/1.1", Err(Flaw::Target)),
            ("GET /a\\b HTTP/1.1", Err(Flaw::Target)),
            ("GET /%zz HTTP/1.1", Err(Flaw::Target)),
            ("GET /%2 HTTP/1.1", Err(Flaw::Target)),
            ("GET /\u{e9} HTTP/1.1", Err(Flaw::Target)),
        ];
        for (line, expected) in table {
            assert_eq!(request_line(format!("{line}\r\n\r\n").as_bytes()), expected, "{line:?}");
        }
    }
}
