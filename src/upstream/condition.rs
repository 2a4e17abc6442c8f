//! What all workers know about one configured server: its circuit, its speed, what it lacks, its last failure; and who is
//! told when that changes: the log and the metrics.

use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};
use tokio::time::Instant;

use super::absence::Absences;
use super::health::{Cause, Change, Circuit, Standing};
use super::latency::Latency;
use super::{Role, Upstream, UpstreamOutcome};
use crate::config;
use crate::metrics::UpstreamMetrics;

/// A second request is not sent earlier than this: less is within the noise of a busy machine.
const SOONEST_HEDGE: Duration = Duration::from_millis(50);

/// The condition of one server.
#[derive(Debug)]
pub(super) struct Condition {
    state: Mutex<State>,
    /// Where it has a label of its own.
    healthy: Option<IntGauge>,
    opened: IntCounter,
}

#[derive(Debug)]
struct State {
    circuit: Circuit,
    latency: Latency,
    absences: Absences,
    last_failure: Option<(UpstreamOutcome, Instant)>,
}

/// The condition of one server, for people.
#[derive(Clone, Debug)]
pub struct UpstreamStatus {
    /// Its URL, and its address where it is one of several behind it.
    pub url: String,
    /// Under what it is counted in the metrics, where it is there by itself.
    pub label: Option<String>,
    /// What it is to us.
    pub role: Role,
    /// Whether it is asked in its place.
    pub standing: Standing,
    /// How long it will still be asked last; `None` unless it is out.
    pub out_for: Option<Duration>,
    /// Moving average of the time to the head of an answer; `None` before the first one.
    pub first_byte: Option<Duration>,
    /// What 95 of 100 such times stay within; `None` while too few are known.
    pub first_byte_p95: Option<Duration>,
    /// The last failure, and how long ago it was.
    pub last_failure: Option<(UpstreamOutcome, Duration)>,
}

impl Condition {
    pub(super) fn new(metrics: &UpstreamMetrics, label: &str, limits: &config::Upstream) -> Self {
        let healthy = metrics.healthy.with_label_values(&[label]);
        healthy.set(1);
        Self { healthy: Some(healthy), ..Self::of_member(metrics, label, limits) }
    }

    /// Of one of several servers that share a label.
    pub(super) fn of_member(metrics: &UpstreamMetrics, label: &str, limits: &config::Upstream) -> Self {
        let state = State {
            circuit: Circuit::new(fastrand::u64(..)),
            latency: Latency::new(),
            absences: Absences::new(limits.absent_for),
            last_failure: None,
        };
        let opened = metrics.circuit_opened.with_label_values(&[label]);
        Self { state: Mutex::new(state), healthy: None, opened }
    }

    /// Other limits hold from now on; what is known of the server stays.
    pub(super) fn adopt(&self, limits: &config::Upstream) {
        self.state.lock().absences.believe(limits.absent_for);
    }

    pub(super) fn record(&self, label: &str, outcome: UpstreamOutcome) {
        let now = Instant::now();
        let change = {
            let mut state = self.state.lock();
            if outcome.is_failure() {
                state.last_failure = Some((outcome, now));
            }
            state.circuit.record(outcome, now)
        };
        if let Some(change) = change {
            self.tell(label, outcome, change);
        }
    }

    fn tell(&self, upstream: &str, outcome: UpstreamOutcome, change: Change) {
        match change {
            Change::Opened(cause, time) => {
                self.opened.inc();
                self.show(0);
                let seconds = time.as_secs_f64();
                match cause {
                    Cause::WrongBytes => tracing::error!(
                        upstream,
                        "{upstream} SERVES WRONG BYTES: an object from it does not match its checksum; it is asked \
                         last for {seconds:.0} s. Tell its operators",
                    ),
                    Cause::Trouble => tracing::warn!(
                        upstream,
                        why = outcome.words(),
                        "an upstream is in trouble, and asked last for {seconds:.1} s",
                    ),
                }
            }
            Change::Closed => {
                self.show(1);
                tracing::info!(upstream, "an upstream is well again");
            }
        }
    }

    /// Shows in the gauge whether it is asked in its place.
    pub(super) fn show(&self, healthy: i64) {
        if let Some(gauge) = &self.healthy {
            gauge.set(healthy);
        }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        self.state.lock().circuit.standing(now)
    }

    pub(super) fn fails(&self) -> bool {
        self.state.lock().circuit.fails()
    }

    pub(super) fn claim_probe(&self, now: Instant) -> bool {
        self.state.lock().circuit.claim_probe(now)
    }

    pub(super) fn note_absent(&self, name: u64) {
        self.state.lock().absences.note(name, Instant::now());
    }

    pub(super) fn lacks(&self, name: u64, now: Instant) -> bool {
        self.state.lock().absences.has(name, now)
    }

    pub(super) fn observe(&self, wait: Duration) {
        self.state.lock().latency.observe(wait);
    }

    pub(super) fn observe_vain(&self, wait: Duration) {
        self.state.lock().latency.observe_vain(wait);
    }

    pub(super) fn hedge_after(&self, budget: Duration) -> Duration {
        let p95 = self.state.lock().latency.p95();
        p95.map_or(budget, |p95| p95.max(SOONEST_HEDGE).min(budget))
    }

    /// Brings the gauge up to date with the time that has passed.
    pub(super) fn sample(&self, now: Instant) {
        self.show(self.standing(now).is_in_place().into());
    }

    pub(super) fn status(&self, upstream: &Upstream, now: Instant) -> UpstreamStatus {
        let state = self.state.lock();
        UpstreamStatus {
            url: upstream.name.to_string(),
            label: self.healthy.is_some().then(|| upstream.label.to_string()),
            role: upstream.role,
            standing: state.circuit.standing(now),
            out_for: state.circuit.out_until(now).map(|until| until - now),
            first_byte: state.latency.average(),
            first_byte_p95: state.latency.p95(),
            last_failure: state.last_failure.map(|(outcome, at)| (outcome, now - at)),
        }
    }
}
