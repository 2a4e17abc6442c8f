//! Heads of answers about objects: what they promise of the bytes that follow. Pure.

use http::header::CONTENT_RANGE;
use http::{Response, StatusCode};

use crate::upstream::{Candidate, UpstreamBody, UpstreamOutcome as Outcome};

/// What the head of an answer about an object promises: bytes in all, if it says so, and how many of those that come
/// are known already; or what is wrong with it.
pub fn read_head(
    candidate: &Candidate,
    response: &Response<UpstreamBody>,
    from: u64,
    expected: Option<u64>,
) -> Result<(Option<u64>, u64), Outcome> {
    let (len, skip) = match response.status() {
        StatusCode::OK => (response.body().content_length(), from),
        StatusCode::PARTIAL_CONTENT if from > 0 => {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            match range.and_then(content_range) {
                Some((first, total)) if first == from => (Some(total), 0),
                _ => return Err(Outcome::Protocol),
            }
        }
        // There is no byte `from`: it knows a shorter body.
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => return Err(Outcome::BadLength),
        // Neither the whole object nor the part that was asked for.
        status if status.is_success() => return Err(Outcome::Protocol),
        status => return Err(candidate.upstream.verdict(status, response.headers())),
    };
    match (expected, len) {
        // Another length is another body: it can only be wrong to go on with it.
        (Some(expected), Some(len)) if expected != len => Err(Outcome::BadLength),
        _ => Ok((len, skip)),
    }
}

/// `bytes first-last/total` that reaches to the end -> (`first`, `total`). RFC 9110 §14.4.
fn content_range(value: &str) -> Option<(u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last.checked_add(1)? == total).then_some((first, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let table = [
            ("bytes 5-9/10", Some((5, 10))),
            ("bytes 0-0/1", Some((0, 1))),
            ("bytes 5-8/10", None),
            ("bytes 9-5/10", None),
            ("bytes 5-9/*", None),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes 5-18446744073709551615/10", None),
            ("", None),
        ];
        for (value, expected) in table {
            assert_eq!(content_range(value), expected, "{value}");
        }
    }
}
