//! Tunnels (CONNECT): to the servers listed and to nobody else, bounded, counted, logged, and no hindrance to a stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use substratum::config::{AccessLogFormat, Glob};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::client::{Ask, Client};
use crate::support::hole::Hole;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::peer;
use crate::support::proxy::{Proxy, Setup, site};

/// A tier that opens tunnels to these servers, which are on this machine.
fn with_tunnels(setup: Setup, servers: &[SocketAddr]) -> Setup {
    let servers: Vec<_> = servers.iter().map(|server| format!("localhost:{}", server.port())).collect();
    setup.with(|config| {
        config.access.connect = servers.iter().map(|server| server.parse().unwrap()).collect();
        config.access.internal_hosts = vec![Glob::new("localhost")];
    })
}

/// Lines of requests below `folder`.
fn logging(folder: &Path) -> impl FnOnce(&mut substratum::config::Config) {
    let path = folder.join("access.log");
    move |config| {
        config.log.access = AccessLogFormat::Squid;
        config.log.path = Some(path);
    }
}

/// A server that speaks TLS, in front of `behind`; its certificate is written to `certificate`.
async fn cover(behind: SocketAddr, certificate: &Path) -> SocketAddr {
    let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(certificate, pair.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut tls = acceptor.accept(stream).await?;
                let mut plain = tokio::net::TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut tls, &mut plain).await
            });
        }
    });
    address
}

/// A server that sends back what it gets, and says goodbye when there is no more.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await?;
                to.write_all(b"goodbye").await?;
                to.shutdown().await
            });
        }
    });
    address
}

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

/// A client at the end of an open tunnel to `server`.
async fn tunnel(proxy: &Proxy, server: SocketAddr) -> Client {
    let mut client = proxy.client();
    client.send_raw(connect(&format!("localhost:{}", server.port())).as_bytes()).await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.content_length(), None, "RFC 9110 §9.3.6");
    client
}

#[tokio::test]
async fn a_tunnel_ends_with_whoever_ends_last() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // As servers do that were asked to close.
            stream.write_all(b"all of it").await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read(&mut [0]).await;
        }
    });
    let proxy = Proxy::start(with_tunnels(site(&[]), &[server])).await;
    let mut client = tunnel(&proxy, server).await;
    assert_eq!(client.until_closed().await.unwrap(), "all of it");
    drop(client);
    proxy.until(metric("substratum_tunnels").eq(0)).await;
    proxy.until(metric("substratum_connections").eq(0)).await;
}

#[tokio::test]
async fn curl_reaches_an_https_server() {
    let Some(curl) = peer::find("curl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let object = Object::generate(1, 700_000);
    let stratum = Origin::new().object(&object).run();
    let certificate = folder.path().join("certificate");
    let server = cover(stratum.address(), &certificate).await;
    let setup = with_tunnels(site(&[&stratum]), &[server]).with(logging(folder.path()));
    let proxy = Proxy::start(setup).await;
    let url = format!("https://localhost:{}{}", server.port(), object.path());
    let through = format!("http://{}", proxy.address());
    let ask = move || {
        std::process::Command::new(curl)
            .args(["-sSf", "--max-time", "20", "--proxy", &through, "--cacert"])
            .arg(certificate)
            .arg(url)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(ask).await.unwrap();
    assert!(output.stdout == object.bytes, "{}", String::from_utf8_lossy(&output.stderr));
    proxy.until(metric("substratum_requests_total").label("outcome", "tunnel").eq(1)).await;
    proxy.until(metric("substratum_tunnels_total").label("result", "opened").eq(1)).await;
    proxy
        .until(metric("substratum_tunnel_bytes_total").label("direction", "to_client").at_least(700_000))
        .await;
    proxy.until(metric("substratum_tunnels").eq(0)).await;
    proxy.stop().await;
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let fields: Vec<_> = log.split_whitespace().collect();
    // curl may be gone before the server has said goodbye.
    assert!(matches!(fields[3], "TCP_TUNNEL/200" | "TCP_TUNNEL_ABORTED/200"), "{log}");
    assert!(fields[4].parse::<usize>().unwrap() > 700_000, "{log}");
    assert_eq!(fields[5..7], ["CONNECT", &format!("localhost:{}", server.port())], "{log}");
}

#[tokio::test]
async fn both_directions_end_for_themselves_and_nothing_sent_ahead_is_lost() {
    let server = echo().await;
    let proxy = Proxy::start(with_tunnels(site(&[]), &[server])).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    let ahead = connect(&format!("localhost:{}", server.port())) + "GET no head, but bytes\n\n";
    stream.write_all(ahead.as_bytes()).await.unwrap();
    stream.write_all(&[b'x'; 100_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    let (head, said) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(said, format!("GET no head, but bytes\n\n{}goodbye", "x".repeat(100_000)));
    proxy.until(metric("substratum_tunnel_bytes_total").label("direction", "to_server").eq(100_024)).await;
    proxy.until(metric("substratum_connections").eq(0)).await;
}

#[tokio::test]
async fn nobody_else_is_connected_to() {
    let listed = Origin::new().run();
    let other = Origin::new().run();
    let object = Object::generate(1, 10_000);
    let stratum = Origin::new().object(&object).run();
    let internal = listed.address().port();
    let proxy = Proxy::start(site(&[&stratum]).with(|config| {
        // A listed server is judged by its address all the same.
        config.access.connect = vec![format!("localhost:{internal}").parse().unwrap()];
        config.access.internal_hosts = Vec::new();
    }))
    .await;
    let refused = [
        (format!("localhost:{internal}"), 403),
        (format!("127.0.0.1:{internal}"), 403),
        (format!("localhost:{}", other.address().port()), 403),
        (stratum.address().to_string(), 403),
        ("localhost".to_owned(), 400),
        (format!("user@localhost:{internal}"), 400),
        (format!("0x7f.1:{internal}"), 400),
    ];
    for (target, expected) in refused {
        let mut client = proxy.client();
        // What comes behind is not taken for requests, and does not drown the answer.
        let ahead =
            connect(&target) + &format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01", object.path());
        client.send_raw(ahead.as_bytes()).await.unwrap();
        let head = client.head().await.unwrap();
        assert_eq!(head.status, expected, "{target}");
        assert!(head.closes(), "{target}");
        let body = client.body(&head, &Ask::get("/")).await.unwrap();
        assert!(!body.is_empty() && client.until_closed().await.unwrap().is_empty(), "{target}");
    }
    for origin in [&listed, &other, &stratum] {
        assert_eq!(origin.connections(), 0);
    }
    assert_eq!(proxy.get(Ask::get("/x").method("CONNECT")).await.status(), 400, "origin-form");
}

#[tokio::test]
async fn no_tunnel_leads_to_the_tier_itself() {
    let admin = Some(([127, 0, 0, 1], 0).into());
    let proxy = Proxy::start(site(&[]).with(|config| config.listen.admin = admin)).await;
    let own = [proxy.address(), proxy.admin_address()];
    let mut config = with_tunnels(site(&[]), &own).config;
    config.access.connect.extend(own.map(|own| own.to_string().parse().unwrap()));
    config.access.internal_hosts.push(Glob::new("*"));
    proxy.reload(config).unwrap();
    for own in own {
        for host in ["localhost", "127.0.0.1"] {
            let mut client = proxy.client();
            client.send_raw(connect(&format!("{host}:{}", own.port())).as_bytes()).await.unwrap();
            assert_eq!(client.head().await.unwrap().status, 403, "{host}");
            let why = client.until_closed().await.unwrap();
            assert!(String::from_utf8_lossy(&why).contains("does not ask itself"), "{why:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_error_in_time() {
    let gone = Origin::new().run();
    let hole = Hole::open();
    let dead = gone.address();
    drop(gone);
    let setup = with_tunnels(site(&[]), &[dead, hole.address()])
        .with(|config| config.upstream.connect_timeout = Duration::from_millis(300));
    let proxy = Proxy::start(setup).await;
    for (server, expected) in [(dead, 502), (hole.address(), 504)] {
        let mut client = proxy.client();
        client.send_raw(connect(&format!("localhost:{}", server.port())).as_bytes()).await.unwrap();
        let head = client.head().await.unwrap();
        assert_eq!((head.status, head.closes()), (expected, true));
        assert!(!client.until_closed().await.unwrap().is_empty());
    }
    proxy.until(metric("substratum_tunnels_total").label("result", "failed").eq(2)).await;
    proxy.until(metric("substratum_tunnels").eq(0)).await;
}

#[tokio::test]
async fn tunnels_are_bounded_in_number_and_idle_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = echo().await;
    let setup = with_tunnels(site(&[]), &[server]).with(logging(folder.path())).with(|config| {
        config.listen.max_tunnels = 1;
        config.listen.idle_timeout = Duration::from_secs(1);
    });
    let proxy = Proxy::start(setup).await;
    let mut first = tunnel(&proxy, server).await;
    first.send_raw(b"hello").await.unwrap();
    assert_eq!(first.take(5).await.unwrap(), "hello");
    let mut second = proxy.client();
    second.send_raw(connect(&format!("localhost:{}", server.port())).as_bytes()).await.unwrap();
    assert_eq!(second.head().await.unwrap().status, 421);
    proxy.until(metric("substratum_tunnels_total").label("result", "busy").eq(1)).await;
    assert!(first.until_closed().await.is_err(), "reset: nothing went through it");
    proxy.until(metric("substratum_connections_closed_total").label("reason", "idle").at_least(1)).await;
    proxy.until(metric("substratum_tunnels").eq(0)).await;
    tunnel(&proxy, server).await;
    proxy.stop().await;
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    assert!(log.contains("TCP_TUNNEL_TIMEDOUT/200 5 CONNECT"), "{log}");
}

#[tokio::test]
async fn one_client_cannot_have_all_tunnels() {
    let server = echo().await;
    let setup = with_tunnels(site(&[]), &[server]).with(|config| {
        config.listen.max_tunnels = 3;
        config.listen.max_client_tunnels = 2;
    });
    let proxy = Proxy::start(setup).await;
    let first = tunnel(&proxy, server).await;
    let _second = tunnel(&proxy, server).await;
    let mut third = proxy.client();
    third.send_raw(connect(&format!("localhost:{}", server.port())).as_bytes()).await.unwrap();
    let head = third.head().await.unwrap();
    assert_eq!((head.status, head.closes()), (421, true));
    let why = third.body(&head, &Ask::get("/")).await.unwrap();
    assert!(String::from_utf8_lossy(&why).contains("max_client_tunnels"), "{why:?}");
    let ended = |result: &str| metric("substratum_tunnels_total").label("result", result);
    proxy.until(ended("client_busy").eq(1)).await;
    assert!(ended("busy").eq(0).holds(&proxy.metrics()));
    drop(first);
    proxy.until(metric("substratum_tunnels").eq(1)).await;
    let mut third = tunnel(&proxy, server).await;
    third.send_raw(b"hello").await.unwrap();
    assert_eq!(third.take(5).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_tunnels_through_which_nothing_goes() {
    let server = echo().await;
    let setup = with_tunnels(site(&[]), &[server])
        .with(|config| config.listen.drain_timeout = Duration::from_secs(3600));
    let proxy = Proxy::start(setup).await;
    let mut client = tunnel(&proxy, server).await;
    let begun = Instant::now();
    proxy.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(client.until_closed().await.unwrap().is_empty(), "a clean end");
}

#[tokio::test]
async fn who_wants_another_protocol_and_an_end_gets_the_whole_answer() {
    let object = Object::generate(1, 300_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for _ in 0..5 {
        let ask = Ask::get(object.path()).field("Connection", "upgrade, close").field("Upgrade", "h2c");
        let mut client = proxy.client();
        client.send(&ask).await.unwrap();
        let head = client.head().await.unwrap();
        assert_eq!(head.status, 200);
        assert!(client.body(&head, &ask).await.unwrap() == object.bytes);
        assert!(client.until_closed().await.unwrap().is_empty(), "a clean end");
    }
}
