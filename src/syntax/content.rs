//! How long a request's content is (RFC 9112 §6), from a head whose lines are in order.
//!
//! Stricter than the RFC: told by `Content-Length`, once and in digits, or there is none. A request in chunks is asked to say
//! its length (§6.3, 411). Names and values that break the grammar are the parser's business, as everywhere here.

use super::Flaw;

/// Digits of a length; more are too long in any case.
const MAX_DIGITS: usize = 18;

/// Bytes of content behind `head`, at most `max`.
pub fn length(head: &[u8], max: u64) -> Result<u64, Flaw> {
    let mut length = None;
    for line in head.split(|&c| c == b'\n') {
        let Some(colon) = line.iter().position(|&c| c == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Flaw::LengthRequired);
        }
        if name.eq_ignore_ascii_case(b"content-length") && length.replace(value).is_some() {
            return Err(Flaw::ContentLength);
        }
    }
    let Some(digits) = length else { return Ok(0) };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Flaw::ContentLength);
    }
    if digits.len() > MAX_DIGITS {
        return Err(Flaw::ContentTooLong);
    }
    let length = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if length > max { Err(Flaw::ContentTooLong) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let table = [
            ("", Ok(0)),
            ("Content-Length: 5\r\n", Ok(5)),
            ("content-LENGTH:\t007 \r\n", Ok(7)),
            ("X-Content-Length: 5\r\n", Ok(0)),
            ("Content-Length: 100\r\n", Ok(100)),
            ("Content-Length: 101\r\n", Err(Flaw::ContentTooLong)),
            ("Content-Length: 99999999999999999999999\r\n", Err(Flaw::ContentTooLong)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(Flaw::ContentLength)),
            ("Content-Length: 5, 5\r\n", Err(Flaw::ContentLength)),
            ("Content-Length: +5\r\n", Err(Flaw::ContentLength)),
            ("Content-Length: 0x5\r\n", Err(Flaw::ContentLength)),
            ("Content-Length:\r\n", Err(Flaw::ContentLength)),
            ("Transfer-Encoding: chunked\r\n", Err(Flaw::LengthRequired)),
            ("Content-Length: 5\r\nTransfer-Encoding: x\r\n", Err(Flaw::LengthRequired)),
            // No field of that name; the parser refuses it.
            ("Content-Length : 5\r\n", Ok(0)),
        ];
        for (fields, expected) in table {
            let head = format!("POST http://h:80/x HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            assert_eq!(length(head.as_bytes(), 100), expected, "{fields:?}");
        }
    }
}
