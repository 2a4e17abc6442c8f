//! TLS towards https upstreams: the system's certificate authorities and the configured ones, HTTP/1.1 only.
//!
//! Reading the authorities takes milliseconds of disk and processor, so it is done once, and only where an
//! https upstream is configured or asked for.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failure;

/// The TLS side of connections; set up at the first use.
pub(super) struct Tls {
    ca_files: Vec<PathBuf>,
    connector: OnceCell<TlsConnector>,
}

/// Why no TLS connection can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// A file of `ca_files` cannot be read or is no PEM file.
    #[error("upstream.ca_files: {path}: {source}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A certificate of `ca_files` is malformed.
    #[error("upstream.ca_files: {path}: {source}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// A file of `ca_files` holds no certificate.
    #[error("upstream.ca_files: {path} holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither the system nor the configuration has any authority.
    #[error(
        "no certificate authorities: install the system's package of them (ca-certificates), or name files in \
         upstream.ca_files"
    )]
    NoAuthorities,
    /// The TLS library refuses its own defaults.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
}

impl Tls {
    /// Nothing is read yet.
    pub(super) fn new(ca_files: Vec<PathBuf>) -> Self {
        Self { ca_files, connector: OnceCell::new() }
    }

    /// Reads the authorities now, so that trouble is known at the start. Blocks on the disk.
    pub(super) fn load_now(mut self) -> Result<Self, TlsSetupError> {
        self.connector = OnceCell::new_with(Some(load(&self.ca_files)?));
        Ok(self)
    }

    /// Shakes hands with `host`, whose certificate must be valid for it. Bound it in time.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let failed = |reason: String| Failure::Tls { reason: reason.into() };
        let connector = self.connector().await.map_err(|error| failed(error.to_string()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
        connector.connect(name, stream).await.map_err(|error| failed(error.to_string()))
    }

    async fn connector(&self) -> Result<&TlsConnector, TlsSetupError> {
        self.connector
            .get_or_try_init(|| async {
                let ca_files = self.ca_files.clone();
                tokio::task::spawn_blocking(move || load(&ca_files))
                    .await
                    .unwrap_or_else(|_| Err(TlsSetupError::NoAuthorities))
            })
            .await
    }
}

fn load(ca_files: &[PathBuf]) -> Result<TlsConnector, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    // A system store may hold certificates that the library cannot read; the readable ones serve.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in ca_files {
        let unreadable = |source| TlsSetupError::CaFile { path: path.clone(), source };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            let certificate = certificate.map_err(unreadable)?;
            roots
                .add(certificate)
                .map_err(|source| TlsSetupError::Certificate { path: path.clone(), source })?;
        }
        if roots.len() == before {
            return Err(TlsSetupError::Empty { path: path.clone() });
        }
    }
    if roots.is_empty() {
        return Err(TlsSetupError::NoAuthorities);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
