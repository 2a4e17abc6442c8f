//! What registries and their servers of tokens say (`src/service/tokens.rs`): a challenge in the first line, an answer behind it.
//! Whatever it is, one request in good order comes of it, and one field.
#![no_main]

use std::time::Duration;

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use substratum::config::ServerUrl;
use substratum::service::{challenge, token};
use tokio::time::Instant;

fuzz_target!(|input: &[u8]| {
    let (first, answer) = match input.iter().position(|&c| c == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &b""[..]),
    };
    if let Ok(field) = HeaderValue::from_bytes(first)
        && let Some((server, path)) = challenge(&field)
    {
        assert_eq!(server.to_string().parse::<ServerUrl>().as_ref(), Ok(&server));
        assert!(path.as_str().starts_with(['/', '?']), "{path}");
        assert!(path.as_str().bytes().all(|c| matches!(c, 0x21..=0x7e) && c != b'#'), "{path:?}");
    }
    let now = Instant::now();
    if let Some(token) = token(answer, now) {
        let text = token.field.to_str().expect("it can be shown");
        assert!(text.strip_prefix("Bearer ").is_some_and(|text| !text.is_empty()));
        assert!(!text.contains(['\r', '\n', '\0']) && token.field.is_sensitive());
        assert!(token.until >= now && token.until <= now + Duration::from_secs(3600));
    }
});
