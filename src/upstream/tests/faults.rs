//! Everything that an upstream can do wrong, and how it is told.

use http_body::Body;

use super::server::{Act, AwaitClose, HELLO, Read, Reset, Server, Wait, Write};
use super::*;

/// How a request to a server with this script ends.
async fn failure(script: &[Act]) -> Failure {
    let server = Server::play(&[script]).await;
    let tested = setup().mirror(&server.url()).client();
    tested.fetch(&server.url()).await.unwrap_err()
}

#[tokio::test]
async fn broken_heads() {
    let head_of = |head: &'static str| [Read, Write(head), AwaitClose];
    let table: [(&[Act], &str); 11] = [
        (&[], "reset"),
        (&[Read], "reset"),
        (&[Read, Reset], "reset"),
        (&[Read, Write("HTTP/1.1 200 OK\r\nContent-Le")], "reset"),
        (&head_of("SSH-2.0-OpenSSH_9\r\n\r\n"), "protocol"),
        (&head_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), "protocol"),
        (&head_of("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"), "protocol"),
        (
            &head_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            "protocol",
        ),
        (&head_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"), "protocol"),
        (&head_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "protocol"),
        (
            &head_of("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            "protocol",
        ),
    ];
    for (script, kind) in table {
        assert_eq!(failure(script).await.kind(), kind, "{script:?}");
    }
}

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    const FIELD: &str =
        "X-Filler: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
    let mut script = vec![Read, Write("HTTP/1.1 200 OK\r\n")];
    script.resize(4000, Write(FIELD));
    assert_eq!(failure(&script).await.kind(), "protocol");
}

#[tokio::test]
async fn broken_bodies() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
    let table: [(&[Act], Failure); 2] = [
        (&[Read, Write(SIZED)], Failure::Short { expected: Some(5), received: 2 }),
        (&[Read, Write(CHUNKED), Write("5\r\nhe")], Failure::Short { expected: None, received: 2 }),
    ];
    for (script, expected) in table {
        assert_eq!(failure(script).await, expected, "{script:?}");
    }
    let bad_chunk = [Read, Write(CHUNKED), Write("2\r\nhe\r\nxyz\r\n"), AwaitClose];
    assert_eq!(failure(&bad_chunk).await.kind(), "protocol");
}

#[tokio::test]
async fn a_reset_in_a_body_is_an_error() {
    let server =
        Server::play(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), Wait, Reset]])
            .await;
    let tested = setup().mirror(&server.url()).client();
    let mut body = tested.get(&server.url()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    server.release();
    assert_eq!(body.frame().await.unwrap().unwrap_err(), Failure::Reset);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}");
    let tested = setup().mirror(&url).client();
    assert_eq!(tested.fetch(&url).await, Err(Failure::Refused { address }));
}

#[tokio::test(start_paused = true)]
async fn silence_before_the_head_ends_at_the_deadline() {
    let server = Server::play(&[&[Read, AwaitClose], &[Read, AwaitClose]]).await;
    let tested = setup().mirror(&server.url()).client();
    let candidate = tested.candidate(&server.url());
    // Less than half of first_byte_timeout is no time to judge a server by.
    let table =
        [(200, Failure::NoTimeLeft, "cancelled"), (1000, Failure::FirstByteTimeout, "first_byte_timeout")];
    for (ms, expected, kind) in table {
        let start = Instant::now();
        let failure = tested.client.send(&candidate, get("/x"), start + Duration::from_millis(ms)).await;
        let failure = failure.unwrap_err();
        assert_eq!((failure.kind(), &failure), (kind, &expected));
        assert!(failure.is_timeout());
        assert_eq!(start.elapsed().as_millis() / 10, u128::from(ms / 10));
    }
    server.closed(2).await;
}

#[tokio::test(start_paused = true)]
async fn silence_in_a_body_is_bounded() {
    let server =
        Server::play(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), AwaitClose]])
            .await;
    let tested = setup().mirror(&server.url()).client();
    let mut body = tested.get(&server.url()).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let start = Instant::now();
    let stalled = Failure::Stalled { after: Duration::from_secs(5) };
    assert_eq!(body.frame().await.unwrap().unwrap_err(), stalled);
    assert_eq!(start.elapsed().as_millis() / 10, 500);
    server.closed(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_stall() {
    let server = Server::play(&[&[
        Read,
        Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
        Wait,
        Write("you"),
        Wait,
        Write("!"),
    ]])
    .await;
    let tested = setup().mirror(&server.url()).client();
    let mut body = tested.get(&server.url()).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    for _ in 0..2 {
        // A wait that sets the timer, then a pause of the reader that lasts past it.
        let waited = tokio::time::timeout(Duration::from_secs(3), body.frame()).await;
        assert!(waited.is_err());
        server.release();
        let frame = body.frame().await.unwrap();
        assert!(frame.is_ok(), "{frame:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn a_body_without_end_is_broken_off() {
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n12345\r\n";
    let unknown = "HTTP/1.1 200 OK\r\n\r\n1234567890";
    for (max, whole) in [(8, false), (9, true)] {
        for answer in [announced, chunked, unknown] {
            let server = Server::play(&[&[Read, Write(answer), AwaitClose]]).await;
            let limits = |limits: &mut config::Upstream| limits.max_body = config::ByteSize(max);
            let tested = setup().mirror(&server.url()).limits(limits).client();
            let fetched = tested.fetch(&server.url()).await.map_err(|failure| failure.kind());
            match whole && answer == announced {
                true => assert_eq!(fetched.as_deref(), Ok("123456789")),
                false => assert_eq!(fetched, Err("protocol"), "{max} {answer}"),
            }
            drop(tested);
            server.closed(1).await;
        }
    }
}

#[tokio::test]
async fn an_abandoned_body_closes_its_connection() {
    let server = Server::play(&[
        &[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), AwaitClose],
        &[Read, Write(HELLO)],
    ])
    .await;
    let tested = setup().mirror(&server.url()).client();
    drop(tested.get(&server.url()).await.unwrap());
    server.closed(1).await;
    assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    assert_eq!(server.connections(), 2);
}
