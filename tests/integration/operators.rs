//! What operators see of a running program: health, metrics, status, the page, the access log.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::binary::{Binary, config_text};
use crate::support::client::{Answer, Ask};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page};
use crate::support::{LOOK_AGAIN, PATIENCE};

#[tokio::test]
async fn health_status_and_a_page() {
    let stratum = Origin::new().run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let mut admin = binary.admin().await;
    for (path, media) in [
        ("/livez", "text/plain"),
        ("/readyz", "text/plain"),
        ("/metrics", "text/plain"),
        ("/status", "application/json"),
        ("/", "text/html"),
    ] {
        let answer = admin.ask(path).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.get("Content-Type").starts_with(media), "{path}: {:?}", answer.head);
        assert!(!answer.body.is_empty(), "{path}");
    }
    assert_eq!(admin.ask("/nothing").await.unwrap().status(), 404);
    assert_eq!(admin.ask(Ask::get("/metrics").method("POST")).await.unwrap().status(), 405);
    let status = admin.ask("/status").await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    assert_eq!(status["name"], "binary");
}

#[tokio::test]
async fn the_admin_port_proxies_nothing() {
    let object = Object::generate(1, 100);
    let stratum = Origin::new().object(&object).run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let mut admin = binary.admin().await;
    for target in [object.path(), stratum.url(&object.path())] {
        assert_eq!(admin.ask(target).await.unwrap().status(), 404);
    }
    assert_eq!(stratum.requests(), 0);
}

#[tokio::test]
async fn draining_is_told_to_whoever_sends_clients() {
    let object = Object::generate(2, 1_500_000);
    let stratum = Origin::new().object(&object).hold_after(1_000_000).run();
    let mut binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let mut admin = binary.admin().await;
    let ask = Ask::get(stratum.url(&object.path()));
    let mut client = binary.client();
    client.send(&ask).await.unwrap();
    client.head().await.unwrap();
    binary.terminate();
    let drains = tokio::time::timeout(PATIENCE, async {
        while admin.ask("/readyz").await.unwrap().status() != 503 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    assert!(drains.await.is_ok());
    assert_eq!(admin.ask("/livez").await.unwrap().status(), 200);
    stratum.release();
    assert!(client.take(object.bytes.len()).await.unwrap() == object.bytes);
    assert_eq!(binary.exit().await.code(), Some(0));
}

#[tokio::test]
async fn hits_misses_and_culprits_are_counted() {
    let object = Object::generate(3, 30_000);
    let bad = Origin::new().object(&object).fault(Fault::Flip(0)).run();
    let good = Origin::new().object(&object).run();
    let binary = Binary::serve(&config_text(&[&bad, &good], None)).await;
    let mut client = binary.client();
    for _ in 0..3 {
        assert_eq!(client.ask(bad.url(&object.path())).await.unwrap().body, object.bytes);
    }
    let requests = |outcome| metric("substratum_requests_total").label("outcome", outcome);
    binary.until(requests("miss").eq(1)).await;
    binary.until(requests("memory_hit").eq(2)).await;
    let upstream = |base: &str| metric("substratum_upstream_requests_total").label("upstream", base);
    binary.until(upstream(&bad.base()).label("outcome", "bad_digest").at_least(1)).await;
    binary.until(upstream(&good.base()).label("outcome", "ok").eq(1)).await;
    binary.until(metric("substratum_response_body_bytes_total").eq(90_000)).await;
}

/// Waits until the log has `n` lines.
async fn lines(log: &Path, n: usize) -> Vec<String> {
    let read = || fs::read_to_string(log).unwrap_or_default();
    let written = tokio::time::timeout(PATIENCE, async {
        while read().lines().count() < n {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    assert!(written.await.is_ok(), "{n} lines awaited in:\n{}", read());
    read().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn one_line_a_request() {
    let object = Object::generate(4, 30_000);
    let stratum = Origin::new().object(&object).run();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let config = config_text(&[&stratum], None) + &format!("[log]\naccess = \"json\"\npath = {log:?}\n");
    let binary = Binary::serve(&config).await;
    let url = stratum.url(&object.path());
    let mut client = binary.client();
    client.ask(&url).await.unwrap();
    client.ask(&url).await.unwrap();
    let refused = client.ask(stratum.url("/forbidden")).await.unwrap();
    assert_eq!(refused.get("Cache-Status"), "binary; detail=kind_not_served", "the word of log and metric");
    let lines: Vec<serde_json::Value> =
        lines(&log, 3).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["status"].as_u64(), line["outcome"].as_str(), line["body_bytes"].as_u64()))
        .collect();
    assert_eq!(told[0], (Some(200), Some("miss"), Some(30_000)));
    assert_eq!(told[1], (Some(200), Some("memory_hit"), Some(30_000)));
    assert_eq!((told[2].0, told[2].1), (Some(403), Some("denied")));
    assert!(lines.iter().all(|line| line["client"] == "127.0.0.1" && line["method"] == "GET"));
    assert_eq!(lines[0]["uri"].as_str(), Some(url.as_str()));
    assert_eq!(lines[0]["ending"], "complete");
}

#[tokio::test]
async fn the_log_names_the_job_that_asks() {
    const PATH: &str = "/cvmfs/a.test.local/.cvmfspublished";
    let stratum = Origin::new().page(PATH, Page::new("manifest")).run();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let config = config_text(&[&stratum], None) + &format!("[log]\naccess = \"frontier\"\npath = {log:?}\n");
    let binary = Binary::serve(&config).await;
    let id = "CMSSW_14_0_0 29 job \"7\" (user)";
    let ask = Ask::get(stratum.url(PATH)).field("X-Frontier-Id", id).field("cvmfs-info", "fqrn=a.test.local");
    // One connection, so that the lines come in the order of the requests.
    let mut client = binary.client();
    client.ask(&ask).await.unwrap();
    client.ask(stratum.url(PATH)).await.unwrap();
    let lines = lines(&log, 2).await;
    assert!(lines[0].contains("CMSSW_14_0_0 29 job \\\"7\\\" (user) fqrn=a.test.local"), "{}", lines[0]);
    assert!(lines[1].contains("\"- -\""), "{}", lines[1]);
    assert!(lines.iter().all(|line| !line.contains('\u{0}') && line.contains(PATH)));
}

#[tokio::test]
async fn sigusr1_begins_a_new_file() {
    let object = Object::generate(6, 3_000);
    let stratum = Origin::new().object(&object).run();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let config = config_text(&[&stratum], None) + &format!("[log]\naccess = \"json\"\npath = {log:?}\n");
    let binary = Binary::serve(&config).await;
    binary.client().ask(stratum.url(&object.path())).await.unwrap();
    lines(&log, 1).await;
    binary.signal(Signal::USR1);
    lines(&folder.path().join("access.log.1"), 1).await;
    binary.client().ask(stratum.url(&object.path())).await.unwrap();
    assert!(lines(&log, 1).await[0].contains("memory_hit"));
}

#[tokio::test]
async fn the_filter_of_the_diagnostics_can_be_changed() {
    const FILTER: &str = "/log?filter=info,substratum::admin=debug";
    let stratum = Origin::new().run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let mut admin = binary.admin().await;
    let told = |answer: Answer| (answer.status(), String::from_utf8(answer.body.to_vec()).unwrap());
    assert_eq!(told(admin.ask("/log").await.unwrap()), (200, "info\n".to_owned()));
    let (status, now) = told(admin.ask(Ask::get(FILTER).method("POST")).await.unwrap());
    assert_eq!((status, now.contains("substratum::admin=debug")), (200, true), "{now}");
    binary.until_said("the filter of the diagnostics was changed").await;
    // A request that is none, which only the finer filter tells.
    admin.send_raw(b"nonsense\r\n\r\n").await.unwrap();
    binary.until_said("a connection to the admin address ended early").await;

    let mut admin = binary.admin().await;
    let page = Ask::get("/log?filter=off").method("POST").field("Origin", "http://elsewhere.example.org");
    assert_eq!(admin.ask(page).await.unwrap().status(), 403);
    assert_eq!(admin.ask(Ask::get("/log?filter=loud=soft=1").method("POST")).await.unwrap().status(), 400);
    assert_eq!(admin.ask(Ask::get("/log").method("DELETE")).await.unwrap().status(), 405);
    assert_eq!(told(admin.ask("/log").await.unwrap()).1, now, "nothing of it changed anything");
}

#[tokio::test]
async fn who_is_asked_for_is_told_by_repository() {
    let object = Object::generate(7, 3_000);
    let stratum = Origin::new().object(&object).revision("images.test.local", 2).run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    let mut client = binary.client();
    for _ in 0..3 {
        client.ask(stratum.url(&object.path())).await.unwrap();
    }
    client.ask(stratum.url("/cvmfs/images.test.local/.cvmfspublished")).await.unwrap();
    let repository = object.path().split('/').nth(2).unwrap().to_owned();
    let of = |name: &'static str| metric(name).label("repository", &repository);
    binary.until(of("substratum_repository_hits_total").eq(2)).await;
    binary.until(of("substratum_repository_body_bytes_total").at_least(9_000)).await;
    binary.until(metric("substratum_repository_requests_total").eq(4)).await;
    binary.until(metric("substratum_manifest_revision").label("repository", "images.test.local").eq(2)).await;
    binary.until(metric("substratum_request_reasons_total").label("reason", "absent").eq(2)).await;
}

#[tokio::test]
async fn the_log_knows_who_left() {
    let object = Object::generate(5, 8_000_000);
    let stratum = Origin::new().object(&object).hold_after(1_000_000).run();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let config = config_text(&[&stratum], None) + &format!("[log]\naccess = \"json\"\npath = {log:?}\n");
    let binary = Binary::serve(&config).await;
    let mut client = binary.client();
    client.send(&Ask::get(stratum.url(&object.path()))).await.unwrap();
    client.head().await.unwrap();
    client.take(100_000).await.unwrap();
    client.leave();
    stratum.release();
    let line: serde_json::Value = serde_json::from_str(&lines(&log, 1).await[0]).unwrap();
    assert_eq!(line["ending"], "client_gone", "{line}");
    assert!(line["body_bytes"].as_u64().unwrap() < 8_000_000);
}
