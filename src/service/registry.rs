//! What a registry names by its checksum, for those whom the registry lets have it.
//!
//! Before anything is answered from the store, or joined while it arrives, the registry is asked with the client's own
//! credentials: HEAD of that very blob in that very image. Its consent is remembered for a moment, for the same credentials and
//! the same URL only. Where it does not consent, the request goes on as one for a document, and the client reads the
//! registry's own words: a challenge above all, by which it learns where tokens are to be had.
//! The consent also tells the media type: bytes alone do not say which kind of manifest they are.

mod verdict;

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use verdict::judge;

use super::lasting::{self, Lasts};
use super::object::ObjectRequest;
use super::singly::Singly;
use super::{Place, Worker};
use crate::cache::{FillError, Why};
use crate::digest::ObjectName;
use crate::document::{DocumentKey, DocumentRequest};
use crate::fetch::{Fetch, Refusals};
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

/// The consents of all registries; one for all workers.
pub struct Consents {
    given: moka::sync::Cache<Key, Consent>,
    /// Who asks now.
    turns: Singly<Key>,
    metrics: RegistryMetrics,
}

/// Whose consent, to whom, for what: a checksum of all that, so that no credentials lie in memory.
pub(super) type Key = [u8; 32];

/// That the registry lets the client have it, and what it says of it.
#[derive(Clone)]
struct Consent {
    to: Receiver,
    /// When it was given.
    at: Instant,
    /// Until when nobody asks again.
    until: Instant,
    media_type: Option<HeaderValue>,
    len: Option<u64>,
}

/// Who got a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    /// Whoever asks.
    Everybody,
    /// Who shows the same credentials. They may be taken back.
    Holder,
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
        Self { to: Receiver::Holder, at, until: at + COUNTS, media_type, len }
    }

    /// Until when it can stand in for the registry: what everybody could have a while ago is no secret.
    fn stands_in_until(&self) -> Instant {
        match self.to {
            Receiver::Everybody => self.at + STANDS_IN,
            Receiver::Holder => self.until,
        }
    }
}

impl Lasts for Consent {
    fn lasts(&self) -> Duration {
        self.until.max(self.stands_in_until()).saturating_duration_since(Instant::now())
    }
}

impl Consents {
    /// None yet.
    pub fn new(metrics: RegistryMetrics) -> Self {
        Self { given: lasting::table(REMEMBERED), turns: Singly::default(), metrics }
    }

    /// A consent that counts without asking again.
    fn counting(&self, key: &Key) -> Option<Consent> {
        let known = self.given.get(key).filter(|known| Instant::now() < known.until)?;
        self.metrics.remembered.inc();
        Some(known)
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
                self.at_hand(request.verb, &request.headers, &request.name, &request.account, || {
                    request.place.clone()
                })
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
        let turn = self.consents.turns.turn(key, self.upstream.head_deadline).await;
        if let Some(known) = self.consents.counting(&key) {
            return Answer::Consents(known);
        }
        if turn.is_none() {
            metrics.failed.inc();
            return Answer::Silent(FillError::new(Why::TooSlow, "others wait for the registry already"));
        }
        let (known, now) = (given.get(&key), Instant::now());
        let stands_in = known.filter(|known| now < known.stands_in_until());
        match (self.ask_registry(request, &fetch).await, stands_in) {
            (Answer::Consents(mut consent), _) => {
                metrics.given.inc();
                if !request.headers.contains_key(AUTHORIZATION) {
                    consent.to = Receiver::Everybody;
                }
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
    let registry = place.named.as_ref().map(ToString::to_string);
    let credentials = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    let place = [registry.as_deref().unwrap_or_default(), place.path.as_str()];
    checksum(place.map(str::as_bytes).into_iter().chain(credentials))
}

/// Of the parts, each with its length: no two lists have the same.
pub(super) fn checksum<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
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

    #[tokio::test(start_paused = true)]
    async fn consents_are_remembered_as_long_as_they_are_of_use() {
        let holder = Consent::now(None, None);
        let everybody = Consent { to: Receiver::Everybody, ..holder.clone() };
        assert_eq!((holder.lasts(), everybody.lasts()), (COUNTS, STANDS_IN));
        tokio::time::advance(COUNTS).await;
        assert_eq!((holder.lasts(), everybody.lasts()), (Duration::ZERO, STANDS_IN - COUNTS));
        // One that stands in does not last longer for it, but for the moment for which nobody asks.
        let now = Instant::now();
        let late = Consent { at: now - STANDS_IN, until: now + RESTS, ..everybody };
        assert_eq!(late.lasts(), RESTS);
    }
}
