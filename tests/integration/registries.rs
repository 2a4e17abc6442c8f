//! Registries of container images behind the tier: docker-registry as upstream, skopeo as client.
//!
//! What is stored costs the registry no bytes, whatever image it is asked for by; who may have it is for the registry to say.

use std::net::SocketAddr;
use std::path::PathBuf;

use substratum::config::{ByteSize, Glob, Registry, TargetShape};

use crate::support::client::Ask;
use crate::support::image::{Image, pull_with_podman, working_podman};
use crate::support::metric::metric;
use crate::support::origin::{Fault, Origin, Page, Seen, Stratum};
use crate::support::peer::{Auth, Peer, find};
use crate::support::proxy::{Proxy, Setup, lone};

/// Larger than what is verified before its first byte is sent.
pub const LAYER: usize = 600_000;

/// Of the registry that asks for a login.
const LOGIN: &str = "user:secret";
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

/// docker-registry and skopeo.
pub fn programs() -> Option<(PathBuf, PathBuf)> {
    Some((find("docker-registry")?, find("skopeo")?))
}

/// A tier before these registries.
pub fn before(registries: &[(&str, SocketAddr)]) -> Setup {
    lone("site").with(|config| {
        config.access.targets = vec![TargetShape::Cvmfs];
        config.registries = registries
            .iter()
            .map(|(name, address)| Registry {
                name: (*name).to_owned(),
                url: format!("http://{address}").parse().unwrap(),
                hosts: vec![Glob::new(&format!("{name}.cache.test"))],
                anonymous: false,
            })
            .collect();
    })
}

/// The path of a blob.
pub fn blob(image: &str, digest: &str) -> String {
    format!("/v2/{image}/blobs/{digest}")
}

#[tokio::test]
async fn a_second_pull_costs_the_registry_no_bytes_of_blobs() {
    let Some((program, skopeo)) = programs() else { return };
    let registry = Peer::registry(&program, &Auth::Nobody);
    let (one, two) = (Image::new(&[1, 2], LAYER), Image::new(&[2, 3], LAYER));
    one.push(&skopeo, registry.address(), "group/one:1", None);
    two.push(&skopeo, registry.address(), "two:latest", None);
    let folder = tempfile::tempdir().unwrap();
    let site = || before(&[("hub.test", registry.address())]).disk_at(folder.path(), ByteSize::mib(64));
    let proxy = Proxy::start(site()).await;

    one.pull(&skopeo, proxy.address(), "group/one:1", None);
    let first = registry.blob_bytes();
    assert!(first > 2 * LAYER as u64, "{first}");
    one.pull(&skopeo, proxy.address(), "group/one:1", None);
    assert_eq!(registry.blob_bytes(), first, "a second client");

    // The layer that both images have is here, if the registry says that it belongs to the second as well.
    two.pull(&skopeo, proxy.address(), "two:latest", None);
    assert_eq!(registry.blob_gets("two", &two.layers[0]), 0);
    assert_eq!(registry.blob_gets("two", &two.layers[1]), 1);
    let absent = proxy.get(blob("two", &one.layers[0]).as_str()).await;
    assert_eq!(absent.status(), 404, "the registry's word, although it is stored");

    proxy.flush();
    proxy.stop().await;
    let proxy = Proxy::start(site()).await;
    let before = registry.blob_bytes();
    one.pull(&skopeo, proxy.address(), "group/one:1", None);
    assert_eq!(registry.blob_bytes(), before, "after a restart");
}

#[tokio::test]
async fn clients_whose_settings_name_the_cache_as_a_mirror_need_no_other_way_out() {
    let Some((program, skopeo)) = programs() else { return };
    let registry = Peer::registry(&program, &Auth::Nobody);
    let image = Image::new(&[1, 2], LAYER);
    image.push(&skopeo, registry.address(), "group/one:1", None);
    let proxy = Proxy::start(before(&[("hub.test", registry.address())])).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("registries.conf");
    let mirror = format!(
        "[[registry]]\nlocation = \"hub.test\"\n\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        proxy.address()
    );
    std::fs::write(&settings, mirror).unwrap();
    // Nobody could find a host of that name.
    image.pull_by_settings(&skopeo, &settings, "hub.test/group/one:1");
    let fetched = registry.blob_bytes();
    image.pull_by_settings(&skopeo, &settings, &format!("hub.test/group/one@{}", image.manifest));
    if let Some(podman) = working_podman() {
        pull_with_podman(&podman, &settings, "hub.test/group/one:1");
    }
    assert_eq!(registry.blob_bytes(), fetched);
    assert!(image.layers.iter().all(|layer| registry.blob_gets("group/one", layer) == 1));
}

#[tokio::test]
async fn clients_read_what_registries_say() {
    let Some((program, skopeo)) = programs() else { return };
    let registry = Peer::registry(&program, &Auth::Nobody);
    let image = Image::new(&[1], LAYER);
    image.push(&skopeo, registry.address(), "one:1", None);
    let proxy = Proxy::start(before(&[("hub.test", registry.address())])).await;
    let manifest = format!("/v2/one/manifests/{}", image.manifest);
    let media = "application/vnd.oci.image.manifest.v1+json";
    let ask = |ask: Ask| ask.field("Accept", media);
    for asked in [Ask::head(&manifest), Ask::get(&manifest), Ask::get(&manifest), Ask::head(&manifest)] {
        let answer = proxy.get(ask(asked)).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.head.get("Content-Type"), Some(media));
        assert_eq!(answer.head.get("Docker-Content-Digest"), Some(image.manifest.as_str()));
        let length = image.blob(&image.manifest).len();
        assert_eq!(answer.head.get("Content-Length"), Some(length.to_string().as_str()));
    }
    let part = proxy.get(Ask::get(blob("one", &image.layers[0])).range(5, 9)).await;
    assert_eq!((part.status(), &part.body[..]), (206, &image.blob(&image.layers[0])[5..10]));
    assert_eq!(part.head.get("Docker-Content-Digest"), Some(image.layers[0].as_str()));
    // Tags and lists are documents.
    let tag = proxy.get(ask(Ask::get("/v2/one/manifests/1"))).await;
    assert_eq!(tag.head.get("Docker-Content-Digest"), Some(image.manifest.as_str()));
    assert_eq!(proxy.get("/v2/one/tags/list").await.body, "{\"name\":\"one\",\"tags\":[\"1\"]}\n");
    assert_eq!(proxy.get("/v2/").await.head.get("Docker-Distribution-Api-Version"), Some("registry/2.0"));
    assert_eq!(proxy.get("/v2/one/blobs/uploads/").await.status(), 403, "nothing is pushed through here");
    assert_eq!(proxy.get(Ask::get(blob("one", &image.layers[0])).method("DELETE")).await.status(), 405);
    // As a plain proxy, for a registry that speaks http.
    let url = format!("{}{}", registry.base(), blob("one", &image.layers[0]));
    let hit = proxy.get(&url).await;
    assert!(hit.head.get("Cache-Status").unwrap().contains("hit"));
    assert_eq!(hit.body, image.blob(&image.layers[0]));
    assert!(
        metric("substratum_repository_requests_total")
            .label("repository", "hub.test/one")
            .at_least(1)
            .holds(&proxy.metrics())
    );
}

#[tokio::test]
async fn what_is_stored_is_refused_to_whom_the_registry_refuses() {
    let Some((program, skopeo)) = programs() else { return };
    let registry = Peer::registry(&program, &Auth::Basic);
    let image = Image::new(&[1], LAYER);
    image.push(&skopeo, registry.address(), "secret/one:1", Some(LOGIN));
    let proxy = Proxy::start(before(&[("hub.test", registry.address())])).await;
    image.pull(&skopeo, proxy.address(), "secret/one:1", Some(LOGIN));
    let fetched = registry.blob_bytes();

    let path = blob("secret/one", &image.layers[0]);
    let refused = proxy.get(&path).await;
    assert_eq!(refused.status(), 401);
    assert!(
        refused.head.get("WWW-Authenticate").unwrap().starts_with("Basic realm="),
        "the registry's words"
    );
    let wrong = Ask::get(&path).field("Authorization", "Basic dXNlcjp3cm9uZw==");
    assert_eq!(proxy.get(wrong).await.status(), 401);
    assert_eq!(proxy.get(Ask::head(&path)).await.status(), 401);

    let allowed = proxy.get(Ask::get(&path).field("Authorization", BASIC)).await;
    assert_eq!((allowed.status(), &allowed.body[..]), (200, &image.blob(&image.layers[0])[..]));
    assert!(allowed.head.get("Cache-Control").unwrap().starts_with("private"), "for no other cache to share");
    image.pull(&skopeo, proxy.address(), "secret/one:1", Some(LOGIN));
    assert_eq!(registry.blob_bytes(), fetched, "whoever asked, the bytes came once");
    let consents = |result: &str| metric("substratum_registry_consents_total").label("result", result);
    let shown = proxy.metrics();
    assert!(consents("refused").eq(3).holds(&shown), "{shown}");
    // Of the configuration and the layer; the second pull came within the minute.
    assert!(consents("given").eq(2).holds(&shown), "{shown}");
}

/// A registry of one blob, played by hand.
pub struct Played {
    pub registry: Stratum,
    pub bytes: Vec<u8>,
    pub path: String,
}

/// With its blob.
pub fn played() -> Played {
    let image = Image::new(&[7], 20_000);
    let digest = &image.layers[0];
    let (bytes, path) = (image.blob(digest), blob("one", digest));
    let page = Page::new(bytes.clone()).field("Docker-Content-Digest", digest);
    Played { registry: Origin::new().page(&path, page).run(), bytes, path }
}

#[tokio::test]
async fn a_redirect_is_followed_without_the_credentials_and_where_that_is_allowed() {
    let Played { registry, bytes, path } = played();
    let at = format!("/store/{}?signed", path.rsplit(':').next().unwrap());
    let store = Origin::new().page(&at, Page::new(bytes.clone())).run();
    registry.set_page(&path, Page::new("").status(307).field("Location", store.url(&at)));
    let proxy = Proxy::start(before(&[("hub.test", registry.address())])).await;
    let ask = Ask::get(&path).field("Authorization", "Bearer t1");
    assert_eq!(proxy.get(&ask).await.body, bytes);
    assert_eq!(registry.last_seen().get("Authorization"), Some("Bearer t1"));
    assert_eq!((store.requests(), store.last_seen().get("Authorization")), (1, None));

    let closed = before(&[("hub.test", registry.address())]);
    let proxy = Proxy::start(closed.with(|config| config.access.internal_hosts.clear())).await;
    assert_eq!(proxy.get(&ask).await.status(), 403);
    assert_eq!(store.requests(), 1);
}

#[tokio::test]
async fn what_does_not_show_the_digest_is_no_consent() {
    let Played { registry, bytes, path } = played();
    let proxy = Proxy::start(before(&[("hub.test", registry.address())])).await;
    assert_eq!(proxy.get(Ask::get(&path).field("Authorization", "Bearer t1")).await.body, bytes);
    // Somebody else is asked to log in, in ways that are made for browsers.
    let login = registry.url(&format!("/login?next={path}"));
    registry.set_page(&path, Page::new("").status(302).field("Location", &login));
    let sent_on = proxy.get(&path).await;
    assert_eq!((sent_on.status(), sent_on.head.get("Location")), (302, Some(login.as_str())));
    registry.set_page(&path, Page::new("please log in"));
    assert_eq!(proxy.get(&path).await.body, "please log in");
}

#[tokio::test]
async fn the_consent_given_to_everybody_stands_in_while_the_registry_is_away() {
    let Played { mut registry, bytes, path } = played();
    let proxy = Proxy::start(before(&[("hub.test", registry.address())]).hasty()).await;
    let with_token = Ask::get(&path).field("Authorization", "Bearer t1");
    assert_eq!(proxy.get(&path).await.body, bytes);
    assert_eq!(proxy.get(&with_token).await.body, bytes);
    assert_eq!(registry.seen().iter().filter(|seen| seen.method == "GET").count(), 1);
    registry.refuse();
    assert_eq!(proxy.get(&path).await.body, bytes, "asked a moment ago");
    let another = Ask::get(&path).field("Authorization", "Bearer t2");
    assert_eq!(proxy.get(&another).await.status(), 502, "nobody can say whether it may");
}

#[tokio::test]
async fn one_question_and_one_download_are_enough_for_a_crowd() {
    let Played { registry, bytes, path } = played();
    registry.inject(Fault::HoldHead);
    let proxy = Proxy::start(before(&[("hub.test", registry.address())])).await;
    let crowd = proxy.get_n(50, &path);
    registry.until_requests(1).await;
    registry.release();
    for answer in crowd.all().await {
        assert_eq!(answer.unwrap().body, bytes);
    }
    let methods: Vec<_> = registry.seen().iter().map(|seen| seen.method.clone()).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
}

#[tokio::test]
async fn clients_say_which_registry_they_mean() {
    let Played { registry: one, bytes, path } = played();
    let two = Origin::new().run();
    let registries = [("one.test", one.address()), ("two.test", two.address())];
    let proxy = Proxy::start(before(&registries)).await;
    assert_eq!(proxy.get(&path).await.body, bytes, "the first, where nothing is said");
    assert_eq!(proxy.get(format!("{path}?ns=one.test")).await.body, bytes);
    assert_eq!(proxy.get(Ask::get(&path).host("one.test.cache.test:3128")).await.body, bytes);
    assert_eq!(two.requests(), 0);
    assert_eq!(proxy.get(format!("{path}?ns=two.test")).await.status(), 404);
    assert_eq!(proxy.get(Ask::get(&path).host("two.test.cache.test")).await.status(), 404);
    assert!(two.seen().iter().all(|seen| seen.target == path), "what is told to the cache goes no further");
    let unknown = proxy.get(format!("{path}?ns=three.test")).await;
    assert_eq!(unknown.status(), 403);
    assert!(unknown.head.get("Cache-Status").unwrap().contains("registry_not_served"));
}

#[tokio::test]
async fn no_other_way_leads_to_what_a_registry_guards() {
    let Played { registry, bytes, path } = played();
    let hex = path.rsplit(':').next().unwrap();
    let other = Origin::new().run();
    let proxy = Proxy::start(before(&[("hub.test", registry.address())]).with(|config| {
        config.access.targets = vec![TargetShape::Any, TargetShape::Bazel, TargetShape::Debian];
    }));
    let proxy = proxy.await;
    let ask = Ask::get(&path).field("Authorization", "Bearer t1");
    assert_eq!(proxy.get(&ask).await.body, bytes);
    // A server of the client's own choice would say yes to anything.
    for url in [
        other.url(&format!("/cas/{hex}")),
        other.url(&format!("/dists/x/by-hash/SHA256/{hex}")),
        other.url(&path),
    ] {
        assert_eq!(proxy.get(&url).await.status(), 404, "{url}");
    }
    assert_eq!(other.requests(), 3);
}

#[tokio::test]
async fn a_node_asks_in_its_client_s_name() {
    let Played { registry, bytes, path } = played();
    let site = Proxy::start(before(&[("hub.test", registry.address())])).await;
    let node = before(&[("hub.test", registry.address())]).with(|config| {
        config.listen.name = "node".to_owned();
        let url = format!("http://{}", site.address()).parse().unwrap();
        config.parents.push(substratum::config::Parent { url, login: None });
        config.upstream.direct = false;
    });
    let node = Proxy::start(node).await;
    assert_eq!(node.get(Ask::get(&path).field("Authorization", "Bearer t1")).await.body, bytes);
    assert_eq!(node.get(Ask::get(&path).field("Authorization", "Bearer t2")).await.body, bytes);
    let heads = |token: &str| {
        let asked = |seen: &&Seen| seen.method == "HEAD" && seen.get("Authorization") == Some(token);
        registry.seen().iter().filter(asked).count()
    };
    assert_eq!(
        (heads("Bearer t1"), heads("Bearer t2")),
        (1, 1),
        "each token is put before the registry, once"
    );
    assert_eq!(registry.seen().iter().filter(|seen| seen.method == "GET").count(), 1);
}
