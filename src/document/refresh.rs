//! One refresh: ask upstream, judge the answer, store it. What the caller gets is a value; nothing here knows clients.
//!
//! ```text
//! fetch -> error                          Failed
//!       -> 304 about what is stored       Document (validated)
//!       -> 5xx, and a copy can stand in   Failed
//!       -> may not be stored              Passed, as it arrives
//!       -> too large, no room             Passed, from where reading stopped
//!       -> too slow                       Slow: for all who wait, while it goes on (slow.rs)
//!       -> broken, wrong length           Failed
//!       -> complete                       Document (stored, if that is of any use)
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Response, StatusCode, response};
use http_body::Body;

use super::body::{Appetite, Collected, PassBody, collect};
use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::clock::Clock;
use super::failure::Failure;
use super::freshness::Exchange;
use super::hop;
use super::key::{DocumentKey, Kind};
use super::manifest;
use super::shelf::Shelf;
use super::slow::Slow;
use super::storable::{Asked, NotStored, storable};
use super::stored::{Stored, date_if_missing};
use super::terms::Terms;
use super::validation;
use super::vary::Selection;
use super::watermark::{MarkKey, Standing};

/// A request to send upstream.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// GET, or HEAD when the client's HEAD is passed on.
    pub method: Method,
    /// End-to-end fields of the client, with our own conditions in place of its; no `Host`.
    pub headers: HeaderMap,
}

/// What to refresh, and on whose behalf.
#[derive(Clone, Debug)]
pub struct Job {
    /// The document.
    pub key: DocumentKey,
    /// Hosts whose manifests may stand for one another.
    pub scope: Arc<str>,
    /// Fields of the request, as the client sent them.
    pub headers: HeaderMap,
    /// Its directives.
    pub directives: RequestDirectives,
    /// The stored response, to be validated if it can be.
    pub stored: Option<Arc<Stored>>,
    /// The same, if it may stand in for an upstream that fails.
    pub stand_in: Option<Arc<Stored>>,
    /// The operator's word about it.
    pub terms: Terms,
    /// The time.
    pub clock: Clock,
}

/// The end of a refresh.
pub enum Refreshed<B, E> {
    /// A complete response.
    Document(Document),
    /// A response that may be kept, and of which not everything has come yet.
    Slow(Slow<B>),
    /// A response that is not kept, to be passed on to the one who asked.
    Passed {
        /// With end-to-end fields only.
        response: Response<PassBody<B>>,
        /// Why it is not kept.
        reason: NotStored,
    },
    /// Nothing to send.
    Failed(Failure<E>),
}

/// A complete response and how it was had.
#[derive(Clone, Debug)]
pub struct Document {
    /// The response.
    pub stored: Arc<Stored>,
    /// What the upstream answered: 304 if it confirmed the stored one.
    pub answered: StatusCode,
    /// Whether it is in the store now.
    pub kept: Result<(), NotStored>,
    /// Whether its content is a newer manifest than the one the upstream sent.
    pub standing: ManifestStanding,
}

/// Whether a manifest was replaced by a newer known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestStanding {
    /// No manifest, or the newest.
    AsReceived,
    /// The upstream sent an older one.
    Replaced,
}

impl Job {
    /// Runs it. `fetch` is called once.
    pub async fn run<F, Fut, B, E>(&self, shelf: &Shelf, fetch: F) -> Refreshed<B, E>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<E>,
    {
        let _in_progress = shelf.refreshing();
        let refreshed = self.fetched(shelf, fetch).await;
        shelf.count(&refreshed);
        if let (Refreshed::Failed(_), Some(stand_in)) = (&refreshed, &self.stand_in) {
            let rested = stand_in.resting_until(self.clock.now() + shelf.policy.rest_after_failure);
            shelf.store.replace(&self.key, stand_in, Arc::new(rested));
        }
        refreshed
    }

    async fn fetched<F, Fut, B, E>(&self, shelf: &Shelf, fetch: F) -> Refreshed<B, E>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<E>,
    {
        let requested = self.clock.now();
        let response = match fetch(self.upstream_request()).await {
            Ok(response) => response,
            Err(error) => return Refreshed::Failed(Failure::Upstream(error)),
        };
        let at = Exchange { requested, received: self.clock.now() };
        let (head, body) = response.into_parts();
        if head.status == StatusCode::NOT_MODIFIED {
            return match self.confirmed(shelf, head.headers, at) {
                Some(document) => Refreshed::Document(document),
                None => Refreshed::Failed(Failure::ForeignNotModified),
            };
        }
        if head.status.is_server_error() && self.stand_in.is_some() {
            return Refreshed::Failed(Failure::Status(head.status));
        }
        let directives = ResponseDirectives::read(&head.headers);
        let selection = match storable(self.asked(), head.status, &head.headers, &directives) {
            Ok(selection) => selection,
            Err(reason) => return self.passed(shelf, head, PassBody::new(body), at, reason),
        };
        let announced = announced_length(&head.headers);
        let patience = match (self.key.kind(), announced) {
            (Kind::Cvmfs | Kind::Other, Some(_)) => shelf.policy.patience,
            (Kind::Manifest { .. } | Kind::Whitelist, _) | (_, None) => shelf.policy.utmost_patience,
        };
        let appetite = Appetite { size: shelf.max_size, until: self.clock.instant(patience) };
        let mut reservation = shelf.budget.reservation();
        match collect(body, announced, appetite, &mut reservation).await {
            Collected::Whole(body) => {
                let stored = Stored::new(head.status, head.headers, body, selection, &self.terms, at);
                self.judged(shelf, stored, at)
            }
            // What is not whole cannot be told from an older one.
            Collected::TooSlow(_) if matches!(self.key.kind(), Kind::Manifest { .. } | Kind::Whitelist) => {
                Refreshed::Failed(Failure::TooSlow)
            }
            Collected::TooSlow(body) => match announced {
                Some(length) if reservation.grow_to(length).is_ok() => {
                    let head = Arc::new(Stored::new(
                        head.status,
                        head.headers,
                        Bytes::new(),
                        selection,
                        &self.terms,
                        at,
                    ));
                    Refreshed::Slow(Slow { head, length, body, reservation })
                }
                Some(_) => self.passed(shelf, head, body, at, NotStored::NoRoom),
                None => self.passed(shelf, head, body, at, NotStored::TooSlow),
            },
            Collected::TooLarge(body) => self.passed(shelf, head, body, at, NotStored::TooLarge),
            Collected::NoRoom(body) => self.passed(shelf, head, body, at, NotStored::NoRoom),
            Collected::Broken(error) => Refreshed::Failed(Failure::Upstream(error.into())),
            Collected::Length { expected, received } => {
                Refreshed::Failed(Failure::Length { expected, received })
            }
        }
    }

    fn upstream_request(&self) -> UpstreamRequest {
        let mut headers = hop::forwardable_request(self.headers.clone());
        validation::remove_conditions(&mut headers);
        if let Some(stored) = &self.stored {
            validation::add_conditions(&mut headers, stored.headers());
        }
        UpstreamRequest { method: Method::GET, headers }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { method: &Method::GET, headers: &self.headers, directives: &self.directives }
    }

    /// A 304: the stored response with new fields; `None` when it is about something else, which is then forgotten,
    /// so that the next request fetches anew.
    fn confirmed(&self, shelf: &Shelf, not_modified: HeaderMap, at: Exchange) -> Option<Document> {
        let stored = self.stored.as_ref().filter(|stored| validation::has_validator(stored.headers()))?;
        if !validation::confirms(&not_modified, stored.headers()) {
            shelf.store.remove(&self.key, &self.headers);
            return None;
        }
        let headers = stored.fields_confirmed_by(not_modified);
        let directives = ResponseDirectives::read(&headers);
        let verdict = storable(self.asked(), stored.status(), &headers, &directives);
        let (selection, kept) = match verdict {
            Ok(selection) => (selection, Ok(())),
            Err(reason) => (Selection::default(), Err(reason)),
        };
        let updated =
            Stored::new(stored.status(), headers, stored.body().clone(), selection, &self.terms, at);
        let updated = match stored.revision() {
            Some(revision) => updated.with_revision(revision),
            None => updated,
        };
        Some(self.placed(shelf, updated, StatusCode::NOT_MODIFIED, kept, at))
    }

    /// A complete new response: what is signed is looked into.
    fn judged<B, E>(&self, shelf: &Shelf, stored: Stored, at: Exchange) -> Refreshed<B, E> {
        let answered = stored.status();
        let looked_into = match self.key.kind() {
            Kind::Manifest { .. } if answered == StatusCode::OK => {
                manifest::revision(stored.body()).map(Some)
            }
            Kind::Whitelist if answered == StatusCode::OK => {
                manifest::undamaged(stored.body()).map(|()| None)
            }
            _ => Ok(None),
        };
        match looked_into {
            Ok(revision) => {
                let stored = match revision {
                    Some(revision) => stored.with_revision(revision),
                    None => stored,
                };
                let kept = self.worth_keeping(&stored, at.received);
                Refreshed::Document(self.placed(shelf, stored, answered, kept, at))
            }
            Err(error) => {
                tracing::warn!(document = ?self.key, %error, "damaged manifest or whitelist from upstream");
                shelf.metrics.manifest_damages.inc();
                if self.stand_in.is_some() {
                    return Refreshed::Failed(Failure::BadManifest);
                }
                let stored = Arc::new(stored);
                let (kept, standing) = (Err(NotStored::BadManifest), ManifestStanding::AsReceived);
                Refreshed::Document(Document { stored, answered, kept, standing })
            }
        }
    }

    /// Whether a storable response can ever be of use: now, after validation, or when the upstream fails.
    pub(super) fn worth_keeping(&self, stored: &Stored, now: SystemTime) -> Result<(), NotStored> {
        if stored.is_of_use(&self.terms, now) { Ok(()) } else { Err(NotStored::NoUse) }
    }

    /// Stores the response if it is to be kept, after the newest manifest has been put in the place of an older one.
    fn placed(
        &self,
        shelf: &Shelf,
        stored: Stored,
        answered: StatusCode,
        kept: Result<(), NotStored>,
        at: Exchange,
    ) -> Document {
        let mut stored = Arc::new(stored);
        let mut standing = ManifestStanding::AsReceived;
        // A mark is a kind of storing, too.
        if matches!(kept, Ok(()) | Err(NotStored::NoUse))
            && stored.revision().is_some()
            && let Some(key) = mark_key(&self.key, &self.scope)
            && let Standing::Older(newest) = self.note(shelf, key, &stored, at)
        {
            shelf.metrics.manifest_rollbacks.inc();
            stored = Arc::new(newest.as_fresh_as(&stored));
            standing = ManifestStanding::Replaced;
        }
        match kept {
            Ok(()) => shelf.keep(&self.key, &self.headers, stored.clone()),
            // It was confirmed, but must not be kept any longer.
            Err(_) if answered == StatusCode::NOT_MODIFIED => shelf.store.remove(&self.key, &self.headers),
            Err(_) => {}
        }
        Document { stored, answered, kept, standing }
    }

    fn note(&self, shelf: &Shelf, key: MarkKey, stored: &Arc<Stored>, at: Exchange) -> Standing {
        if let Some(held) = &self.stored {
            shelf.watermarks.remember(&key, held, at.received);
        }
        shelf.watermarks.note(key, stored, at.received)
    }

    fn passed<B, E>(
        &self,
        shelf: &Shelf,
        head: response::Parts,
        body: PassBody<B>,
        at: Exchange,
        reason: NotStored,
    ) -> Refreshed<B, E> {
        // The origin has something new that may not be kept: what is stored is no longer what it would send.
        // The same goes for what an earlier run had stored and nobody has found yet.
        if head.status.is_success() && (self.stored.is_some() || shelf.store.is_loading()) {
            shelf.store.remove(&self.key, &self.headers);
        }
        Refreshed::Passed { response: passed_on(head, body, at.received), reason }
    }
}

/// The mark that a manifest is measured against; `None` for other documents.
pub fn mark_key(key: &DocumentKey, scope: &Arc<str>) -> Option<MarkKey> {
    match key.kind() {
        Kind::Manifest { repository } => {
            Some(MarkKey { scope: scope.clone(), repository: repository.into() })
        }
        Kind::Whitelist | Kind::Cvmfs | Kind::Other => None,
    }
}

/// A response on its way through: end-to-end fields, dated.
pub fn passed_on<B>(
    mut head: response::Parts,
    body: PassBody<B>,
    received: SystemTime,
) -> Response<PassBody<B>> {
    hop::remove_hop_by_hop(&mut head.headers);
    date_if_missing(&mut head.headers, received);
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// `Content-Length`, as far as it is one number; disagreement is the upstream client's to refuse.
pub fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
