//! `Content-Length` and `Transfer-Encoding`: GET and HEAD have no content here, whatever is said about its length.

use super::{Case, case, get};

/// The parser takes a length beyond all bounds for a head beyond all bounds.
const BAD: &[u16] = &[400, 431];

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for length in [
        "5",
        "05",
        "+5",
        "-5",
        "-0",
        "+0",
        "0x5",
        "5.0",
        "5e0",
        "5 5",
        "5,5",
        "5, 5",
        "5, 6",
        "0, 5",
        "5;",
        "\"5\"",
        "five",
        "",
        " ",
        ",",
        "0,",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999",
        "\u{665}",
        "5\t6",
        "1_0",
    ] {
        all.push(case(get(&format!("Content-Length: {length}\r\n")) + "hello{S}", BAD));
    }
    for pair in [("5", "6"), ("5", "5"), ("0", "5"), ("5", "0"), ("5", "05"), ("0", "x")] {
        let fields = format!("Content-Length: {}\r\nContent-Length: {}\r\n", pair.0, pair.1);
        all.push(case(get(&fields) + "hello{S}", BAD));
    }
    for coding in [
        "chunked",
        "Chunked",
        "CHUNKED",
        " chunked",
        "chunked ",
        "\tchunked",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "identity, chunked",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "chunked;q=1",
        "chunked;a=b",
        "",
        ",",
        ",chunked",
        "chunked,",
        "x",
        "cow",
        "chunk",
    ] {
        let field = format!("Transfer-Encoding: {coding}\r\n");
        all.push(case(get(&field) + "0\r\n\r\n{S}", BAD));
        all.push(case(get(&format!("Content-Length: 5\r\n{field}")) + "0\r\n\r\n{S}", BAD));
        all.push(case(get(&format!("{field}Content-Length: 0\r\n")) + "0\r\n\r\n{S}", BAD));
    }
    all.push(case(get("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n") + "0\r\n\r\n{S}", BAD));
    all.push(case(get("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n{S}", BAD));
    // HTTP/1.0 knows no transfer codings.
    all.push(case("GET {T} HTTP/1.0\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}", BAD));
    all.push(case("GET {T} HTTP/1.0\r\nHost: {H}\r\nContent-Length: 5\r\n\r\nhello{S}", BAD));
    for chunks in
        ["5\r\nhello\r\n0\r\n\r\n", "0\r\nX-Smuggled: 1\r\n\r\n", "-1\r\n", "5;a=\nhello", "5\nhello\n0\n\n"]
    {
        all.push(case(get("Transfer-Encoding: chunked\r\n") + chunks + "{S}", BAD));
    }
    // Other methods' content is not read either.
    for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        all.push(case(
            format!("POST {{T}} HTTP/1.1\r\nHost: {{H}}\r\n{fields}\r\n5\r\nhello\r\n0\r\n\r\n{{S}}"),
            &[405],
        ));
    }
    all
}
