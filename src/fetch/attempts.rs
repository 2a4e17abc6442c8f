//! What the sources asked so far have said, and what that comes to when none is left.

use std::fmt::{Display, Write as _};

use http::{Response, StatusCode};

use crate::cache::{CommitError, FillError, Why};
use crate::upstream::{Candidate, Failure, Side, UpstreamBody, UpstreamOutcome};

/// Longest account of the attempts, in bytes; it may stand in an answer.
const MAX_STORY: usize = 1024;

/// The attempts so far.
#[derive(Clone, Default)]
pub struct Attempts {
    not_found: usize,
    corrupt: usize,
    late: usize,
    other: usize,
    forbidden: usize,
    ours: usize,
    /// Names of those that have sent bytes since the object was begun, and of those whose bytes were not it, at least in part.
    contributors: Vec<String>,
    suspects: Vec<String>,
    story: String,
}

impl Attempts {
    /// The answer; a failure to get one is recorded and counted.
    pub fn taken(
        &mut self,
        candidate: &Candidate,
        answer: Result<Response<UpstreamBody>, Failure>,
    ) -> Option<Response<UpstreamBody>> {
        answer
            .inspect_err(|failure| {
                candidate.upstream.record(UpstreamOutcome::from(failure));
                self.failed(candidate, failure);
            })
            .ok()
    }

    /// An answer that is of no use.
    pub fn answered(&mut self, candidate: &Candidate, outcome: UpstreamOutcome, status: StatusCode) {
        match outcome {
            UpstreamOutcome::NotFound => self.not_found += 1,
            UpstreamOutcome::BadLength => self.corrupt += 1,
            // A cache further up is to us what we are to clients: they should leave it as they leave us.
            UpstreamOutcome::CannotServe => self.ours += 1,
            _ if status == StatusCode::GATEWAY_TIMEOUT => self.late += 1,
            _ => self.other += 1,
        }
        self.note(candidate, format_args!("answered {status}"));
    }

    /// Bytes that are not the object.
    pub fn corrupt(&mut self, candidate: &Candidate, error: &CommitError) {
        self.corrupt += 1;
        self.suspects.append(&mut self.contributors);
        self.note(candidate, error);
    }

    /// Now this one sends bytes, after so many that others have sent.
    pub fn takes_over(&mut self, candidate: &Candidate, from: u64) {
        if from == 0 {
            self.contributors.clear();
        }
        self.contributors.push(candidate.upstream.name().to_owned());
    }

    /// Whether it sent such bytes.
    pub fn suspect(&self, candidate: &Candidate) -> bool {
        self.suspects.iter().any(|name| name == candidate.upstream.name())
    }

    /// No answer, or one that broke off.
    pub fn failed(&mut self, candidate: &Candidate, failure: &Failure) {
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

    /// Why the resource cannot be had. "Not there" only when nobody said anything else.
    pub fn verdict(self) -> FillError {
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

    fn note(&mut self, candidate: &Candidate, what: impl Display) {
        if self.story.len() < MAX_STORY {
            let separator = if self.story.is_empty() { "" } else { "; " };
            // Writing to a String cannot fail.
            let _ = write!(self.story, "{separator}{}: {what}", candidate.upstream.name());
        }
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
