//! How we make ourselves known to a parent that asks for it: `Proxy-Authorization: Basic` (RFC 7617).
//!
//! The password stands in a file of its own, so that the configuration can be shown to anybody. It is read once, at the
//! start, and kept only in the marked-as-sensitive field value, which neither logs nor `Debug` show.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use http::HeaderValue;

use crate::config::Login;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// Why a parent's password cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The file cannot be read.
    #[error("password_file in [[parents]]: {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no password in it, or more than one line.
    #[error("password_file in [[parents]]: {path} must hold the password and nothing else, in one line")]
    Content {
        /// The file.
        path: PathBuf,
    },
}

/// The field value for this login. Warns when others on this machine can read the password.
pub(super) fn authorization(login: &Login) -> Result<HeaderValue, LoginError> {
    let path = || login.password_file.clone();
    let (text, mode) =
        read(&login.password_file).map_err(|source| LoginError::Read { path: path(), source })?;
    if mode & 0o004 != 0 {
        tracing::warn!(
            file = %login.password_file.display(),
            "everybody on this machine can read a parent's password: take the right to read from others (chmod o-r)"
        );
    }
    let password = text.strip_suffix(b"\n").unwrap_or(&text);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    if password.is_empty() || password.iter().any(u8::is_ascii_control) || text.len() as u64 > MAX_FILE {
        return Err(LoginError::Content { path: path() });
    }
    let credentials = base64(&[login.user.as_bytes(), b":", password].concat());
    let mut value = HeaderValue::try_from(format!("Basic {credentials}"))
        .map_err(|_| LoginError::Content { path: path() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(path: &std::path::Path) -> io::Result<(Vec<u8>, u32)> {
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

    fn login(content: &[u8]) -> Result<HeaderValue, LoginError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        authorization(&Login { user: "Aladdin".to_owned(), password_file: file.path().to_owned() })
    }

    #[test]
    fn the_password_is_the_only_line() {
        // The example of RFC 7617 §2.
        for content in ["open sesame", "open sesame\n", "open sesame\r\n"] {
            assert_eq!(login(content.as_bytes()).unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        }
        for content in ["", "\n", "open\nsesame\n", &"x".repeat(5000)] {
            assert!(matches!(login(content.as_bytes()), Err(LoginError::Content { .. })), "{content}");
        }
        let missing = Login { user: "u".to_owned(), password_file: "/nonexistent/password".into() };
        assert!(authorization(&missing).unwrap_err().to_string().contains("/nonexistent/password"));
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", login(b"secret").unwrap()), "Sensitive");
    }
}
