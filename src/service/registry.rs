//! What a registry names by its checksum, for those whom the registry lets have it.
//!
//! Before anything is answered from the store, or joined while it arrives, the registry is asked with the client's own
//! credentials: HEAD of that very blob in that very image. Its consent is remembered for a moment, for the same credentials and
//! the same URL only. Where it does not consent, the request goes on as one for a document, and the client reads the
//! registry's own words: a challenge above all, by which it learns where tokens are to be had.
//! The consent also tells the media type: bytes alone do not say which kind of manifest they are.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::object::ObjectRequest;
use super::{Place, Worker};
use crate::cache::{FillError, Why};
use crate::digest::ObjectName;
use crate::document::{DocumentKey, DocumentRequest};
use crate::fetch::Refusals;
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

/// The consents of all registries; one for all workers.
pub struct Consents {
    given: moka::sync::Cache<Key, Consent>,
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

impl Default for Consents {
    fn default() -> Self {
        Self { given: moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(STANDS_IN).build() }
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
        let key = key(&request.place, &request.headers);
        let now = Instant::now();
        let known = self.consents.given.get(&key);
        if let Some(known) = known.as_ref().filter(|known| now < known.until) {
            return Answer::Consents(known.clone());
        }
        let answer = self.ask_registry(&request.place).await;
        match (answer, known) {
            (Answer::Consents(consent), _) => {
                self.consents.given.insert(key, consent.clone());
                Answer::Consents(consent)
            }
            // What everybody could have a while ago is no secret. A token may have been taken back.
            (Answer::Silent(_), Some(known))
                if !request.headers.contains_key(AUTHORIZATION) && now < known.at + STANDS_IN =>
            {
                let standing_in = Consent { until: Instant::now() + RESTS, ..known };
                self.consents.given.insert(key, standing_in.clone());
                Answer::Consents(standing_in)
            }
            (answer, _) => {
                if let Answer::Refuses = answer {
                    self.consents.given.invalidate(&key);
                }
                answer
            }
        }
    }

    /// HEAD, in the client's name. A redirect is consent as well: to where the bytes lie.
    async fn ask_registry(&self, place: &Place) -> Answer {
        let fetch = self.fetch(place, place.wanted());
        let fields = place.fields.clone().unwrap_or_default();
        let asked = match self.turns.begin(place.client, fetch).await {
            Ok((fetch, _turn)) => fetch.document(Method::HEAD, fields, Refusals::Answer).await,
            Err(crowded) => Err(crowded.into()),
        };
        let response = match asked {
            Ok(response) => response,
            Err(error) => return Answer::Silent(error),
        };
        let status = response.status();
        if status == StatusCode::OK {
            let field = |name| response.headers().get(name);
            let len = field(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
            Answer::Consents(Consent::now(field(CONTENT_TYPE).cloned(), len))
        } else if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            Answer::Consents(Consent::now(None, None))
        } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Answer::Silent(FillError::new(Why::Unavailable, format!("the registry answered {status}")))
        } else {
            Answer::Refuses
        }
    }
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
    let hex = name.to_string();
    let hex = hex.strip_suffix(name.algorithm().tag()).unwrap_or(&hex);
    if let Ok(digest) = HeaderValue::try_from(format!("sha256:{hex}")) {
        headers.insert(DOCKER_CONTENT_DIGEST.clone(), digest);
    }
    if personal {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    }
}
