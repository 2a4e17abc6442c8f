//! Heads of requests and answers: in pieces they are what they are in one, and what passes has strict lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use substratum::syntax::{Flaw, Limits, Lines, request_line};

fn feed_pieces(limits: Limits, bytes: &[u8], size: usize) -> Result<Option<usize>, Flaw> {
    let mut lines = Lines::new(limits);
    let mut before = 0;
    for piece in bytes.chunks(size) {
        if let Some(end) = lines.feed(piece)? {
            return Ok(Some(before + end));
        }
        before += piece.len();
    }
    Ok(None)
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (size, bytes) = input;
    let limits = Limits { head: 512, first_line: 128, fields: 8, empty_lines: usize::from(size & 1) };
    let whole = Lines::new(limits).feed(&bytes);
    let pieces = feed_pieces(limits, &bytes, usize::from(size).max(1));
    // Which of two flaws is seen first may depend on the pieces; whether there is one may not.
    assert_eq!(whole.is_ok(), pieces.is_ok());
    let Ok(Some(end)) = whole else { return };
    assert_eq!(pieces, whole);
    assert!(end <= limits.head);
    let head = &bytes[..end];
    assert!(head.ends_with(b"\r\n\r\n"));
    let (cr, lf) = (head.iter().filter(|&&c| c == b'\r').count(), head.iter().filter(|&&c| c == b'\n').count());
    assert_eq!((cr, lf), (head.windows(2).filter(|two| two == b"\r\n").count(), cr));
    assert!(!head.windows(3).any(|three| three == b"\r\n " || three == b"\r\n\t") || head.starts_with(b"\r\n"));
    if request_line(head).is_ok() {
        let text = head.strip_prefix(b"\r\n").unwrap_or(head);
        let line = text.split(|&c| c == b'\r').next().unwrap_or_default();
        let parts: Vec<_> = line.split(|&c| c == b' ').collect();
        assert_eq!(parts.len(), 3);
        assert!(parts[1].iter().all(|c| c.is_ascii_graphic() && !b"#\\".contains(c)));
    }
});
