//! Numbers and foreign text, appended to a line without allocating.
//!
//! The escapes are what keeps a record on one line: each leaves only printable ASCII, and none of the characters
//! that delimit a field in its form of the log. Beyond that they follow what readers of that form undo.

/// Appends `n`.
pub(super) fn decimal(out: &mut Vec<u8>, n: u64) {
    padded(out, n, 1, b'0');
}

/// Appends `n` with at least `width` characters (20 at most), filled from the left.
pub(super) fn padded(out: &mut Vec<u8>, mut n: u64, width: usize, fill: u8) {
    let mut field = [fill; 20];
    let mut start = field.len();
    loop {
        start -= 1;
        field[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&field[start.min(field.len() - width)..]);
}

/// Fills `field` with the last digits of `n`.
pub(super) fn digits(field: &mut [u8], mut n: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

/// Appends text that stands between spaces (a URL, a method): everything else becomes `%XX`, as in URLs.
/// `-` when there is nothing.
pub(super) fn bare(out: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        return out.push(b'-');
    }
    escape(out, text, &BARE, |out, at| {
        out.extend_from_slice(&[b'%', hex_upper(text[at] >> 4), hex_upper(text[at])]);
        1
    });
}

/// Appends text that stands between double quotes: `\"`, `\\`, `\n`, `\r`, `\t`, `\xHH`, as Apache writes it.
/// `-` when there is nothing.
pub(super) fn quoted(out: &mut Vec<u8>, text: Option<&[u8]>) {
    let text = text.unwrap_or_default();
    if text.is_empty() {
        return out.push(b'-');
    }
    escape(out, text, &QUOTED, |out, at| {
        match text[at] {
            c @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', c]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            c => out.extend_from_slice(&[b'\\', b'x', hex(c >> 4), hex(c)]),
        }
        1
    });
}

/// Appends the inside of a JSON string. Pure ASCII: some readers also end lines at U+0085 or U+2028. What is not
/// UTF-8 becomes U+FFFD.
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    escape(out, text, &QUOTED, |out, at| match text[at] {
        c @ (b'"' | b'\\') => {
            out.extend_from_slice(&[b'\\', c]);
            1
        }
        c if c.is_ascii() => {
            json_unit(out, u16::from(c));
            1
        }
        _ => {
            let foreign = &text[at..];
            let foreign = &foreign[..foreign.iter().position(u8::is_ascii).unwrap_or(foreign.len())];
            for chunk in foreign.utf8_chunks() {
                chunk.valid().encode_utf16().for_each(|unit| json_unit(out, unit));
                if !chunk.invalid().is_empty() {
                    json_unit(out, 0xfffd);
                }
            }
            foreign.len()
        }
    });
}

/// At most the first `limit` bytes.
pub(super) fn cut(text: &[u8], limit: usize) -> &[u8] {
    &text[..text.len().min(limit)]
}

/// Number of lines, each with its end.
pub(super) fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|&&c| c == b'\n').count() as u64
}

fn json_unit(out: &mut Vec<u8>, unit: u16) {
    let [high, low] = unit.to_be_bytes();
    out.extend_from_slice(&[b'\\', b'u', hex(high >> 4), hex(high), hex(low >> 4), hex(low)]);
}

/// Copies runs of plain characters; `special` writes what stands for the text at an offset, and says how many
/// bytes that was.
fn escape(
    out: &mut Vec<u8>,
    text: &[u8],
    plain: &[bool; 256],
    mut special: impl FnMut(&mut Vec<u8>, usize) -> usize,
) {
    let mut done = 0;
    while let Some(run) = text[done..].iter().position(|&c| !plain[usize::from(c)]) {
        out.extend_from_slice(&text[done..done + run]);
        done += run;
        done += special(out, done);
    }
    out.extend_from_slice(&text[done..]);
}

/// The low four bits as a digit.
fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble & 0xf)]
}

fn hex_upper(nibble: u8) -> u8 {
    hex(nibble).to_ascii_uppercase()
}

/// Printable ASCII without space, quote and backslash.
const BARE: [bool; 256] = plain(b'!');
/// Printable ASCII without quote and backslash.
const QUOTED: [bool; 256] = plain(b' ');

const fn plain(first: u8) -> [bool; 256] {
    let mut table = [false; 256];
    let mut c = first;
    while c <= b'~' {
        table[c as usize] = c != b'"' && c != b'\\';
        c += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for (n, width, fill, expected) in [
            (0, 1, b'0', "0"),
            (0, 3, b'0', "000"),
            (7, 3, b'0', "007"),
            (180, 6, b' ', "   180"),
            (12_345_678, 6, b' ', "12345678"),
            (u64::MAX, 1, b'0', "18446744073709551615"),
        ] {
            assert_eq!(written(|out| padded(out, n, width, fill)), expected);
        }
    }

    #[test]
    fn bare_text() {
        for (text, expected) in [
            (&b""[..], "-"),
            (b"http://h/a%20b?q=1", "http://h/a%20b?q=1"),
            (b"a b", "a%20b"),
            (b"a\nb\r\0\x7f", "a%0Ab%0D%00%7F"),
            (b"\"\\", "%22%5C"),
            ("é".as_bytes(), "%C3%A9"),
        ] {
            assert_eq!(written(|out| bare(out, text)), expected);
        }
    }

    #[test]
    fn quoted_text() {
        for (text, expected) in [
            (&b""[..], "-"),
            (b"cvmfs Fuse 2.11", "cvmfs Fuse 2.11"),
            (b"\" 200 \"", "\\\" 200 \\\""),
            (b"\\\n\r\t\x1b[0m", "\\\\\\n\\r\\t\\x1b[0m"),
            (b"\xff", "\\xff"),
        ] {
            assert_eq!(written(|out| quoted(out, Some(text))), expected);
        }
        assert_eq!(written(|out| quoted(out, None)), "-");
    }

    #[test]
    fn json_text() {
        for (text, expected) in [
            (&b""[..], ""),
            (b"a\"\\b", r#"a\"\\b"#),
            (b"\n\x7f", r"\u000a\u007f"),
            ("é\u{2028}😀".as_bytes(), r"\u00e9\u2028\ud83d\ude00"),
            (b"a\xffb\xc3", r"a\ufffdb\ufffd"),
        ] {
            assert_eq!(written(|out| json(out, text)), expected);
        }
    }

    proptest! {
        #[test]
        fn json_reads_back(text: Vec<u8>) {
            let line = written(|out| { out.push(b'"'); json(out, &text); out.push(b'"') });
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), String::from_utf8_lossy(&text));
        }

        #[test]
        fn delimiters_never_pass(text: Vec<u8>) {
            let bare = written(|out| bare(out, &text));
            prop_assert!(bare.bytes().all(|c| c.is_ascii_graphic() && c != b'"'));
            let quoted = written(|out| quoted(out, Some(&text)));
            prop_assert!(quoted.bytes().all(|c| c == b' ' || c.is_ascii_graphic()));
            // Without the escaped pairs no quote is left.
            prop_assert!(!quoted.replace("\\\\", "").replace("\\\"", "").contains('"'));
        }
    }
}
