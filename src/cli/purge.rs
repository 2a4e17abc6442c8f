//! `substratum purge`: a running program drops an object or a document.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use super::inquiry::{self, Inquiry, ReportError};

/// Arguments of `substratum purge`.
#[derive(clap::Args)]
pub struct Options {
    /// What is to go: a URL as a client sends it to its proxy, a path as it sends it to a server, or the name of an object
    #[arg(value_name = "URL|NAME")]
    what: String,
    #[command(flatten)]
    inquiry: inquiry::Target,
}

/// Asks for it, and writes what became of it.
pub fn run(options: &Options, config: Option<&Path>, out: &mut dyn Write) -> Result<(), ReportError> {
    let inquiry = Inquiry::obtain(&options.inquiry, config)??;
    let said = inquiry.change(&format!("/purge?what={}", escaped(&options.what)))?;
    out.write_all(said.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// As a value in a query (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte.into())
            }
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02x}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(
            escaped("http://a:80/b?c=d e+f&%20#\u{e9}"),
            "http%3a//a%3a80/b%3fc%3dd%20e%2bf%26%2520%23%c3%a9"
        );
    }
}
