//! `/log`: the filter of the diagnostics, to see and to change.
//!
//! Changing is for programs on this machine: the connection must come from it, and the request must not come from a web page
//! (a browser always says `Origin` with a POST), whatever address the admin port listens on.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, header};

use super::routes::{Answer, text};
use crate::diagnostics::LogFilter;

const NONE: &str = "the diagnostics of this process are not ours";

/// The filter that holds.
pub(super) fn tell(filter: Option<&LogFilter>) -> Answer {
    match filter {
        Some(filter) => text(StatusCode::OK, &filter.get()),
        None => text(StatusCode::NOT_FOUND, NONE),
    }
}

/// `POST /log?filter=...`
pub(super) fn change(
    filter: Option<&LogFilter>,
    peer: IpAddr,
    query: Option<&str>,
    fields: &HeaderMap,
) -> Answer {
    if !peer.to_canonical().is_loopback() {
        return text(StatusCode::FORBIDDEN, "only programs on this machine may change the filter");
    }
    if fields.contains_key(header::ORIGIN) {
        return text(StatusCode::FORBIDDEN, "web pages may not change the filter");
    }
    let Some(filter) = filter else { return text(StatusCode::NOT_FOUND, NONE) };
    let wanted = query.and_then(|query| query.strip_prefix("filter=")).and_then(decoded);
    let Some(wanted) = wanted else {
        return text(StatusCode::BAD_REQUEST, "name one, as in /log?filter=info,substratum::upstream=debug");
    };
    let before = filter.get();
    match filter.set(&wanted) {
        Ok(()) => {
            // Said even if the new filter lets nothing through: to whoever asked.
            tracing::info!(%before, now = %filter.get(), "the filter of the diagnostics was changed");
            text(StatusCode::OK, &filter.get())
        }
        Err(error) => text(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// A value of a query without its escapes; nothing where they are broken or yield no printable ASCII.
pub(super) fn decoded(value: &str) -> Option<String> {
    let mut parts = value.split('%');
    let mut text = parts.next()?.replace('+', " ");
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        text.push(u8::from_str_radix(code, 16).ok()?.into());
        text.push_str(&rest.replace('+', " "));
    }
    text.bytes().all(|c| matches!(c, b' '..=b'~')).then_some(text)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_programs_on_this_machine_get_as_far_as_the_filter() {
        let here = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"];
        let elsewhere = ["10.0.0.1", "192.0.2.1", "fe80::1", "::ffff:10.0.0.1"];
        let asked = |peer: &str, fields: &HeaderMap| {
            change(None, peer.parse().unwrap(), Some("filter=debug"), fields).status()
        };
        for peer in here {
            assert_eq!(asked(peer, &HeaderMap::new()), StatusCode::NOT_FOUND, "{peer}");
        }
        for peer in elsewhere {
            assert_eq!(asked(peer, &HeaderMap::new()), StatusCode::FORBIDDEN, "{peer}");
        }
        let page = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("null"))]);
        assert_eq!(asked("127.0.0.1", &page), StatusCode::FORBIDDEN);
    }

    #[test]
    fn escapes() {
        for (value, expected) in [
            ("info,a::b=debug", Some("info,a::b=debug")),
            ("info%2Ca%3A%3Ab%3ddebug", Some("info,a::b=debug")),
            ("a+b%20c", Some("a b c")),
            ("%2", None),
            ("%zz", None),
            ("%0a", None),
            ("%c3%a9", None),
            ("\u{e9}%41", None),
        ] {
            assert_eq!(decoded(value).as_deref(), expected, "{value}");
        }
    }
}
