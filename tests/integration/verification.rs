//! Damaged transfers: no wrong byte passes for an object, nothing bad is stored, the culprit is named.

use std::time::Duration;

use substratum::config::ByteSize;
use substratum::digest::Algorithm;

use crate::support::client::{Ask, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Stratum};
use crate::support::proxy::{Proxy, site};

const MIB: usize = 1 << 20;

/// Below the limit under which nothing is sent before it is verified.
const SMALL: usize = 50_000;

/// Above it: bytes are passed on as they come.
const LARGE: usize = 3 * MIB;

/// How often requests to `stratum` ended with `outcome`.
async fn blamed(proxy: &Proxy, stratum: &Stratum, outcome: &str) {
    let requests = metric("substratum_upstream_requests_total");
    let claim = requests.label("upstream", &stratum.base()).label("outcome", outcome).at_least(1);
    proxy.until(claim).await;
}

/// What can go wrong with a transfer, and what it is called.
fn faults() -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::Flip(0), "bad_digest"),
        (Fault::Flip(SMALL - 1), "bad_digest"),
        (Fault::WrongLength(-1), "bad_digest"),
        (Fault::WrongLength(1), "short"),
        (Fault::Truncate(0), "short"),
        (Fault::Truncate(20_000), "short"),
        (Fault::Reset(20_000), "reset"),
        (Fault::Stall(0), "stalled"),
        (Fault::Stall(20_000), "stalled"),
        (Fault::NeverAnswer, "first_byte_timeout"),
        (Fault::CloseUnanswered, "reset"),
        (Fault::GarbageHead, "protocol"),
        (Fault::BadChunk(20_000), "protocol"),
        (Fault::HugeHead(1 << 20), "protocol"),
        (Fault::StallInHead, "first_byte_timeout"),
        (Fault::InterimFlood, "protocol"),
        (Fault::Status(404), "not_found"),
        (Fault::Status(429), "http_4xx"),
        (Fault::Status(500), "http_5xx"),
        (Fault::Status(502), "http_5xx"),
        (Fault::Status(503), "http_5xx"),
    ]
}

#[tokio::test]
async fn with_another_mirror_the_client_of_a_small_object_never_notices() {
    for (fault, outcome) in faults() {
        let object = Object::generate(1, SMALL);
        let bad = Origin::new().object(&object).fault(fault.clone()).run();
        let good = Origin::new().object(&object).run();
        let proxy = Proxy::start(site(&[&bad, &good]).hasty()).await;
        let answer = proxy.get(bad.url(&object.path())).await;
        assert_eq!(answer.status(), 200, "{fault:?}");
        assert!(answer.body == object.bytes, "{fault:?}");
        blamed(&proxy, &bad, outcome).await;
        let again = proxy.get(bad.url(&object.path())).await;
        assert!(again.body == object.bytes, "{fault:?}");
        assert_eq!(good.requests(), 1, "{fault:?}: the second answer is a hit");
    }
}

#[tokio::test]
async fn odd_but_correct_answers_are_taken() {
    let faults = [
        Fault::Interim,
        Fault::Chunked,
        Fault::CloseDelimited,
        Fault::CloseAfter,
        Fault::OverLong(5),
        Fault::Drip { bytes: 10_000, every: Duration::from_millis(5) },
    ];
    for (seed, fault) in faults.into_iter().enumerate() {
        let small = Object::generate(seed as u64, SMALL);
        let large = Object::generate(10 + seed as u64, 400_000);
        let stratum = Origin::new().object(&small).object(&large).fault(fault.clone()).run();
        let proxy = Proxy::start(site(&[&stratum])).await;
        let mut client = proxy.client();
        for object in [&small, &large, &small, &large] {
            let answer = client.ask(stratum.url(&object.path())).await;
            assert!(answer.unwrap().body == object.bytes, "{fault:?}");
        }
        assert_eq!(stratum.requests(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn every_algorithm_is_checked() {
    for algorithm in [Algorithm::Sha1, Algorithm::Rmd160, Algorithm::Shake128] {
        let object = Object::named_by(algorithm, 2, SMALL);
        let bad = Origin::new().object(&object).fault(Fault::Flip(7)).run();
        let good = Origin::new().object(&object).run();
        let proxy = Proxy::start(site(&[&bad, &good])).await;
        assert_eq!(proxy.get(bad.url(&object.path())).await.body, object.bytes, "{algorithm:?}");
        blamed(&proxy, &bad, "bad_digest").await;
    }
}

#[tokio::test]
async fn a_large_transfer_that_breaks_is_continued_elsewhere() {
    let faults =
        [(Fault::Truncate(MIB), "short"), (Fault::Reset(MIB), "reset"), (Fault::Stall(MIB), "stalled")];
    for (fault, outcome) in faults {
        let object = Object::generate(3, LARGE);
        let bad = Origin::new().object(&object).fault(fault.clone()).run();
        let good = Origin::new().object(&object).run();
        let proxy = Proxy::start(site(&[&bad, &good]).hasty()).await;
        let answer = proxy.get(bad.url(&object.path())).await;
        assert!(answer.body == object.bytes, "{fault:?}");
        blamed(&proxy, &bad, outcome).await;
        if let Some(seen) = good.seen().last() {
            assert!(seen.get("Range").is_some(), "{fault:?}: not all over again");
            assert!(good.sent() < LARGE, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_corrupt_large_transfer_ends_short_and_the_retry_is_good() {
    let faults = [
        (Fault::Flip(0), "bad_digest"),
        (Fault::Flip(MIB), "bad_digest"),
        (Fault::Flip(LARGE - 1), "bad_digest"),
        // The client has been told the wrong length by the time it proves wrong.
        (Fault::WrongLength(1), "short"),
        (Fault::WrongLength(-1), "bad_digest"),
    ];
    for (fault, outcome) in faults {
        let object = Object::generate(4, LARGE);
        let bad = Origin::new().object(&object).fault(fault.clone()).run();
        let good = Origin::new().object(&object).run();
        let proxy = Proxy::start(site(&[&bad, &good]).disk(ByteSize::mib(64))).await;
        let ask = Ask::get(bad.url(&object.path()));
        let mut client = proxy.client();
        match client.ask(&ask).await {
            Ok(answer) => assert!(answer.body == object.bytes, "a complete answer is a correct one"),
            Err(ClientError::Short { expected, received }) => assert!((received.len() as u64) < expected),
            Err(error) => panic!("{fault:?}: {error}"),
        }
        blamed(&proxy, &bad, outcome).await;
        client.leave();
        let retry = client.ask(ask.no_cache()).await.unwrap();
        assert!(retry.body == object.bytes, "{fault:?}");
    }
}

/// A small object that takes long to verify is shown unverified, but not when its source has sent wrong bytes already.
#[tokio::test]
async fn who_sent_wrong_bytes_is_not_believed_however_long_it_takes() {
    let object = Object::generate(15, 50_000);
    let corrupt = Origin::new().object(&object).fault(Fault::Flip(20_000)).run();
    let late = Origin::new().object(&object).fault(Fault::HoldHead).run();
    let setup = site(&[&corrupt, &late]).with(|config| {
        config.objects.verify_first_patience = Duration::from_millis(1500);
        config.upstream.first_byte_timeout = Duration::from_millis(2000);
    });
    let proxy = Proxy::start(setup).await;
    let url = corrupt.url(&object.path());
    let (mut client, release) = (proxy.client(), async {
        corrupt.until_requests(2).await;
        late.until_requests(1).await;
        late.release();
    });
    let (answer, ()) = tokio::join!(client.ask(url), release);
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.body == object.bytes);
}

#[tokio::test]
async fn two_corrupt_mirrors_of_three_cost_one_retry() {
    let faults = [Fault::Flip(0), Fault::Flip(LARGE - 1), Fault::WrongLength(1), Fault::WrongLength(-1)];
    for (one, other) in faults.iter().flat_map(|one| faults.iter().map(move |other| (one, other))) {
        let object = Object::generate(14, LARGE);
        let corrupt = |fault: &Fault| Origin::new().object(&object).fault(fault.clone()).run();
        let strata = [corrupt(one), corrupt(other), Origin::new().object(&object).run()];
        let proxy = Proxy::start(site(&[&strata[0], &strata[1], &strata[2]])).await;
        let ask = Ask::get(strata[0].url(&object.path()));
        if let Ok(answer) = proxy.ask(&ask).await {
            assert!(answer.body == object.bytes, "a complete answer is a correct one");
        }
        // At once, so that it reads along with the second corrupt mirror's answer if anybody does.
        assert!(proxy.get(ask.no_cache()).await.body == object.bytes, "{one:?}, {other:?}");
    }
}

#[tokio::test]
async fn nothing_bad_outlives_the_transfer() {
    let folder = tempfile::tempdir().unwrap();
    let small = Object::generate(5, SMALL);
    let large = Object::generate(6, LARGE);
    let bad = Origin::new().object(&small).object(&large).fault(Fault::Flip(1_000)).run();
    let proxy = Proxy::start(site(&[&bad]).disk_at(folder.path(), ByteSize::mib(64))).await;
    for object in [&small, &large] {
        let answer = proxy.ask(bad.url(&object.path())).await;
        assert!(!answer.is_ok_and(|answer| answer.status() == 200));
    }
    proxy.flush();
    proxy.stop().await;

    let good = Origin::new().object(&small).object(&large).run();
    let proxy = Proxy::start(site(&[&good]).disk_at(folder.path(), ByteSize::mib(64))).await;
    for object in [&small, &large] {
        assert!(proxy.get(good.url(&object.path())).await.body == object.bytes);
    }
    assert_eq!(good.requests(), 2, "nothing was left of the bad bytes, not even a name");
}

#[tokio::test]
async fn a_lone_mirror_in_trouble_is_answered_502_or_504_until_it_heals() {
    for (fault, outcome) in faults() {
        if matches!(fault, Fault::Status(404)) {
            continue;
        }
        let object = Object::generate(7, SMALL);
        let stratum = Origin::new().object(&object).fault(fault.clone()).run();
        let proxy = Proxy::start(site(&[&stratum]).hasty()).await;
        let mut client = proxy.client();
        let answer = client.ask(stratum.url(&object.path())).await.unwrap();
        assert!(matches!(answer.status(), 502 | 504), "{fault:?}: {}", answer.status());
        blamed(&proxy, &stratum, outcome).await;
        stratum.heal();
        let answer = proxy.get(stratum.url(&object.path())).await;
        assert_eq!(answer.status(), 200, "{fault:?}: after healing");
        assert!(answer.body == object.bytes, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lone_mirror_that_corrupts_large_objects_never_brings_one_to_its_end() {
    let object = Object::generate(8, LARGE);
    let stratum = Origin::new().object(&object).fault(Fault::Flip(LARGE / 2).times(2)).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut tries = 0;
    let whole = loop {
        tries += 1;
        match proxy.ask(&ask).await {
            Ok(answer) if answer.status() == 200 => break answer.body,
            _ => assert!(tries < 4, "it healed after two requests"),
        }
    };
    assert!(whole == object.bytes);
}

#[tokio::test]
async fn a_transfer_continued_with_wrong_bytes_by_the_last_source_ends_as_corrupt() {
    let object = Object::generate(10, LARGE);
    let faults = Origin::new().object(&object).fault(Fault::Truncate(2 * MIB).times(1)).fault(Fault::Flip(0));
    let stratum = faults.run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let answer = proxy.ask(stratum.url(&object.path())).await;
    assert!(answer.is_err(), "{:?}", answer.map(|answer| answer.head));
    proxy.until(metric("substratum_fill_failures_total").label("reason", "corrupt").at_least(1)).await;
    stratum.heal();
    assert!(proxy.get(stratum.url(&object.path())).await.body == object.bytes);
}

#[tokio::test]
async fn many_readers_of_a_corrupt_object_all_get_the_good_one() {
    let object = Object::generate(9, SMALL);
    let bad = Origin::new().object(&object).fault(Fault::Flip(1)).run();
    let good = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&bad, &good])).await;
    for answer in proxy.get_n(50, bad.url(&object.path())).all().await {
        assert_eq!(answer.unwrap().body, object.bytes);
    }
    assert_eq!(good.requests(), 1);
}

#[tokio::test]
async fn a_length_that_clients_were_told_is_kept_or_they_are_cut_off() {
    let object = Object::generate(11, LARGE);
    let shorter = Object { name: object.name, bytes: object.bytes.slice(..MIB) };
    let bad = Origin::new().object(&shorter).fault(Fault::Truncate(0)).run();
    let good = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&bad, &good])).await;
    match proxy.ask(bad.url(&object.path())).await {
        Ok(answer) => assert!(answer.body == object.bytes, "a complete answer is a correct one"),
        Err(ClientError::Short { expected, received }) => assert!((received.len() as u64) < expected),
        Err(error) => panic!("{error}"),
    }
    assert!(proxy.get(bad.url(&object.path())).await.body == object.bytes);
}

#[tokio::test]
async fn a_transfer_begun_anew_has_time_of_its_own() {
    let object = Object::generate(12, LARGE);
    let wrong = Object { name: object.name, bytes: vec![7; LARGE].into() };
    let drip = Fault::Drip { bytes: LARGE / 8, every: Duration::from_millis(100) };
    let bad = Origin::new().object(&wrong).fault(drip).run();
    let good = Origin::new().object(&object).run();
    let setup = site(&[&bad, &good]).with(|c| c.upstream.head_deadline = Duration::from_millis(300));
    let proxy = Proxy::start(setup).await;
    assert!(proxy.ask(bad.url(&object.path())).await.is_err());
    blamed(&proxy, &good, "ok").await;
    assert!(proxy.get(bad.url(&object.path())).await.body == object.bytes);
    assert_eq!((bad.requests(), good.requests()), (1, 1));
}

#[tokio::test]
async fn whoever_was_asked_too_early_is_asked_again() {
    let object = Object::generate(13, LARGE);
    let late = Origin::new().object(&object).fault(Fault::HoldHead.times(1)).run();
    let breaks = Origin::new().object(&object).fault(Fault::Truncate(MIB)).run();
    let setup = site(&[&late, &breaks]).with(|c| c.upstream.first_byte_timeout = Duration::from_millis(200));
    let proxy = Proxy::start(setup).await;
    assert!(proxy.get(late.url(&object.path())).await.body == object.bytes);
    assert_eq!(late.requests(), 2);
}
