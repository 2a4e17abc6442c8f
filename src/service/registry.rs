//! What a registry names by its checksum, for those whom the registry lets have it.
//!
//! Before anything is answered from the store, or joined while it arrives, the registry is asked with the client's own
//! credentials: HEAD of that very blob in that very image. Its consent is remembered for a moment, for the same credentials and
//! the same URL only. Where it does not consent, the request goes on as one for a document, and the client reads the
//! registry's own words: a challenge above all, by which it learns where tokens are to be had.
//! The consent also tells the media type: bytes alone do not say which kind of manifest they are.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::object::ObjectRequest;
use super::{Place, Worker};
use crate::cache::{FillError, Why};
use crate::digest::ObjectName;
use crate::document::{DocumentKey, DocumentRequest};
use crate::fetch::{Fetch, Refusals};
use crate::layout::oci;
use crate::metrics::RegistryMetrics;
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::request::{self, Verb};
use crate::response::body::Body;
use crate::tally::Tally;

/// The digest as registries spell it; clients compare it.
static DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Redirects from a registry to where it stores blobs: one is usual.
pub(super) const REDIRECTS: usize = 3;

/// How long a consent counts. The tokens of registries live for minutes.
const COUNTS: Duration = Duration::from_secs(60);

/// How long the consent that was given to everybody counts while the registry cannot be asked.
const STANDS_IN: Duration = Duration::from_secs(24 * 3600);

/// How long the registry is left alone meanwhile.
const RESTS: Duration = Duration::from_secs(5);

/// Consents that are remembered; about 300 bytes each.
const REMEMBERED: u64 = 65_536;

/// Bytes of a media type that is remembered.
const LONGEST_TYPE: usize = 255;

/// Questions to registries at the same time.
const TURNS: usize = 1024;

/// The consents of all registries; one for all workers.
pub struct Consents {
    given: moka::sync::Cache<Key, Consent>,
    /// Who asks now; keys share them.
    turns: Box<[Semaphore]>,
    metrics: RegistryMetrics,
}

/// Whose consent, to whom, for what: a checksum of all that, so that no credentials lie in memory.
type Key = [u8; 32];

/// That the registry lets the client have it, and what it says of it.
#[derive(Clone)]
struct Consent {
    /// When it was given.
    at: Instant,
    /// Until when nobody asks again.
    until: Instant,
    media_type: Option<HeaderValue>,
    len: Option<u64>,
}

enum Answer {
    Consents(Consent),
    /// It has other words for the client.
    Refuses,
    Silent(FillError),
}

impl Consent {
    fn now(media_type: Option<HeaderValue>, len: Option<u64>) -> Self {
        let at = Instant::now();
        Self { at, until: at + COUNTS, media_type, len }
    }
}

impl Consents {
    /// None yet.
    pub fn new(metrics: RegistryMetrics) -> Self {
        let given = moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(STANDS_IN).build();
        let turns = std::iter::repeat_with(|| Semaphore::new(1)).take(TURNS).collect();
        Self { given, turns, metrics }
    }

    /// A consent that counts without asking again.
    fn counting(&self, key: &Key) -> Option<Consent> {
        let known = self.given.get(key).filter(|known| Instant::now() < known.until)?;
        self.metrics.remembered.inc();
        Some(known)
    }

    fn turn(&self, key: &Key) -> &Semaphore {
        &self.turns[usize::from(u16::from_le_bytes([key[0], key[1]])) % TURNS]
    }
}

impl Worker {
    /// A blob or a manifest. `headers` are the client's, as a document's request has them.
    pub(super) async fn guarded(
        self: Arc<Self>,
        request: ObjectRequest,
        headers: HeaderMap,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        let consent = match self.consent(&request).await {
            Answer::Consents(consent) => consent,
            Answer::Refuses => {
                let ObjectRequest { verb, place, .. } = request;
                let document = DocumentRequest {
                    method: verb.method(),
                    key: DocumentKey::at(place.named.as_ref(), place.path.as_str()),
                    scope: self.upstreams.scope(place.named.as_ref(), None),
                    headers,
                };
                return self.document(verb, document, place, tally).await;
            }
            Answer::Silent(error) => return self.failed(&request, &error, tally),
        };
        let (name, personal) = (request.name, request.headers.contains_key(AUTHORIZATION));
        let (mut response, outcome) = self.consented(request, &consent, tally).await;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            dress(&mut response, &name, &consent, personal);
        }
        (response, outcome)
    }

    async fn consented(
        self: Arc<Self>,
        request: ObjectRequest,
        consent: &Consent,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        let wants_check = request::wants_no_cache(&request.headers);
        if !wants_check
            && let Some(answer) =
                self.at_hand(request.verb, &request.headers, &request.name, &request.account)
        {
            return answer;
        }
        if request.verb == Verb::Head && consent.len.is_some() && self.cache.find(&request.name).is_none() {
            let (verb, headers) = (request.verb, &request.headers);
            let (head, _) = self.heads.object(verb, headers, &request.name, consent.len, 0, Outcome::Pass);
            tally.because(Reason::Head);
            return (head.map(|()| Body::empty()), Outcome::Pass);
        }
        self.object(request, wants_check, tally).await
    }

    /// What the registry says, or said a moment ago.
    async fn consent(&self, request: &ObjectRequest) -> Answer {
        let Consents { given, metrics, .. } = &*self.consents;
        let key = key(&request.place, &request.headers);
        if let Some(known) = self.consents.counting(&key) {
            return Answer::Consents(known);
        }
        // The client's own turn first: whoever waits for that must not hold up the others. That it has to wait says nothing of
        // the registry.
        let place = &request.place;
        let fetch = self.fetch(place, place.wanted());
        let (fetch, _turn) = match self.turns.begin(place.client, place.urgency, fetch).await {
            Ok(begun) => begun,
            Err(crowded) => return Answer::Silent(crowded.into()),
        };
        // One asks for all who show the same.
        let turn = timeout(self.upstream.head_deadline, self.consents.turn(&key).acquire()).await;
        if let Some(known) = self.consents.counting(&key) {
            return Answer::Consents(known);
        }
        if turn.is_err() {
            metrics.failed.inc();
            return Answer::Silent(FillError::new(Why::TooSlow, "others wait for the registry already"));
        }
        let (known, now) = (given.get(&key), Instant::now());
        // What everybody could have a while ago is no secret. A token may have been taken back.
        let personal = request.headers.contains_key(AUTHORIZATION);
        let stands_in = known.filter(|known| !personal && now < known.at + STANDS_IN);
        match (self.ask_registry(request, &fetch).await, stands_in) {
            (Answer::Consents(mut consent), _) => {
                metrics.given.inc();
                // What is fetched with everybody's token needs one.
                if let Some(token) = self.tokens.known(&request.place) {
                    consent.until = consent.until.min(token.until);
                }
                given.insert(key, consent.clone());
                Answer::Consents(consent)
            }
            (Answer::Refuses, _) => {
                metrics.refused.inc();
                given.invalidate(&key);
                Answer::Refuses
            }
            (Answer::Silent(_), Some(known)) => {
                metrics.stood_in.inc();
                let standing_in = Consent { until: Instant::now() + RESTS, ..known };
                given.insert(key, standing_in.clone());
                Answer::Consents(standing_in)
            }
            (silent, None) => {
                metrics.failed.inc();
                silent
            }
        }
    }

    /// HEAD, in the client's name.
    async fn ask_registry(&self, request: &ObjectRequest, fetch: &Fetch) -> Answer {
        let place = &request.place;
        let fields = place.fields.clone().unwrap_or_default();
        match self.ask(fetch, place, (Method::HEAD, fields), Refusals::Answer).await {
            Ok(response) => {
                judge(place.path.as_str(), response.status(), response.headers(), &hex(&request.name))
            }
            Err(error) => Answer::Silent(error),
        }
    }
}

/// What a registry's answer to HEAD of the path `asked` comes to. Consent shows the digest, in a field or in the path of where it
/// redirects to: a page that asks for a login, or points to one, may say 200 or 307 just as well. A redirect to a registry is none:
/// that one may refuse. What shows nothing is left to the client.
fn judge(asked: &str, status: StatusCode, headers: &HeaderMap, hex: &str) -> Answer {
    let field = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let shows = |name: &HeaderName| field(name).is_some_and(|value| value.contains(hex));
    let leads_to_it = || {
        let location =
            field(&LOCATION).and_then(|location| location.split(['?', '#']).next()).unwrap_or_default();
        let behind = location.split_once("://").map_or(location, |(_, behind)| behind);
        let path = plain(&behind[behind.find('/').unwrap_or(behind.len())..]);
        path.contains(hex) && !path.contains(asked) && !names_a_registry(&path)
    };
    let redirects =
        matches!(status, StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT);
    match status {
        StatusCode::OK if shows(&DOCKER_CONTENT_DIGEST) || shows(&ETAG) => {
            let len = field(&CONTENT_LENGTH).and_then(|len| len.parse().ok());
            // A copy: what the client library hands out keeps the whole head in memory.
            let media_type = headers.get(CONTENT_TYPE).filter(|value| value.len() <= LONGEST_TYPE);
            let media_type = media_type.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
            Answer::Consents(Consent::now(media_type, len))
        }
        _ if redirects && leads_to_it() => Answer::Consents(Consent::now(None, None)),
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Answer::Silent(FillError::new(Why::Unavailable, format!("the registry answered {status}")))
        }
        _ => Answer::Refuses,
    }
}

/// A path as servers may read it: unescaped, without empty segments and a slash at its end.
fn plain(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => bytes.push((high << 4 | low) as u8),
            None => bytes.push(*first),
        }
        rest = if escaped.is_some() { &rest[3..] } else { behind };
    }
    let path = String::from_utf8_lossy(&bytes);
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .fold(String::new(), |path, segment| path + "/" + segment)
}

/// Whether a path leads to a registry, behind whatever prefix.
fn names_a_registry(path: &str) -> bool {
    path.match_indices("/v2/").any(|(at, _)| oci::resource(&path[at..]).is_some())
}

/// The digits alone.
fn hex(name: &ObjectName) -> String {
    let text = name.to_string();
    text.strip_suffix(name.algorithm().tag()).map(str::to_owned).unwrap_or(text)
}

/// The client's fields that decide what a registry answers.
pub(super) fn fields(headers: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for name in [ACCEPT, AUTHORIZATION, USER_AGENT] {
        for value in headers.get_all(&name) {
            fields.append(name.clone(), value.clone());
        }
    }
    fields
}

fn key(place: &Place, headers: &HeaderMap) -> Key {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    if let Some(server) = &place.named {
        part(server.to_string().as_bytes());
    }
    part(place.path.as_str().as_bytes());
    for credentials in headers.get_all(AUTHORIZATION) {
        part(credentials.as_bytes());
    }
    hash.finalize().into()
}

/// Says what registries say about it. What was had with credentials is no other cache's to share.
fn dress(response: &mut Response<Body>, name: &ObjectName, consent: &Consent, personal: bool) {
    let parts =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
    let has_body = response.status() != StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    if let Some(media_type) = consent.media_type.clone().filter(|_| has_body && !parts) {
        headers.insert(CONTENT_TYPE, media_type);
    }
    if let Ok(digest) = HeaderValue::try_from(format!("sha256:{}", hex(name))) {
        headers.insert(DOCKER_CONTENT_DIGEST.clone(), digest);
    }
    if personal {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn consent_shows_the_digest() {
        let asked = format!("/v2/a/blobs/sha256:{HEX}");
        let table = [
            (200, Some(("docker-content-digest", "sha256:HEX")), "yes"),
            (200, Some(("etag", "\"sha256:HEX\"")), "yes"),
            (200, Some(("docker-content-digest", "sha256:def")), "no"),
            (200, None, "no"),
            (204, Some(("etag", "\"sha256:HEX\"")), "no"),
            (
                307,
                Some(("location", "https://store.test/docker/registry/v2/blobs/sha256/HE/HEX/data?signed")),
                "yes",
            ),
            (307, Some(("location", "/blobs/sha256:HEX")), "yes"),
            (301, Some(("location", "https://hub.test/v2/a/blobs/sha256:HEX")), "no"),
            (302, Some(("location", "https://login.test/hub/v2/a/blobs/sha256:HEX")), "no"),
            (307, Some(("location", "https://other.test/v2/b/a/blobs/sha256:HEX")), "no"),
            (302, Some(("location", "https://login.test/?next=/v2/a/blobs/sha256:HEX")), "no"),
            (302, Some(("location", "/login#HEX")), "no"),
            (307, Some(("location", "/v2/a/blobs/sha256%3AHEX")), "no"),
            (307, Some(("location", "/hub/v2/other/a/blobs/sha256:HEX")), "no"),
            (307, Some(("location", "/v2/other/blobs/sha256:HEX/")), "no"),
            (307, Some(("location", "//v2//other/blobs/sha256:HEX")), "no"),
            (308, Some(("location", "https://store.test/blobs/sha256:HEX")), "no"),
            (304, Some(("etag", "\"sha256:HEX\"")), "no"),
            (401, Some(("docker-content-digest", "sha256:HEX")), "no"),
            (404, None, "no"),
            (429, None, "silence"),
            (503, None, "silence"),
        ];
        for (status, field, expected) in table {
            let mut headers: HeaderMap = HeaderMap::new();
            headers.extend(field.map(|(name, value)| {
                (HeaderName::from_static(name), value.replace("HEX", HEX).parse().unwrap())
            }));
            let told = match judge(&asked, StatusCode::from_u16(status).unwrap(), &headers, HEX) {
                Answer::Consents(_) => "yes",
                Answer::Refuses => "no",
                Answer::Silent(_) => "silence",
            };
            assert_eq!(told, expected, "{status} {field:?}");
        }
    }
}
