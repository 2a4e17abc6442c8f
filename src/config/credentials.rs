//! Where secrets are: in files of their own. The secrets themselves never are part of the configuration.

use std::path::PathBuf;

/// Who we are to clients that connect over TLS. The key itself never is part of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// `tls_certificate`: the chain, ours first.
    pub certificate: PathBuf,
    /// `tls_key`
    pub key: PathBuf,
}

/// How to log in to a parent. The password itself never is part of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// `user`: without a colon.
    pub user: String,
    /// `password_file`: holds the password, in one line.
    pub password_file: PathBuf,
}
