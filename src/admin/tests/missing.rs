//! What is not here.

use super::*;

#[tokio::test]
async fn what_is_missing_is_told_by_name() {
    let server = Server::start(limits()).await;
    let post = |content: String| {
        format!("POST /missing HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{content}", content.len())
    };
    // The tier of these tests has what begins with 0 to 7.
    let (here, there) = ("1".repeat(40), format!("{}-rmd160", "a".repeat(40)));
    let answer =
        server.exchange(&post(format!("{here}\n{there}\n{here}-shake128\n\n{}", "f".repeat(40)))).await;
    assert_eq!((answer.status, answer.body), (200, format!("{there}\n{}\n", "f".repeat(40))));
    for (content, status) in [
        (String::new(), 200),
        (format!("{here}\nnonsense"), 400),
        (here.to_uppercase().replace('1', "A"), 400),
    ] {
        assert_eq!(server.exchange(&post(content)).await.status, status);
    }
    let cut = "POST /missing HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n";
    // Not sent: what is not read turns the end into a reset.
    assert_eq!(server.exchange(cut).await.status, 413, "before it came");
    assert_eq!(server.get("/missing").await.status, 405);
}
