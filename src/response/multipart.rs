//! `multipart/byteranges` (RFC 9110 §14.6): what stands around the parts of an answer with several ranges. Pure.
//!
//! ```text
//! head, bytes, head, bytes, ..., end        each head names its range; all lengths are known beforehand
//! ```

use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;

use super::range::content_range;

/// Several parts of one representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    boundary: String,
    parts: Vec<(Bytes, Range<u64>)>,
    end: Bytes,
}

impl Multipart {
    /// `parts` of a representation of `length` bytes and type `media`. `mark` is random, so that no content can hold
    /// the boundary on purpose.
    pub fn new(parts: Vec<Range<u64>>, length: u64, media: Option<&HeaderValue>, mark: u64) -> Self {
        let boundary = format!("substratum-{mark:016x}");
        let mut named = Vec::with_capacity(parts.len());
        for (i, part) in parts.into_iter().enumerate() {
            let mut head = Vec::new();
            head.extend_from_slice(if i == 0 { b"--" } else { b"\r\n--" });
            head.extend_from_slice(boundary.as_bytes());
            if let Some(media) = media {
                head.extend_from_slice(b"\r\nContent-Type: ");
                head.extend_from_slice(media.as_bytes());
            }
            head.extend_from_slice(b"\r\nContent-Range: ");
            head.extend_from_slice(content_range(&part, length).as_bytes());
            head.extend_from_slice(b"\r\n\r\n");
            named.push((Bytes::from(head), part));
        }
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        Self { boundary, parts: named, end }
    }

    /// `Content-Type` of the answer.
    pub fn content_type(&self) -> HeaderValue {
        HeaderValue::try_from(format!("multipart/byteranges; boundary={}", self.boundary))
            .unwrap_or_else(|_| HeaderValue::from_static("multipart/byteranges"))
    }

    /// Bytes of the answer's body.
    pub fn body_len(&self) -> u64 {
        let parts = self.parts.iter().map(|(head, part)| head.len() as u64 + (part.end - part.start));
        parts.sum::<u64>() + self.end.len() as u64
    }

    /// Each part's head and range, in order.
    pub fn parts(&self) -> &[(Bytes, Range<u64>)] {
        &self.parts
    }

    /// What stands behind the last part.
    pub fn end(&self) -> &Bytes {
        &self.end
    }

    /// The body, from a representation that is at hand. The ranges must lie within it.
    pub fn of(&self, whole: &Bytes) -> Bytes {
        let mut body = Vec::with_capacity(usize::try_from(self.body_len()).unwrap_or_default());
        for (head, part) in &self.parts {
            body.extend_from_slice(head);
            body.extend_from_slice(&whole[part.start as usize..part.end as usize]);
        }
        body.extend_from_slice(&self.end);
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The form of the example in RFC 9110 §15.3.7.2.
    #[test]
    fn form() {
        let media = HeaderValue::from_static("text/plain");
        let parts = Multipart::new(vec![0..2, 7..10], 10, Some(&media), 7);
        let body = parts.of(&Bytes::from_static(b"0123456789"));
        let expected = "--substratum-0000000000000007\r\nContent-Type: text/plain\r\n\
                        Content-Range: bytes 0-1/10\r\n\r\n01\r\n\
                        --substratum-0000000000000007\r\nContent-Type: text/plain\r\n\
                        Content-Range: bytes 7-9/10\r\n\r\n789\r\n\
                        --substratum-0000000000000007--\r\n";
        assert_eq!(body, expected);
        assert_eq!(parts.body_len(), expected.len() as u64);
        assert_eq!(parts.content_type(), "multipart/byteranges; boundary=substratum-0000000000000007");
        let untyped = Multipart::new(vec![0..2, 7..10], 10, None, 7).of(&Bytes::from_static(b"0123456789"));
        assert!(!untyped.windows(5).any(|w| w == b"-Type"));
    }

    proptest! {
        /// What stands between the heads, put together, is what was cut up.
        #[test]
        fn the_parts_together_are_the_whole(cuts in prop::collection::btree_set(1u64..500, 1..20)) {
            let whole: Bytes = (0..500u32).map(|n| (n % 251) as u8).collect();
            let ends = cuts.iter().copied().chain([500]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let parts = Multipart::new(starts.zip(ends).map(|(a, b)| a..b).collect(), 500, None, 9);
            let body = parts.of(&whole);
            prop_assert_eq!(body.len() as u64, parts.body_len());
            let (mut rest, mut together) = (&body[..], Vec::new());
            for (head, part) in parts.parts() {
                rest = rest.strip_prefix(&head[..]).unwrap();
                let (bytes, behind) = rest.split_at((part.end - part.start) as usize);
                together.extend_from_slice(bytes);
                rest = behind;
            }
            prop_assert_eq!(rest, &parts.end()[..]);
            prop_assert_eq!(together, whole);
        }
    }
}
