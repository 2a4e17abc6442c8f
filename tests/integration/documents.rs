//! What is not named by its checksum: manifests and their like, by the rules of RFC 9111, and a little beyond.

use std::time::Duration;

use substratum::config::{Config, TargetShape};

use crate::support::client::{Answer, Ask};
use crate::support::metric::metric;
use crate::support::origin::{Origin, Page, Stratum};
use crate::support::proxy::{Proxy, lone, node, site};

const PATH: &str = "/cvmfs/a.test.local/.cvmfs_document";
const MANIFEST: &str = "/cvmfs/images.test.local/.cvmfspublished";

async fn serving(page: Page) -> (Stratum, Proxy) {
    let stratum = Origin::new().page(PATH, page).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    (stratum, proxy)
}

fn age(answer: &Answer) -> u64 {
    answer.get("Age").parse().unwrap_or_else(|_| panic!("no Age in {:?}", answer.head))
}

#[tokio::test]
async fn what_may_be_kept_is_kept() {
    let fields = [
        ("Cache-Control", "max-age=60"),
        ("Cache-Control", "MAX-AGE=60"),
        ("Cache-Control", "public, max-age=60, something-new"),
        ("Cache-Control", "max-age=0, s-maxage=60"),
        ("Expires", "Fri, 31 Dec 2100 23:59:59 GMT"),
    ];
    for (name, value) in fields {
        let (stratum, proxy) = serving(Page::new("text").field(name, value)).await;
        let first = proxy.get(stratum.url(PATH)).await;
        let second = proxy.get(stratum.url(PATH)).await;
        assert_eq!((first.status(), &first.body), (200, &second.body));
        assert!(second.get("X-Cache").starts_with("HIT"), "{name}: {value}: {:?}", second.head);
        assert!(age(&second) < 30);
        assert_eq!(stratum.requests(), 1, "{name}: {value}");
    }
}

#[tokio::test]
async fn what_may_not_be_kept_is_not() {
    let fields = [
        ("Cache-Control", "no-store"),
        ("Cache-Control", "No-Store, max-age=60"),
        ("Cache-Control", "private, max-age=60"),
        ("Cache-Control", "no-cache, max-age=60"),
        ("Cache-Control", "max-age=0"),
        ("Cache-Control", "max-age=60, s-maxage=0"),
        ("Expires", "0"),
        ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    for (name, value) in fields {
        let (stratum, proxy) = serving(Page::new("text").field(name, value)).await;
        for _ in 0..2 {
            let answer = proxy.get(stratum.url(PATH)).await;
            assert_eq!((answer.status(), answer.body.as_ref()), (200, b"text".as_slice()));
        }
        assert_eq!(stratum.requests(), 2, "{name}: {value}");
    }
}

#[tokio::test]
async fn errors_are_passed_on_and_not_kept() {
    for status in [404, 403, 500, 503] {
        let (stratum, proxy) = serving(Page::new("trouble").status(status)).await;
        for _ in 0..2 {
            let answer = proxy.get(stratum.url(PATH)).await;
            match status {
                // A stratum's own trouble is a host error towards the client, by whatever 5xx: the status of a
                // refusal would make it leave this cache.
                403 | 500.. => assert!(answer.status() >= 500, "{status}: {}", answer.status()),
                _ => assert_eq!(answer.status(), status),
            }
        }
        stratum.set_page(PATH, Page::new("fine"));
        assert_eq!(proxy.get(stratum.url(PATH)).await.status(), 200, "after {status}");
    }
}

#[tokio::test]
async fn a_chain_does_not_lengthen_a_lifetime() {
    let page = Page::new("text").field("Cache-Control", "max-age=600").field("Age", "500");
    let stratum = Origin::new().page(PATH, page).run();
    let site = Proxy::start(site(&[&stratum])).await;
    let node = Proxy::start(node(&site, &[&stratum])).await;
    for _ in 0..2 {
        let answer = node.get(stratum.url(PATH)).await;
        assert!((500..530).contains(&age(&answer)), "{:?}", answer.head);
    }
    assert_eq!(stratum.requests(), 1);

    stratum.set_page(PATH, Page::new("text").field("Cache-Control", "max-age=61").field("Age", "61"));
    let other = format!("{PATH}?stale-on-arrival");
    stratum.set_page(&other, Page::new("text").field("Cache-Control", "max-age=61").field("Age", "61"));
    for _ in 0..2 {
        assert_eq!(node.get(stratum.url(&other)).await.status(), 200);
    }
    assert_eq!(stratum.requests_for("stale-on-arrival"), 2);
}

#[tokio::test]
async fn the_client_s_own_conditions_are_answered_from_the_store() {
    let page = Page::new("text")
        .field("Cache-Control", "max-age=60")
        .field("ETag", "\"v1\"")
        .field("Last-Modified", "Sat, 21 Nov 2020 08:00:00 GMT");
    let (stratum, proxy) = serving(page).await;
    proxy.get(stratum.url(PATH)).await;
    let table = [
        ("If-None-Match", "\"v1\"", 304),
        ("If-None-Match", "W/\"v1\"", 304),
        ("If-None-Match", "\"v0\", \"v1\"", 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"v0\"", 200),
        ("If-Modified-Since", "Sat, 21 Nov 2020 08:00:00 GMT", 304),
        ("If-Modified-Since", "Sun, 22 Nov 2020 08:00:00 GMT", 304),
        ("If-Modified-Since", "Fri, 20 Nov 2020 08:00:00 GMT", 200),
        ("If-Modified-Since", "yesterday", 200),
    ];
    for (name, value, status) in table {
        let answer = proxy.get(Ask::get(stratum.url(PATH)).field(name, value)).await;
        assert_eq!(answer.status(), status, "{name}: {value}");
        assert_eq!(answer.get("ETag"), "\"v1\"", "{name}: {value}");
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn a_stale_document_is_asked_about_not_for() {
    let page = |version: &str| {
        Page::new(format!("text {version}"))
            .field("Cache-Control", "max-age=0")
            .field("ETag", format!("\"{version}\""))
    };
    let (stratum, proxy) = serving(page("v1")).await;
    proxy.get(stratum.url(PATH)).await;
    let confirmed = proxy.get(stratum.url(PATH)).await;
    assert_eq!((confirmed.status(), confirmed.body.as_ref()), (200, b"text v1".as_slice()));
    assert_eq!(stratum.last_seen().get("If-None-Match"), Some("\"v1\""));
    stratum.set_page(PATH, page("v2"));
    assert_eq!(proxy.get(stratum.url(PATH)).await.body.as_ref(), b"text v2");
}

#[tokio::test]
async fn queries_and_vary_tell_documents_apart() {
    let (stratum, proxy) = serving(Page::new("plain").field("Cache-Control", "max-age=60")).await;
    let queries = ["?a=1&b=2", "?b=2&a=1", "?A=1&b=2", "?", ""];
    for query in queries {
        let path = format!("{PATH}{query}");
        stratum.set_page(&path, Page::new(path.clone()).field("Cache-Control", "max-age=60"));
    }
    for _ in 0..2 {
        for query in queries {
            let path = format!("{PATH}{query}");
            assert_eq!(proxy.get(stratum.url(&path)).await.body, path.as_bytes());
        }
    }
    assert_eq!(stratum.requests(), queries.len());

    let varying = format!("{PATH}?vary");
    stratum.set_page(&varying, Page::new("v").field("Cache-Control", "max-age=60").field("Vary", "X-Which"));
    stratum.forget();
    for which in ["one", "two", "one", "two"] {
        proxy.get(Ask::get(stratum.url(&varying)).field("X-Which", which)).await;
    }
    assert_eq!(stratum.requests(), 2);
}

#[tokio::test]
async fn client_directives_are_honoured() {
    let (stratum, proxy) = serving(Page::new("text").field("Cache-Control", "max-age=60")).await;
    let only_if_cached = Ask::get(stratum.url(PATH)).field("Cache-Control", "only-if-cached");
    assert_eq!(proxy.get(&only_if_cached).await.status(), 504);
    assert_eq!(stratum.requests(), 0);
    proxy.get(stratum.url(PATH)).await;
    assert_eq!(proxy.get(&only_if_cached).await.status(), 200);
    assert_eq!(stratum.requests(), 1);
    for directive in ["no-cache", "max-age=0"] {
        stratum.forget();
        proxy.get(Ask::get(stratum.url(PATH)).field("Cache-Control", directive)).await;
        assert_eq!(stratum.requests(), 1, "{directive}");
    }
}

#[tokio::test]
async fn many_readers_of_a_cold_document_cost_one_request() {
    let page = Page::new("text").field("Cache-Control", "max-age=60");
    let stratum = Origin::new().page(PATH, page).fault(crate::support::origin::Fault::HoldHead).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let readers = proxy.get_n(50, stratum.url(PATH));
    stratum.until_requests(1).await;
    stratum.release();
    for answer in readers.all().await {
        assert_eq!(answer.unwrap().body.as_ref(), b"text");
    }
    assert_eq!(stratum.requests(), 1);
}

fn revision(answer: &Answer) -> String {
    assert_eq!(answer.status(), 200, "{:?}", answer.head);
    let text = String::from_utf8_lossy(&answer.body);
    text.lines().find(|line| line.starts_with('S')).unwrap().to_owned()
}

#[tokio::test]
async fn a_manifest_never_goes_back_in_time() {
    let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO);
    let stratum = origin.revision("images.test.local", 2).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let ask = Ask::get(stratum.url(MANIFEST));
    assert_eq!(revision(&proxy.get(&ask).await), "S2");
    stratum.set_revision("images.test.local", 1);
    for _ in 0..2 {
        assert_eq!(revision(&proxy.get(&ask).await), "S2", "a mirror that lags behind");
    }
    assert_eq!(revision(&proxy.get(ask.clone().no_cache()).await), "S2");
    stratum.set_revision("images.test.local", 3);
    assert_eq!(revision(&proxy.get(&ask).await), "S3");
}

#[tokio::test]
async fn while_the_stratum_is_down_its_last_manifest_is_served() {
    let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO);
    let mut stratum = origin.revision("images.test.local", 2).run();
    let proxy = Proxy::start(site(&[&stratum]).hasty()).await;
    let url = stratum.url(MANIFEST);
    assert_eq!(revision(&proxy.get(&url).await), "S2");
    stratum.inject(crate::support::origin::Fault::Status(503));
    assert_eq!(revision(&proxy.get(&url).await), "S2", "in trouble");
    stratum.refuse();
    let answer = proxy.get(&url).await;
    assert_eq!(revision(&answer), "S2", "gone");
    assert!(!answer.get("Age").is_empty());
}

#[tokio::test]
async fn must_revalidate_forbids_stale_answers() {
    let page = Page::new("text").field("Cache-Control", "max-age=0, must-revalidate");
    let mut stratum = Origin::new().page(PATH, page).run();
    let proxy = Proxy::start(site(&[&stratum]).hasty()).await;
    assert_eq!(proxy.get(stratum.url(PATH)).await.status(), 200);
    let url = stratum.url(PATH);
    stratum.refuse();
    assert!(matches!(proxy.get(&url).await.status(), 502 | 504));
}

#[tokio::test]
async fn while_all_strata_are_down_manifest_and_whitelist_are_served_and_marked_stale() {
    let whitelist = MANIFEST.replace(".cvmfspublished", ".cvmfswhitelist");
    let stratum = || {
        let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO);
        origin.revision("images.test.local", 2).page(&whitelist, Page::new("whitelist")).run()
    };
    let mut strata = [stratum(), stratum()];
    let proxy = Proxy::start(site(&[&strata[0], &strata[1]]).hasty()).await;
    let urls = [MANIFEST, &whitelist].map(|path| strata[0].url(path));
    let mut good = Vec::new();
    for url in &urls {
        good.push(proxy.get(url).await.body);
    }
    strata.iter_mut().for_each(Stratum::refuse);
    for _ in 0..3 {
        for (url, good) in urls.iter().zip(&good) {
            let answer = proxy.get(url).await;
            assert_eq!((answer.status(), &answer.body), (200, good), "{url}");
            let told = answer.get("Cache-Status");
            assert!(told.contains("stale"), "{url}: {told}");
        }
    }
    proxy.until(crate::support::metric::metric("substratum_document_stale_total").eq(6)).await;
}

#[tokio::test]
async fn no_mirror_of_a_group_takes_a_client_back_in_time_whichever_it_names() {
    let stratum = |revision| {
        let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO);
        origin.revision("images.test.local", revision).run()
    };
    let mut strata = [stratum(1), stratum(3), stratum(2)];
    let proxy = Proxy::start(site(&[&strata[0], &strata[1], &strata[2]]).hasty()).await;
    let urls = [0, 1, 2].map(|n: usize| strata[n].url(MANIFEST));
    assert_eq!(revision(&proxy.get(&urls[0]).await), "S1");
    assert_eq!(revision(&proxy.get(&urls[1]).await), "S3");
    for round in 0..3 {
        for url in &urls {
            assert_eq!(revision(&proxy.get(url).await), "S3", "round {round}: {url}");
        }
        // The newest one goes first, then the others, down to none.
        strata[(round + 1) % 3].refuse();
    }
}

#[tokio::test]
async fn many_readers_of_a_stale_manifest_cost_one_question() {
    let origin = Origin::new().fixtures().document_lifetime(Duration::ZERO);
    let stratum = origin.revision("images.test.local", 2).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let url = stratum.url(MANIFEST);
    assert_eq!(revision(&proxy.get(&url).await), "S2");
    stratum.set_revision("images.test.local", 3);
    stratum.inject(crate::support::origin::Fault::HoldHead.times(1));
    let readers = proxy.get_n(50, &url);
    stratum.until_requests(2).await;
    proxy.until(crate::support::metric::metric("substratum_connections").eq(50)).await;
    stratum.release();
    for answer in readers.all().await {
        assert_eq!(revision(&answer.unwrap()), "S3");
    }
    // Whoever came after the answer asks anew: it is good for no time at all.
    assert!(stratum.requests() < 10, "{} questions", stratum.requests());
}

#[tokio::test]
async fn an_operator_s_word_counts_where_the_answer_does_not_forbid_it() {
    let rules = "[[documents]]\nmatch = \"127.0.0.1/mute*\"\nttl = \"1 h\"\nnegative_ttl = \"1 h\"\n\
                 [[documents]]\nmatch = \"*/*\"\nttl = \"0 s\"\nstale_while_revalidate = \"1 h\"\n";
    let rules = Config::parse(rules, std::path::Path::new("rules.toml")).unwrap().documents;
    let stratum = Origin::new()
        .page("/mute", Page::new("text"))
        .page("/mute/none", Page::new("none").status(404))
        .page("/mute/secret", Page::new("text").field("Cache-Control", "private"))
        .page("/other", Page::new("old").field("ETag", "\"v1\""))
        .run();
    let proxy = Proxy::start(lone("site").any_target().with(|config| config.documents = rules)).await;
    for (path, asked) in [("/mute", 1), ("/mute/none", 1), ("/mute/secret", 2)] {
        stratum.forget();
        for _ in 0..2 {
            proxy.get(stratum.url(path)).await;
        }
        assert_eq!(stratum.requests(), asked, "{path}");
    }
    stratum.forget();
    assert_eq!(proxy.get(stratum.url("/other")).await.body, "old");
    stratum.set_page("/other", Page::new("new").field("ETag", "\"v2\""));
    let meanwhile = proxy.get(stratum.url("/other")).await;
    assert_eq!(meanwhile.body, "old");
    assert!(meanwhile.get("Cache-Status").ends_with("detail=stale_while_revalidate"), "{:?}", meanwhile.head);
    proxy.until(metric("substratum_document_refreshes_total").label("result", "fetched").eq(4)).await;
    assert_eq!(proxy.get(stratum.url("/other")).await.body, "new");
}

#[tokio::test]
async fn a_frontier_query_is_validated_and_stands_in() {
    let query = "/atlr/Frontier/type=frontier_request:1:DEFAULT&encoding=BLOBzip5&p1=eNp1";
    let page = Page::new("rows")
        .field("Cache-Control", "max-age=0, stale-if-error=600")
        .field("Last-Modified", "Sat, 21 Nov 2020 08:00:00 GMT");
    let mut stratum = Origin::new().page(query, page).run();
    let frontier_only = |config: &mut Config| config.access.targets = vec![TargetShape::Frontier];
    let proxy = Proxy::start(lone("site").with(frontier_only)).await;
    let ask = || Ask::get(stratum.url(query)).field("X-Frontier-Id", "job-7");
    assert_eq!(proxy.get(ask()).await.body, "rows");
    assert_eq!(stratum.last_seen().get("X-Frontier-Id"), Some("job-7"));

    stratum
        .set_page(query, Page::new("").status(304).field("Cache-Control", "max-age=0, stale-if-error=600"));
    let validated = proxy.get(ask()).await;
    assert_eq!((validated.status(), &validated.body[..]), (200, &b"rows"[..]));
    assert_eq!(stratum.last_seen().get("If-Modified-Since"), Some("Sat, 21 Nov 2020 08:00:00 GMT"));
    let own = ask().field("If-Modified-Since", "Sat, 21 Nov 2020 08:00:00 GMT");
    assert_eq!(proxy.get(own).await.status(), 304);

    let ask = ask();
    stratum.refuse();
    let stale = proxy.get(ask).await;
    assert_eq!(stale.body, "rows");
    assert!(stale.get("Cache-Status").ends_with("detail=stale_if_error"), "{:?}", stale.head);
}
