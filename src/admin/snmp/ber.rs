//! As much of BER (X.690) as SNMP needs: tags of one byte, definite lengths. Pure; nothing here panics on any input.

/// Universal, application and context tags that occur (RFC 2578 §7.1, RFC 3416 §3).
pub mod tag {
    pub const INTEGER: u8 = 0x02;
    pub const OCTETS: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const SEQUENCE: u8 = 0x30;
    pub const COUNTER32: u8 = 0x41;
    pub const GAUGE32: u8 = 0x42;
    pub const TIME_TICKS: u8 = 0x43;
    pub const NO_SUCH_OBJECT: u8 = 0x80;
    pub const NO_SUCH_INSTANCE: u8 = 0x81;
    pub const END_OF_MIB_VIEW: u8 = 0x82;
    pub const GET: u8 = 0xa0;
    pub const GET_NEXT: u8 = 0xa1;
    pub const RESPONSE: u8 = 0xa2;
    pub const GET_BULK: u8 = 0xa5;
}

/// Most arcs of a name (RFC 2578 §3.5).
const MAX_ARCS: usize = 128;

/// Elements one after the other.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: its tag and content.
    pub fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // 0x80 is the indefinite form, which SNMP forbids; more than four bytes are no datagram's length.
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (bytes, behind) = rest.split_at_checked(count)?;
            rest = behind;
            bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, if it has this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The next element as a whole number of 32 bits.
    pub fn integer(&mut self) -> Option<i32> {
        let bytes = self.expect(tag::INTEGER)?;
        let (&first, rest) = bytes.split_first().filter(|_| bytes.len() <= 4)?;
        Some(rest.iter().fold(i32::from(first as i8), |value, &byte| value << 8 | i32::from(byte)))
    }

    /// The next element as a name.
    pub fn oid(&mut self) -> Option<Vec<u32>> {
        let bytes = self.expect(tag::OID)?;
        let mut arcs = Vec::new();
        let mut arc: u32 = 0;
        for &byte in bytes {
            arc = arc.checked_mul(128)? | u32::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.extend([first, arc - 40 * first]);
            } else {
                arcs.push(arc);
            }
            if arcs.len() > MAX_ARCS {
                return None;
            }
            arc = 0;
        }
        // The last arc must have ended.
        bytes.last().filter(|last| *last & 0x80 == 0).map(|_| arcs)
    }
}

/// Appends an element.
pub fn element(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = (content.len() as u32).to_be_bytes();
    match content.len() {
        short @ 0..0x80 => out.push(short as u8),
        0x80..0x100 => out.extend([0x81, length[3]]),
        0x100..0x1_0000 => out.extend([0x82, length[2], length[3]]),
        _ => {
            out.push(0x84);
            out.extend(length);
        }
    }
    out.extend(content);
}

/// Appends a whole number, as short as it can be.
pub fn integer(out: &mut Vec<u8>, tag: u8, value: i64) {
    let bytes = value.to_be_bytes();
    let redundant = |pair: &[u8]| matches!((pair[0], pair[1] & 0x80), (0, 0) | (0xff, 0x80));
    let skip = bytes.windows(2).take_while(|pair| redundant(pair)).count();
    element(out, tag, &bytes[skip..]);
}

/// Appends a name of at least two arcs.
pub fn oid(out: &mut Vec<u8>, arcs: &[u32]) {
    let mut content = Vec::with_capacity(arcs.len() + 4);
    let [first, second, rest @ ..] = arcs else { return element(out, tag::OID, &[0]) };
    for arc in [first.saturating_mul(40).saturating_add(*second)].iter().chain(rest) {
        for shift in [28, 21, 14, 7] {
            if arc >> shift != 0 {
                content.push((arc >> shift) as u8 & 0x7f | 0x80);
            }
        }
        content.push(*arc as u8 & 0x7f);
    }
    element(out, tag::OID, &content);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_of_the_standard() {
        let mut out = Vec::new();
        oid(&mut out, &[1, 3, 6, 1, 4, 1, 3495]);
        assert_eq!(out, [0x06, 0x07, 0x2b, 6, 1, 4, 1, 0x9b, 0x27]);
        for (value, expected) in
            [(0, &[0][..]), (127, &[127]), (128, &[0, 128]), (-1, &[255]), (-129, &[255, 127])]
        {
            let mut out = Vec::new();
            integer(&mut out, tag::INTEGER, value);
            assert_eq!(out[2..], *expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_element() {
        for bytes in [
            &[0x30][..],
            &[0x30, 0x80, 0, 0],
            &[0x30, 5, 1],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 1],
            &[0x30, 0x84, 255, 255, 255, 255],
        ] {
            assert_eq!(Reader(bytes).element(), None, "{bytes:?}");
        }
        // Lengths need not be as short as they could be.
        assert_eq!(Reader(&[4, 0x82, 0, 1, 7]).element(), Some((4, &[7][..])));
        for bytes in [&[6, 1, 0x80][..], &[6, 6, 0x2b, 255, 255, 255, 255, 127], &[6, 0]] {
            assert_eq!(Reader(bytes).oid(), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(
            value in any::<i32>(),
            first in 0..3u32,
            second in 0..40u32,
            rest in proptest::collection::vec(any::<u32>(), 0..20),
            content in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut out = Vec::new();
            let arcs = [&[first, second][..], &rest].concat();
            integer(&mut out, tag::INTEGER, value.into());
            oid(&mut out, &arcs);
            element(&mut out, tag::OCTETS, &content);
            let mut reader = Reader(&out);
            prop_assert_eq!(reader.integer(), Some(value));
            prop_assert_eq!(reader.oid(), Some(arcs));
            prop_assert_eq!(reader.expect(tag::OCTETS), Some(&content[..]));
            prop_assert!(reader.0.is_empty());
        }
    }
}
