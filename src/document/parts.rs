//! Bytes of one representation that are here, while others are missing (RFC 9111 §3.3, §3.4). Pure.
//!
//! Invariants: pieces lie within the representation, in order, and never overlap; `bytes` is what they hold. What is here
//! already stays: only what a new piece adds is copied, so that putting parts together costs as much as their bytes.

use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, HeaderMap};

use super::body::joined;

/// Pieces of one representation; what would need more is not taken in.
const MAX_PIECES: usize = 256;

/// Memory of a piece beside its bytes.
const PIECE: usize = 64;

/// The pieces that are here.
#[derive(Clone, Debug)]
pub struct Parts {
    total: u64,
    pieces: Vec<Piece>,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

/// There are too many pieces already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Parts {
    /// Nothing of a representation of `total` bytes.
    pub fn of(total: u64) -> Self {
        Self { total, pieces: Vec::new(), bytes: 0 }
    }

    /// Bytes of the whole representation.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes in the bytes from `start` on, as far as they lie within the representation.
    pub fn add(&mut self, start: u64, bytes: &[u8]) -> Result<(), TooMany> {
        let end = start.saturating_add(bytes.len() as u64).min(self.total);
        let missing = self.missing(start..end);
        if self.pieces.len() + missing.len() > MAX_PIECES {
            return Err(TooMany);
        }
        for gap in missing {
            let piece = &bytes[(gap.start - start) as usize..(gap.end - start) as usize];
            self.bytes += piece.len() as u64;
            self.pieces.push(Piece { start: gap.start, bytes: Bytes::copy_from_slice(piece) });
        }
        self.pieces.sort_by_key(|piece| piece.start);
        Ok(())
    }

    /// What of `range` is not here, in order.
    fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut at = range.start;
        for piece in self.pieces.iter().filter(|piece| piece.end() > range.start && piece.start < range.end) {
            if at < piece.start {
                missing.push(at..piece.start);
            }
            at = piece.end();
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }

    /// The bytes of `range`, if all of them are here.
    pub fn read(&self, range: Range<u64>) -> Option<Bytes> {
        if range.end > self.total || !self.missing(range.clone()).is_empty() {
            return None;
        }
        let slices = self.pieces.iter().filter_map(|piece| {
            let (start, end) = (range.start.max(piece.start), range.end.min(piece.end()));
            (start < end)
                .then(|| piece.bytes.slice((start - piece.start) as usize..(end - piece.start) as usize))
        });
        Some(joined(slices, range.end.saturating_sub(range.start)))
    }

    /// All of it, once nothing is missing.
    pub fn whole(&self) -> Option<Bytes> {
        if self.bytes == self.total { self.read(0..self.total) } else { None }
    }

    /// Bytes of memory, roughly.
    pub fn weight(&self) -> usize {
        self.bytes as usize + self.pieces.len() * PIECE
    }
}

/// `bytes first-last/total` of a 206 -> the half-open range and the total (RFC 9110 §14.4); `None` for anything else, and
/// for a total that is not known.
pub fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, u64)> {
    let mut fields = headers.get_all(CONTENT_RANGE).iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    let (unit, rest) = field.to_str().ok()?.trim().split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |digits: &str| {
        let digits = Some(digits).filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    };
    let (first, end, total) = (number(first)?, number(last)?.checked_add(1)?, number(total)?);
    (unit.eq_ignore_ascii_case("bytes") && first < end && end <= total).then_some((first..end, total))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn representation(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    proptest! {
        /// Whatever parts come in whatever order: what can be read is what stands there, and all of them are the whole.
        #[test]
        fn combined_ranges_equal_the_whole(
            len in 1usize..400,
            ranges in prop::collection::vec((0usize..400, 0usize..120), 0..40),
            asked in (0usize..400, 0usize..400),
        ) {
            let whole = representation(len);
            let mut parts = Parts::of(len as u64);
            let mut here = vec![false; len];
            for (start, count) in ranges {
                let (start, end) = (start.min(len), (start + count).min(len));
                parts.add(start as u64, &whole[start..end]).unwrap();
                here[start..end].fill(true);
                let held = here.iter().filter(|here| **here).count();
                prop_assert_eq!(parts.bytes, held as u64);
                prop_assert_eq!(parts.whole().is_some(), held == len);
            }
            let (start, end) = (asked.0.min(asked.1).min(len), asked.0.max(asked.1).min(len));
            let read = parts.read(start as u64..end as u64);
            prop_assert_eq!(read.is_some(), here[start..end].iter().all(|here| *here));
            if let Some(read) = read {
                prop_assert_eq!(&read[..], &whole[start..end]);
            }
            // The rest of it makes it whole, over what is here already.
            parts.add(0, &whole).unwrap();
            prop_assert_eq!(parts.whole().unwrap(), whole);
        }
    }

    #[test]
    fn there_are_never_too_many_pieces() {
        let mut parts = Parts::of(10_000);
        for n in 0..MAX_PIECES as u64 {
            parts.add(n * 2, b"x").unwrap();
        }
        assert_eq!(parts.add(9_000, b"x"), Err(TooMany));
        assert_eq!(parts.read(9_000..9_001), None);
        // What is here already needs no piece of its own.
        assert_eq!(parts.add(2, b"x"), Ok(()));
    }

    #[test]
    fn content_ranges() {
        let table = [
            ("bytes 0-4/10", Some((0..5, 10))),
            ("Bytes 9-9/10", Some((9..10, 10))),
            ("bytes 0-4/*", None),
            ("bytes */10", None),
            ("bytes 5-4/10", None),
            ("bytes 5-10/10", None),
            ("bytes +1-4/10", None),
            ("bytes 0-18446744073709551615/18446744073709551615", None),
            ("lines 0-4/10", None),
            ("bytes=0-4/10", None),
            ("", None),
        ];
        for (text, expected) in table {
            let headers = HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static(text))]);
            assert_eq!(content_range(&headers), expected, "{text}");
        }
        let mut twice = HeaderMap::new();
        twice.append(CONTENT_RANGE, HeaderValue::from_static("bytes 0-4/10"));
        twice.append(CONTENT_RANGE, HeaderValue::from_static("bytes 0-4/10"));
        assert_eq!(content_range(&twice), None);
    }
}
