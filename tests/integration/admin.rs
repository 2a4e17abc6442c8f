//! The admin port behind TLS and a token, as its users meet it: the program's own commands, Prometheus; and purges.

use std::path::{Path, PathBuf};
use std::process::Output;

use rcgen::generate_simple_self_signed;
use substratum::config::{ByteSize, Config, Identity};

use crate::support::binary::command;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Origin, Page};
use crate::support::peer::{self, Peer};
use crate::support::proxy::{Proxy, site};
use crate::support::{LOOK_AGAIN, PATIENCE};

const TOKEN: &str = "a token of nobody's but ours";
const DOCUMENT: &str = "/cvmfs/software.example.org/.cvmfswhitelist";

struct Secrets(tempfile::TempDir);

impl Secrets {
    fn new() -> Self {
        let secrets = Self(tempfile::tempdir().unwrap());
        secrets.renew(TOKEN);
        secrets
    }

    /// Another certificate and another token.
    fn renew(&self, token: &str) {
        let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("certificate"), pair.cert.pem()).unwrap();
        std::fs::write(self.path("key"), pair.signing_key.serialize_pem()).unwrap();
        std::fs::write(self.path("token"), token.replace(' ', "-")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn guard(&self) -> impl FnOnce(&mut Config) {
        let identity = Identity { certificate: self.path("certificate"), key: self.path("key") };
        let token = self.path("token");
        move |config| {
            config.listen.admin = Some(([127, 0, 0, 1], 0).into());
            config.listen.identity = Some(identity);
            config.admin.tls = true;
            config.admin.token_file = Some(token);
        }
    }
}

/// What a command says and how it ends. The tier needs no thread of the play's.
async fn run(arguments: Vec<String>) -> Output {
    let run = move || command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn words(proxy: &Proxy, command: &[&str], token: Option<&Path>, certificate: Option<&Path>) -> Vec<String> {
    let mut words: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    words.extend(["--admin".to_owned(), proxy.admin_address().to_string()]);
    for (option, file) in [("--token-file", token), ("--certificate", certificate)] {
        words.extend(file.into_iter().flat_map(|file| [option.to_owned(), file.display().to_string()]));
    }
    words
}

#[tokio::test]
async fn status_needs_the_token_and_knows_the_certificate() {
    let secrets = Secrets::new();
    let stratum = Origin::new().run();
    let setup = site(&[&stratum]).with(secrets.guard());
    let config = setup.config.clone();
    let proxy = Proxy::start(setup).await;
    let (token, certificate) = (secrets.path("token"), secrets.path("certificate"));
    let status = async |token: Option<&Path>, certificate: Option<&Path>| {
        let output = run(words(&proxy, &["status"], token, certificate)).await;
        (output.status.code(), said(&output))
    };
    let (code, text) = status(Some(&token), Some(&certificate)).await;
    assert!(code == Some(0) && text.contains("ready; version"), "{text}");
    let (code, text) = status(None, Some(&certificate)).await;
    assert!(code == Some(1) && text.contains("wants a token"), "{text}");
    proxy.until(metric("substratum_admin_unauthorized_total").eq(1)).await;
    let (code, text) = status(Some(&token), None).await;
    assert!(code == Some(1) && !text.contains("version"), "{code:?} {text}");

    // By the configuration alone.
    let file = tempfile::NamedTempFile::new().unwrap();
    let address = proxy.admin_address();
    let text = format!(
        "[listen]\nadmin = \"{address}\"\ntls_certificate = {certificate:?}\ntls_key = {:?}\n\
         [admin]\ntls = true\ntoken_file = {token:?}\n[disk]\npath = \"/nowhere\"\ncapacity = \"1 GiB\"\n",
        secrets.path("key"),
    );
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    let output = run(vec!["status".to_owned(), "--config".to_owned(), path]).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    std::fs::copy(&certificate, secrets.path("old")).unwrap();
    secrets.renew("another token, which is as long");
    let mut renewed = config;
    renewed.listen.name = "renewed".to_owned();
    proxy.reload(renewed.clone()).unwrap();
    let (_, text) = status(Some(&token), Some(&secrets.path("old"))).await;
    assert!(text.contains("nothing answers") && text.contains("certificate"), "{text}");
    let (code, text) = status(Some(&token), Some(&certificate)).await;
    assert!(code == Some(0) && text.starts_with("renewed"), "{text}");

    std::fs::write(&token, "short").unwrap();
    assert!(proxy.reload(renewed).unwrap_err().contains("`token_file` in [admin]"));
}

#[tokio::test]
async fn what_is_purged_is_fetched_anew() {
    let secrets = Secrets::new();
    let object = Object::generate(1, 50_000);
    let stratum = Origin::new()
        .object(&object)
        .page(DOCUMENT, Page::new("a whitelist").field("Cache-Control", "max-age=60"))
        .run();
    let setup = site(&[&stratum]).disk(ByteSize::mib(64)).with(secrets.guard());
    let proxy = Proxy::start(setup).await;
    let purge = async |what: &str| {
        let words =
            words(&proxy, &["purge", what], Some(&secrets.path("token")), Some(&secrets.path("certificate")));
        let output = run(words).await;
        (output.status.code(), said(&output))
    };
    let ask = async |path: &str| {
        let answer = proxy.get(stratum.url(path)).await;
        (answer.get("X-Cache").starts_with("HIT"), answer.body)
    };
    let name = object.path().rsplit("/data/").next().unwrap().to_owned();
    for what in [stratum.url(&object.path()), object.path(), name] {
        ask(&object.path()).await;
        assert_eq!(ask(&object.path()).await, (true, object.bytes.clone()));
        assert_eq!(purge(&what).await, (Some(0), "object: dropped from memory and disk\n".to_owned()));
        assert_eq!(purge(&what).await, (Some(0), "object: nothing was stored of it\n".to_owned()));
        assert_eq!(ask(&object.path()).await, (false, object.bytes.clone()));
    }
    ask(DOCUMENT).await;
    assert!(ask(DOCUMENT).await.0);
    let dropped = (Some(0), "document: dropped from the documents stored\n".to_owned());
    assert_eq!(purge(&stratum.url(DOCUMENT)).await, dropped);
    assert!(!ask(DOCUMENT).await.0);
    proxy.until(metric("substratum_purges_total").label("result", "dropped").eq(4)).await;
    proxy.until(metric("substratum_purges_total").label("result", "absent").eq(3)).await;
    let (code, text) = purge("rubbish").await;
    assert!(code == Some(1) && text.contains("neither a URL"), "{text}");
}

#[tokio::test]
async fn nothing_is_purged_where_no_token_is_asked_for() {
    let stratum =
        Origin::new().page(DOCUMENT, Page::new("a whitelist").field("Cache-Control", "max-age=60")).run();
    let admin = Some(([127, 0, 0, 1], 0).into());
    let proxy = Proxy::start(site(&[&stratum]).with(|config| config.listen.admin = admin)).await;
    proxy.get(stratum.url(DOCUMENT)).await;
    let output = run(words(&proxy, &["purge", &stratum.url(DOCUMENT)], None, None)).await;
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("`token_file` in [admin]"), "{text}");
    assert!(proxy.get(stratum.url(DOCUMENT)).await.get("X-Cache").starts_with("HIT"));
}

#[tokio::test]
async fn prometheus_comes_in_with_the_token() {
    let Some(program) = peer::find("prometheus") else { return };
    let secrets = Secrets::new();
    let stratum = Origin::new().run();
    let proxy = Proxy::start(site(&[&stratum]).with(secrets.guard())).await;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    let prometheus = Peer::guarded_prometheus(
        &program,
        proxy.admin_address(),
        &shipped,
        &secrets.path("token"),
        &secrets.path("certificate"),
    );
    let up = tokio::time::timeout(PATIENCE, async {
        let mut client = crate::support::client::Client::of(prometheus.address());
        loop {
            let answer = client.ask("/api/v1/query?query=up%7Bjob%3D%22substratum%22%7D").await;
            // While it starts, it answers otherwise or not at all.
            let body = answer.map(|answer| answer.body).unwrap_or_default();
            if String::from_utf8_lossy(&body).contains("\"1\"") {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    assert!(up.await.is_ok());
}
