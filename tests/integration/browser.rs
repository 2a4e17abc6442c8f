//! The page as a browser shows it: graphs are drawn, numbers stand behind them, and nothing is refused by its policy.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::binary::{Binary, config_text};
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::peer;

/// Seconds after which the browser is ended: more than a crowded machine needs.
const PATIENCE: &str = "90";

/// What chromium makes of the page: the document after its scripts have run, and what it complained about.
async fn browse(chromium: std::path::PathBuf, admin: SocketAddr, path: &'static str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let profile = format!("--user-data-dir={}", folder.path().display());
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE).arg(chromium);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]);
        command.args(["--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom", &profile]);
        command.arg(format!("http://{admin}{path}")).env("HOME", folder.path()).output()
    });
    let output = output.await.unwrap().expect("chromium runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn the_page_draws_its_graphs() {
    let Some(chromium) = peer::find("chromium") else { return };
    let object = Object::generate(8, 10_000);
    let stratum = Origin::new().object(&object).run();
    let binary = Binary::serve(&config_text(&[&stratum], None)).await;
    binary.client().ask(stratum.url(&object.path())).await.unwrap();
    let (page, said) = browse(chromium, binary.admin_address().await, "/").await;

    let graphs =
        ["throughput", "hits", "requests", "first_byte", "fills", "room", "upstreams", "repositories"];
    for graph in graphs {
        assert!(
            page.contains(&format!("<figure id=\"graph-{graph}\">")),
            "{graph} is missing in\n{page}\n{said}"
        );
    }
    assert_eq!(page.matches("<canvas").count(), graphs.len(), "{page}");
    assert_eq!(page.matches("<details").count(), graphs.len(), "each graph has its numbers");
    assert!(page.contains("data-drawn="), "{page}");
    assert!(!page.contains("Not up to date"), "{page}");
    assert!(page.contains(&stratum.base()), "the upstream stands in a table");
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}
