//! Ends of lines, empty and folded lines, versions, methods, lengths.

use super::{Case, case, get};

const BAD: &[u16] = &[400];

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    // Bare LF and bare CR wherever a line may end.
    for text in [
        "GET {T} HTTP/1.1\nHost: {H}\n\n",
        "GET {T} HTTP/1.1\nHost: {H}\r\n\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\n\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\n\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\n\n{S}",
        "GET {T} HTTP/1.1\rHost: {H}\r\r",
        "GET {T} HTTP/1.1\r\rHost: {H}\r\n\r\n",
        "GET {T} HTTP/1.1\r\r\nHost: {H}\r\n\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\r\n\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\n\r\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\nX: a\rb\r\n\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\nX: a\r\rX-Smuggled: 1\r\n\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\nX: a\nX-Smuggled: 1\r\n\r\n",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\nX: a\n\r\n{S}",
        "GET {T} HTTP/1.1\r\nHost: {H}\r\nX: a\n\n{S}\r\n\r\n",
        "G\rET {T} HTTP/1.1\r\nHost: {H}\r\n\r\n",
        "GET {T}\r HTTP/1.1\r\nHost: {H}\r\n\r\n",
        "GET {T}\n HTTP/1.1\r\nHost: {H}\r\n\r\n",
        "\nGET {T} HTTP/1.1\r\nHost: {H}\r\n\r\n",
        "\rGET {T} HTTP/1.1\r\nHost: {H}\r\n\r\n",
        "\r\n\r\nGET {T} HTTP/1.1\r\nHost: {H}\r\n\r\n",
        "\r\n\nGET {T} HTTP/1.1\r\nHost: {H}\r\n\r\n",
        "\n\n\n{S}",
    ] {
        all.push(case(text, BAD));
    }
    // Folded and indented lines.
    for fields in [
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X: a\r\n X-Smuggled: 1\r\n",
        " X: a\r\n",
        "\tX: a\r\n",
        "X:\r\n a\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Content-Length:\r\n 5\r\n",
        "X: a\r\n \r\n",
        "Transfer-Encoding: identity\r\n , chunked\r\n",
    ] {
        all.push(case(get(fields), BAD));
    }
    all.push(case("GET {T} HTTP/1.1\r\n Host: {H}\r\n\r\n", BAD));
    all.push(case("GET {T} HTTP/1.1\r\n\tHost: {H}\r\n\r\n", BAD));
    // Versions.
    for version in [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/1.9",
        "HTTP/2",
        "HTTP/2.0",
        "HTTP/3",
        "HTTP/3.7",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/11",
        "HTTP/1.10",
        "HTTP/1.1x",
        "HTTP/1.1.1",
        "HTTP/-1.1",
        "HTTP/01.1",
        "HTTP/1.01",
        "HTTP/1,1",
        "http/1.1",
        "Http/1.1",
        "HTTPS/1.1",
        "HTP/1.1",
        "ICY/1.1",
        "HTTP 1.1",
        "HTTP/1.1 ",
        "HTTP/1.1\t",
        " HTTP/1.1",
        "\tHTTP/1.1",
        "HTTP/1.1\0",
    ] {
        all.push(case(format!("GET {{T}} {version}\r\nHost: {{H}}\r\n\r\n"), BAD));
    }
    all.push(case("GET {T}\r\n\r\n", BAD));
    all.push(case("GET\r\n\r\n", BAD));
    all.push(case("{T}\r\n\r\n", BAD));
    all.push(case("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD));
    all.push(case("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", BAD));
    // Methods.
    for method in ["get", "Get", "HEAd", "POST", "OPTIONS", "TRACE", "PRI", "PURGE", "REFUSED", "GETT", "G"] {
        all.push(case(format!("{method} {{T}} HTTP/1.1\r\nHost: {{H}}\r\n\r\n"), &[405]));
    }
    for method in ["", "G ET", "G\0ET", "G\tET", "GET:", "(GET)", "\"GET\"", "G@T", "GET,", " GET", "\u{e9}"]
    {
        all.push(case(format!("{method} {{T}} HTTP/1.1\r\nHost: {{H}}\r\n\r\n"), BAD));
    }
    // A tunnel's target is no URL.
    all.push(case("CONNECT {H} HTTP/1.1\r\nHost: {H}\r\n\r\n{S}", &[403]));
    all.push(case("OPTIONS * HTTP/1.1\r\nHost: {H}\r\n\r\n", &[405]));
    all.push(case("GET  {T} HTTP/1.1\r\nHost: {H}\r\n\r\n", BAD));
    all.push(case("GET\t{T}\tHTTP/1.1\r\nHost: {H}\r\n\r\n", BAD));
    // Lengths.
    let long = "x".repeat(64 << 10);
    all.push(case(format!("GET {{T}}?{long} HTTP/1.1\r\nHost: {{H}}\r\n\r\n"), &[414]));
    all.push(case(format!("GET /{} HTTP/1.1\r\nHost: {{H}}\r\n\r\n", "x".repeat(40 << 10)), &[414]));
    all.push(case(format!("{long} {{T}} HTTP/1.1\r\nHost: {{H}}\r\n\r\n"), &[414]));
    all.push(case(get(&format!("X: {long}\r\n")), &[431]));
    all.push(case(get(&format!("{long}: x\r\n")), &[431]));
    all.push(case(get(&"X: y\r\n".repeat(100)), &[431]));
    all.push(case(get(&"X: y\r\n".repeat(20_000)), &[431]));
    all
}
