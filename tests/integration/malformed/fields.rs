//! Names and values of fields, and expectations.

use super::{Case, case, get};

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for name in [
        "X ",
        "X\t",
        "",
        " ",
        "X Y",
        "X\0",
        "X(",
        "X)",
        "X<",
        "X>",
        "X@",
        "X,",
        "X;",
        "X\\",
        "X\"",
        "X/",
        "X[",
        "X]",
        "X?",
        "X=",
        "X{",
        "X}",
        "\u{e9}",
        "X\x7f",
        "X\x01",
        "Content-Length ",
        "Transfer-Encoding ",
        "Transfer-Encoding\t",
        "Transfer-Encoding\x0b",
        "Transfer Encoding",
    ] {
        all.push(case(get(&format!("{name}: chunked\r\n")), &[400]));
    }
    for value in ["a\0b", "\0", "a\x01b", "a\x08b", "a\x0bb", "a\x0cb", "a\x1bb", "a\x7fb"] {
        all.push(case(get(&format!("X: {value}\r\n")), &[400]));
    }
    for line in ["No colon at all", "X", "GET / HTTP/1.1", "\0", "=", "HTTP/1.1 200 OK"] {
        all.push(case(get(&format!("{line}\r\n")), &[400]));
    }
    for expectation in ["200-ok", "100-continue, x", "100-continued", "", "x=y", "\"100-continue\""] {
        all.push(case(get(&format!("Expect: {expectation}\r\n")), &[417]));
    }
    all
}
