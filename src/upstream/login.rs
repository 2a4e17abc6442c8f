//! How we make ourselves known to a parent that asks for it: `Proxy-Authorization: Basic` (RFC 7617).
//!
//! The password stands in a file of its own, so that the configuration can be shown to anybody. It is read once, at the
//! start, and kept only in the marked-as-sensitive field value, which neither logs nor `Debug` show.

use http::HeaderValue;

use crate::config::{Login, Readers, Secret, SecretError};

/// Why a parent's password cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It cannot be had.
    #[error("password_file in [[parents]]: {0}")]
    Secret(#[from] SecretError),
    /// It cannot stand in a field.
    #[error("password_file in [[parents]]: {0}")]
    Value(#[from] http::header::InvalidHeaderValue),
}

/// The field value for this login. Warns when others on this machine can read the password.
pub(super) fn authorization(login: &Login) -> Result<HeaderValue, LoginError> {
    let (password, readers) = Secret::read(&login.password_file)?;
    if readers == Readers::Everybody {
        tracing::warn!(
            file = %login.password_file.display(),
            "everybody on this machine can read a parent's password: take the right to read from others (chmod o-r)"
        );
    }
    let mut value = HeaderValue::try_from(format!("Basic {}", password.basic(&login.user)))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn login(content: &[u8]) -> Result<HeaderValue, LoginError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        authorization(&Login { user: "Aladdin".to_owned(), password_file: file.path().to_owned() })
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 7617 §2.
        assert_eq!(login(b"open sesame\n").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let missing = Login { user: "u".to_owned(), password_file: "/nonexistent/password".into() };
        assert!(authorization(&missing).unwrap_err().to_string().contains("/nonexistent/password"));
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", login(b"secret").unwrap()), "Sensitive");
    }
}
