//! Who may use the admin port, where that is asked: a token that requests bear, and TLS around them.
//!
//! Probes are answered to everybody: they tell nothing, and whoever sends them has no place for secrets. Everything else wants
//! the token: as a bearer token (RFC 6750), or, for browsers that look at pages, as the password of the user `substratum` (RFC
//! 7617). A browser sends a password along whoever made it ask, so that changes want the former.

use std::path::Path;

use http::{HeaderMap, header};
use tokio_rustls::TlsAcceptor;

use crate::config::{Readers, Secret, SecretError};

/// Name with which browsers log in.
const USER: &str = "substratum";
/// Shorter ones are guessed.
const LEAST: usize = 16;

/// What guards the port; replaced on a reload.
#[derive(Clone, Default)]
pub struct Guard {
    /// TLS.
    pub tls: Option<TlsAcceptor>,
    /// The token.
    pub token: Option<Token>,
}

/// What requests bear.
#[derive(Clone, Debug)]
pub struct Token {
    bearer: Box<[u8]>,
    basic: Box<[u8]>,
}

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be had.
    #[error("`token_file` in [admin]: {0}")]
    Secret(#[from] SecretError),
    /// It cannot be sent, or is too easily guessed.
    #[error(
        "`token_file` in [admin]: a token has at least {LEAST} characters, none of which is a space or beyond ASCII; \
         make one with: openssl rand -hex 32"
    )]
    Unfit,
}

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// See everything, and change what can be changed.
    Change,
    /// See everything.
    See,
    /// Nothing.
    Nothing,
}

impl Token {
    /// Reads it. Warns when others on this machine can, too.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let (secret, readers) = Secret::read(path)?;
        if readers == Readers::Everybody {
            tracing::warn!(
                file = %path.display(),
                "everybody on this machine can read the admin token: take the right to read from others (chmod o-r)"
            );
        }
        let fits = secret.bytes().len() >= LEAST && secret.bytes().iter().all(u8::is_ascii_graphic);
        if !fits {
            return Err(TokenError::Unfit);
        }
        Ok(Self { bearer: secret.bytes().into(), basic: secret.basic(USER).into_bytes().into() })
    }

    /// What the fields of a request entitle to.
    pub(super) fn right(&self, fields: &HeaderMap) -> Right {
        let mut values = fields.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Right::Nothing };
        let mut words = value.as_bytes().splitn(2, |&c| c == b' ');
        let scheme = words.next().unwrap_or_default();
        let credentials = words.next().unwrap_or_default().trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") && same(credentials, &self.bearer) {
            Right::Change
        } else if scheme.eq_ignore_ascii_case(b"basic") && same(credentials, &self.basic) {
            Right::See
        } else {
            Right::Nothing
        }
    }
}

/// In a time that tells nothing but the length.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn token(content: &str) -> Result<Token, TokenError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        Token::read(file.path())
    }

    #[test]
    fn what_requests_bear() {
        let token = token("0123456789abcdef\n").unwrap();
        let table: [(&[&str], Right); 10] = [
            (&["Bearer 0123456789abcdef"], Right::Change),
            (&["bearer  0123456789abcdef"], Right::Change),
            (&["Basic c3Vic3RyYXR1bTowMTIzNDU2Nzg5YWJjZGVm"], Right::See),
            (&["Bearer 0123456789abcdeg"], Right::Nothing),
            (&["Bearer 0123456789abcde"], Right::Nothing),
            (&["Basic 0123456789abcdef"], Right::Nothing),
            (&["0123456789abcdef"], Right::Nothing),
            (&["Bearer"], Right::Nothing),
            (&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"], Right::Nothing),
            (&[], Right::Nothing),
        ];
        for (values, expected) in table {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(token.right(&fields), expected, "{values:?}");
        }
    }

    #[test]
    fn unfit_tokens() {
        for content in ["0123456789abcde", "0123456789 abcdef", "0123456789abcd\u{e9}f"] {
            assert!(matches!(token(content), Err(TokenError::Unfit)), "{content}");
        }
        assert!(matches!(token(""), Err(TokenError::Secret(_))));
    }
}
