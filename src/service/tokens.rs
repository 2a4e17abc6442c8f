//! Tokens that registries give to everybody, obtained here for clients that show none (`anonymous` in `[[registries]]`): jobs
//! mostly have no way to the servers that give them.
//!
//! A registry answers 401 with a challenge that names such a server; what it gives is remembered for the image until shortly before
//! it ends. One is obtained at a time: others find it when it is their turn.
//! Sources: CNCF Distribution "Token Authentication Specification"; RFC 6750 §3, RFC 9110 §11.6.1 (challenges).

use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{Place, Worker};
use crate::cache::{FillError, Why};
use crate::config::{Scheme, ServerUrl};
use crate::fetch::{Fetch, Refusals};
use crate::upstream::UpstreamBody;

/// Images whose tokens are remembered; tokens have up to some KiB.
const REMEMBERED: u64 = 4096;

/// Longest answer of a server of tokens, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// How long a token counts that does not say it; the specification's word.
const USUAL: Duration = Duration::from_secs(60);
/// No token is believed for longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// A token that ends sooner is not sent any more: it has to last for a download to begin.
const SLACK: Duration = Duration::from_secs(5);

/// The tokens; one for all workers.
pub struct Tokens {
    known: moka::sync::Cache<String, Token>,
    turn: Semaphore,
}

/// What stands in `Authorization`, and until when.
#[derive(Clone)]
pub struct Token {
    /// The field.
    pub field: HeaderValue,
    /// At most an hour from when it came.
    pub until: Instant,
}

impl Default for Tokens {
    fn default() -> Self {
        let known = moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(LONGEST).build();
        Self { known, turn: Semaphore::new(1) }
    }
}

impl Tokens {
    /// The token for a place, if there is one that still counts.
    pub(super) fn known(&self, place: &Place) -> Option<Token> {
        self.known.get(&key(place)?).filter(|token| Instant::now() < token.until)
    }
}

fn key(place: &Place) -> Option<String> {
    Some(format!("{} {}", place.named.as_ref()?, place.anonymous.as_ref()?))
}

impl Worker {
    /// The answer about a document, or to HEAD of an object; where everybody's token opens it, with that.
    pub(super) async fn ask(
        &self,
        fetch: &Fetch,
        place: &Place,
        (method, headers): (Method, HeaderMap),
        refusals: Refusals,
    ) -> Result<Response<UpstreamBody>, FillError> {
        let Some(key) = key(place) else { return fetch.document(method, headers, refusals).await };
        let with = |token: Option<&Token>| {
            let mut headers = headers.clone();
            headers.extend(token.map(|token| (AUTHORIZATION, token.field.clone())));
            headers
        };
        let known = self.tokens.known(place);
        let answer = fetch.document(method.clone(), with(known.as_ref()), refusals).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some((server, path)) = answer.headers().get_all(WWW_AUTHENTICATE).iter().find_map(challenge)
        else {
            return Ok(answer);
        };
        let Ok(Ok(_turn)) = timeout(fetch.head_deadline, self.tokens.turn.acquire()).await else {
            return Ok(answer);
        };
        let token = match self.tokens.known(place) {
            Some(other) if known.is_none_or(|known| known.field != other.field) => Ok(other),
            _ => obtain(fetch, server, path).await,
        };
        match token {
            Ok(token) => {
                self.tokens.known.insert(key, token.clone());
                drop(answer);
                fetch.document(method, with(Some(&token)), refusals).await
            }
            Err(error) => {
                tracing::debug!(path = place.path.as_str(), %error, "no token for everybody");
                Ok(answer)
            }
        }
    }
}

async fn obtain(fetch: &Fetch, server: ServerUrl, path: PathAndQuery) -> Result<Token, FillError> {
    let answer = fetch.elsewhere(server, path, MAX_ANSWER).await?;
    let unusable = || FillError::new(Why::Unavailable, "it gave no token that can be used");
    token(&answer, Instant::now()).ok_or_else(unusable)
}

/// The token in an answer of its server.
pub fn token(answer: &[u8], now: Instant) -> Option<Token> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let text = answer
        .get("token")
        .or_else(|| answer.get("access_token"))?
        .as_str()
        .filter(|text| !text.is_empty())?;
    let mut field = HeaderValue::try_from(format!("Bearer {text}")).ok()?;
    field.set_sensitive(true);
    let lasts = answer.get("expires_in").and_then(Value::as_u64).map_or(USUAL, Duration::from_secs);
    Some(Token { field, until: now + lasts.min(LONGEST).saturating_sub(SLACK) })
}

/// `Bearer realm="https://auth.example.org/token",service="a",scope="b"` -> the server and what is asked there.
pub fn challenge(field: &HeaderValue) -> Option<(ServerUrl, PathAndQuery)> {
    let text = field.to_str().ok()?;
    let (scheme, parameters) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let value = |name: &str| {
        // No realm, service or scope has a quote or a backslash in it: whoever writes one is not followed.
        parameters.split('"').collect::<Vec<_>>().chunks(2).find_map(|pair| match pair {
            [before, value] => {
                let key = before.trim_start_matches([',', ' ']).strip_suffix('=')?;
                key.eq_ignore_ascii_case(name).then_some(*value)
            }
            _ => None,
        })
    };
    let uri: Uri = value("realm")?.parse().ok()?;
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let server = ServerUrl::from_authority(scheme, uri.authority()?.as_str()).ok()?;
    let mut target = uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
    for name in ["service", "scope"] {
        if let Some(value) = value(name) {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(name);
            target.push('=');
            escape(value, &mut target);
        }
    }
    Some((server, target.try_into().ok()?))
}

/// What means itself in a value of a query stays, all else is escaped.
fn escape(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let table = [
            (
                r#"Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull""#,
                Some("https://auth.test /token?service=registry.test&scope=repository:a/b:pull"),
            ),
            (
                r#"bearer realm="http://auth.test:81", service="a b&c""#,
                Some("http://auth.test:81 /?service=a%20b%26c"),
            ),
            (r#"Bearer realm="https://auth.test/t?x=1",scope="s""#, Some("https://auth.test /t?x=1&scope=s")),
            (r#"Bearer service="a",realm="https://auth.test/t""#, Some("https://auth.test /t?service=a")),
            (r#"Basic realm="https://auth.test/token""#, None),
            (r#"Bearer realm="auth.test/token""#, None),
            (r#"Bearer realm="ftp://auth.test/token""#, None),
            (r#"Bearer realm="https://user@auth.test/token""#, None),
            (r#"Bearer scope="a""#, None),
            ("Bearer", None),
            ("Bearer \"", None),
        ];
        for (text, expected) in table {
            let found = challenge(&text.parse().unwrap()).map(|(server, path)| format!("{server} {path}"));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn answers() {
        let now = Instant::now();
        let lasts = |answer: &str| {
            let token = token(answer.as_bytes(), now)?;
            Some((token.field.to_str().unwrap().to_owned(), (token.until - now).as_secs()))
        };
        let told = |field: &str, seconds| Some((field.to_owned(), seconds));
        assert_eq!(lasts(r#"{"token":"a","expires_in":300}"#), told("Bearer a", 295));
        assert_eq!(lasts(r#"{"access_token":"b"}"#), told("Bearer b", 55));
        assert_eq!(lasts(r#"{"token":"a","expires_in":99999999}"#), told("Bearer a", 3595));
        assert_eq!(lasts(r#"{"token":"a","expires_in":1}"#), told("Bearer a", 0));
        for bad in ["", "{}", "[]", r#"{"token":""}"#, r#"{"token":5}"#, r#"{"token":"a\nb"}"#] {
            assert_eq!(lasts(bad), None, "{bad}");
        }
    }
}
