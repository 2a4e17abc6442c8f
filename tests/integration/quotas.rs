//! Shares of the disk by repository, as clients and operators see them.

use serde_json::Value;
use substratum::config::ByteSize;

use crate::support::client::Client;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Origin, Stratum};
use crate::support::proxy::{Proxy, Setup, site};

const CAPACITY: ByteSize = ByteSize::mib(16);
const ATLAS: &str = "atlas.test.local";
const OTHERS: &str = "campaign.test.local";

fn objects(seed: u64, count: u64) -> Vec<Object> {
    (0..count).map(|n| Object::generate(10_000 * seed + n, 60_000)).collect()
}

fn stratum(repositories: [(&str, &[Object]); 2]) -> Stratum {
    let all =
        repositories.iter().flat_map(|&(name, objects)| objects.iter().map(move |object| (name, object)));
    all.fold(Origin::new(), |origin, (repository, object)| origin.object_in(repository, object)).run()
}

fn setup(stratum: &Stratum) -> Setup {
    let admin = Some(([127, 0, 0, 1], 0).into());
    site(&[stratum]).no_memory().disk(CAPACITY).with(|config| config.listen.admin = admin)
}

/// Asks for everything of a repository; how much of it was fetched from the stratum.
async fn read(client: &mut Client, stratum: &Stratum, repository: &str, objects: &[Object]) -> usize {
    stratum.forget();
    for object in objects {
        let answer = client.ask(stratum.url(&object.path_in(repository))).await.unwrap();
        assert!(answer.body == object.bytes);
    }
    stratum.requests()
}

/// What the admin port says of them.
async fn quotas(proxy: &Proxy) -> Value {
    let answer = proxy.admin().ask("/status").await.unwrap();
    serde_json::from_slice::<Value>(&answer.body).unwrap()["disk"]["quotas"].clone()
}

#[tokio::test]
async fn a_campaign_does_not_drive_out_a_repository_with_a_floor() {
    let (its, campaign) = (objects(1, 60), objects(2, 900));
    let stratum = stratum([(ATLAS, &its), (OTHERS, &campaign)]);
    let proxy = Proxy::start(setup(&stratum).quota(ATLAS, |quota| quota.floor = ByteSize::mib(5))).await;
    let mut client = proxy.client();
    read(&mut client, &stratum, ATLAS, &its).await;
    proxy.flush();
    read(&mut client, &stratum, OTHERS, &campaign).await;
    proxy.flush();
    assert_eq!(read(&mut client, &stratum, ATLAS, &its).await, 0, "all of them are still there");

    let shown = quotas(&proxy).await;
    assert_eq!(shown[0]["repository"], ATLAS);
    assert_eq!(shown[0]["floor_bytes"], 5 << 20);
    assert_eq!(shown[0]["ceiling_bytes"], Value::Null);
    let stored = shown[0]["stored_bytes"].as_u64().unwrap();
    assert!(stored >= 60 * 60_000, "{stored}");
    proxy.until(metric("substratum_disk_quota_bytes").label("repository", ATLAS).at_least(60 * 60_000)).await;
}

#[tokio::test]
async fn a_campaign_with_a_ceiling_leaves_the_others_alone() {
    let (campaign, others) = (objects(1, 900), objects(2, 100));
    let stratum = stratum([(OTHERS, &campaign), (ATLAS, &others)]);
    let limited = |quota: &mut substratum::config::Quota| quota.ceiling = Some(ByteSize::mib(4));
    let proxy = Proxy::start(setup(&stratum).quota("campaign.*", limited)).await;
    let mut client = proxy.client();
    read(&mut client, &stratum, ATLAS, &others).await;
    proxy.flush();
    read(&mut client, &stratum, OTHERS, &campaign).await;
    proxy.flush();
    assert_eq!(read(&mut client, &stratum, ATLAS, &others).await, 0);
    let stored = quotas(&proxy).await[0]["stored_bytes"].as_u64().unwrap();
    assert!((2 << 20..=4 << 20).contains(&stored), "{stored}");
}

#[tokio::test]
async fn what_is_pinned_stays_and_what_cannot_be_is_counted() {
    let (its, campaign) = (objects(1, 60), objects(2, 900));
    let stratum = stratum([(ATLAS, &its), (OTHERS, &campaign)]);
    let pinned = |quota: &mut substratum::config::Quota| {
        (quota.pin, quota.ceiling) = (true, Some(ByteSize::mib(2)));
    };
    let proxy = Proxy::start(setup(&stratum).quota(ATLAS, pinned)).await;
    let mut client = proxy.client();
    read(&mut client, &stratum, ATLAS, &its).await;
    proxy.flush();
    read(&mut client, &stratum, OTHERS, &campaign).await;
    proxy.flush();
    let again = read(&mut client, &stratum, ATLAS, &its).await;
    assert!((25..50).contains(&again), "{again} of 60 did not fit into the 2 MiB");
    proxy.until(metric("substratum_disk_not_pinned_total").label("repository", ATLAS).at_least(25)).await;
    assert_eq!(quotas(&proxy).await[0]["pinned"], true);
}
