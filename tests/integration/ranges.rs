//! Parts of objects and of documents: single, several, conditional, out of bounds (RFC 9110 §14).

use substratum::config::ByteSize;

use crate::support::client::{Answer, Ask, ClientError};
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page};
use crate::support::proxy::{Proxy, lone, site};

pub(crate) const LEN: usize = 600_000;

/// The bytes of each part, with the range it says it is, out of a `multipart/byteranges` answer.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary = answer.get("Content-Type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let (mut rest, mut parts) = (&answer.body[..], Vec::new());
    let find = |text: &[u8], needle: &str| text.windows(needle.len()).position(|w| w == needle.as_bytes());
    let mut delimiter = format!("--{boundary}\r\n");
    while let Some(at) = find(rest, &delimiter) {
        assert_eq!(at, 0, "something stands between the parts");
        rest = &rest[delimiter.len()..];
        let head = find(rest, "\r\n\r\n").unwrap();
        let range = std::str::from_utf8(&rest[..head]).unwrap();
        let range = range.lines().find_map(|line| line.strip_prefix("Content-Range: ")).unwrap();
        rest = &rest[head + 4..];
        let end = find(rest, &format!("\r\n--{boundary}")).unwrap();
        parts.push((range.to_owned(), rest[..end].to_vec()));
        rest = &rest[end..];
        delimiter = format!("\r\n--{boundary}\r\n");
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
    parts
}

/// Every kind of range of an object of [`LEN`] bytes.
pub(crate) async fn check(proxy: &Proxy, url: &str, bytes: &[u8], tag: &str) {
    let len = bytes.len();
    let last = bytes.len() - 1;
    let single = [
        ("bytes=0-0", 0..1),
        ("bytes=1000-300999", 1000..301_000),
        ("bytes=599990-", 599_990..len),
        ("bytes=-10", 599_990..len),
        ("bytes=599990-9999999", 599_990..len),
        ("bytes=0-9,5-19,20-29", 0..30),
    ];
    for (range, expected) in single {
        let answer = proxy.get(Ask::get(url).field("Range", range)).await;
        assert_eq!((answer.status(), answer.body.len()), (206, expected.len()), "{url} {range}");
        assert!(answer.body[..] == bytes[expected.clone()], "{url} {range}");
        let told = format!("bytes {}-{}/{len}", expected.start, expected.end - 1);
        assert_eq!(answer.get("Content-Range"), told);
    }
    let answer = proxy.get(Ask::get(url).field("Range", "bytes=300000-300009,0-4,-7")).await;
    assert_eq!(answer.status(), 206, "{url}");
    assert_eq!(answer.get("Content-Length"), answer.body.len().to_string());
    let expected = [300_000..300_010, 0..5, last - 6..len];
    let expected = expected.map(|r| (format!("bytes {}-{}/{len}", r.start, r.end - 1), bytes[r].to_vec()));
    assert_eq!(parts(&answer), expected, "{url}");

    let answer = proxy.get(Ask::get(url).field("Range", format!("bytes={len}-"))).await;
    assert_eq!((answer.status(), answer.get("Content-Range")), (416, &*format!("bytes */{len}")), "{url}");
    for (if_range, status) in [(tag, 206), ("\"other\"", 200), (&*format!("W/{tag}"), 200)] {
        let ask = Ask::get(url).field("Range", "bytes=0-4,9000-9004").field("If-Range", if_range);
        assert_eq!(proxy.get(ask).await.status(), status, "{url} If-Range: {if_range}");
    }
    let many = format!("bytes={}", vec!["0-0,9000-9000"; 40].join(","));
    assert_eq!(proxy.get(Ask::get(url).field("Range", many)).await.status(), 200, "{url}: too many");
}

#[tokio::test]
async fn of_an_object_in_memory() {
    let object = Object::generate(1, LEN);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum])).await;
    let url = stratum.url(&object.path());
    proxy.get(url.clone()).await;
    let tag = proxy.get(url.clone()).await.get("ETag").to_owned();
    check(&proxy, &url, &object.bytes, &tag).await;
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn of_an_object_on_disk() {
    let object = Object::generate(2, LEN);
    let stratum = Origin::new().object(&object).run();
    let proxy = Proxy::start(site(&[&stratum]).disk(ByteSize::mib(64)).no_memory()).await;
    let url = stratum.url(&object.path());
    let tag = proxy.get(url.clone()).await.get("ETag").to_owned();
    check(&proxy, &url, &object.bytes, &tag).await;
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn of_a_document() {
    let bytes = Object::generate(3, LEN).bytes;
    let page = Page::new(bytes.clone()).field("Cache-Control", "max-age=600").field("ETag", "\"v1\"");
    let stratum = Origin::new().page("/file", page).run();
    let proxy = Proxy::start(lone("site").any_target()).await;
    let url = stratum.url("/file");
    proxy.get(url.clone()).await;
    check(&proxy, &url, &bytes, "\"v1\"").await;
    assert_eq!(stratum.requests(), 1);
}

#[tokio::test]
async fn a_range_that_is_not_here_fetches_the_object_and_passes_a_document_on() {
    let object = Object::generate(4, LEN);
    let page = Page::new(object.bytes.clone()).field("Cache-Control", "max-age=600");
    let stratum = Origin::new().object(&object).page("/file", page).run();
    let proxy = Proxy::start(lone("site").any_target()).await;
    let part = proxy.get(Ask::get(stratum.url(&object.path())).range(9, 20)).await;
    assert!((part.status(), &part.body[..]) == (206, &object.bytes[9..21]));
    let whole = proxy.get(stratum.url(&object.path())).await;
    assert!(whole.body == object.bytes && stratum.requests() == 1, "{}", stratum.requests());

    for asked in [2, 3] {
        // Without a validator nothing holds parts together: it is not kept.
        proxy.get(Ask::get(stratum.url("/file")).range(9, 20)).await;
        assert_eq!(stratum.last_seen().get("Range"), Some("bytes=9-20"));
        assert_eq!(stratum.requests(), asked);
    }
}

fn version(bytes: &[u8], tag: &str) -> Page {
    Page::new(bytes.to_vec()).field("Cache-Control", "max-age=600").field("ETag", format!("\"{tag}\""))
}

#[tokio::test]
async fn parts_of_a_document_are_kept_and_come_together() {
    let bytes = Object::generate(5, LEN).bytes;
    let stratum = Origin::new().page("/file", version(&bytes, "v1")).run();
    let proxy = Proxy::start(lone("site").any_target()).await;
    let part = async |first: u64, last: u64, asked: usize, told: &str| {
        let answer = proxy.get(Ask::get(stratum.url("/file")).range(first, last)).await;
        assert!(answer.status() == 206 && answer.body[..] == bytes[first as usize..=last as usize]);
        let status: Vec<_> =
            answer.get("Cache-Status").split("; ").filter(|word| !word.starts_with("ttl=")).collect();
        assert_eq!(status.join("; "), format!("site; {told}"));
        assert_eq!(stratum.requests(), asked);
    };
    part(0, 299_999, 1, "fwd=uri-miss; fwd-status=206; detail=part").await;
    part(1000, 1999, 1, "hit; detail=parts").await;
    part(400_000, LEN as u64 - 1, 2, "fwd=partial; fwd-status=206; detail=part").await;
    part(400_000, 500_000, 2, "hit; detail=parts").await;
    part(250_000, 450_000, 3, "fwd=partial; fwd-status=206; detail=part").await;
    let whole = proxy.get(stratum.url("/file")).await;
    assert!((whole.status(), whole.body) == (200, bytes.clone()) && stratum.requests() == 3);
    check(&proxy, &stratum.url("/file"), &bytes, "\"v1\"").await;
    assert_eq!(stratum.requests(), 3);
}

#[tokio::test]
async fn parts_of_different_versions_never_meet() {
    let (old, new) = (Object::generate(6, LEN).bytes, Object::generate(7, LEN).bytes);
    let stratum = Origin::new().page("/file", version(&old, "v1")).run();
    let proxy = Proxy::start(lone("site").any_target()).await;
    let url = stratum.url("/file");
    proxy.get(Ask::get(&url).range(0, 299_999)).await;
    stratum.set_page("/file", version(&new, "v2"));
    let rest = proxy.get(Ask::get(&url).range(300_000, LEN as u64 - 1)).await;
    assert!(rest.body[..] == new[300_000..]);
    let first = proxy.get(Ask::get(&url).range(0, 299_999)).await;
    assert!(first.body[..] == new[..300_000] && stratum.requests() == 3);
    assert!(proxy.get(&url).await.body == new && stratum.requests() == 3);
}

#[tokio::test]
async fn a_part_that_broke_off_is_fetched_again() {
    let bytes = Object::generate(8, LEN).bytes;
    let stratum =
        Origin::new().page("/file", version(&bytes, "v1")).fault(Fault::Truncate(100_000).times(1)).run();
    let proxy = Proxy::start(lone("site").any_target()).await;
    let ask = Ask::get(stratum.url("/file")).range(0, 299_999);
    assert!(matches!(proxy.ask(&ask).await, Err(ClientError::Short { .. } | ClientError::Io(_))));
    let again = proxy.get(&ask).await;
    assert!(again.body[..] == bytes[..300_000] && stratum.requests() == 2);
}
