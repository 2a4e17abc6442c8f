//! A herd on one cold object, and the stratum dies under it: what was fetched is not fetched again.

use std::time::{Duration, Instant};

use crate::support::client::{Ask, ask_and_compare};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin};
use crate::support::proxy::{Proxy, site};

const CLIENTS: usize = 500;

/// Bytes of the object.
const LEN: usize = 10_000_000;

/// What the strata send at most, in bytes a second.
const RATE: u32 = 20_000_000;

/// How many times as long as one transfer at that rate the last client may wait: room for a busy test machine.
const SLACK: u32 = 30;

#[tokio::test]
async fn a_herd_whose_stratum_dies_half_way_gets_the_other_half_elsewhere() {
    let object = Object::generate(1, LEN);
    let stratum = || Origin::new().object(&object).rate(RATE);
    let (dying, other) = (stratum().fault(Fault::Reset(LEN / 2)).run(), stratum().run());
    let proxy = Proxy::start(site(&[&dying, &other])).await;
    let ask = Ask::get(dying.url(&object.path()));
    let start = Instant::now();
    let clients: Vec<_> = std::iter::repeat_with(|| {
        tokio::spawn(ask_and_compare(proxy.client(), ask.clone(), object.bytes.clone()))
    })
    .take(CLIENTS)
    .collect();
    for client in clients {
        client.await.unwrap().unwrap();
    }
    let (took, ideal) = (start.elapsed(), Duration::from_secs_f64(LEN as f64 / f64::from(RATE)));
    assert!(took < ideal * SLACK, "the last byte came after {took:?}, at best {ideal:?}");
    assert_eq!((dying.requests(), other.requests()), (1, 1));
    let range = other.last_seen().get("Range").map(str::to_owned).unwrap_or_default();
    let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    let from: usize = from.and_then(|from| from.parse().ok()).unwrap_or_else(|| panic!("Range: {range}"));
    assert!((1..=LEN / 2).contains(&from), "a reset may cost bytes that were on their way: {from}");
    assert_eq!(other.sent(), LEN - from);
    let ended = |upstream: String, outcome| {
        metric("substratum_upstream_requests_total").label("upstream", &upstream).label("outcome", outcome)
    };
    proxy.until(ended(dying.base(), "reset").eq(1)).await;
    proxy.until(ended(other.base(), "ok").eq(1)).await;
    proxy.until(metric("substratum_verified_objects_total").eq(1)).await;
}
