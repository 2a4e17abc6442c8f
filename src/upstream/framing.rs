//! Where an answer ends: what the parser forgives there and we do not. Pure.

use http::{Response, StatusCode, Version, header};

use super::Failure;

/// Refuses answers whose end another reader could see elsewhere (RFC 9112 §6.3), and codings nobody asked
/// for.
pub fn check<B>(answer: &Response<B>) -> Result<(), Failure> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::protocol("it switched protocols unasked"));
    }
    let headers = answer.headers();
    // Also where there is no body, as with HEAD and 304, and the parser does not look: the field is passed on.
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter().map(|length| length.as_bytes());
    let first = lengths.next();
    if first.is_some_and(|first| !first.iter().all(u8::is_ascii_digit) || first.is_empty())
        || lengths.any(|other| Some(other) != first)
    {
        return Err(Failure::protocol("its Content-Length is not one number"));
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if answer.version() != Version::HTTP_11 {
        return Err(Failure::protocol("it has a Transfer-Encoding, but is no HTTP/1.1"));
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Failure::protocol("it has both Content-Length and Transfer-Encoding"));
    }
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Failure::protocol("it has a Transfer-Encoding other than chunked"));
    }
    Ok(())
}
