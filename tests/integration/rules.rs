//! Rules of RFC 9111 and 9110 for shared caches, each as a stratum and a client see it.

use crate::support::client::{Answer, Ask};
use crate::support::origin::{Origin, Page, Stratum};
use crate::support::proxy::{Proxy, lone};

const PATH: &str = "/file";

async fn serving(page: Page) -> (Stratum, Proxy) {
    let stratum = Origin::new().page(PATH, page).run();
    (stratum, Proxy::start(lone("site").any_target()).await)
}

fn fresh(text: &str) -> Page {
    Page::new(text.to_owned()).field("Cache-Control", "max-age=600")
}

/// Whether the answer to `ask` comes from the store.
async fn is_hit(proxy: &Proxy, stratum: &Stratum, ask: Ask) -> bool {
    let before = stratum.requests();
    let answer = proxy.get(ask).await;
    let hit = answer.get("X-Cache").starts_with("HIT");
    assert_eq!(stratum.requests() == before, hit, "{:?}", answer.head);
    hit
}

#[tokio::test]
async fn answers_to_credentials_are_shared_only_where_they_say_so() {
    for (control, shared) in [
        ("max-age=600", false),
        ("public, max-age=600", true),
        ("s-maxage=600", true),
        ("max-age=600, must-revalidate", true),
        ("max-age=600, proxy-revalidate", false),
    ] {
        let (stratum, proxy) = serving(Page::new("text").field("Cache-Control", control)).await;
        let ask = || Ask::get(stratum.url(PATH)).field("Authorization", "Basic c2VjcmV0");
        assert!(!is_hit(&proxy, &stratum, ask()).await);
        assert_eq!(is_hit(&proxy, &stratum, Ask::get(stratum.url(PATH))).await, shared, "{control}");
        assert_eq!(stratum.seen()[0].get("Authorization"), Some("Basic c2VjcmV0"));
    }
}

#[tokio::test]
async fn vary_is_read_from_all_its_lines() {
    let page = fresh("text").field("Vary", "X-A").field("vary", " x-b ,, X-A,");
    let (stratum, proxy) = serving(page).await;
    let ask = |a: Option<&str>, b: Option<&str>| {
        let fields = [("x-a", a), ("X-B", b)];
        fields.into_iter().fold(Ask::get(stratum.url(PATH)), |ask, (name, value)| match value {
            Some(value) => ask.field(name, value),
            None => ask,
        })
    };
    for (a, b) in
        [(None, None), (Some("1"), None), (None, Some("1")), (Some("1"), Some("1")), (Some(""), None)]
    {
        assert!(!is_hit(&proxy, &stratum, ask(a, b)).await, "{a:?} {b:?}");
    }
    for (a, b) in
        [(None, None), (Some("1"), None), (None, Some("1")), (Some("1"), Some("1")), (Some(""), None)]
    {
        assert!(is_hit(&proxy, &stratum, ask(a, b)).await, "{a:?} {b:?}");
    }
    let miss = proxy.get(ask(Some("2"), None)).await;
    assert!(miss.get("Cache-Status").contains("fwd=vary-miss"), "{:?}", miss.head);
    for star in ["*", "X-A, *"] {
        stratum.set_page("/star", fresh("text").field("Vary", star));
        for _ in 0..2 {
            assert!(!is_hit(&proxy, &stratum, Ask::get(stratum.url("/star"))).await, "{star}");
        }
    }
}

#[tokio::test]
async fn a_304_brings_new_fields_and_leaves_the_body() {
    let page = |lifetime: &str, note: &str| {
        let page = Page::new("text").field("ETag", "\"v1\"").field("Cache-Control", lifetime);
        page.field("X-Note", note).field("Last-Modified", "Sat, 21 Nov 2020 08:00:00 GMT")
    };
    let (stratum, proxy) = serving(page("max-age=0", "one").field("Content-Type", "text/x")).await;
    proxy.get(stratum.url(PATH)).await;
    // Another length and coding than those of what is stored: not of the stored bytes.
    stratum.set_page(PATH, page("max-age=600", "two").field("Content-Encoding", "gzip").field("Age", "5"));
    let confirmed = proxy.get(stratum.url(PATH)).await;
    assert_eq!(stratum.last_seen().get("If-None-Match"), Some("\"v1\""));
    assert_eq!(stratum.last_seen().get("If-Modified-Since"), Some("Sat, 21 Nov 2020 08:00:00 GMT"));
    let hit = proxy.get(stratum.url(PATH)).await;
    assert_eq!(stratum.requests(), 2);
    for answer in [confirmed, hit] {
        assert_eq!((answer.status(), answer.body.as_ref()), (200, &b"text"[..]));
        let told =
            ["X-Note", "Cache-Control", "Content-Type", "Content-Encoding"].map(|name| answer.get(name));
        assert_eq!(told, ["two", "max-age=600", "text/x", ""]);
        assert!(answer.get("Age").parse::<u64>().unwrap() >= 5);
    }
}

#[tokio::test]
async fn clients_bound_age_and_freshness() {
    let (stratum, proxy) = serving(fresh("text").field("Age", "100")).await;
    proxy.get(stratum.url(PATH)).await;
    let says = |value: &str| Ask::get(stratum.url(PATH)).field("Cache-Control", value);
    for (value, hit) in [
        ("max-age=500", true),
        ("max-age=50", false),
        ("min-fresh=100", true),
        ("min-fresh=550", false),
        ("max-stale=5", true),
        ("no-cache", false),
    ] {
        assert_eq!(is_hit(&proxy, &stratum, says(value)).await, hit, "{value}");
    }
    let stale = |control: &str| {
        Page::new("text").field("Cache-Control", control).field("Age", "700").field("ETag", "\"v1\"")
    };
    for (control, value, hit) in [
        ("max-age=600", "max-stale", true),
        ("max-age=600", "max-stale=1000", true),
        ("max-age=600", "max-stale=10", false),
        ("max-age=600", "max-stale, min-fresh=1", false),
        ("max-age=600, must-revalidate", "max-stale", false),
        ("max-age=600, proxy-revalidate", "max-stale", false),
        ("s-maxage=600", "max-stale", false),
    ] {
        let (stratum, proxy) = serving(stale(control)).await;
        proxy.get(stratum.url(PATH)).await;
        let ask = Ask::get(stratum.url(PATH)).field("Cache-Control", value);
        assert_eq!(is_hit(&proxy, &stratum, ask).await, hit, "{control}: {value}");
    }
}

#[tokio::test]
async fn statuses_are_kept_as_they_say_and_few_without_a_word() {
    let modified = ("Last-Modified", "Sat, 21 Nov 2020 08:00:00 GMT");
    let explicit = ("Cache-Control", "max-age=600");
    for (status, field, kept) in [
        (200, explicit, true),
        (203, explicit, true),
        (204, explicit, true),
        (301, explicit, true),
        (302, explicit, true),
        (307, explicit, true),
        (308, explicit, true),
        (404, explicit, true),
        (410, explicit, true),
        (200, modified, true),
        (301, modified, true),
        (308, modified, true),
        (404, modified, true),
        (410, modified, true),
        (302, modified, false),
        (307, modified, false),
        (403, modified, false),
        (500, modified, false),
        (502, modified, false),
        (503, modified, false),
        (504, modified, false),
        (201, explicit, true),
    ] {
        let body = if status == 204 { "" } else { "text" };
        let page = Page::new(body).status(status).field(field.0, field.1).field("Location", "/elsewhere");
        let (stratum, proxy) = serving(page).await;
        let first: Answer = proxy.get(stratum.url(PATH)).await;
        assert_eq!((first.status(), first.get("Location")), (status, "/elsewhere"));
        assert_eq!(is_hit(&proxy, &stratum, Ask::get(stratum.url(PATH))).await, kept, "{status} {field:?}");
    }
}

#[tokio::test]
async fn no_coding_is_added_or_taken_away() {
    let packed = [0x1f, 0x8b, 8, 0, 0xff, 0x0d, 0x0a, 0x0d, 0x0a];
    let coded =
        Page::new(packed.to_vec()).field("Content-Encoding", "gzip").field("Cache-Control", "max-age=600");
    let (stratum, proxy) = serving(coded.field("Vary", "Accept-Encoding")).await;
    let ask = Ask::get(stratum.url(PATH)).field("Accept-Encoding", "gzip, x-unknown;q=0.5");
    for _ in 0..2 {
        let answer = proxy.get(&ask).await;
        assert_eq!((answer.get("Content-Encoding"), answer.body.as_ref()), ("gzip", &packed[..]));
    }
    assert_eq!(stratum.last_seen().get("Accept-Encoding"), Some("gzip, x-unknown;q=0.5"));
    stratum.set_page("/plain", fresh("text"));
    let plain = proxy.get(stratum.url("/plain")).await;
    assert_eq!((plain.get("Content-Encoding"), plain.body.as_ref()), ("", &b"text"[..]));
    assert_eq!(stratum.last_seen().get("Accept-Encoding"), None);
}
