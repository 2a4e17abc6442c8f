//! What is thought of one server: a circuit that outcomes open and that closes by itself.
//!
//! ```text
//! Closed --failures--> Open --time--> (due) --a request--> Probing --success--> Closed
//!                        ^                                    |
//!                        +------------- failure --------------+
//! ```
//!
//! A server whose circuit is open is asked last, not never. When its time is over, one real request finds out how it
//! is; until that one has ended, the others stay away. Each failed probe doubles the time. Wrong bytes weigh more than
//! silence: one such answer opens the circuit, and for longer, since a client may not have been protected from it.
//!
//! Pure: time is passed in. Not here: who is asked instead (`choice.rs`), what outcomes are (`outcome.rs`).

use std::time::Duration;

use tokio::time::Instant;

use super::UpstreamOutcome;

/// Failures in a row that open the circuit.
const STRIKES: u32 = 3;
/// Failures further apart than this are not in a row: a server that nobody asked is not judged by old news.
const MEMORY: Duration = Duration::from_secs(30);
/// The window in which the share of failures is looked at has two halves of this length.
const HALF_WINDOW: Duration = Duration::from_secs(5);
/// Fewer requests than this in the window say nothing about a share. At half of them or more, the circuit opens.
const WINDOW_REQUESTS: u32 = 10;
/// How long the circuit stays open at first, and at most.
const OPEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The same after wrong bytes: disks do not heal by themselves.
const OPEN_FOR_WRONG_BYTES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(900));
/// A probe that has not ended by then is not waited for: another request probes. Large objects take long.
const PROBE_LEASE: Duration = Duration::from_secs(10);
/// After so long in good health, a circuit opens for the shortest time again.
const CALM: Duration = Duration::from_secs(60);
/// The largest share of the open time that is taken off at random, so that the caches of a site do not probe together.
const JITTER: f64 = 0.2;

/// The circuit of one server.
#[derive(Debug)]
pub(super) struct Circuit {
    state: State,
    /// Failures since the last success.
    strikes: u32,
    last_strike: Option<Instant>,
    window: Window,
    /// How often in a row the circuit opened without good times in between.
    rounds: u32,
    random: fastrand::Rng,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { since: Option<Instant> },
    Open { until: Instant, cause: Cause },
    Probing { until: Instant, cause: Cause },
}

/// Why a circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It cannot be reached, is too slow, breaks off, or answers 5xx.
    Trouble,
    /// It sent bytes that do not deserve their name.
    WrongBytes,
}

/// What a circuit means for a request that is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To be asked in its place.
    Good,
    /// It was in trouble, long enough ago to be tried again: by one request, in its place.
    Due,
    /// A request is finding out: others ask it behind the good ones.
    Probing,
    /// In trouble: to be asked last.
    Out,
}

impl Standing {
    /// In an operator's words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Due => "to be tried again",
            Self::Probing => "being tried again",
            Self::Out => "asked last",
        }
    }

    /// Whether a request is sent to it in its configured place.
    pub const fn is_in_place(self) -> bool {
        matches!(self, Self::Good | Self::Due)
    }
}

/// A change worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The circuit opened, for this long.
    Opened(Cause, Duration),
    /// The circuit closed.
    Closed,
}

/// What an outcome says about the server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Success,
    Failure,
    WrongBytes,
    /// Whatever it was, it was not the server's doing.
    Nothing,
}

impl Evidence {
    fn of(outcome: UpstreamOutcome) -> Self {
        match outcome {
            UpstreamOutcome::BadDigest => Self::WrongBytes,
            _ if outcome.is_failure() => Self::Failure,
            _ if outcome.is_success() => Self::Success,
            _ => Self::Nothing,
        }
    }
}

impl Circuit {
    /// A closed circuit. Circuits of different seeds stay open for different times.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: State::Closed { since: None },
            strikes: 0,
            last_strike: None,
            window: Window::default(),
            rounds: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// What it means for a request at `now`.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::Closed { .. } => Standing::Good,
            State::Open { until, .. } if now < until => Standing::Out,
            State::Probing { until, .. } if now < until => Standing::Probing,
            State::Open { .. } | State::Probing { .. } => Standing::Due,
        }
    }

    /// Whether it has failed since the circuit last changed, and nothing has gone well since.
    pub(super) fn fails(&self) -> bool {
        self.strikes > 0
    }

    /// When a server that is out will be tried again.
    pub(super) fn out_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } if now < until => Some(until),
            _ => None,
        }
    }

    /// Takes the right to probe. `false` when another request has it, or nothing is to be found out.
    pub(super) fn claim_probe(&mut self, now: Instant) -> bool {
        let due = self.standing(now) == Standing::Due;
        if due && let State::Open { cause, .. } | State::Probing { cause, .. } = self.state {
            self.state = State::Probing { until: now + PROBE_LEASE, cause };
        }
        due
    }

    /// Takes in how a request ended.
    pub(super) fn record(&mut self, outcome: UpstreamOutcome, now: Instant) -> Option<Change> {
        match Evidence::of(outcome) {
            Evidence::Success => self.succeeded(now),
            Evidence::Failure => self.failed(Cause::Trouble, now),
            Evidence::WrongBytes => self.failed(Cause::WrongBytes, now),
            Evidence::Nothing => {
                // Perhaps the probe: the next request may try.
                if let State::Probing { cause, .. } = self.state {
                    self.state = State::Open { until: now, cause };
                }
                None
            }
        }
    }

    fn succeeded(&mut self, now: Instant) -> Option<Change> {
        self.strikes = 0;
        self.window.take(Evidence::Success, now);
        match self.state {
            State::Closed { .. } => None,
            // Most of a corrupt server's answers are good.
            State::Open { until, cause: Cause::WrongBytes } if now < until => None,
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Closed { since: Some(now) };
                self.window = Window::default();
                Some(Change::Closed)
            }
        }
    }

    fn failed(&mut self, cause: Cause, now: Instant) -> Option<Change> {
        let in_a_row = self.last_strike.is_some_and(|last| now < last + MEMORY);
        self.strikes = if in_a_row { self.strikes + 1 } else { 1 };
        self.last_strike = Some(now);
        self.window.take(Evidence::Failure, now);
        match self.state {
            State::Closed { since } => {
                let opens = cause == Cause::WrongBytes || self.strikes >= STRIKES || self.window.is_bad();
                if !opens {
                    return None;
                }
                if since.is_none_or(|since| now >= since + CALM) {
                    self.rounds = 0;
                }
                Some(self.open(cause, now))
            }
            // Requests that were on their way when it opened, or that had nobody else to ask: nothing new, unless
            // it is worse than what was known.
            State::Open { until, cause: known } if now < until => {
                (cause == Cause::WrongBytes && known != cause).then(|| self.open(cause, now))
            }
            State::Open { .. } | State::Probing { .. } => Some(self.open(cause, now)),
        }
    }

    fn open(&mut self, cause: Cause, now: Instant) -> Change {
        let (first, longest) = match cause {
            Cause::Trouble => OPEN,
            Cause::WrongBytes => OPEN_FOR_WRONG_BYTES,
        };
        let doubled = first.saturating_mul(1_u32.checked_shl(self.rounds).unwrap_or(u32::MAX));
        let time = doubled.min(longest).mul_f64(1.0 - JITTER * self.random.f64());
        self.state = State::Open { until: now + time, cause };
        self.rounds = self.rounds.saturating_add(1);
        self.strikes = 0;
        Change::Opened(cause, time)
    }
}

/// Requests and failures of the last 5 to 10 s.
#[derive(Debug, Default)]
struct Window {
    current: Half,
    previous: Half,
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    requests: u32,
    failures: u32,
}

impl Window {
    fn take(&mut self, evidence: Evidence, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now >= since + HALF_WINDOW {
            let gap = now >= since + 2 * HALF_WINDOW;
            self.previous = if gap { Half::default() } else { self.current };
            self.current = Half::default();
            self.since = Some(now);
        }
        self.current.requests = self.current.requests.saturating_add(1);
        if evidence == Evidence::Failure {
            self.current.failures = self.current.failures.saturating_add(1);
        }
    }

    fn is_bad(&self) -> bool {
        let requests = self.current.requests.saturating_add(self.previous.requests);
        let failures = self.current.failures.saturating_add(self.previous.failures);
        requests >= WINDOW_REQUESTS && failures >= requests - failures
    }
}

#[cfg(test)]
mod tests;
