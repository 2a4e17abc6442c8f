//! More than 200 malformed or ambiguous requests, by idea; none reaches a stratum in another shape, and none spoils the next
//! request, on this connection or another. Written from RFC 9112, RFC 9110 and public descriptions of request smuggling.

mod fields;
mod framing;
mod lines;
mod targets;

use crate::support::client::{Client, ClientError};
use crate::support::metric::metric;
use crate::support::origin::{Origin, Page};
use crate::support::proxy::{Proxy, site};

/// What strata have, and what a smuggled request asks for.
const GOOD: &str = "/cvmfs/a.test.local/.cvmfspublished";
const SECRET: &str = "/cvmfs/a.test.local/.cvmfswhitelist";

/// A request, with `{T}` for the URL of what strata have, `{H}` for their host and port and `{S}` for a whole request
/// that is being smuggled.
pub struct Case {
    request: String,
    expected: &'static [u16],
}

/// `request` must be answered with one of `expected`, and the connection closed.
pub fn case(request: impl Into<String>, expected: &'static [u16]) -> Case {
    Case { request: request.into(), expected }
}

/// A GET with `fields`, each with its end.
pub fn get(fields: &str) -> String {
    format!("GET {{T}} HTTP/1.1\r\nHost: {{H}}\r\n{fields}\r\n")
}

/// Sends each, and after each asks for something good on a new connection.
async fn play(cases: Vec<Case>) {
    let stratum = Origin::new().page(GOOD, Page::new("manifest")).page(SECRET, Page::new("secret")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let host = stratum.address().to_string();
    let smuggled = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", stratum.url(SECRET));
    for Case { request, expected } in cases {
        let request =
            request.replace("{T}", &stratum.url(GOOD)).replace("{H}", &host).replace("{S}", &smuggled);
        let shown: String = request.chars().take(160).collect();
        let mut client = proxy.client();
        // Writing may fail: the refusal can come before a long request ends.
        let _ = client.send_raw(request.as_bytes()).await;
        refused(&mut client, expected, &shown).await;
        let answer = proxy.get(stratum.url(GOOD)).await;
        assert_eq!((answer.status(), &*answer.body), (200, &b"manifest"[..]), "after {shown:?}");
    }
    assert_eq!(stratum.requests_for(SECRET), 0, "a smuggled request came through");
    for seen in stratum.seen() {
        assert_eq!((seen.method.as_str(), seen.path()), ("GET", GOOD));
        for name in ["Content-Length", "Transfer-Encoding", "TE", "Upgrade", "Expect", "X-Smuggled"] {
            assert_eq!(seen.get(name), None, "{name}");
        }
    }
}

async fn refused(client: &mut Client, expected: &[u16], shown: &str) {
    match client.head().await {
        Ok(head) => {
            assert!(expected.contains(&head.status), "{} instead of {expected:?}: {shown:?}", head.status);
            let rest = client.until_closed().await;
            let rest = rest.unwrap_or_default();
            assert!(
                !rest.windows(10).any(|ten| ten.starts_with(b"HTTP/1.") && ten[9].is_ascii_digit()),
                "a second answer: {shown:?}: {rest:?}"
            );
        }
        // A reset may overtake the answer to a request that went on after it.
        Err(ClientError::Io(_)) if shown.len() >= 160 => {}
        Err(error) => panic!("{error}: {shown:?}"),
    }
}

#[test]
fn there_are_many() {
    let count =
        lines::cases().len() + targets::cases().len() + fields::cases().len() + framing::cases().len();
    assert!(count >= 200, "{count}");
}

#[tokio::test]
async fn lines_of_heads() {
    play(lines::cases()).await;
}

#[tokio::test]
async fn targets_and_hosts() {
    play(targets::cases()).await;
}

#[tokio::test]
async fn fields_of_heads() {
    play(fields::cases()).await;
}

#[tokio::test]
async fn framing_of_content() {
    play(framing::cases()).await;
}

/// Heads whose lines are in order, so that the parser itself refuses them; and, last, two that never get there.
#[tokio::test]
async fn whoever_refuses_a_head_it_is_counted() {
    let stratum = Origin::new().page(GOOD, Page::new("manifest")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let host = stratum.address().to_string();
    let fields = [
        "X : y\r\n",
        "X: a\0b\r\n",
        "No colon\r\n",
        ": no name\r\n",
        "X(: y\r\n",
        "Content-Length: x\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\n",
        "X: a\nY: b\r\n",
    ];
    let mut refused = 0;
    for field in fields {
        let mut client = proxy.client();
        let request = get(field).replace("{T}", &stratum.url(GOOD)).replace("{H}", &host);
        client.send_raw(request.as_bytes()).await.unwrap();
        assert_eq!(client.head().await.unwrap().status, 400, "{field:?}");
        client.until_closed().await.unwrap();
        refused += 1;
        proxy.until(metric("substratum_requests_total").label("outcome", "bad_request").eq(refused)).await;
    }
    proxy.until(metric("substratum_request_reasons_total").label("reason", "malformed").eq(refused)).await;
    assert_eq!(proxy.get(stratum.url(GOOD)).await.body, "manifest");
    assert!(
        metric("substratum_requests_total")
            .label("outcome", "bad_request")
            .eq(refused)
            .holds(&proxy.metrics())
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_the_flawed_one() {
    let stratum = Origin::new().page(GOOD, Page::new("manifest")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let (url, host) = (stratum.url(GOOD), stratum.address());
    let good = format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let flawed = format!("GET {url} HTTP/1.1\nHost: {host}\n\n");
    for split in [0, 1, good.len() + 3, 2 * good.len() + 5] {
        let bytes = format!("{good}\r\n{good}{flawed}{good}").into_bytes();
        let mut client = proxy.client();
        client.send_raw(&bytes[..split]).await.unwrap();
        client.send_raw(&bytes[split..]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(client.head().await.unwrap().status, 200, "split at {split}");
            assert_eq!(&*client.take(8).await.unwrap(), b"manifest");
        }
        refused(&mut client, &[400], "the flawed one").await;
    }
}

#[tokio::test]
async fn harmless_oddities_are_served_and_not_passed_on() {
    let stratum = Origin::new().page(GOOD, Page::new("manifest")).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let (url, host) = (stratum.url(GOOD), stratum.address());
    let fields = [
        "Expect: 100-continue\r\n",
        "Content-Length: 0\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "TE: trailers\r\nConnection: TE\r\n",
        "Connection: Host, Cache-Control, X-Private\r\nX-Private: 1\r\n",
        "Trailer: X-Smuggled\r\n",
        "Max-Forwards: 0\r\n",
    ];
    let mut client = proxy.client();
    for fields in fields {
        // Each is asked of the stratum.
        let fields = format!("Cache-Control: no-cache\r\n{fields}");
        let request = format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        client.send_raw(request.as_bytes()).await.unwrap();
        assert_eq!(client.head().await.unwrap().status, 200, "{fields:?}");
        assert_eq!(&*client.take(8).await.unwrap(), b"manifest", "{fields:?}");
        let seen = stratum.last_seen();
        assert_eq!(seen.get("Host"), Some(host.to_string().as_str()), "{fields:?}");
        for name in ["Expect", "Content-Length", "Upgrade", "HTTP2-Settings", "TE", "Trailer", "X-Private"] {
            assert_eq!(seen.get(name), None, "{fields:?}");
        }
    }
}
