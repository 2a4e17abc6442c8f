//! Clients over TLS: curl, with the tier as its proxy and as its server; certificates that are renewed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::generate_simple_self_signed;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use substratum::config::{Config, Identity};

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::peer;
use crate::support::proxy::{Proxy, site};

/// Writes a fresh certificate and its key into `folder`.
pub(crate) fn renew(folder: &Path) {
    let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("certificate"), pair.cert.pem()).unwrap();
    std::fs::write(folder.join("key"), pair.signing_key.serialize_pem()).unwrap();
}

/// With a listener for TLS, whose certificate is in `folder`.
pub(crate) fn over_tls(folder: &Path) -> impl FnOnce(&mut Config) {
    let identity = Identity { certificate: folder.join("certificate"), key: folder.join("key") };
    move |config| {
        config.listen.tls = vec![([127, 0, 0, 1], 0).into()];
        config.listen.identity = Some(identity);
    }
}

/// What curl gets, or how it fails. The stratum of a play needs the thread that curl would block.
pub(crate) async fn curl(arguments: Vec<String>) -> Result<Vec<u8>, String> {
    let curl = peer::find("curl").expect("looked for before");
    let ask = move || {
        Command::new(curl)
            .args(["-sSf", "--max-time", "20"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(ask).await.unwrap();
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[tokio::test]
async fn curl_is_answered_and_certificates_are_renewed() {
    if peer::find("curl").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    let object = Object::generate(1, 700_000);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).with(over_tls(folder.path()));
    let mut config = setup.config.clone();
    let proxy = Proxy::start(setup).await;
    let here = format!("https://localhost:{}", proxy.tls_address().port());
    let authority = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let through = |trusted: &str| {
        let url = stratum.url(&object.path());
        ["--proxy", &here, "--proxy-cacert", &authority(trusted), &url].map(str::to_owned).to_vec()
    };
    let from = |trusted: &str| {
        let url = format!("{here}{}", object.path());
        ["--cacert", &authority(trusted), &url].map(str::to_owned).to_vec()
    };
    assert!(curl(through("certificate")).await.unwrap() == object.bytes, "as a proxy");
    assert!(curl(from("certificate")).await.unwrap() == object.bytes, "as a server");
    assert!(proxy.get(object.path()).await.body == object.bytes, "and in the clear, on the other port");

    std::fs::copy(folder.path().join("certificate"), folder.path().join("old")).unwrap();
    renew(folder.path());
    assert!(curl(from("old")).await.is_ok(), "nobody has read the new one");
    config.listen.name = "renewed".to_owned();
    assert_eq!(proxy.reload(config.clone()), Ok(vec![]));
    assert!(curl(from("certificate")).await.unwrap() == object.bytes);
    let error = curl(from("old")).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    proxy.until(metric("substratum_tls_handshakes_total").label("result", "failed").eq(1)).await;

    std::fs::write(folder.path().join("key"), "rubbish").unwrap();
    assert!(proxy.reload(config).unwrap_err().contains("`tls_key` in [listen]"));
    assert!(curl(from("certificate")).await.is_ok(), "the one before goes on");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    let stratum = Origin::new().run();
    let proxy = Proxy::start(site(&[&stratum]).with(over_tls(folder.path()))).await;
    let mut client = Client::of(proxy.tls_address());
    assert!(client.ask("/cvmfs/info/v1/repositories.json").await.is_err());
    proxy.until(metric("substratum_tls_handshakes_total").label("result", "failed").eq(1)).await;
    proxy.until(metric("substratum_connections").eq(0)).await;
}

/// What a client trusts that trusts the certificate in `folder`.
pub(crate) fn trusting(folder: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("certificate")).unwrap()).unwrap();
    client_config(roots)
}

fn client_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// The first message of a client that speaks TLS, from one that really does.
fn client_hello() -> Vec<u8> {
    let name = "localhost".try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(client_config(RootCertStore::empty()), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn handshakes_that_stop_half_way_have_as_long_as_a_head() {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    let object = Object::generate(2, 3_000);
    let stratum = Origin::new().object(&object).run();
    let setup = site(&[&stratum]).with(over_tls(folder.path())).with(|config| {
        config.listen.workers = 1;
        config.listen.max_client_connections = 41;
        config.listen.head_timeout = Duration::from_secs(2);
    });
    let proxy = Proxy::start(setup).await;
    let hello = client_hello();
    let mut stopped = Vec::new();
    for _ in 0..10 {
        for said in [&hello[..0], &hello[..1], &hello[..hello.len() / 2], &hello[..]] {
            let mut client = Client::of(proxy.tls_address());
            client.send_raw(said).await.unwrap();
            stopped.push(client);
        }
    }
    // While they hold what they hold.
    proxy.until(metric("substratum_connections").eq(40)).await;
    assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
    let (trickling, others) = stopped.split_first_mut().unwrap();
    let trickle = async {
        let mut turn = tokio::time::interval(Duration::from_millis(20));
        for byte in hello.chunks(1) {
            turn.tick().await;
            if trickling.send_raw(byte).await.is_err() {
                break;
            }
        }
    };
    let slow = metric("substratum_tls_handshakes_total").label("result", "slow");
    let ((), ()) = tokio::join!(trickle, proxy.until(slow.eq(40)));
    proxy.until(metric("substratum_connections").eq(0)).await;
    for client in others {
        // Cut, or told that it is over after our half of the handshake.
        let _ = client.until_closed().await;
    }
    assert!(
        metric("substratum_tls_handshakes_total").label("result", "failed").eq(0).holds(&proxy.metrics())
    );
}

#[tokio::test]
async fn who_shakes_hands_does_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    let stratum = Origin::new().run();
    let setup = site(&[&stratum]).with(over_tls(folder.path())).with(|config| {
        config.listen.head_timeout = Duration::from_secs(3600);
        config.listen.drain_timeout = Duration::from_secs(3600);
    });
    let proxy = Proxy::start(setup).await;
    let mut client = Client::of(proxy.tls_address());
    client.send_raw(&client_hello()[..5]).await.unwrap();
    proxy.until(metric("substratum_connections").eq(1)).await;
    assert!(tokio::time::timeout(PATIENCE, proxy.stop()).await.is_ok());
}

#[tokio::test]
async fn tls_on_the_plain_port_is_refused_at_its_first_byte() {
    let object = Object::generate(3, 3_000);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let hello = client_hello();
    for (n, said) in (1..).zip([&hello[..], &hello[..1], b"\x05\x01\x00", b"\x01\x2e\x01\x03\x01"]) {
        let mut client = Client::of(proxy.address());
        client.send_raw(said).await.unwrap();
        assert_eq!(client.head().await.unwrap().status, 400);
        assert!(client.until_closed().await.is_ok());
        proxy.until(metric("substratum_request_reasons_total").label("reason", "malformed").eq(n)).await;
    }
    assert_eq!(proxy.get(stratum.url(&object.path())).await.body, object.bytes);
}
