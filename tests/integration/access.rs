//! Who may ask for what: refusals that no stratum ever hears of, and never an open proxy.

use substratum::config::{Config, Glob, PortRange};

use crate::support::client::{Ask, ClientError};
use crate::support::object::Object;
use crate::support::origin::{Origin, Page};
use crate::support::proxy::{Proxy, Setup, lone, site};

/// A path of the shape that a stratum has, not of an object.
const DOCUMENT: &str = "/cvmfs/a.test.local/.cvmfspublished";

#[tokio::test]
async fn only_urls_of_the_configured_shapes() {
    let stratum = Origin::new().page("/index.html", Page::new("secret")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let paths = [
        "/index.html",
        "/",
        "",
        "/cvmfs",
        "/cvmfs/",
        "/cvmfs/a.test.local",
        "/cvmfs/a.test.local/",
        "/cvmfs/a.test.local/index.html",
        "/cvmfs/../index.html",
        "/cvmfs/a.test.local/../../index.html",
        "/cvmfs/a.test.local/data/../../../index.html",
        "/cvmfs/a.test.local/data/%2e%2e/%2E%2E/%2e./index.html",
        "/cvmfs/a.test.local/api/..%2f..%2findex.html",
        "/cvmfs/info/v1/../../../index.html",
        "//cvmfs/a.test.local/.cvmfspublished",
        "/CVMFS/a.test.local/.cvmfspublished",
        "/server-status",
    ];
    for path in paths {
        let answer = proxy.get(stratum.url(path)).await;
        assert_eq!(answer.status(), 403, "{path}");
        if !path.is_empty() {
            assert_eq!(proxy.get(path).await.status(), 403, "reverse {path}");
        }
    }
    assert_eq!(stratum.requests(), 0);
}

#[tokio::test]
async fn only_the_configured_hosts() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("manifest")).run();
    let port = stratum.address().port();
    let setup = lone("proxy").with(|config| config.access.hosts = vec![Glob::new("*.1")]);
    let proxy = Proxy::start(setup).await;
    assert_eq!(proxy.get(format!("http://127.0.0.1:{port}{DOCUMENT}")).await.status(), 200);
    assert_eq!(proxy.get(format!("http://localhost:{port}{DOCUMENT}")).await.status(), 403);
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn only_the_configured_ports() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("manifest")).run();
    let port = stratum.address().port();
    let other = if port == 1024 { 1025 } else { 1024 };
    for (allowed, status) in [(port, 200), (other, 403)] {
        let setup = lone("proxy").with(|config| config.access.ports = vec![PortRange::new(allowed, allowed)]);
        let proxy = Proxy::start(setup).await;
        assert_eq!(proxy.get(stratum.url(DOCUMENT)).await.status(), status, "{allowed}");
    }
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn mirrors_need_no_mention_among_hosts() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("manifest")).run();
    let setup = site(&[&stratum]).with(|config| {
        config.access.hosts = vec![Glob::new("*.example.org")];
        config.access.internal_hosts = Vec::new();
    });
    let proxy = Proxy::start(setup).await;
    assert_eq!(proxy.get(stratum.url(DOCUMENT)).await.status(), 200);
}

#[tokio::test]
async fn only_the_configured_clients() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("manifest")).run();
    let setup = site(&[&stratum]).with(|config| config.access.clients = vec!["10.0.0.0/8".parse().unwrap()]);
    let proxy = Proxy::start(setup).await;
    match proxy.ask(stratum.url(DOCUMENT)).await {
        Ok(answer) => assert_eq!(answer.status(), 403),
        Err(ClientError::Closed | ClientError::Io(_)) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!(stratum.requests(), 0);
}

/// Ways to write this machine, or what may lead to it.
pub(crate) const THIS_MACHINE: [&str; 19] = [
    "127.0.0.1",
    "127.1",
    "127.0.0.2",
    "0.0.0.0",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
];

/// The built-in defaults but for the ports.
fn defaults() -> Setup {
    let ports = lone("proxy").config.listen;
    lone("proxy").with(|config| *config = Config { listen: ports, ..Config::default() })
}

#[tokio::test]
async fn the_defaults_lead_to_no_internal_address() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("internal")).run();
    let proxy = Proxy::start(defaults()).await;
    let port = stratum.address().port();
    for host in THIS_MACHINE {
        let answer = proxy.get(format!("http://{host}:{port}{DOCUMENT}")).await;
        assert!(matches!(answer.status(), 400 | 403), "{host}: {}", answer.status());
    }
    for host in ["10.0.0.1", "192.168.1.1", "172.16.3.4", "169.254.169.254", "[fe80::1]", "[fd00::1]"] {
        let answer = proxy.get(format!("http://{host}{DOCUMENT}")).await;
        assert_eq!(answer.status(), 403, "{host}");
    }
    assert_eq!(stratum.connections(), 0);
}

#[tokio::test]
async fn the_defaults_are_no_open_proxy() {
    let stratum = Origin::new().page("/", Page::new("anything")).run();
    let proxy = Proxy::start(defaults()).await;
    for url in ["http://example.invalid/", "http://example.invalid/wp-login.php", "http://93.184.216.34/"] {
        assert_eq!(proxy.get(url).await.status(), 403, "{url}");
    }
    let answer = proxy.get(DOCUMENT).await;
    assert!(matches!(answer.status(), 403 | 404 | 502), "no mirror is configured: {}", answer.status());
    assert_eq!(stratum.connections(), 0);
}

#[tokio::test]
async fn other_methods_are_refused_and_told_which_are_not() {
    let object = Object::generate(1, 1_000);
    let stratum = Origin::new().object(&object).page(DOCUMENT, Page::new("manifest")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE"] {
        for path in [object.path(), DOCUMENT.to_owned()] {
            let ask = Ask::get(stratum.url(&path)).method(method);
            let answer = proxy.get(ask.field("Content-Length", "0")).await;
            assert_eq!(answer.status(), 405, "{method} {path}");
            let allowed: Vec<_> = answer.get("Allow").split(',').map(str::trim).collect();
            assert!(allowed.contains(&"GET") && allowed.contains(&"HEAD"), "{method}: {allowed:?}");
        }
    }
    assert_eq!(stratum.requests(), 0);
}

/// Requests that two parties could read differently, or that nobody can read.
fn malformed(target: &str, host: &str) -> Vec<String> {
    let get = |fields: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    let post =
        |fields: &str, body: &str| format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n{body}");
    vec![
        get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
        get("Content-Length: 5\r\nContent-Length: 6\r\n") + "hello",
        get("Content-Length: +5\r\n") + "hello",
        get("Content-Length: 5, 6\r\n") + "hello",
        get("Content-Length: -1\r\n"),
        get("Content-Length: 0x5\r\n") + "hello",
        get("Content-Length: 99999999999999999999999\r\n"),
        get("Transfer-Encoding: identity, chunked, chunked\r\n") + "0\r\n\r\n",
        get("Transfer-Encoding: gzip\r\n"),
        get("X-Folded: one\r\n two\r\n"),
        get(" X-Leading: space\r\n"),
        get("X-Space : before the colon\r\n"),
        get("No colon at all\r\n"),
        get("X-Nul: a\0b\r\n"),
        get("X-Bare: a\rb\r\n"),
        get("Host: second.example.org\r\n"),
        get(": no name\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nHost: bad host\r\n\r\n"),
        format!("GET {target}\r\n\r\n"),
        format!("GET {target} HTTP/3.7\r\nHost: {host}\r\n\r\n"),
        format!("GET {target} with space HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("GET\t{target}\tHTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("G\0ET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!(
            "GET http://user:secret@{host}/cvmfs/a.test.local/.cvmfspublished HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ),
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(),
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20)),
    ]
}

#[tokio::test]
async fn malformed_requests_are_refused_and_the_connection_closed() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("manifest")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    for request in malformed(&stratum.url(DOCUMENT), &stratum.address().to_string()) {
        let mut client = proxy.client();
        let shown: String = request.chars().take(200).collect();
        // Writing may fail already: the refusal can come before a long request ends.
        let _ = client.send_raw(request.as_bytes()).await;
        match client.head().await {
            Ok(head) => {
                assert!(matches!(head.status, 400 | 405 | 431 | 505), "{}: {shown:?}", head.status);
                client.until_closed().await.ok();
            }
            Err(ClientError::Closed | ClientError::Io(_)) => {}
            Err(error) => panic!("{error}: {shown:?}"),
        }
    }
    assert_eq!(stratum.requests(), 0);
}

#[tokio::test]
async fn the_target_decides_where_its_host_field_disagrees() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("manifest")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(DOCUMENT)).host("evil.example.org");
    // RFC 9112 §3.2.2: the absolute form replaces the field; refusing is as good.
    let answer = proxy.get(ask).await;
    assert!(matches!(answer.status(), 200 | 400), "{}", answer.status());
    for seen in stratum.seen() {
        assert_eq!(seen.get("Host"), Some(stratum.address().to_string().as_str()));
    }
}

#[tokio::test]
async fn bodies_of_get_requests_never_become_requests() {
    let stratum = Origin::new().page(DOCUMENT, Page::new("manifest")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let smuggled =
        format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", stratum.url("/cvmfs/a.test.local/.cvmfssecret"));
    let ask = Ask::get(stratum.url(DOCUMENT)).field("Content-Length", smuggled.len().to_string());
    let mut client = proxy.client();
    client.send(&ask).await.unwrap();
    let _ = client.send_raw(smuggled.as_bytes()).await;
    let head = client.head().await.unwrap();
    assert!(matches!(head.status, 200 | 400 | 413), "{}", head.status);
    assert_eq!(stratum.requests_for("secret"), 0);
}
