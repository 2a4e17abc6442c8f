//! Real repositories through a chain of two tiers: every file is what was published, and is fetched once.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use substratum::digest::{Algorithm, ObjectName};

use crate::support::PATIENCE;
use crate::support::client::{Ask, Client};
use crate::support::origin::{Form, Origin, Stratum};
use crate::support::proxy::{Proxy, node, site};
use crate::support::repository::{Part, REVISIONS, Revision};

const IMAGES: &str = "images.test.local";

struct Chain {
    node: Proxy,
    _site: Proxy,
    stratum: Stratum,
}

impl Chain {
    async fn start(origin: Origin) -> Self {
        let stratum = origin.run();
        let site = Proxy::start(site(&[&stratum]).any_target()).await;
        let node = Proxy::start(node(&site, &[&stratum]).any_target()).await;
        Self { node, _site: site, stratum }
    }
}

/// Asks for everything a cold client asks for, below `base`, and compares every file.
async fn read_all(client: &mut Client, base: &str, revision: &Revision) {
    let mut objects: HashMap<String, Bytes> = HashMap::new();
    for url in revision.cold_urls() {
        let answer =
            client.ask(format!("{base}{url}")).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.status(), 200, "{url}: {:?}", answer.head);
        if let Some((_, path)) = url.split_once("/data/") {
            objects.insert(format!("data/{path}"), answer.body);
        }
    }
    for file in &revision.files {
        if matches!(file.parts[0], Part::Object(_)) {
            file.check(&objects).unwrap();
        }
    }
}

#[tokio::test]
async fn every_file_of_every_revision_arrives_and_is_fetched_once() {
    for (repository, n) in REVISIONS {
        let chain = Chain::start(Origin::new().fixtures()).await;
        if repository == IMAGES {
            chain.stratum.set_revision(repository, n);
        }
        let revision = Revision::read(repository, n);
        let mut client = chain.node.client();

        read_all(&mut client, &chain.stratum.base(), &revision).await;
        let asked = chain.stratum.requests_by_path();
        assert_eq!(asked.len(), revision.cold_urls().len(), "{repository} revision {n}");
        assert!(asked.values().all(|&times| times == 1), "{asked:?}");

        chain.stratum.forget();
        read_all(&mut client, &chain.stratum.base(), &revision).await;
        assert_eq!(chain.stratum.requests(), 0, "{:?}", chain.stratum.requests_by_path());

        read_all(&mut client, "", &revision).await;
        assert_eq!(chain.stratum.requests_for("/data/"), 0, "one copy, however it is asked for");
    }
}

#[tokio::test]
async fn reverse_requests_need_no_host_of_a_stratum() {
    let chain = Chain::start(Origin::new().fixtures().revision(IMAGES, 1)).await;
    read_all(&mut chain.node.client(), "", &Revision::read(IMAGES, 1)).await;
    assert!(chain.stratum.seen().iter().all(|seen| seen.form() == Form::Origin));
    let authority = chain.stratum.address().to_string();
    assert!(chain.stratum.seen().iter().all(|seen| seen.get("Host") == Some(&authority)));
}

/// Asks for the manifest until it is the one of `revision`, which must happen soon after its lifetime.
async fn until_manifest(client: &mut Client, url: &str, revision: u32) {
    let line = format!("\nS{revision}\n");
    let start = Instant::now();
    loop {
        let answer = client.ask(url).await.unwrap();
        assert_eq!(answer.status(), 200);
        if answer.body.windows(line.len()).any(|window| window == line.as_bytes()) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the manifest does not change");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_revision_costs_only_what_is_new_in_it() {
    let origin = Origin::new().fixtures().document_lifetime(Duration::from_secs(1)).revision(IMAGES, 1);
    let chain = Chain::start(origin).await;
    let mut client = chain.node.client();
    let base = chain.stratum.base();
    let manifest = chain.stratum.url("/cvmfs/images.test.local/.cvmfspublished");
    until_manifest(&mut client, &manifest, 1).await;
    let mut old = Revision::read(IMAGES, 1);
    read_all(&mut client, &base, &old).await;
    for n in [2, 3] {
        chain.stratum.set_revision(IMAGES, n);
        until_manifest(&mut client, &manifest, n).await;
        chain.stratum.forget();
        let new = Revision::read(IMAGES, n);
        read_all(&mut client, &base, &new).await;
        let added: BTreeSet<_> = new.objects().difference(&old.objects()).map(|p| new.url_path(p)).collect();
        let asked = chain.stratum.requests_by_path().into_keys().filter(|path| path.contains("/data/"));
        assert_eq!(asked.collect::<BTreeSet<_>>(), added, "revision {n}");
        old = new;
    }
}

#[tokio::test]
async fn external_files_come_in_their_ranges() {
    let chain = Chain::start(Origin::new().fixtures()).await;
    let revision = Revision::read("external.test.local", 1);
    let mut client = chain.node.client();
    for file in revision.files {
        let url = chain.stratum.url(&format!("/cvmfs/extdata{}", escape(&file.path)));
        let chunked = file.parts.len() > 1;
        let mut content = Vec::new();
        for part in &file.parts {
            let Part::Range { offset, len, name } = part else { panic!("an external file has ranges") };
            let ask = Ask::get(&url);
            let ask = if chunked { ask.range(*offset, offset + len - 1) } else { ask };
            let answer = client.ask(&ask).await.unwrap();
            assert_eq!(answer.status(), if chunked { 206 } else { 200 }, "{url}");
            assert_eq!(ObjectName::of(Algorithm::Sha1, &answer.body), *name, "{url} at {offset}");
            if chunked {
                let told = format!("bytes {offset}-{}/{}", offset + len - 1, file.size);
                assert_eq!(answer.get("Content-Range"), told);
            }
            content.extend_from_slice(&answer.body);
        }
        file.check_content(&content).unwrap();
    }
}

#[tokio::test]
async fn heads_are_answered_cold_and_warm() {
    let chain = Chain::start(Origin::new().fixtures()).await;
    let revision = Revision::read("rmd160.test.local", 1);
    let mut client = chain.node.client();
    for path in revision.objects() {
        let url = chain.stratum.url(&revision.url_path(path));
        let cold = client.ask(Ask::head(&url)).await.unwrap();
        let full = client.ask(&url).await.unwrap();
        let warm = client.ask(Ask::head(&url)).await.unwrap();
        assert_eq!((cold.status(), full.status(), warm.status()), (200, 200, 200));
        let len = Some(full.body.len() as u64);
        assert_eq!((cold.head.content_length(), warm.head.content_length()), (len, len), "{url}");
    }
    chain.stratum.forget();
    for path in revision.objects() {
        client.ask(Ask::head(chain.stratum.url(&revision.url_path(path)))).await.unwrap();
    }
    assert_eq!(chain.stratum.requests(), 0);
    let replica = chain.stratum.url(&revision.url_path(".cvmfs_master_replica"));
    assert_eq!(client.ask(Ask::head(&replica)).await.unwrap().status(), 200);
    let nothing = chain.stratum.url(&revision.url_path(".cvmfs_is_snapshotting"));
    assert_eq!(client.ask(Ask::head(&nothing)).await.unwrap().status(), 404);
}

/// As the client escapes paths: everything but `[0-9A-Za-z/:.@+-_~[],]`.
fn escape(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/:.@+-_~[],".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}
