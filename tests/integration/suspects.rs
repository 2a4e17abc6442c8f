//! An object put together from two sources that proves wrong: which of the two it was cannot be told, so none of their further
//! bytes is shown before it is verified, however slowly they come.

use std::time::Duration;

use crate::support::client::{Ask, ClientError};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Stratum};
use crate::support::proxy::{Proxy, site};

/// Small enough to be verified first, if that does not take too long.
const LEN: usize = 50_000;

/// Where the first source breaks off.
const PART: usize = 20_000;

/// So slowly that all of it takes five times as long as readers may be kept waiting.
const SLOWLY: Fault = Fault::Drip { bytes: LEN / 5, every: Duration::from_millis(200) };

/// Before two strata, of which the first goes silent after a part that was shown, and the second goes on from there. The first
/// client is cut off, when all that is wrong; the second one asks while the second stratum is asked once more.
async fn second_act(
    first: &Stratum,
    second: &Stratum,
    object: &Object,
) -> Result<(u16, Vec<u8>), ClientError> {
    let setup = site(&[first, second]).with(|config| {
        config.objects.verify_first_patience = Duration::from_millis(200);
        config.upstream.stall_timeout = Duration::from_millis(600);
    });
    let proxy = Proxy::start(setup).await;
    let ask = Ask::get(first.url(&object.path()));
    let mut early = proxy.client();
    early.send(&ask).await.unwrap();
    let head = early.head().await.unwrap();
    assert_eq!((head.status, head.content_length()), (200, Some(LEN as u64)), "shown, since it took so long");
    assert!(matches!(early.body(&head, &ask).await, Err(ClientError::Short { .. } | ClientError::Io(_))));
    let ranges: Vec<_> = second.seen().iter().map(|seen| seen.get("Range").map(str::to_owned)).collect();
    assert_eq!(ranges[0], Some(format!("bytes={PART}-")), "continued");
    second.until_requests(2).await;
    let mut late = proxy.client();
    late.send(&ask).await?;
    proxy.until(metric("substratum_fill_joins_total").at_least(1)).await;
    let head = late.head().await?;
    let body = late.body(&head, &ask).await?;
    Ok((head.status, body.to_vec()))
}

fn wrong(object: &Object) -> Object {
    Object { name: object.name, bytes: vec![7; LEN].into() }
}

#[tokio::test]
async fn the_second_was_wrong_and_its_second_answer_is_shown_to_nobody() {
    let object = Object::generate(1, LEN);
    let first = Origin::new().object(&object).fault(Fault::Stall(PART).times(1)).run();
    let second = Origin::new().object(&wrong(&object)).fault(Fault::CloseAfter.times(1)).fault(SLOWLY).run();
    let (status, body) = second_act(&first, &second, &object).await.unwrap();
    assert_eq!(status, 200);
    assert!(body == object.bytes, "the first one's second answer");
    assert_eq!((first.requests(), second.requests()), (2, 2));
}

#[tokio::test]
async fn the_first_was_wrong_and_its_second_answer_is_shown_to_nobody() {
    let object = Object::generate(2, LEN);
    let faulty = Origin::new().object(&wrong(&object)).fault(Fault::Stall(PART).times(1));
    let first = faulty.fault(SLOWLY.times(1)).run();
    // Good where it goes on; asked once more, it breaks off.
    let good = Origin::new().object(&object).fault(Fault::CloseAfter.times(1));
    let second = good.fault(Fault::Stall(PART).times(1)).run();
    let (status, body) = second_act(&first, &second, &object).await.unwrap();
    // What came of that is nothing; then everything begins anew.
    assert_eq!(status, 200);
    assert!(body == object.bytes, "the second one's third answer");
    assert_eq!(first.seen()[1].get("Range"), None, "its second answer was whole");
}
