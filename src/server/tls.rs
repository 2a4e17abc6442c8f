//! TLS towards clients: our certificate and key, HTTP/1.1 only.
//!
//! Read at the start and on every reload; what is open goes on with what it began with.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Identity;

/// Why clients cannot be answered over TLS.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate cannot be read, or is no PEM file.
    #[error("`tls_certificate` in [listen]: {path}: {source}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("`tls_certificate` in [listen]: {} holds no certificate", .0.display())]
    Empty(PathBuf),
    /// The key cannot be read, or is no PEM file of one.
    #[error("`tls_key` in [listen]: {path}: {source}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// They do not belong together, or are of a kind that is not supported.
    #[error("`tls_certificate` and `tls_key` in [listen]: {0}")]
    Pair(#[from] rustls::Error),
}

/// Reads both files. Blocks on the disk.
pub fn load(identity: &Identity) -> Result<TlsAcceptor, IdentityError> {
    let path = &identity.certificate;
    let unreadable = |source| IdentityError::Certificate { path: path.clone(), source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(IdentityError::Empty(path.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|source| IdentityError::Key { path: identity.key.clone(), source })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (ours, others) = (pair(), pair());
        let certificate = write("certificate", &ours.0);
        let (key, foreign) = (write("key", &ours.1), write("foreign", &others.1));
        let (nothing, missing) = (write("nothing", "text"), folder.path().join("missing"));
        let check = |certificate: &PathBuf, key: &PathBuf, expected: Option<&str>| {
            let identity = Identity { certificate: certificate.clone(), key: key.clone() };
            let error = load(&identity).err().map(|error| error.to_string());
            match (&error, expected) {
                (None, None) => {}
                (Some(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                _ => panic!("{error:?}, {expected:?}"),
            }
        };
        check(&certificate, &key, None);
        check(&missing, &key, Some("`tls_certificate` in [listen]: /"));
        check(&nothing, &key, Some("holds no certificate"));
        check(&certificate, &nothing, Some("`tls_key` in [listen]: /"));
        check(&certificate, &foreign, Some("`tls_certificate` and `tls_key` in [listen]"));
    }

    /// A certificate and its key.
    fn pair() -> (String, String) {
        let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }
}
