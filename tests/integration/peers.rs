//! Between the programs that stand around us in the field: nginx as stratum, squid as child and as parent, curl as
//! client. Whatever the order, every file of the repository is what was published.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use bytes::Bytes;

use crate::support::peer::{Peer, find};
use crate::support::proxy::{Proxy, node_of, site_of};
use crate::support::repository::Revision;

/// The way of a request.
enum Way {
    /// `curl -x`: absolute form, naming the stratum.
    Through(SocketAddr),
    /// The cache stands for the stratum.
    At(SocketAddr),
}

/// Fetches with curl what a cold client fetches of revision 3, and compares every file.
async fn fetch(way: Way, stratum: &Peer) {
    let Some(curl) = find("curl") else { return };
    let revision = Revision::read("images.test.local", 3);
    let folder = tempfile::tempdir().unwrap();
    let urls = revision.cold_urls();
    let mut command = Command::new(curl);
    command.args([
        "-q",
        "-sS",
        "--fail",
        "--parallel",
        "--parallel-max",
        "8",
        "--max-time",
        "60",
        "--noproxy",
        "",
    ]);
    let base = match way {
        Way::Through(proxy) => {
            command.arg("--proxy").arg(format!("http://{proxy}"));
            stratum.base()
        }
        Way::At(address) => format!("http://{address}"),
    };
    let mut list = String::new();
    for (n, url) in urls.iter().enumerate() {
        list += &format!("url = {base}{url}\noutput = {}\n", folder.path().join(n.to_string()).display());
    }
    let file = folder.path().join("list");
    fs::write(&file, list).unwrap();
    command.arg("--config").arg(file);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "NO_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    // The tier and its peers run elsewhere, so that blocking here holds up nobody.
    let output = command.output().unwrap();
    assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let mut objects: HashMap<String, Bytes> = HashMap::new();
    for (n, url) in urls.iter().enumerate() {
        if let Some((_, path)) = url.split_once("/data/") {
            let bytes = fs::read(folder.path().join(n.to_string())).unwrap();
            objects.insert(format!("data/{path}"), bytes.into());
        }
    }
    for file in &revision.files {
        file.check(&objects).unwrap();
    }
}

#[tokio::test]
async fn the_peers_get_along_without_us() {
    let (Some(nginx), Some(squid)) = (find("nginx"), find("squid")) else { return };
    let nginx = Peer::nginx(&nginx);
    let squid = Peer::squid(&squid, None);
    fetch(Way::Through(squid.address()), &nginx).await;
    assert!(nginx.object_requests() > 0);
}

#[tokio::test]
async fn nginx_above_and_curl_below() {
    let Some(nginx) = find("nginx") else { return };
    let nginx = Peer::nginx(&nginx);
    let site = Proxy::start(site_of(&[nginx.address()])).await;
    fetch(Way::Through(site.address()), &nginx).await;
    let asked = nginx.object_requests();
    fetch(Way::Through(site.address()), &nginx).await;
    fetch(Way::At(site.address()), &nginx).await;
    assert_eq!(nginx.object_requests(), asked, "hits, in both forms");
}

#[tokio::test]
async fn squid_below() {
    let (Some(nginx), Some(squid)) = (find("nginx"), find("squid")) else { return };
    let nginx = Peer::nginx(&nginx);
    let site = Proxy::start(site_of(&[nginx.address()])).await;
    let squid = Peer::squid(&squid, Some(site.address()));
    fetch(Way::Through(squid.address()), &nginx).await;
    let asked = nginx.object_requests();
    fetch(Way::Through(site.address()), &nginx).await;
    assert_eq!(nginx.object_requests(), asked, "what squid asked us for is here");
}

#[tokio::test]
async fn squid_above() {
    let (Some(nginx), Some(squid)) = (find("nginx"), find("squid")) else { return };
    let nginx = Peer::nginx(&nginx);
    let squid = Peer::squid(&squid, None);
    let node = Proxy::start(node_of(squid.address(), &[nginx.address()])).await;
    fetch(Way::Through(node.address()), &nginx).await;
    let asked = nginx.object_requests();
    drop(squid);
    fetch(Way::Through(node.address()), &nginx).await;
    assert_eq!(nginx.object_requests(), asked, "hits, although the parent is gone");
}
