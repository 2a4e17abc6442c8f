//! Connections that are kept, shared out, and found dead.

use super::server::{AwaitClose, HELLO, Read, Reset, Server, Wait, Write};
use super::*;

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let chunked = Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let none = Write("HTTP/1.1 304 Not Modified\r\n\r\n");
    let server =
        Server::play(&[&[Read, Write(HELLO), Read, chunked, Read, none, Read, Write(HELLO), AwaitClose]])
            .await;
    let tested = setup().mirror(&server.url()).client();
    for expected in ["hello", "hello", "", "hello"] {
        assert_eq!(tested.fetch(&server.url()).await.unwrap(), expected);
        assert_eq!(tested.metrics.idle.get(), 1);
    }
    assert_eq!(server.connections(), 1);
    assert_eq!((tested.metrics.opened.get(), tested.metrics.reused.get()), (1, 3));
}

#[tokio::test]
async fn a_kept_connection_that_dies_is_replaced_unseen() {
    for death in [&[Read, Write(HELLO), Read][..], &[Read, Write(HELLO), Read, Reset]] {
        let server = Server::play(&[death, &[Read, Write(HELLO)]]).await;
        let tested = setup().mirror(&server.url()).client();
        for _ in 0..2 {
            assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
        }
        assert_eq!(tested.metrics.repeated.get(), 1);
        assert_eq!(server.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_used() {
    let server = Server::play(&[&[Read, Write(HELLO)], &[Read, Write(HELLO)]]).await;
    let tested = setup().mirror(&server.url()).client();
    for _ in 0..2 {
        assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
        server.closed(1).await;
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_second_death_is_told() {
    let server = Server::play(&[&[Read, Write(HELLO), Read], &[Read], &[Read, Write(HELLO)]]).await;
    let tested = setup().mirror(&server.url()).client();
    assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    assert_eq!(tested.fetch(&server.url()).await, Err(Failure::Reset));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn bytes_nobody_asked_for_are_not_taken_for_an_answer() {
    let smuggled = Write(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
    );
    let server = Server::play(&[&[Read, smuggled, AwaitClose], &[Read, Write(HELLO)]]).await;
    let tested = setup().mirror(&server.url()).client();
    for _ in 0..2 {
        assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_time() {
    let server = Server::play(&[&[Read, Write(HELLO), AwaitClose]]).await;
    let tested = setup().mirror(&server.url()).client();
    assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    let start = Instant::now();
    server.closed(1).await;
    let kept = start.elapsed();
    assert!(kept >= Duration::from_secs(4) && kept <= Duration::from_secs(9), "{kept:?}");
    assert_eq!(tested.metrics.idle.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_not_used_beyond_its_time() {
    let server = Server::play(&[&[Read, Write(HELLO), AwaitClose], &[Read, Write(HELLO), AwaitClose]]).await;
    let tested = setup().mirror(&server.url()).client();
    assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(tested.fetch(&server.url()).await.unwrap(), "hello");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_number_of_idle_connections_is_bounded() {
    let script = [Read, Write(HELLO), AwaitClose];
    let server = Server::play(&[&script, &script, &script]).await;
    let tested = setup().mirror(&server.url()).limits(|limits| limits.idle_connections = 1).client();
    let url = server.url();
    let (a, b, c) = tokio::join!(tested.get(&url), tested.get(&url), tested.get(&url));
    for answer in [a, b, c] {
        assert_eq!(text(answer.unwrap()).await.unwrap(), "hello");
    }
    server.closed(2).await;
    assert_eq!(tested.metrics.idle.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_to_one_server_are_bounded() {
    let server = Server::play(&[&[
        Read,
        Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        Wait,
        Write("hello"),
        Read,
        Write(HELLO),
    ]])
    .await;
    let tested = Arc::new(setup().mirror(&server.url()).limits(|limits| limits.max_connections = 1).client());
    let first = tested.get(&server.url()).await.unwrap();
    assert_eq!(tested.fetch(&server.url()).await, Err(Failure::Busy));
    // Whoever still waits when the first is done gets its connection.
    let waiting = {
        let (tested, url) = (Arc::clone(&tested), server.url());
        tokio::spawn(async move { tested.fetch(&url).await })
    };
    tokio::task::yield_now().await;
    server.release();
    assert_eq!(text(first).await.unwrap(), "hellohello");
    assert_eq!(waiting.await.unwrap().unwrap(), "hello");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_client_can_be_used_from_spawned_tasks() {
    fn check<T: Send + 'static>(_: T) {}
    let tested = setup().mirror("http://127.0.0.1:1").client();
    let candidate = tested.candidate("http://127.0.0.1:1");
    let client = tested.client.clone();
    check(async move { client.send(&candidate, get("/"), Instant::now()).await });
}
