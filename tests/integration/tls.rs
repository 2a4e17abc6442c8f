//! Clients over TLS: curl, with the tier as its proxy and as its server; certificates that are renewed.

use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::generate_simple_self_signed;
use substratum::config::{Config, Identity};

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
    let mut client = crate::support::client::Client::of(proxy.tls_address());
    assert!(client.ask("/cvmfs/info/v1/repositories.json").await.is_err());
    proxy.until(metric("substratum_tls_handshakes_total").label("result", "failed").eq(1)).await;
    proxy.until(metric("substratum_connections").eq(0)).await;
}
