//! Answers whose heads or chunks another reader could take differently: none is anybody's answer.

use super::server::{HELLO, Read, Server, Write};
use super::*;

/// The kind of the failure, of the head or of the body.
async fn check(answer: &'static str, expected: &str) {
    let server = Server::play(&[&[Read, Write(answer)]]).await;
    let tested = setup().mirror(&server.url()).client();
    let got = match tested.get(&server.url()).await {
        Ok(answer) => text(answer).await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    let got = got.map_or_else(|failure| failure.kind(), |()| "whole");
    assert_eq!(got, expected, "{answer:?}");
}

#[tokio::test]
async fn heads() {
    for answer in [
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9x\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
    ] {
        check(answer, "protocol").await;
    }
}

#[tokio::test]
async fn interim_answers_have_a_bound() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    check(format!("{}{HELLO}", interim.repeat(8)).leak(), "whole").await;
    check(format!("{}{HELLO}", interim.repeat(9)).leak(), "protocol").await;
    check(format!("HTTP/1.1 100 Continue\n\n{HELLO}").leak(), "protocol").await;
}

#[tokio::test]
async fn chunks() {
    for chunks in [
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        check(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").leak(), "protocol")
            .await;
    }
    let flood = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(64 << 10));
    check(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{flood}").leak(), "protocol").await;
}

#[tokio::test]
async fn bytes_after_an_answer_are_no_answer_to_the_next_request() {
    let split =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let server = Server::play(&[&[Read, Write(split), Read], &[Read, Write(HELLO)]]).await;
    let tested = setup().mirror(&server.url()).client();
    assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    assert_eq!(server.connections(), 2);
}
