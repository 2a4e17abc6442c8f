//! Which addresses are connected to, and how TLS is trusted.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::{AwaitClose, HELLO, Read, Server, Write};
use super::*;
use crate::access::Denial;
use crate::upstream::task::OwnedTask;
use crate::upstream::tls::Tls;

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    for address in ["127.0.0.1", "::ffff:127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"] {
        let server = Server::play(&[&[Read, Write(HELLO)]]).await;
        let tested = setup().name("rebound.example", &[address]).client();
        let failure = tested.fetch(&format!("http://rebound.example:{}", server.port())).await.unwrap_err();
        assert!(matches!(failure, Failure::Forbidden(Denial::InternalAddress { .. })), "{failure}");
        assert!(!failure.retry_helps());
        assert_eq!(server.connections(), 0);
    }
}

#[tokio::test]
async fn a_mirror_may_be_inside() {
    let server = Server::play(&[&[Read, Write(HELLO)]]).await;
    let url = format!("http://mirror.example:{}", server.port());
    let tested = setup().name("mirror.example", &["127.0.0.1"]).mirror(&url).client();
    assert_eq!(tested.fetch(&url).await.unwrap(), "hello");
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let server = Server::play(&[&[Read, Write(HELLO)]]).await;
    let url = format!("http://mirror.example:{}", server.port());
    // Nobody listens on the first two.
    let tested = setup().name("mirror.example", &["::1", "127.0.0.2", "127.0.0.1"]).mirror(&url).client();
    assert_eq!(tested.fetch(&url).await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_leads_nowhere_costs_a_quarter_of_a_second() {
    let server = Server::play(&[&[Read, Write(HELLO)]]).await;
    let _silent = [Silent::at("127.0.0.2", server.port()), Silent::at("127.0.0.3", server.port())];
    let url = format!("http://mirror.example:{}", server.port());
    let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"];
    let tested = setup().name("mirror.example", &addresses).mirror(&url).client();
    let start = Instant::now();
    assert_eq!(tested.fetch(&url).await.unwrap(), "hello");
    assert_eq!(start.elapsed().as_millis() / 10, 50, "two such addresses");
    let tested = setup().name("mirror.example", &addresses[..2]).mirror(&url).client();
    let start = Instant::now();
    assert_eq!(tested.fetch(&url).await, Err(Failure::ConnectTimeout));
    assert_eq!(start.elapsed().as_millis() / 10, 150, "both within connect_timeout");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_waited_for() {
    let server = Server::play(&[&[Read, Write(HELLO)]]).await;
    let url = format!("http://mirror.example:{}", server.port());
    let addresses = ["127.0.0.2", "127.0.0.3", "::1", "127.0.0.1"];
    let tested = setup().name("mirror.example", &addresses).mirror(&url).client();
    let start = Instant::now();
    assert_eq!(tested.fetch(&url).await.unwrap(), "hello");
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_moved_is_found_by_the_next_request() {
    let server = Server::play(&[&[Read, Write(HELLO)]]).await;
    let url = format!("http://mirror.example:{}", server.port());
    let setup = setup().name("mirror.example", &["127.0.0.2"]).mirror(&url);
    let names = setup.names.clone();
    let tested = setup.client();
    assert_eq!(tested.fetch(&url).await.unwrap_err().kind(), "refused");
    names.set("mirror.example", &["127.0.0.1"]);
    tokio::time::advance(Duration::from_secs(2)).await;
    // This one finds out that nobody is there any more.
    assert_eq!(tested.fetch(&url).await.unwrap_err().kind(), "refused");
    assert_eq!(tested.fetch(&url).await.unwrap(), "hello");
}

#[tokio::test]
async fn an_unknown_name_is_told() {
    let failure = setup().client().fetch("http://nowhere.example").await.unwrap_err();
    assert_eq!(failure.kind(), "dns");
    assert_eq!(failure.to_string(), "nowhere.example cannot be resolved: no such name");
}

#[tokio::test(start_paused = true)]
async fn a_tls_handshake_without_end_is_no_connection() {
    let certificate = certificate("mirror.example");
    let server = Server::play(&[&[AwaitClose]]).await;
    let url = format!("https://mirror.example:{}", server.port());
    let tested = setup()
        .name("mirror.example", &["127.0.0.1"])
        .mirror(&url)
        .limits(|limits| limits.ca_files = vec![certificate.file.path().to_owned()])
        .client();
    assert_eq!(tested.fetch(&url).await, Err(Failure::ConnectTimeout));
}

#[tokio::test]
async fn a_trusted_certificate_for_the_right_name_is_needed() {
    let (trusted, stranger) = (certificate("mirror.example"), certificate("mirror.example"));
    let misnamed = certificate("other.example");
    let table = [(&trusted, true), (&stranger, false), (&misnamed, false)];
    for (shown, accepted) in table {
        let (port, _server) = serve_tls(&shown.key).await;
        let url = format!("https://mirror.example:{port}");
        let known = [&trusted, &misnamed].map(|certificate| certificate.file.path().to_owned());
        let tested = setup()
            .name("mirror.example", &["127.0.0.1"])
            .mirror(&url)
            .limits(|limits| limits.ca_files = known.to_vec())
            .client();
        match tested.fetch(&url).await {
            Ok(body) => assert!(accepted && body == "hello"),
            Err(failure) => assert!(!accepted && failure.kind() == "tls", "{failure}"),
        }
    }
}

#[tokio::test]
async fn authorities_are_read_when_a_request_first_needs_them() {
    let certificate = certificate("named.example");
    let (port, _server) = serve_tls(&certificate.key).await;
    let tested = setup()
        .name("named.example", &["127.0.0.1"])
        .internal_host("*.example")
        .limits(|limits| limits.ca_files = vec![certificate.file.path().to_owned()])
        .client();
    assert_eq!(tested.fetch(&format!("https://named.example:{port}")).await.unwrap(), "hello");
}

#[test]
fn a_useless_ca_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let empty = Tls::new(vec![file.path().to_owned()]).load_now();
    assert!(empty.err().unwrap().to_string().contains("holds no certificate"));
    let missing = Tls::new(vec!["/nonexistent/ca.pem".into()]).load_now();
    assert!(missing.err().unwrap().to_string().contains("/nonexistent/ca.pem"));
}

struct Certificate {
    key: CertifiedKey<rcgen::KeyPair>,
    /// The certificate as a PEM file.
    file: tempfile::NamedTempFile,
}

fn certificate(name: &str) -> Certificate {
    let key = generate_simple_self_signed([name.to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.cert.pem()).unwrap();
    Certificate { key, file }
}

/// Answers hello over TLS, to one connection.
async fn serve_tls(certificate: &CertifiedKey<rcgen::KeyPair>) -> (u16, OwnedTask) {
    let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = OwnedTask::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let read = stream.read(&mut [0; 1024]).await.unwrap();
        assert!(read > 0);
        stream.write_all(HELLO.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    (port, task)
}

/// An address that answers no attempt to connect: its queue is full, and nobody takes anything from it.
struct Silent {
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Silent {
    fn at(ip: &str, port: u16) -> Self {
        let address = std::net::SocketAddr::new(ip.parse().unwrap(), port).into();
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let mut queued = Vec::new();
        // Whatever the system rounds the length of its queue up to, this is more.
        for _ in 0..4 {
            let client = socket();
            client.set_nonblocking(true).unwrap();
            // It is in progress.
            let _ = client.connect(&address);
            queued.push(client);
        }
        Self { _listener: listener, _queued: queued }
    }
}
