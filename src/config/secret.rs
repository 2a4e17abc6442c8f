//! Passwords and tokens: each in a file of its own, so that the configuration can be shown to anybody. Read when they are
//! needed, and never shown again.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// What stands in the only line of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

/// Who may read the file beside its owner and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Few,
    /// Everybody on this machine.
    Everybody,
}

/// Why there is no secret to be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing is in it, or more than one line.
    #[error("{path} must hold it and nothing else, in one line")]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// Reads it.
    pub fn read(path: &Path) -> Result<(Self, Readers), SecretError> {
        let (text, mode) =
            read(path).map_err(|source| SecretError::Read { path: path.to_owned(), source })?;
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.iter().any(u8::is_ascii_control) || text.len() as u64 > MAX_FILE {
            return Err(SecretError::Content { path: path.to_owned() });
        }
        let readers = if mode & 0o004 == 0 { Readers::Few } else { Readers::Everybody };
        Ok((Self(line.into()), readers))
    }

    /// Itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What stands behind `Basic` where somebody logs in with it (RFC 7617).
    pub fn basic(&self, user: &str) -> String {
        base64(&[user.as_bytes(), b":", &self.0].concat())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

fn read(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    Ok((text, mode))
}

/// RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | usize::from(group.get(i).copied().unwrap_or(0)));
        for digit in 0..4 {
            let padding = digit > group.len();
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if padding { '=' } else { DIGITS[value].into() });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, expected) in table {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    fn secret(content: &[u8]) -> Result<Secret, SecretError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        Secret::read(file.path()).map(|(secret, _)| secret)
    }

    #[test]
    fn it_is_the_only_line() {
        for content in ["open sesame", "open sesame\n", "open sesame\r\n"] {
            assert_eq!(secret(content.as_bytes()).unwrap().bytes(), b"open sesame");
        }
        for content in ["", "\n", "open\nsesame\n", &"x".repeat(5000)] {
            assert!(matches!(secret(content.as_bytes()), Err(SecretError::Content { .. })), "{content}");
        }
        assert!(
            Secret::read(Path::new("/nonexistent/secret"))
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/secret")
        );
    }

    #[test]
    fn who_may_read_it_is_seen_and_it_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "open sesame").unwrap();
        for (mode, expected) in [(0o600, Readers::Few), (0o640, Readers::Few), (0o644, Readers::Everybody)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let (secret, readers) = Secret::read(file.path()).unwrap();
            assert_eq!((format!("{secret:?}"), readers), ("Secret".to_owned(), expected));
        }
    }
}
