//! `POST /missing`: which of these objects are not here. The content is a name a line, as it stands in paths without the slash and
//! the letter of its type; the answer has those that are missing, in the same form and order.
//!
//! Asked of the indexes alone: nothing is read, nothing counts as used. Bounded in bytes, and so in names.

use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::StatusSource;
use super::routes::{Answer, text, typed};
use crate::digest::{Algorithm, ObjectName};

/// Bytes of a request: some 20,000 names.
pub(super) const MAX_CONTENT: usize = 1 << 20;

/// Answers such a request.
pub(super) async fn answer<B>(status: &dyn StatusSource, content: B) -> Answer
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_much = || text(StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB of names: ask in several requests");
    // What is announced need not be waited for.
    if content.size_hint().lower() > MAX_CONTENT as u64 {
        return too_much();
    }
    let content = match Limited::new(content, MAX_CONTENT).collect().await {
        Ok(content) => content.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return too_much(),
        Err(_) => return text(StatusCode::BAD_REQUEST, "the content did not come whole"),
    };
    let mut missing = String::new();
    for line in content.split(|c| *c == b'\n').filter(|line| !line.is_empty()) {
        let Some(name) = Algorithm::ALL.into_iter().find_map(|algorithm| named(algorithm, line)) else {
            return text(
                StatusCode::BAD_REQUEST,
                "a name of an object a line, such as 03...82 or 65...10-rmd160",
            );
        };
        if !status.has(&name) {
            missing.push_str(&name.to_string());
            missing.push('\n');
        }
    }
    typed(StatusCode::OK, "text/plain; charset=utf-8", missing)
}

fn named(algorithm: Algorithm, line: &[u8]) -> Option<ObjectName> {
    ObjectName::from_hex(algorithm, line.strip_suffix(algorithm.tag().as_bytes())?, b"")
}
