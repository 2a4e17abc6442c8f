//! The joint between upstreams and the cache: brings the bytes of an object into its fill, source after source.
//!
//! A source that fails at byte n is followed by the next one from byte n on: the same name is the same bytes. While no
//! reader has seen anything, a wrong digest is cured by beginning anew elsewhere; afterwards the fill fails, and another
//! one is started from the remaining sources, so that the client's retry finds good bytes.
//! A cache further up may itself hold the bad copy: it is asked once more with `no-cache`, as clients do.
//! The documents' failover stands here too, since the choice of the next source is the same.

mod attempts;
mod change;
mod elsewhere;
mod head;
mod pump;
mod race;
mod resting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use attempts::Attempts;
use head::read_head;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, RANGE, VIA};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use pump::{Between, Ended, NEVER, pump};
pub use race::HedgeBudget;
use race::{Chance, Turn, race};
use resting::Resting;
use tokio::time::Instant;

use crate::cache::{CommitError, FillError, FillWriter, Why};
use crate::upstream::{Candidate, Client, Outgoing, UpstreamBody, UpstreamOutcome as Outcome};

/// What it takes to fetch one resource.
pub struct Fetch {
    /// Connections.
    pub client: Client,
    /// Whom to ask, best first.
    pub candidates: Vec<Candidate>,
    /// What to ask for.
    pub path: PathAndQuery,
    /// Our `Via` member.
    pub via: HeaderValue,
    /// A field that tells caches further up that nobody waits, where nobody does.
    pub priority: Option<(HeaderName, HeaderValue)>,
    /// The client's fields that go with a request for an object: none but a registry's.
    pub fields: HeaderMap,
    /// How long one source may be waited for before the next one is asked as well.
    pub first_byte_budget: Duration,
    /// For the first answer's head, all candidates together.
    pub head_deadline: Duration,
    /// How much of that was spent before.
    pub waited: Duration,
    /// How long readers may be kept waiting so that the object can be verified first.
    pub verify_first_patience: Duration,
    /// Redirects of an object that are followed.
    pub redirects: usize,
    /// What is left for asking a second source early.
    pub hedges: Arc<HedgeBudget>,
}

/// What a 401, 403, 429, ... about a document means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// An answer like any other.
    Answer,
    /// Trouble of the stratum: passed on, it would make CVMFS clients leave this cache.
    Trouble,
}

/// A source's answer about an object, fit to be read.
struct Source {
    turn: Turn,
    body: UpstreamBody,
    /// Bytes in all, if it says so.
    len: Option<u64>,
    /// How many of those that come are known already.
    skip: u64,
}

impl Fetch {
    /// Brings the object into the fill; every end of it is reported through the fill.
    pub async fn object(self, mut writer: FillWriter) {
        if self.candidates.is_empty() {
            return writer.fail(nobody_serves());
        }
        let mut attempts = Attempts::default();
        let (mut deadline, mut show_by) = self.limits();
        let mut queue: VecDeque<Turn> = (0..self.candidates.len()).map(Turn::first).collect();
        // Sources that announced another length than the one readers were told.
        let mut dissenting = VecDeque::new();
        let mut resting = Resting::default();
        // Downloads that nobody waits for are done in small steps.
        let between = if self.priority.is_some() { Between::Others } else { Between::Nothing };
        loop {
            resting.wake(&mut queue, Instant::now());
            let from = writer.received();
            if from > 0 {
                deadline = Instant::now() + self.head_deadline;
            }
            let source = self
                .source(&mut queue, (&mut dissenting, &mut resting), &mut attempts, &writer, deadline)
                .await;
            let Some(Source { turn, mut body, len, skip }) = source else {
                if dissenting.is_empty() || !writer.is_released() {
                    return writer.fail(attempts.verdict());
                }
                // Nobody can finish what was begun: the one who began may have been wrong.
                queue = std::mem::take(&mut dissenting);
                match writer.fail_and_restart(attempts.clone().verdict()) {
                    Some(again) => writer = again,
                    None => return,
                }
                (deadline, show_by) = self.limits();
                continue;
            };
            let candidate = &self.candidates[turn.candidate];
            // Readers may have been told a length although no byte came: it stands.
            if !writer.is_released() {
                if let Err(error) = writer.begin(len) {
                    candidate.upstream.record(Outcome::Cancelled);
                    return writer.fail(error);
                }
                // A head without a byte is silence all the same: for readers, who leave, and while there is somebody else
                // to ask.
                let left = deadline.saturating_duration_since(Instant::now());
                let others = queue.iter().any(|turn| turn.chance == Chance::First);
                body.begin_within(if others { left.min(self.first_byte_budget) } else { left });
            }
            attempts.takes_over(candidate, from);
            // Who sent wrong bytes before is verified first, however long that takes, if it is not too large for that.
            let shown_by = if attempts.suspect(candidate) { show_by + NEVER } else { show_by };
            match pump(&mut writer, body, skip, shown_by, between).await {
                Ended::Whole => {}
                Ended::Broken(failure) => {
                    candidate.upstream.record(Outcome::from(&failure));
                    attempts.failed(candidate, &failure);
                    queue.extend(turn.again());
                    if !writer.is_released() {
                        // Small: beginning anew is cheap, and keeps the bytes of two sources apart.
                        writer.reset();
                    }
                    continue;
                }
                Ended::Given(error) => {
                    candidate.upstream.record(Outcome::Cancelled);
                    return writer.fail(error);
                }
            }
            match writer.commit().await {
                Ok(()) => return candidate.upstream.record(Outcome::Ok),
                Err((unfinished, error)) => {
                    writer = unfinished;
                    attempts.corrupt(candidate, &error);
                    if from == 0 {
                        self.blame(candidate, &error);
                        queue.extend(turn.again());
                    } else {
                        // Bytes of several sources were put together, and this one need not be the culprit:
                        // it alone is the best next try.
                        candidate.upstream.record(Outcome::Ok);
                        if let Some(again) = turn.again() {
                            queue.push_front(again);
                        }
                    }
                }
            }
            if !writer.is_released() {
                writer.reset();
                continue;
            }
            match writer.fail_and_restart(attempts.clone().verdict()) {
                Some(again) => writer = again,
                None => return,
            }
            (deadline, show_by) = self.limits();
        }
    }

    /// For a fill that begins now: when a head must have come, and when bytes are shown unverified.
    fn limits(&self) -> (Instant, Instant) {
        let now = Instant::now();
        (now + self.head_deadline.saturating_sub(self.waited), now + self.verify_first_patience)
    }

    /// Whether the object is to be had, and its length if the source tells it, without fetching it.
    pub async fn object_head(self) -> Result<Option<u64>, FillError> {
        let outgoing = |turn: &Turn| Outgoing { method: Method::HEAD, ..self.request(0, turn) };
        let response = self.first_answer(outgoing, |outcome, _| outcome == Outcome::Ok).await?;
        match response.status() {
            StatusCode::OK => {
                let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
                Ok(length.and_then(|length| length.parse().ok()))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(FillError::new(Why::NotFound, "not there")),
            status => Err(FillError::new(Why::Unavailable, format!("answered {status}"))),
        }
    }

    /// The head of a document's answer, from the first source that has a usable one; when all of them have are
    /// server errors, one of these. Its body still streams.
    pub async fn document(
        &self,
        method: Method,
        headers: HeaderMap,
        refusals: Refusals,
    ) -> Result<Response<UpstreamBody>, FillError> {
        let mut headers = headers;
        headers.append(VIA, self.via.clone());
        let outgoing = |_: &Turn| Outgoing {
            method: method.clone(),
            path_and_query: self.path.clone(),
            headers: headers.clone(),
            // The client's to follow, or not.
            redirects: 0,
        };
        let refused = |status: StatusCode| refusals == Refusals::Trouble && status != StatusCode::BAD_REQUEST;
        let good = |outcome, status| match outcome {
            Outcome::ServerError | Outcome::Behind | Outcome::CannotServe => false,
            Outcome::ClientError => !refused(status),
            _ => true,
        };
        let response = self.first_answer(outgoing, good).await?;
        match response.status() {
            status if Outcome::of_status(status) == Outcome::ClientError && refused(status) => Err(
                FillError::new(Why::Unavailable, format!("every upstream refused, the last with {status}")),
            ),
            _ => Ok(response),
        }
    }

    /// The first answer that is `good` and whose body does not break off at once; if there is none, the last one that was
    /// not.
    async fn first_answer(
        &self,
        outgoing: impl Fn(&Turn) -> Outgoing,
        good: impl Fn(Outcome, StatusCode) -> bool,
    ) -> Result<Response<UpstreamBody>, FillError> {
        if self.candidates.is_empty() {
            return Err(nobody_serves());
        }
        let mut attempts = Attempts::default();
        let mut queue: VecDeque<Turn> = (0..self.candidates.len()).map(Turn::first).collect();
        let mut last = None;
        let (deadline, _) = self.limits();
        loop {
            let judge = |turn: Turn, candidate: &Candidate, answer| {
                let response = attempts.taken(candidate, answer)?;
                let outcome = candidate.upstream.verdict(response.status(), response.headers());
                if good(outcome, response.status()) {
                    return Some((turn, outcome, response));
                }
                candidate.upstream.record(outcome);
                attempts.answered(candidate, outcome, response.status());
                last = Some(response);
                None
            };
            let Some((turn, outcome, mut response)) =
                race(self, &mut queue, deadline, &outgoing, judge).await
            else {
                return last.ok_or_else(|| attempts.verdict());
            };
            let candidate = &self.candidates[turn.candidate];
            let left = deadline.saturating_duration_since(Instant::now());
            match response.body_mut().read_ahead(left.min(self.first_byte_budget)).await {
                Ok(()) => {
                    candidate.upstream.record(outcome);
                    return Ok(response);
                }
                Err(failure) => {
                    candidate.upstream.record(Outcome::from(&failure));
                    attempts.failed(candidate, &failure);
                }
            }
        }
    }

    /// The next source that can deliver the object from byte `from` on.
    async fn source(
        &self,
        queue: &mut VecDeque<Turn>,
        (dissenting, resting): (&mut VecDeque<Turn>, &mut Resting),
        attempts: &mut Attempts,
        writer: &FillWriter,
        deadline: Instant,
    ) -> Option<Source> {
        let (name, from, expected) = (writer.name(), writer.received(), writer.len());
        let judge = |turn: Turn, candidate: &Candidate, answer| {
            let Some(response) = attempts.taken(candidate, answer) else {
                resting.note(turn, Instant::now());
                return None;
            };
            match read_head(candidate, &response, from, expected) {
                Ok((len, skip)) => Some(Source { turn, body: response.into_body(), len, skip }),
                Err(outcome) => {
                    candidate.upstream.record(outcome);
                    attempts.answered(candidate, outcome, response.status());
                    if outcome == Outcome::NotFound {
                        candidate.upstream.note_absent(name.hash64());
                    }
                    match outcome {
                        Outcome::BadLength => dissenting.extend(turn.again()),
                        Outcome::NotFound => {}
                        _ => resting.note(turn, Instant::now()),
                    }
                    None
                }
            }
        };
        race(self, queue, deadline, |turn| self.request(from, turn), judge).await
    }

    fn blame(&self, candidate: &Candidate, error: &CommitError) {
        candidate.upstream.record(match error {
            CommitError::Length { .. } => Outcome::BadLength,
            CommitError::Digest(_) => Outcome::BadDigest,
        });
        tracing::warn!(
            upstream = candidate.upstream.label(),
            path = self.path.as_str(),
            %error,
            "an upstream sent wrong bytes for an object"
        );
    }

    fn request(&self, from: u64, turn: &Turn) -> Outgoing {
        let mut headers = self.fields.clone();
        headers.insert(VIA, self.via.clone());
        headers.extend(self.priority.clone());
        if from > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        if turn.chance == Chance::Second {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let (path_and_query, redirects) = (self.path.clone(), self.redirects);
        Outgoing { method: Method::GET, path_and_query, headers, redirects }
    }
}

fn nobody_serves() -> FillError {
    FillError::new(
        Why::Forbidden,
        "the request names no host, and no group of [[mirrors]] serves its repository",
    )
}
