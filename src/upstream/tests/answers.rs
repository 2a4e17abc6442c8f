//! Good answers in all their forms, and requests as they stand on the wire.

use http::HeaderValue;
use http_body::Body;

use super::server::{HELLO, Read, Server, Write};
use super::*;

async fn check(method: Method, answer: &[&'static str], length: Option<u64>, expected: &str) {
    let mut script = vec![Read];
    script.extend(answer.iter().map(|part| Write(part)));
    let server = Server::play(&[&script]).await;
    let tested = setup().mirror(&server.url()).client();
    let request = Outgoing { method, ..get("/x") };
    let answer = tested.send(&tested.candidate(&server.url()), request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body().content_length(), length, "{expected}");
    assert_eq!(text(answer).await.unwrap(), expected);
}

#[tokio::test]
async fn every_framing_of_a_body() {
    check(Method::GET, &[HELLO], Some(5), "hello").await;
    check(Method::GET, &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", "llo"], Some(5), "hello").await;
    check(Method::GET, &["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], Some(0), "").await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n";
    check(Method::GET, &[chunked], None, "hello").await;
    check(Method::GET, &["HTTP/1.1 200 OK\r\n\r\nhel", "lo"], None, "hello").await;
    check(Method::GET, &["HTTP/1.0 200 OK\r\n\r\nhello"], None, "hello").await;
    check(Method::GET, &["HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"], Some(5), "hello").await;
}

#[tokio::test]
async fn a_large_body_comes_in_bounded_frames() {
    const SIZE: usize = 4 << 20;
    let body: &'static str = "0123456789abcdef".repeat(SIZE / 16).leak();
    let server =
        Server::play(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n"), Write(body)]])
            .await;
    let tested = setup().mirror(&server.url()).client();
    let mut answer = tested.get(&server.url()).await.unwrap().into_body();
    let mut received = Vec::new();
    while let Some(frame) = answer.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.len() <= 256 << 10, "{}", data.len());
        received.extend_from_slice(&data);
    }
    assert!(received == body.as_bytes());
    assert_eq!(answer.received(), SIZE as u64);
}

#[tokio::test]
async fn interim_answers_are_swallowed() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    check(Method::GET, &[interim, HELLO], Some(5), "hello").await;
}

#[tokio::test]
async fn heads_have_no_body_but_keep_their_length_field() {
    let server = Server::play(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")]]).await;
    let tested = setup().mirror(&server.url()).client();
    let request = Outgoing { method: Method::HEAD, ..get("/x") };
    let answer = tested.send(&tested.candidate(&server.url()), request).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(answer.body().content_length(), Some(0));
    assert!(answer.body().is_end_stream());
}

#[tokio::test]
async fn a_stratum_is_asked_in_origin_form() {
    let server = Server::play(&[&[Read, Write(HELLO)]]).await;
    let tested = setup().mirror(&server.url()).client();
    let mut request = get("/cvmfs/a.b/data/x?y=%2F");
    request.headers.insert("host", HeaderValue::from_static("somewhere.else"));
    request.headers.insert("x-frontier-id", HeaderValue::from_static("me"));
    tested.send(&tested.candidate(&server.url()), request).await.unwrap();
    let expected = format!(
        "GET /cvmfs/a.b/data/x?y=%2F HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nx-frontier-id: me\r\n\r\n",
        server.port()
    );
    assert_eq!(server.requests(), [expected]);
}

#[tokio::test]
async fn a_parent_is_asked_in_absolute_form() {
    let table = [
        ("http://s1.example:8000", "http://s1.example:8000/x", "s1.example:8000"),
        ("http://s1.example:80", "http://s1.example/x", "s1.example"),
        ("http://[2a00::1]:8000", "http://[2a00::1]:8000/x", "[2a00::1]:8000"),
        ("https://s1.example", "https://s1.example/x", "s1.example"),
    ];
    for (named, uri, host) in table {
        let parent = Server::play(&[&[Read, Write(HELLO)]]).await;
        let tested = setup().parent(&parent.url()).client();
        assert_eq!(tested.fetch(named).await.unwrap(), "hello");
        assert_eq!(parent.requests(), [format!("GET {uri} HTTP/1.1\r\nhost: {host}\r\n\r\n")]);
    }
}

#[tokio::test]
async fn bytes_and_outcomes_are_counted_by_upstream() {
    let server = Server::play(&[&[Read, Write(HELLO)]]).await;
    let tested = setup().mirror(&server.url()).client();
    let candidate = tested.candidate(&server.url());
    let answer = tested.send(&candidate, get("/x")).await.unwrap();
    candidate.upstream.record(UpstreamOutcome::of_status(answer.status()));
    text(answer).await.unwrap();
    let label = server.url();
    assert_eq!(candidate.upstream.label(), label);
    assert_eq!(tested.metrics.received.with_label_values(&[label.as_str()]).get(), 5);
    assert_eq!(tested.metrics.requests.with_label_values(&[label.as_str(), "ok"]).get(), 1);
    assert_eq!(tested.metrics.first_byte.get_sample_count(), 1);
    assert_eq!(tested.candidate("http://unknown.example").upstream.label(), "other");
}

#[tokio::test]
async fn a_parent_that_wants_a_login_gets_it_and_nobody_else_does() {
    use std::io::Write as _;
    let server = Server::play(&[&[Read, Write(HELLO)], &[Read, Write(HELLO)]]).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"open sesame\n").unwrap();
    let login = config::Login { user: "Aladdin".to_owned(), password_file: file.path().to_owned() };
    let mut with_login = setup().parent(&server.url());
    with_login.parents[0].login = Some(login);
    let tested = with_login.client();
    assert_eq!(tested.fetch("http://stratum.example").await.unwrap(), "hello");
    let mirror = setup().mirror(&server.url()).client();
    assert_eq!(mirror.fetch(&server.url()).await.unwrap(), "hello");
    let [first, second] = &server.requests()[..] else { panic!("two requests") };
    let field = "proxy-authorization: basic qwxhzgrpbjpvcgvuihnlc2ftzq==\r\n";
    assert!(first.to_ascii_lowercase().contains(field), "{first}");
    assert!(!second.to_ascii_lowercase().contains("proxy-authorization"), "{second}");
    assert!(!format!("{:?}", tested.candidate("http://stratum.example")).contains("QWxh"));
}
