//! The joint between upstreams and the cache: brings the bytes of an object into its fill, source after source.
//!
//! A source that fails at byte n is followed by the next one from byte n on: the same name is the same bytes. While no
//! reader has seen anything, a wrong digest is cured by beginning anew elsewhere; afterwards the fill fails, and another
//! one is started from the remaining sources, so that the client's retry finds good bytes.
//! A cache further up may itself hold the bad copy: it is asked once more with `no-cache`, as clients do.
//! The documents' failover stands here too, since the choice of the next source is the same.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_RANGE, RANGE, VIA};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::cache::{CommitError, FillError, FillWriter, Why};
use crate::upstream::{Candidate, Client, Failure, Outgoing, Side, UpstreamBody, UpstreamOutcome as Outcome};

/// How long bytes may lie in the current chunk while the source pauses, before readers get them.
const FLUSH_AFTER: Duration = Duration::from_millis(10);

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
    /// For the first answer's head, all candidates together.
    pub head_deadline: Duration,
    /// How long readers may be kept waiting so that the object can be verified first.
    pub verify_first_patience: Duration,
}

/// What the attempts so far ended with.
#[derive(Clone, Default)]
struct Attempts {
    not_found: usize,
    corrupt: usize,
    late: usize,
    other: usize,
    forbidden: usize,
    ours: usize,
    story: String,
}

impl Attempts {
    fn note(&mut self, candidate: &Candidate, what: impl std::fmt::Display) {
        if self.story.len() < 1024 {
            let separator = if self.story.is_empty() { "" } else { "; " };
            // Writing to a String cannot fail.
            let _ = write!(self.story, "{separator}{}: {what}", candidate.upstream.label());
        }
    }

    fn answered(&mut self, candidate: &Candidate, outcome: Outcome, status: StatusCode) {
        match outcome {
            Outcome::NotFound => self.not_found += 1,
            Outcome::BadLength => self.corrupt += 1,
            _ => self.other += 1,
        }
        self.note(candidate, format_args!("answered {status}"));
    }

    fn corrupt(&mut self, candidate: &Candidate, error: &CommitError) {
        self.corrupt += 1;
        self.note(candidate, error);
    }

    fn failed(&mut self, candidate: &Candidate, failure: &Failure) {
        if let Failure::Forbidden(_) = failure {
            self.forbidden += 1;
        } else if failure.side() == Side::Local {
            self.ours += 1;
        } else if failure.is_timeout() {
            self.late += 1;
        } else {
            self.other += 1;
        }
        self.note(candidate, failure);
    }

    fn verdict(self) -> FillError {
        let why = match self {
            Self { corrupt: 1.., .. } => Why::Corrupt,
            Self { late: 1.., .. } => Why::TooSlow,
            Self { other: 1.., .. } => Why::Unavailable,
            Self { ours: 1.., .. } => Why::Overload,
            Self { forbidden: 1.., .. } => Why::Forbidden,
            Self { not_found: 1.., .. } => Why::NotFound,
            _ => Why::Unavailable,
        };
        FillError::new(why, self.story)
    }
}

impl From<Failure> for FillError {
    fn from(failure: Failure) -> Self {
        let why = match (failure.side(), failure.is_timeout()) {
            (Side::Local, _) => Why::Overload,
            (_, true) => Why::TooSlow,
            _ => Why::Unavailable,
        };
        Self::new(why, failure.to_string())
    }
}

fn nobody_serves() -> FillError {
    FillError::new(
        Why::Forbidden,
        "the request names no host, and no group of [[mirrors]] serves its repository",
    )
}

/// How one answer's body ended.
enum Ended {
    /// All of it was taken.
    Whole,
    /// It broke off; another source may continue.
    Broken(Failure),
    /// Nobody wants it any more, or our own side failed.
    Given(FillError),
}

impl Fetch {
    /// Brings the object into the fill; every end of it is reported through the fill.
    pub async fn object(self, mut writer: FillWriter) {
        if self.candidates.is_empty() {
            return writer.fail(nobody_serves());
        }
        let mut attempts = Attempts::default();
        let mut deadline = Instant::now() + self.head_deadline;
        let show_by = Instant::now() + self.verify_first_patience;
        let mut queue: VecDeque<Turn> = (0..self.candidates.len()).map(Turn::first).collect();
        // Sources that announced another length than the one readers were told.
        let mut dissenting = VecDeque::new();
        loop {
            let Some(turn) = queue.pop_front() else {
                if dissenting.is_empty() || !writer.is_released() {
                    return writer.fail(attempts.verdict());
                }
                // Nobody can finish what was begun: the one who began may have been wrong.
                queue = std::mem::take(&mut dissenting);
                match writer.fail_and_restart(attempts.clone().verdict()) {
                    Some(again) => writer = again,
                    None => return,
                }
                continue;
            };
            let candidate = &self.candidates[turn.candidate];
            let from = writer.received();
            if from > 0 {
                deadline = Instant::now() + self.head_deadline;
            }
            let response = match self.ask(candidate, self.request(from, &turn), deadline).await {
                Ok(response) => response,
                Err(failure) => {
                    attempts.failed(candidate, &failure);
                    continue;
                }
            };
            let (len, skip) = match read_head(&response, from, writer.len()) {
                Ok(body) => body,
                Err(outcome) => {
                    candidate.upstream.record(outcome);
                    attempts.answered(candidate, outcome, response.status());
                    if outcome == Outcome::BadLength {
                        dissenting.extend(turn.again());
                    }
                    continue;
                }
            };
            if from == 0 {
                writer.begin(len);
            }
            match pump(&mut writer, response.into_body(), skip, show_by).await {
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
                Ended::Given(error) => return writer.fail(error),
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
                        queue.extend(turn.again());
                        queue.rotate_right(1);
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
        }
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

    /// The head of a document's answer, from the first source that has a usable one. Its body still streams.
    pub async fn document(
        self,
        method: Method,
        headers: HeaderMap,
    ) -> Result<Response<UpstreamBody>, FillError> {
        if self.candidates.is_empty() {
            return Err(nobody_serves());
        }
        let mut attempts = Attempts::default();
        let deadline = Instant::now() + self.head_deadline;
        let mut last_error = None;
        for candidate in &self.candidates {
            let mut headers = headers.clone();
            headers.append(VIA, self.via.clone());
            let outgoing = Outgoing { method: method.clone(), path_and_query: self.path.clone(), headers };
            match self.ask(candidate, outgoing, deadline).await {
                Ok(response) if response.status().is_server_error() => {
                    candidate.upstream.record(Outcome::ServerError);
                    attempts.other += 1;
                    attempts.note(candidate, format_args!("answered {}", response.status()));
                    last_error = Some(response);
                }
                Ok(response) => {
                    candidate.upstream.record(match response.status() {
                        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::NotFound,
                        status if status.is_client_error() => Outcome::ClientError,
                        _ => Outcome::Ok,
                    });
                    return Ok(response);
                }
                Err(failure) => attempts.failed(candidate, &failure),
            }
        }
        match last_error {
            Some(response) => Ok(response),
            None => Err(attempts.verdict()),
        }
    }

    /// One request to one source. Failures are recorded here, answers by the caller who understands them.
    async fn ask(
        &self,
        candidate: &Candidate,
        outgoing: Outgoing,
        deadline: Instant,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let result = self.client.send(candidate, outgoing, deadline).await;
        if let Err(failure) = &result {
            candidate.upstream.record(Outcome::from(failure));
        }
        result
    }

    fn request(&self, from: u64, turn: &Turn) -> Outgoing {
        let mut headers = HeaderMap::new();
        headers.insert(VIA, self.via.clone());
        if from > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        if turn.chance == Chance::Second {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        Outgoing { method: Method::GET, path_and_query: self.path.clone(), headers }
    }
}

/// A candidate's place in the queue.
struct Turn {
    candidate: usize,
    chance: Chance,
}

/// Sources that delivered something, but not the object, get a second chance after all others.
#[derive(PartialEq, Eq)]
enum Chance {
    First,
    Second,
}

impl Turn {
    fn first(candidate: usize) -> Self {
        Self { candidate, chance: Chance::First }
    }

    fn again(self) -> Option<Self> {
        match self.chance {
            Chance::First => Some(Self { candidate: self.candidate, chance: Chance::Second }),
            Chance::Second => None,
        }
    }
}

/// What the head of an answer about an object promises: bytes in all, if it says so, and how many of those that come
/// are known already; or what is wrong with it.
fn read_head(
    response: &Response<UpstreamBody>,
    from: u64,
    expected: Option<u64>,
) -> Result<(Option<u64>, u64), Outcome> {
    let (len, skip) = match response.status() {
        StatusCode::OK => (response.body().content_length(), from),
        StatusCode::PARTIAL_CONTENT if from > 0 => {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            match range.and_then(content_range) {
                Some((first, total)) if first == from => (Some(total), 0),
                _ => return Err(Outcome::Protocol),
            }
        }
        // There is no byte `from`: it knows a shorter body.
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => return Err(Outcome::BadLength),
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Outcome::NotFound),
        status if status.is_server_error() => return Err(Outcome::ServerError),
        _ => return Err(Outcome::ClientError),
    };
    match (from, expected, len) {
        // Another length is another body: it can only be wrong to go on with it.
        (1.., Some(expected), Some(len)) if expected != len => Err(Outcome::BadLength),
        _ => Ok((len, skip)),
    }
}

/// `bytes first-last/total` that reaches to the end -> (`first`, `total`). RFC 9110 §14.4.
fn content_range(value: &str) -> Option<(u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last.checked_add(1)? == total).then_some((first, total))
}

/// Moves a body into the fill. Readers get the first bytes they may see at once, later ones in whole chunks, or after
/// [`FLUSH_AFTER`] when the source is slower than that.
async fn pump(writer: &mut FillWriter, mut body: UpstreamBody, mut skip: u64, show_by: Instant) -> Ended {
    let mut flushed = None;
    loop {
        let Ok(frame) = next_frame(writer, &mut body, flushed, show_by).await else {
            // The source pauses.
            if Instant::now() >= show_by && !writer.is_empty() {
                writer.release();
            }
            flushed = Some(Instant::now());
            match writer.flush().await {
                Ok(()) => continue,
                Err(error) => return Ended::Given(error),
            }
        };
        let bytes = match frame {
            None => return Ended::Whole,
            Some(Err(failure)) => return Ended::Broken(failure),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => bytes,
                // Trailers say nothing about an object.
                Err(_) => continue,
            },
        };
        let known = skip.min(bytes.len() as u64);
        skip -= known;
        let mut given = writer.push(&bytes[known as usize..]).await;
        let now = Instant::now();
        if given.is_ok() && flushed.is_none_or(|at| now >= at + FLUSH_AFTER) {
            if now >= show_by {
                writer.release();
            }
            if writer.is_released() {
                flushed = Some(now);
                given = writer.flush().await;
            }
        }
        if let Err(error) = given {
            return Ended::Given(error);
        }
        if !writer.is_wanted() {
            return Ended::Given(FillError::new(Why::Abandoned, "every reader left"));
        }
    }
}

type Frame = Option<Result<http_body::Frame<bytes::Bytes>, Failure>>;

/// The next frame, or `Err` when the source pauses while something waits to be shown.
async fn next_frame(
    writer: &FillWriter,
    body: &mut UpstreamBody,
    flushed: Option<Instant>,
    show_by: Instant,
) -> Result<Frame, tokio::time::error::Elapsed> {
    if !writer.is_released() {
        if writer.is_empty() || Instant::now() >= show_by {
            return Ok(body.frame().await);
        }
        return tokio::time::timeout_at(show_by, body.frame()).await;
    }
    if !writer.has_unshown() {
        return Ok(body.frame().await);
    }
    let at = flushed.map_or_else(Instant::now, |at| at + FLUSH_AFTER);
    tokio::time::timeout_at(at, body.frame()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let table = [
            ("bytes 5-9/10", Some((5, 10))),
            ("bytes 0-0/1", Some((0, 1))),
            ("bytes 5-8/10", None),
            ("bytes 9-5/10", None),
            ("bytes 5-9/*", None),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes 5-18446744073709551615/10", None),
            ("", None),
        ];
        for (value, expected) in table {
            assert_eq!(content_range(value), expected, "{value}");
        }
    }
}
