//! Plays with passed-in time, and what holds whatever happens.

use proptest::prelude::*;

use super::*;
use UpstreamOutcome as Outcome;

/// A circuit and a clock that is moved by hand.
struct Play {
    circuit: Circuit,
    now: Instant,
}

impl Play {
    fn new() -> Self {
        Self { circuit: Circuit::new(1), now: Instant::now() }
    }

    fn later(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    fn record(&mut self, outcome: Outcome) -> Option<Change> {
        self.circuit.record(outcome, self.now)
    }

    fn standing(&self) -> Standing {
        self.circuit.standing(self.now)
    }

    /// Fails until it is out; for how long.
    fn knock_out(&mut self) -> Duration {
        for _ in 0..STRIKES {
            if let Some(Change::Opened(_, time)) = self.record(Outcome::Refused) {
                return time;
            }
        }
        panic!("{:?}", self.circuit);
    }

    /// Waits until it may be tried, tries, and fails; for how long it is out then.
    fn fail_probe(&mut self, outcome: Outcome) -> Duration {
        let until = self.circuit.out_until(self.now).unwrap();
        self.now = until;
        assert!(self.circuit.claim_probe(self.now));
        match self.record(outcome) {
            Some(Change::Opened(_, time)) => time,
            other => panic!("{other:?}"),
        }
    }
}

fn about(time: Duration, seconds: u64) -> bool {
    let most = Duration::from_secs(seconds);
    (most.mul_f64(1.0 - JITTER)..=most).contains(&time)
}

#[test]
fn every_outcome_says_something_or_nothing() {
    let nothing = [Outcome::Cancelled, Outcome::Forbidden, Outcome::Busy, Outcome::Exhausted];
    let good = [
        Outcome::Ok,
        Outcome::NotModified,
        Outcome::Redirect,
        Outcome::NotFound,
        Outcome::ClientError,
        Outcome::Behind,
    ];
    for outcome in Outcome::ALL {
        let mut play = Play::new();
        let opened_after = (1..=10).find(|_| play.record(outcome).is_some());
        let expected = match outcome {
            Outcome::BadDigest => Some(1),
            _ if nothing.contains(&outcome) || good.contains(&outcome) => None,
            _ => Some(3),
        };
        assert_eq!(opened_after, expected, "{outcome:?}");
    }
}

#[test]
fn a_success_in_between_starts_the_count_again() {
    let mut play = Play::new();
    for _ in 0..3 {
        assert_eq!(play.record(Outcome::Refused), None);
        assert_eq!(play.record(Outcome::Refused), None);
        for _ in 0..4 {
            assert_eq!(play.record(Outcome::Ok), None);
        }
    }
    assert_eq!(play.standing(), Standing::Good);
}

#[test]
fn old_failures_are_forgotten() {
    let mut play = Play::new();
    for _ in 0..10 {
        assert_eq!(play.record(Outcome::Refused), None);
        play.later(31.0);
    }
}

#[test]
fn half_of_many_is_too_much() {
    let mut play = Play::new();
    let mut requests = 0;
    let opened = loop {
        requests += 1;
        let outcome = if requests % 2 == 0 { Outcome::Stalled } else { Outcome::Ok };
        if let Some(change) = play.record(outcome) {
            break change;
        }
    };
    assert!(matches!(opened, Change::Opened(Cause::Trouble, _)), "{opened:?}");
    assert_eq!(requests, 10);
    // The same requests spread over more time say nothing.
    let mut play = Play::new();
    for request in 0..100 {
        let outcome = if request % 2 == 0 { Outcome::Stalled } else { Outcome::Ok };
        assert_eq!(play.record(outcome), None);
        play.later(1.5);
    }
}

#[test]
fn one_request_finds_out_and_success_closes() {
    let mut play = Play::new();
    let time = play.knock_out();
    assert!(about(time, 1), "{time:?}");
    assert_eq!(play.standing(), Standing::Out);
    assert!(!play.circuit.claim_probe(play.now));
    play.now += time;
    assert_eq!(play.standing(), Standing::Due);
    assert!(play.circuit.claim_probe(play.now));
    assert!(!play.circuit.claim_probe(play.now), "one at a time");
    assert_eq!(play.standing(), Standing::Probing);
    assert_eq!(play.record(Outcome::NotFound), Some(Change::Closed));
    assert_eq!(play.standing(), Standing::Good);
}

#[test]
fn each_failed_probe_doubles_the_time_up_to_a_minute() {
    let mut play = Play::new();
    assert!(about(play.knock_out(), 1));
    for seconds in [2, 4, 8, 16, 32, 60, 60, 60] {
        let time = play.fail_probe(Outcome::ConnectTimeout);
        assert!(about(time, seconds), "{time:?} {seconds}");
    }
}

#[test]
fn a_server_that_comes_and_goes_is_left_alone_for_longer() {
    let mut play = Play::new();
    for seconds in [1, 2, 4] {
        let time = play.knock_out();
        assert!(about(time, seconds), "{time:?}");
        play.now += time;
        assert_eq!(play.record(Outcome::Ok), Some(Change::Closed));
    }
    play.later(60.0);
    assert!(about(play.knock_out(), 1), "after calm times it begins anew");
}

#[test]
fn a_probe_that_tells_nothing_is_repeated() {
    let mut play = Play::new();
    let time = play.knock_out();
    play.now += time;
    for _ in 0..3 {
        assert!(play.circuit.claim_probe(play.now));
        assert_eq!(play.record(Outcome::Cancelled), None);
    }
    // One that never ends is not waited for.
    assert!(play.circuit.claim_probe(play.now));
    play.later(10.0);
    assert!(play.circuit.claim_probe(play.now));
}

#[test]
fn stragglers_neither_lengthen_nor_count() {
    let mut play = Play::new();
    let time = play.knock_out();
    for _ in 0..50 {
        assert_eq!(play.record(Outcome::Refused), None);
    }
    play.now += time;
    assert_eq!(play.standing(), Standing::Due);
}

#[test]
fn who_has_nobody_else_to_ask_closes_it_by_success() {
    let mut play = Play::new();
    play.knock_out();
    assert_eq!(play.record(Outcome::Ok), Some(Change::Closed));
}

#[test]
fn wrong_bytes_open_at_once_and_for_longer() {
    let mut play = Play::new();
    let Some(Change::Opened(Cause::WrongBytes, time)) = play.record(Outcome::BadDigest) else {
        panic!("{:?}", play.circuit);
    };
    assert!(about(time, 60), "{time:?}");
    // Good answers, and more bad ones on their way already, change nothing.
    assert_eq!(play.record(Outcome::Ok), None);
    assert_eq!(play.record(Outcome::BadDigest), None);
    assert_eq!(play.standing(), Standing::Out);
    assert!(about(play.fail_probe(Outcome::BadDigest), 120));
    play.now = play.circuit.out_until(play.now).unwrap();
    assert!(play.circuit.claim_probe(play.now));
    assert_eq!(play.record(Outcome::Ok), Some(Change::Closed));
}

#[test]
fn wrong_bytes_are_worse_than_silence() {
    let mut play = Play::new();
    play.knock_out();
    let change = play.record(Outcome::BadDigest);
    assert!(matches!(change, Some(Change::Opened(Cause::WrongBytes, _))), "{change:?}");
}

#[derive(Clone, Debug)]
enum Event {
    Ends(Outcome),
    Claim,
    Later(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop::sample::select(&Outcome::ALL[..]).prop_map(Event::Ends),
        2 => Just(Event::Claim),
        2 => (0_u64..20_000).prop_map(Event::Later),
    ]
}

proptest! {
    /// Whatever happened: after the longest time it is tried again, and one success makes it good.
    #[test]
    fn it_always_comes_back(events in prop::collection::vec(event(), 0..300), seed in any::<u64>()) {
        let mut play = Play { circuit: Circuit::new(seed), now: Instant::now() };
        for event in events {
            match event {
                Event::Ends(outcome) => {
                    if let Some(Change::Opened(_, time)) = play.record(outcome) {
                        prop_assert!(time <= OPEN_FOR_WRONG_BYTES.1);
                        prop_assert_eq!(play.standing(), Standing::Out);
                    }
                }
                Event::Claim => {
                    let due = play.standing() == Standing::Due;
                    prop_assert_eq!(play.circuit.claim_probe(play.now), due);
                    prop_assert!(!play.circuit.claim_probe(play.now));
                }
                Event::Later(ms) => play.now += Duration::from_millis(ms),
            }
        }
        play.now += OPEN_FOR_WRONG_BYTES.1;
        prop_assert!(play.standing().is_in_place());
        play.circuit.claim_probe(play.now);
        play.record(Outcome::Ok);
        prop_assert_eq!(play.standing(), Standing::Good);
    }
}
