//! A second source asked before the first one is given up: soon enough to matter, seldom enough not to burden anyone.

use std::time::{Duration, Instant};

use crate::support::metric::{Selector, metric};
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Stratum};
use crate::support::proxy::{Proxy, site};

/// What a mirror takes for an answer on a good day; so many answers are enough to know it.
const QUICK: (Duration, usize) = (Duration::from_millis(5), 25);

/// Hedges that may come at once after a quiet time, and their share of all requests afterwards, in percent.
const BURST: usize = 20;
const SHARE: usize = 5;

fn objects(n: u64) -> Vec<Object> {
    (0..n).map(|seed| Object::generate(seed, 3_000)).collect()
}

fn with_all(objects: &[Object]) -> Origin {
    objects.iter().fold(Origin::new(), Origin::object)
}

fn ended(stratum: &Stratum, outcome: &str) -> Selector {
    let requests = metric("substratum_upstream_requests_total");
    requests.label("upstream", &stratum.base()).label("outcome", outcome)
}

#[tokio::test]
async fn a_mirror_that_becomes_slow_is_overtaken() {
    const LATE: Duration = Duration::from_secs(3);
    let (quick, known) = QUICK;
    let objects = objects(known as u64 + 10);
    let faults = with_all(&objects).fault(Fault::LateHead(quick).times(known));
    let slow = faults.fault(Fault::LateHead(LATE)).run();
    let other = with_all(&objects).run();
    let proxy = Proxy::start(site(&[&slow, &other])).await;
    let (before, after) = objects.split_at(known);
    for object in before {
        assert_eq!(proxy.get(slow.url(&object.path())).await.body, object.bytes);
    }
    let early = other.requests();
    let mut longest = Duration::ZERO;
    for object in after {
        let start = Instant::now();
        assert_eq!(proxy.get(slow.url(&object.path())).await.body, object.bytes);
        longest = longest.max(start.elapsed());
    }
    assert!(longest < LATE / 2, "{longest:?}");
    assert_eq!(other.requests() - early, after.len());
    proxy.until(ended(&slow, "cancelled").at_least(after.len() as u64)).await;
    proxy.until(ended(&other, "ok").at_least(after.len() as u64)).await;
}

#[tokio::test]
async fn when_all_mirrors_are_slow_few_requests_are_doubled() {
    const ROUNDS: usize = 4;
    const QUIET: usize = 70;
    const CROWD: usize = 30;
    let objects = objects((ROUNDS * (QUIET + CROWD)) as u64);
    let strata = [with_all(&objects).run(), with_all(&objects).run()];
    let proxy = Proxy::start(site(&[&strata[0], &strata[1]])).await;
    for round in objects.chunks(QUIET + CROWD) {
        let (quiet, crowd) = round.split_at(QUIET);
        for object in quiet {
            assert_eq!(proxy.get(strata[0].url(&object.path())).await.body, object.bytes);
        }
        for stratum in &strata {
            stratum.inject(Fault::LateHead(Duration::from_millis(600)));
        }
        let asked: Vec<_> =
            crowd.iter().map(|object| (object, proxy.get_n(1, strata[0].url(&object.path())))).collect();
        for (object, client) in asked {
            assert_eq!(client.all().await.remove(0).unwrap().body, object.bytes);
        }
        strata.iter().for_each(Stratum::heal);
    }
    let requests = strata[0].requests() + strata[1].requests();
    let hedges = requests - objects.len();
    assert!(hedges >= BURST, "{hedges}: too few to say anything");
    assert!(hedges <= BURST + objects.len() * SHARE / 100, "{hedges} hedges for {} requests", objects.len());
}

#[tokio::test]
async fn a_mirror_that_was_overtaken_is_asked_again_when_the_quicker_one_breaks_off() {
    let (quick, known) = QUICK;
    let objects = objects(known as u64 + 1);
    let faults = with_all(&objects).fault(Fault::LateHead(quick).times(known));
    let slow = faults.fault(Fault::LateHead(Duration::from_secs(3)).times(1)).run();
    let broken = with_all(&objects).fault(Fault::Truncate(1_000)).run();
    let proxy = Proxy::start(site(&[&slow, &broken])).await;
    for object in &objects {
        assert_eq!(proxy.get(slow.url(&object.path())).await.body, object.bytes);
    }
}

#[tokio::test]
async fn whoever_sent_wrong_bytes_is_not_asked_again_while_another_is_only_a_little_late() {
    let (quick, known) = QUICK;
    let objects = objects(known as u64 + 1);
    let wanted = objects.last().unwrap();
    let corrupt = Origin::new().object(wanted).fault(Fault::Flip(7)).run();
    let faults = with_all(&objects).fault(Fault::LateHead(quick).times(known));
    let late = faults.fault(Fault::LateHead(Duration::from_millis(400)).times(1)).run();
    let proxy = Proxy::start(site(&[&corrupt, &late])).await;
    for object in &objects {
        assert_eq!(proxy.get(corrupt.url(&object.path())).await.body, object.bytes);
    }
    assert_eq!((corrupt.requests(), late.requests()), (objects.len(), objects.len()));
}

#[tokio::test]
async fn among_those_that_were_overtaken_the_one_that_was_waited_for_the_shortest_comes_first() {
    let object = Object::generate(1, 3_000);
    let corrupt = Origin::new().object(&object).fault(Fault::Flip(7)).run();
    let silent = Origin::new().object(&object).fault(Fault::NeverAnswer).run();
    let late = Origin::new().object(&object).fault(Fault::HoldHead.times(1)).run();
    let setup = site(&[&corrupt, &silent, &late]).with(|config| {
        config.upstream.first_byte_timeout = Duration::from_millis(300);
        config.upstream.head_deadline = Duration::from_secs(60);
    });
    let proxy = Proxy::start(setup).await;
    assert_eq!(proxy.get(corrupt.url(&object.path())).await.body, object.bytes);
    assert_eq!((corrupt.requests(), silent.requests(), late.requests()), (2, 1, 2));
}
