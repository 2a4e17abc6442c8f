//! Tokens that registries give to everybody, obtained here for clients that show none (`anonymous` in `[[registries]]`): jobs
//! mostly have no way to the servers that give them.
//!
//! A registry answers 401 with a challenge that names such a server; what it gives is remembered for the image until shortly before
//! it ends. One is obtained at a time for each image: others find it when it is their turn. A challenge that could not be met, or
//! that came again in spite of the token, is left to the client for a moment: asking once more would double what is asked there.
//! Sources: CNCF Distribution "Token Authentication Specification"; RFC 6750 §3, RFC 9110 §11.6.1 (challenges).

use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::time::Instant;

use super::lasting::{self, Lasts};
use super::registry::{Key, checksum};
use super::singly::Singly;
use super::{Place, Worker};
use crate::cache::{FillError, Why};
use crate::config::{Scheme, ServerUrl};
use crate::fetch::{Fetch, Refusals};
use crate::upstream::UpstreamBody;

/// Images whose tokens are remembered, and challenges; tokens have up to some KiB.
const REMEMBERED: u64 = 4096;

/// How long a challenge is left to the client that no token met.
const RESTS: Duration = Duration::from_secs(10);

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
    known: moka::sync::Cache<Key, Token>,
    /// Challenges that no token met a moment ago.
    unmet: moka::sync::Cache<Key, ()>,
    turns: Singly<Key>,
}

/// What stands in `Authorization`, and until when.
#[derive(Clone)]
pub struct Token {
    /// The field.
    pub field: HeaderValue,
    /// At most an hour from when it came.
    pub until: Instant,
}

impl Lasts for Token {
    fn lasts(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Default for Tokens {
    fn default() -> Self {
        let unmet = moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(RESTS).build();
        Self { known: lasting::table(REMEMBERED), unmet, turns: Singly::default() }
    }
}

impl Tokens {
    /// The token for a place, if there is one that still counts.
    pub(super) fn known(&self, place: &Place) -> Option<Token> {
        self.known.get(&key(place)?).filter(|token| Instant::now() < token.until)
    }
}

/// The registry and the image.
fn key(place: &Place) -> Option<Key> {
    let registry = place.named.as_ref()?.to_string();
    Some(checksum([registry.as_bytes(), place.anonymous.as_ref()?.as_bytes()]))
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
        let tokens = &self.tokens;
        let shown = tokens.known(place);
        let answer = fetch.document(method.clone(), with(shown.as_ref()), refusals).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some((server, path)) = answer.headers().get_all(WWW_AUTHENTICATE).iter().find_map(challenge)
        else {
            return Ok(answer);
        };
        // What one registry asks for says nothing of another.
        let challenge = checksum([&key[..], server.to_string().as_bytes(), path.as_str().as_bytes()]);
        if tokens.unmet.contains_key(&challenge) {
            return Ok(answer);
        }
        let Some(turn) = tokens.turns.turn(key, fetch.head_deadline).await else { return Ok(answer) };
        let token = match tokens.known(place) {
            Some(other) if shown.is_none_or(|shown| shown.field != other.field) => other,
            _ if tokens.unmet.contains_key(&challenge) => return Ok(answer),
            _ => match obtain(fetch, server, path).await {
                Ok(token) => token,
                Err(error) => {
                    tracing::debug!(path = place.path.as_str(), %error, "no token for everybody");
                    // Our own trouble says nothing of the server.
                    if error.why != Why::Overload {
                        tokens.unmet.insert(challenge, ());
                    }
                    return Ok(answer);
                }
            },
        };
        tokens.known.insert(key, token.clone());
        drop((answer, turn));
        let answer = fetch.document(method, with(Some(&token)), refusals).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            tokens.unmet.insert(challenge, ());
        }
        Ok(answer)
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
        // RFC 6750 §2.1 allows even less.
        .filter(|text| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic()))?;
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
        for odd in ["a b", "\u{f6}", "a\\n"] {
            assert_eq!(lasts(&format!(r#"{{"token":"{odd}"}}"#)), None, "{odd}");
        }
        assert_eq!(lasts(r#"{"token":"a","expires_in":99999999}"#), told("Bearer a", 3595));
        assert_eq!(lasts(r#"{"token":"a","expires_in":1}"#), told("Bearer a", 0));
        for bad in ["", "{}", "[]", r#"{"token":""}"#, r#"{"token":5}"#, r#"{"token":"a\nb"}"#] {
            assert_eq!(lasts(bad), None, "{bad}");
        }
    }
}
