//! Targets, and the `Host` beside them.

use super::{Case, case};

const BAD: &[u16] = &[400];

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    // What no URI has (RFC 3986 §2), and fragments.
    for c in [
        "#", "#x", "\\", "<", ">", "\"", "^", "`", "{", "}", "|", " ", "\t", "\0", "\x01", "\x7f", "\u{e9}",
        "\u{2028}", "%", "%2", "%zz", "%2g", "%-1", "%%41", "%u0041",
    ] {
        all.push(case(format!("GET {{T}}{c} HTTP/1.1\r\nHost: {{H}}\r\n\r\n"), BAD));
        all.push(case(format!("GET /cvmfs/{c}/.cvmfspublished HTTP/1.1\r\nHost: {{H}}\r\n\r\n"), BAD));
    }
    // Forms that are neither origin nor absolute.
    for target in [
        "cvmfs/a.test.local/.cvmfspublished",
        "*",
        "?x",
        "http:",
        "http:/",
        "http://",
        "http:///x",
        "//",
        "ftp://{H}/x",
        "file:///etc/passwd",
        "gopher://{H}/x",
        "{H}",
        "http://user@{H}/x",
        "http://user:secret@{H}/x",
        "http://@{H}/x",
        "http://{H}:80:80/x",
        "http://{H}x/y",
        "http://[::1/x",
        "http://a..b/x",
        "http://a:99999/x",
        "http://a:-1/x",
        "http://a:+80/x",
        "http://a:0x50/x",
        "http://a%00b/x",
    ] {
        all.push(case(format!("GET {target} HTTP/1.1\r\nHost: {{H}}\r\n\r\n"), &[400, 403]));
    }
    // Host: missing, several, malformed, another than the target's.
    for fields in [
        "",
        "Host:\r\nHost: {H}\r\n",
        "Host: {H}\r\nHost: {H}\r\n",
        "Host: {H}\r\nhost: other.example\r\n",
        "Host: other.example\r\nHost: {H}\r\n",
        "Host: {H}, {H}\r\n",
        "Host: other.example\r\n",
        "Host: {H}0\r\n",
        "Host: user@{H}\r\n",
        "Host: {H}/x\r\n",
        "Host: {H}?x\r\n",
        "Host: {H}#x\r\n",
        "Host: a b\r\n",
        "Host: http://{H}\r\n",
        "Host: \\{H}\r\n",
        "Host : {H}\r\n",
        "Host\t: {H}\r\n",
        " Host: {H}\r\n",
        "Host: {H}\0\r\n",
        "Host: {H}:80\r\n",
        "Host: \u{e9}\r\n",
        "Host: %61\r\n",
        "Host: [::1\r\n",
        "Host: 127.0.0.1\r\n",
        "Host: :80\r\n",
    ] {
        all.push(case(format!("GET {{T}} HTTP/1.1\r\n{fields}\r\n"), BAD));
    }
    for host in ["a b", "a/b", "a@b", "a?b", "a#b", "a\\b", "a,b", "a;b", "<a>", "a%62", "\u{e9}"] {
        all.push(case(
            format!("GET /cvmfs/a.test.local/.cvmfspublished HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            BAD,
        ));
    }
    all
}
