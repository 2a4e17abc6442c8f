//! Methods that may change documents: refused unless configured, passed on once, and what is stored is forgotten (RFC 9110 §9.2,
//! RFC 9111 §4.4).

use substratum::config::{ByteSize, WriteMethod};

use crate::support::client::{Answer, Ask};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, Setup, lone, node, site};

const PATH: &str = "/cvmfs/a.test.local/.cvmfs_document";

fn writable(setup: Setup) -> Setup {
    setup.with(|config| config.access.methods = vec![WriteMethod::Post, WriteMethod::Delete])
}

fn document(text: &str) -> Page {
    Page::new(text.to_owned()).field("Cache-Control", "max-age=600")
}

async fn serving() -> (Stratum, Proxy) {
    let stratum = Origin::new().page(PATH, document("old")).run();
    let proxy = Proxy::start(writable(site(&[&stratum]))).await;
    (stratum, proxy)
}

async fn get(proxy: &Proxy, stratum: &Stratum) -> Answer {
    proxy.get(stratum.url(PATH)).await
}

#[tokio::test]
async fn a_change_is_passed_on_with_its_content_and_what_was_stored_is_forgotten() {
    let (stratum, proxy) = serving().await;
    for by_path in [false, true] {
        stratum.set_page(PATH, document("old"));
        get(&proxy, &stratum).await;
        proxy.get(PATH).await;
        stratum.set_page(PATH, document("new"));
        stratum.forget();
        let content = "x".repeat(300_000) + "\r\n\r\nGET / HTTP/1.1\n";
        let target = if by_path { PATH.to_owned() } else { stratum.url(PATH) };
        let mut client = proxy.client();
        let answer = client.ask(Ask::get(target).method("POST").content(&content)).await.unwrap();
        assert_eq!((answer.status(), answer.body.as_ref()), (200, &b"new"[..]));
        assert_eq!(answer.get("Cache-Status"), "site; fwd=method; fwd-status=200; detail=invalidated");
        let seen = stratum.last_seen();
        assert_eq!((seen.method.as_str(), seen.path(), seen.content.len()), ("POST", PATH, content.len()));
        assert!(seen.content == content.as_bytes());
        assert_eq!(seen.get("Transfer-Encoding"), None);
        // The same connection goes on.
        assert_eq!(client.ask(stratum.url(PATH)).await.unwrap().body.as_ref(), b"new");
        assert_eq!(proxy.get(PATH).await.body.as_ref(), b"new");
        stratum.heal();
    }
    proxy.until(metric("substratum_document_invalidations_total").eq(2)).await;
    proxy.until(metric("substratum_requests_total").label("outcome", "document_change").eq(2)).await;
}

#[tokio::test]
async fn an_error_changes_nothing() {
    let (stratum, proxy) = serving().await;
    get(&proxy, &stratum).await;
    stratum.inject(Fault::Status(403).times(1));
    let answer = proxy.get(Ask::get(stratum.url(PATH)).method("DELETE")).await;
    assert_eq!(answer.status(), 403);
    assert!(get(&proxy, &stratum).await.get("Cache-Status").contains("hit"));
}

#[tokio::test]
async fn whatever_goes_wrong_it_is_sent_once() {
    for fault in [Fault::CloseUnanswered, Fault::Reset(0), Fault::GarbageHead, Fault::Status(503)] {
        let strata = [(); 2].map(|()| Origin::new().page(PATH, document("old")).run());
        let proxy = Proxy::start(writable(site(&[&strata[0], &strata[1]]).hasty())).await;
        // A connection that is kept for others is not used.
        proxy.get(strata[0].url(PATH)).await;
        strata[0].inject(fault.clone());
        let ask = Ask::get(strata[0].url(PATH)).method("POST").content("hello");
        if let Ok(answer) = proxy.ask(&ask).await {
            assert!(answer.status() >= 500, "{fault:?}: {}", answer.status());
        }
        assert_eq!((strata[0].requests(), strata[1].requests()), (2, 0), "{fault:?}");
        assert_eq!(strata[0].connections(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_dead_server_s_mirror_is_not_changed_in_its_place() {
    let mut strata = [(); 2].map(|()| Origin::new().page(PATH, document("old")).run());
    let proxy = Proxy::start(writable(site(&[&strata[0], &strata[1]]).hasty())).await;
    let ask = Ask::get(strata[0].url(PATH)).method("POST").content("hello");
    strata[0].refuse();
    assert!(matches!(proxy.get(&ask).await.status(), 502 | 504));
    assert_eq!(strata[1].requests(), 0);
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_given_up() {
    let stratum = Origin::new().page(PATH, document("old")).fault(Fault::NeverAnswer).run();
    let proxy = Proxy::start(writable(site(&[&stratum]).hasty())).await;
    let answer = proxy.get(Ask::get(stratum.url(PATH)).method("POST").content("hello")).await;
    assert_eq!(answer.status(), 504);
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn a_chain_passes_it_on() {
    let stratum = Origin::new().page(PATH, document("old")).run();
    let site = Proxy::start(writable(site(&[&stratum]))).await;
    let node = Proxy::start(writable(node(&site, &[&stratum]))).await;
    assert_eq!(get(&node, &stratum).await.body.as_ref(), b"old");
    stratum.set_page(PATH, document("new"));
    node.get(Ask::get(stratum.url(PATH)).method("POST").content("hello")).await;
    assert_eq!(stratum.last_seen().content, b"hello");
    assert_eq!(get(&node, &stratum).await.body.as_ref(), b"new");
}

#[tokio::test]
async fn what_is_not_served_says_what_is() {
    let object = Object::generate(1, 1000);
    let stratum = Origin::new().page(PATH, document("old")).object(&object).run();
    let refusing = Proxy::start(site(&[&stratum])).await;
    let serving = Proxy::start(writable(site(&[&stratum]))).await;
    let table = [
        (&refusing, "POST", PATH.to_owned(), "GET, HEAD"),
        (&serving, "PUT", PATH.to_owned(), "GET, HEAD, POST, DELETE"),
        (&serving, "OPTIONS", PATH.to_owned(), "GET, HEAD, POST, DELETE"),
        (&serving, "POST", object.path(), "GET, HEAD"),
    ];
    for (proxy, method, path, allow) in table {
        let answer = proxy.get(Ask::get(stratum.url(&path)).method(method).content("hello")).await;
        assert_eq!((answer.status(), answer.get("Allow")), (405, allow), "{method} {path}");
    }
    let elsewhere = serving.get(Ask::get(stratum.url("/other")).method("POST").content("hello")).await;
    assert_eq!(elsewhere.status(), 403);
    assert_eq!(stratum.requests(), 0);
}

#[tokio::test]
async fn content_has_bounds_and_a_length() {
    let stratum = Origin::new().page("/x", document("old")).run();
    let setup = writable(lone("site").any_target()).with(|config| config.listen.max_content = ByteSize(1000));
    let proxy = Proxy::start(setup).await;
    let post = |fields: &str, content: &str| {
        format!("POST {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n{content}", stratum.url("/x"), stratum.address())
    };
    let thousand = "x".repeat(1000);
    let get = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", stratum.url("/x"), stratum.address());
    for (request, status) in [
        (post("Content-Length: 1000\r\n", &thousand), 200),
        (post("", ""), 200),
        (post("Content-Length: 1001\r\n", &thousand), 413),
        (post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), 411),
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &get), 411),
        (post("Content-Length: 5\r\nContent-Length: 5\r\n", &get), 400),
        (post("Content-Length: 5\r\nContent-Length: 6\r\n", &get), 400),
        (post("Content-Length: +5\r\n", &get), 400),
        (post("Content-Length : 5\r\n", &get), 400),
        (post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), 417),
    ] {
        stratum.forget();
        let mut client = proxy.client();
        client.send_raw(request.as_bytes()).await.unwrap();
        assert_eq!(client.head().await.unwrap().status, status, "{request}");
        if status != 200 {
            let rest = String::from_utf8(client.until_closed().await.unwrap().to_vec()).unwrap();
            assert!(!rest.contains("HTTP/1.1"), "a second answer: {rest}");
        }
        assert_eq!(stratum.requests(), usize::from(status == 200), "{request}");
    }
}
