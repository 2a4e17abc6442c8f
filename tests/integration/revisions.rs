//! `[[warm]]`: what a new revision brings is here before clients ask, and whatever happens to it on the way.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use substratum::config::{ByteSize, OnRevision, Warm};
use substratum::digest::{Algorithm, ObjectName};

use crate::pinning::{cut_off_segments, pinned};
use crate::support::fixtures;
use crate::support::metric::metric;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::proxy::{Proxy, Setup, site};
use crate::support::repository::Revision;
use crate::support::{LOOK_AGAIN, PATIENCE};
use crate::warming::{EL7, REPOSITORY, files, objects, on_disk};

/// The only row about what is warmed, once it says this.
async fn until(proxy: &Proxy, revision: u64, state: &str) -> Value {
    let mut row = Value::Null;
    let look = async {
        loop {
            let answer = proxy.admin().ask("/status").await.unwrap();
            let status: Value = serde_json::from_slice(&answer.body).unwrap();
            row = status["warm"][0].clone();
            if row["revision"] == revision && row["state"] == state {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, look).await.is_ok();
    assert!(came, "{row}");
    row
}

fn kept_warm(stratum: &Stratum, change: impl FnOnce(&mut Warm)) -> Setup {
    let mut warm = Warm::new(REPOSITORY.parse().unwrap());
    warm.paths = vec![EL7.to_owned()];
    (warm.interval, warm.spread) = (Duration::from_millis(50), Duration::ZERO);
    warm.key = Some(fixtures().join("keys/images.test.local.pub"));
    change(&mut warm);
    on_disk(site(&[stratum])).with(|config| config.warm.push(warm))
}

#[tokio::test]
async fn a_new_revision_is_here_before_anybody_asks() {
    let stratum = Origin::new().fixtures().document_lifetime(Duration::ZERO).revision(REPOSITORY, 2).run();
    let setup = kept_warm(&stratum, |warm| warm.on_revision = OnRevision::All);
    // No client may ask, but the cache may ask itself.
    let setup = setup.with(|config| config.access.clients = vec!["192.0.2.1/32".parse().unwrap()]);
    let proxy = Proxy::start(setup).await;
    let row = until(&proxy, 2, "warm").await;
    let objects_of = |revision| objects(&files(&Revision::read(REPOSITORY, revision), EL7));
    assert_eq!(row["objects"], objects_of(2).len() + 2, "catalogs count, too");
    assert_eq!((&row["objects_here"], &row["trouble"]), (&row["objects"], &Value::Null));
    let page = String::from_utf8(proxy.admin().ask("/").await.unwrap().body.to_vec()).unwrap();
    assert!(page.contains(EL7), "the page shows it");

    stratum.set_revision(REPOSITORY, 3);
    stratum.forget();
    let row = until(&proxy, 3, "warm").await;
    assert_eq!((&row["objects_here"], &row["what"]), (&row["objects"], &Value::from("all")));
    let asked: BTreeSet<String> = stratum.requests_by_path().into_keys().collect();
    let (old, new) = (objects_of(2), objects_of(3));
    let fetched = asked.iter().filter(|path| path.contains("/data/")).count();
    assert_eq!(fetched, new.difference(&old).count() + 2, "what is new, and two catalogs");
    let shown = proxy.metrics();
    let of = |name: &str| metric(name).label("repository", REPOSITORY);
    let objects = |result: &str| of("substratum_warm_objects_total").label("result", result);
    for claim in [
        objects("fetched").eq(old.union(&new).count() as u64),
        of("substratum_warm_bytes_total").at_least(stratum.sent() as u64 / 2),
        of("substratum_warm_looks_total").label("result", "warmed").eq(2),
        of("substratum_warm_revision").eq(3),
    ] {
        assert!(claim.holds(&shown), "{shown}");
    }
}

#[tokio::test]
async fn catalogs_alone_and_trouble_that_passes() {
    let stratum = Origin::new().fixtures().document_lifetime(Duration::ZERO).revision(REPOSITORY, 3).run();
    stratum.inject(Fault::Status(404).on(".cvmfspublished"));
    let as_mounted = format!("/cvmfs/{REPOSITORY}{EL7}");
    let proxy = Proxy::start(kept_warm(&stratum, |warm| warm.paths = vec![as_mounted])).await;
    let failed = async {
        loop {
            let status = proxy.admin().ask("/status").await.unwrap();
            let status: Value = serde_json::from_slice(&status.body).unwrap();
            if let Some(trouble) = status["warm"][0]["trouble"].as_str() {
                return trouble.to_owned();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let trouble = tokio::time::timeout(PATIENCE, failed).await.unwrap();
    assert!(trouble.starts_with("cannot get the manifest of images.test.local: 404"), "{trouble}");
    let looks = metric("substratum_warm_looks_total").label("result", "failed");
    proxy.until(looks.at_least(1)).await;
    stratum.heal();
    let row = until(&proxy, 3, "warm").await;
    assert_eq!(
        (&row["objects"], &row["objects_here"], &row["trouble"]),
        (&2.into(), &2.into(), &Value::Null)
    );
    assert_eq!(stratum.requests_for("C"), 2, "{:?}", stratum.requests_by_path());
    proxy.stop().await;
}

/// The root catalog of the third revision, made so large that it is sent as pages of its file.
fn large_catalog() -> Vec<u8> {
    let stored = std::fs::read(fixtures().join(REPOSITORY).join(root_of(&manifest()))).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::copy(&mut flate2::read::ZlibDecoder::new(&stored[..]), &mut file.as_file()).unwrap();
    let database = Connection::open(file.path()).unwrap();
    database.execute_batch("CREATE TABLE more (bytes); INSERT INTO more VALUES (zeroblob(200000));").unwrap();
    drop(database);
    let mut catalog = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
    catalog.write_all(&std::fs::read(file.path()).unwrap()).unwrap();
    catalog.finish().unwrap()
}

fn manifest() -> String {
    let bytes = std::fs::read(fixtures().join(REPOSITORY).join("revisions/3/.cvmfspublished")).unwrap();
    // What is behind is its signature, which nobody checks here.
    let end = bytes.windows(3).position(|at| at == b"--\n").unwrap();
    String::from_utf8(bytes[..end].to_vec()).unwrap()
}

fn root_of(manifest: &str) -> String {
    let root = manifest.lines().find_map(|line| line.strip_prefix('C')).unwrap();
    format!("data/{}/{}C", &root[..2], &root[2..])
}

#[tokio::test]
async fn a_catalog_whose_file_is_cut_off_is_fetched_anew() {
    let catalog = large_catalog();
    let name = ObjectName::of(Algorithm::Sha1, &catalog).to_string();
    let revision = |number: u32| {
        let old = manifest();
        let root = old.lines().next().unwrap();
        let text = old.replace(root, &format!("C{name}")).replace("\nS3\n", &format!("\nS{number}\n"));
        let checksum = ObjectName::of(Algorithm::Sha1, text.as_bytes());
        Page::new(format!("{text}--\n{checksum}\n")).field("Cache-Control", "max-age=0")
    };
    let path = |path: &str| format!("/cvmfs/{REPOSITORY}/{path}");
    let root = path(&format!("data/{}/{}C", &name[..2], &name[2..]));
    let stratum = Origin::new().fixtures().document_lifetime(Duration::ZERO);
    let stratum = stratum.page(&root, Page::new(catalog.clone()));
    let stratum = stratum.page(&path(".cvmfspublished"), revision(3)).run();
    let folder = tempfile::tempdir().unwrap();
    let setup = || kept_warm(&stratum, |warm| warm.key = None).disk_at(folder.path(), ByteSize::mib(64));
    let proxy = pinned(setup, folder.path(), &[(stratum.url(&root), &catalog)]).await;
    until(&proxy, 3, "warm").await;

    // The warmer has its own connection within the process: whoever touched the pages now would end it.
    cut_off_segments(folder.path());
    stratum.set_page(&path(".cvmfspublished"), revision(4));
    let row = until(&proxy, 4, "warm").await;
    assert_eq!(row["objects_here"], row["objects"]);
    assert_eq!(stratum.requests_for(&root), 2);
}
