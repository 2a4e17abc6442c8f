//! The fixtures and the stratum that serves them are what the other plays take them for.

use std::fs;

use substratum::digest::{Algorithm, ObjectName};

use crate::support::client::{Ask, Client};
use crate::support::fixtures;
use crate::support::object::Object;
use crate::support::origin::{Fault, Form, Origin};
use crate::support::repository::{REVISIONS, Revision, rows};

#[test]
fn every_file_is_as_listed() {
    let list = fs::read_to_string(fixtures().join("MANIFEST.tsv")).unwrap();
    let mut files = 0;
    for row in rows(&list) {
        let bytes = fs::read(fixtures().join(row[0])).unwrap_or_else(|error| panic!("{}: {error}", row[0]));
        assert_eq!(bytes.len().to_string(), row[1], "{}", row[0]);
        assert_eq!(ObjectName::of(Algorithm::Sha1, &bytes).to_string(), row[2], "{}", row[0]);
        files += 1;
    }
    assert_eq!(files, 616);
}

#[test]
fn a_cold_client_asks_as_often_as_published() {
    let gets: Vec<usize> =
        REVISIONS[..3].iter().map(|&(name, n)| Revision::read(name, n).cold_urls().len()).collect();
    assert_eq!(gets, [465, 478, 490]);
}

#[tokio::test]
async fn the_stratum_has_the_header_fields_of_a_stratum() {
    let stratum = Origin::new().fixtures().revision("images.test.local", 1).run();
    let mut client = Client::of(stratum.address());
    let table = [
        ("/cvmfs/images.test.local/.cvmfspublished", 200, "max-age=61", "application/x-cvmfs"),
        ("/cvmfs/info/v1/meta.json", 200, "max-age=61", "application/json"),
        (
            "/cvmfs/images.test.local/data/e8/ec3d88b62ebf526e4e5a4ff6162a3aa48a6b78",
            200,
            "max-age=259200",
            "",
        ),
        ("/cvmfs/images.test.local/data/00/0000", 404, "", ""),
        ("/cvmfs/extdata/store/dir%20with%20space/table%3D1%26x+y.txt", 200, "", ""),
    ];
    for (path, status, freshness, media) in table {
        let answer = client.ask(path).await.unwrap();
        assert_eq!((answer.status(), answer.get("Cache-Control")), (status, freshness), "{path}");
        assert!(media.is_empty() || answer.get("Content-Type") == media, "{path}");
    }
    let manifest = client.ask(table[0].0).await.unwrap();
    assert!(manifest.body.windows(3).any(|line| line == b"\nS1"));
    let part = Ask::get("/cvmfs/extdata/store/hello.txt").range(3, 6);
    let part = client.ask(part).await.unwrap();
    assert_eq!((part.status(), part.get("Content-Range"), part.body.len()), (206, "bytes 3-6/15", 4));
    assert_eq!(stratum.connections(), 1);
    assert_eq!(stratum.requests_for(".cvmfspublished"), 2);
    assert_eq!(stratum.last_seen().form(), Form::Origin);
}

#[tokio::test]
async fn the_stratum_misbehaves_as_told() {
    let object = Object::generate(1, 100_000);
    let stratum = Origin::new().object(&object).run();
    let faults = [
        (Fault::Truncate(10), "short body: 10 bytes, 100000 announced"),
        (Fault::Reset(70_000), "short body"),
        (Fault::WrongLength(1), "short body: 100000 bytes, 100001 announced"),
        (Fault::CloseUnanswered, "closed without an answer"),
        (Fault::GarbageHead, "malformed head"),
        (Fault::BadChunk(10), "bad chunk"),
        (Fault::Interim, "interim answer 103"),
        (Fault::OverLong(3), ""),
        (Fault::Chunked, ""),
        (Fault::CloseDelimited, ""),
        (Fault::CloseAfter, ""),
    ];
    for (fault, expected) in faults {
        stratum.inject(fault.clone().times(1));
        match Client::of(stratum.address()).ask(object.path()).await {
            Ok(answer) => assert!(expected.is_empty() && answer.body == object.bytes, "{fault:?}"),
            Err(error) => assert!(
                !expected.is_empty() && error.to_string().contains(expected),
                "{fault:?}: {error}, not {expected}"
            ),
        }
    }
    stratum.inject(Fault::Flip(99_999).on("/data/").times(1));
    let mut client = Client::of(stratum.address());
    let damaged = client.ask(object.path()).await.unwrap().body;
    assert_eq!((damaged.len(), damaged[99_998]), (100_000, object.bytes[99_998]));
    assert_ne!(damaged, object.bytes);
    assert_eq!(client.ask(object.path()).await.unwrap().body, object.bytes, "the rule is used up");
}

#[tokio::test]
async fn the_stratum_holds_back_until_released() {
    let object = Object::generate(2, 5_000);
    let stratum = Origin::new().object(&object).hold_after(1_024).run();
    let mut client = Client::with_small_buffer(stratum.address());
    let ask = Ask::get(object.path());
    client.send(&ask).await.unwrap();
    stratum.until_requests(1).await;
    assert_eq!(client.head().await.unwrap().content_length(), Some(5_000));
    assert_eq!(client.take(1_024).await.unwrap(), object.bytes[..1_024]);
    stratum.release();
    assert_eq!(client.take(3_976).await.unwrap(), object.bytes[1_024..]);
    assert_eq!(stratum.sent(), 5_000);
}
