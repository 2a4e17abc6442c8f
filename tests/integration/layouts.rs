//! Objects of other kinds than CernVM-FS's, with their own clients: apt, and what Bazel asks for.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use substratum::config::{Glob, MirrorGroup, TargetShape, WriteMethod};
use substratum::digest::{Algorithm, ObjectName};

use crate::support::client::Ask;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Page, Stratum};
use crate::support::peer::find;
use crate::support::proxy::{Proxy, Setup, lone};

fn hex(bytes: &[u8]) -> String {
    let name = ObjectName::of(Algorithm::Sha256, bytes).to_string();
    name.trim_end_matches("-sha256").to_owned()
}

fn serving(shape: TargetShape) -> Setup {
    lone("site").with(|config| config.access.targets = vec![TargetShape::Cvmfs, shape])
}

const PACKAGE: &[u8] = b"what a package of Debian would be";

/// An archive with one package, whose indices are there by hash alone.
fn archive() -> Stratum {
    let packages = format!(
        "Package: substance\nVersion: 1+a\nArchitecture: amd64\nMaintainer: nobody <root@localhost>\n\
         Filename: pool/main/s/substance_1+a_amd64.deb\nSize: {}\nSHA256: {}\nDescription: nothing\n\n",
        PACKAGE.len(),
        hex(PACKAGE)
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(packages.as_bytes()).unwrap();
    let compressed = gzip.finish().unwrap();
    let listed = |name: &str, bytes: &[u8]| format!(" {} {} {name}\n", hex(bytes), bytes.len());
    let release = format!(
        "Origin: tests\nSuite: test\nCodename: test\nArchitectures: amd64\nComponents: main\n\
         Date: Sat, 21 Nov 2026 08:00:00 UTC\nAcquire-By-Hash: yes\nSHA256:\n{}{}",
        listed("main/binary-amd64/Packages", packages.as_bytes()),
        listed("main/binary-amd64/Packages.gz", &compressed)
    );
    let by_hash = format!("/debian/dists/test/main/binary-amd64/by-hash/SHA256/{}", hex(&compressed));
    Origin::new()
        .page("/debian/dists/test/Release", Page::new(release))
        .page(&by_hash, Page::new(compressed))
        .page("/debian/pool/main/s/substance_1%2ba_amd64.deb", Page::new(PACKAGE))
        .run()
}

/// What apt says when it runs in a folder of its own, through the proxy; nothing of the machine's apt is touched.
fn apt(program: &Path, proxy: &Proxy, archive: &Stratum) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in
        ["etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial", "log"]
    {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::write(at("status"), "").unwrap();
    fs::write(at("sources.list"), format!("deb [trusted=yes] {} test main\n", archive.url("/debian")))
        .unwrap();
    let settings = format!(
        "Dir \"{folder}\"; Dir::Etc \"{folder}/etc\"; Dir::Etc::SourceList \"{folder}/sources.list\";\n\
         Dir::Etc::SourceParts \"-\"; Dir::State \"{folder}/state\"; Dir::State::Status \"{folder}/status\";\n\
         Dir::Cache \"{folder}/cache\"; Dir::Log \"{folder}/log\"; APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }}; APT::Sandbox::User \"root\"; Acquire::Languages \"none\";\n\
         Acquire::Retries \"0\"; Acquire::http::Proxy \"http://{}\";\n",
        proxy.address(),
        folder = folder.path().display()
    );
    fs::write(at("apt.conf"), settings).unwrap();
    for arguments in [&["update"][..], &["download", "substance"]] {
        let mut command = Command::new(program);
        command.env_clear().env("APT_CONFIG", at("apt.conf")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = command.current_dir(folder.path()).arg("-qq").args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && !said.contains("Err:"), "{arguments:?}: {said}");
    }
    let packages = |path: fs::ReadDir| {
        path.filter_map(Result::ok).find(|file| file.file_name().to_string_lossy().ends_with(".deb"))
    };
    let package = packages(fs::read_dir(folder.path()).unwrap()).expect("a package");
    assert_eq!(fs::read(package.path()).unwrap(), PACKAGE);
}

#[tokio::test]
async fn apt_s_indices_by_hash_are_objects() {
    let Some(program) = find("apt-get") else { return };
    let (one, two) = (archive(), archive());
    let proxy = Proxy::start(serving(TargetShape::Debian)).await;
    apt(&program, &proxy, &one);
    assert_eq!((one.requests_for("/by-hash/"), one.requests_for("Packages")), (1, 0));
    apt(&program, &proxy, &one);
    apt(&program, &proxy, &two);
    assert_eq!(
        (one.requests_for("/by-hash/"), two.requests_for("/by-hash/")),
        (1, 0),
        "one copy, for every archive"
    );
    assert!(two.requests_for("/Release") > 0, "that may have changed");
    assert_eq!(proxy.get(one.url("/debian/README")).await.status(), 403, "not a file of an archive");
}

#[tokio::test]
async fn bazel_s_blobs_are_objects_and_results_are_documents() {
    let blob = Object::named_by(Algorithm::Sha256, 1, 300_000);
    let (cas, ac) = (format!("/linux/cas/{}", hex(&blob.bytes)), format!("/ac/{}", hex(b"an action")));
    let cache = || {
        let result = Page::new("first").field("Cache-Control", "no-cache");
        Origin::new().page(&cas, Page::new(blob.bytes.clone())).page(&ac, result).run()
    };
    let (one, two) = (cache(), cache());
    let setup = serving(TargetShape::Bazel).with(|config| config.access.methods = vec![WriteMethod::Put]);
    let proxy = Proxy::start(setup).await;
    for cache in [&one, &one, &two] {
        assert_eq!(proxy.get(cache.url(&cas)).await.body, blob.bytes);
    }
    assert_eq!((one.requests(), two.requests()), (1, 0));
    let put = Ask::get(one.url(&cas)).method("PUT").content("anything");
    let refused = proxy.get(put).await;
    assert_eq!((refused.status(), refused.head.get("Allow")), (405, Some("GET, HEAD")));
    assert_eq!(one.requests(), 1);

    assert_eq!(proxy.get(one.url(&ac)).await.body, "first");
    one.set_page(&ac, Page::new("second"));
    assert_eq!(proxy.get(one.url(&ac)).await.body, "second");

    // Whoever shows credentials gets what the server says, and nobody else gets it from here.
    let personal = Ask::get(two.url(&cas)).field("Authorization", "Basic x");
    assert_eq!(proxy.get(personal).await.body, blob.bytes);
    assert_eq!(two.last_seen().get("Authorization"), Some("Basic x"));
}

#[tokio::test]
async fn bytes_that_do_not_match_are_no_one_s() {
    let blob = Object::named_by(Algorithm::Sha256, 2, 30_000);
    let path = format!("/cas/{}", hex(&blob.bytes));
    let origin = Origin::new().page(&path, Page::new(blob.bytes.clone())).fault(Fault::Flip(9)).run();
    let proxy = Proxy::start(serving(TargetShape::Bazel)).await;
    assert_eq!(proxy.get(origin.url(&path)).await.status(), 502);
    origin.heal();
    assert_eq!(proxy.get(origin.url(&path)).await.body, blob.bytes);
}

#[tokio::test]
async fn a_layout_that_is_not_named_is_not_used() {
    let path = format!("/cas/{}", hex(b"the name of something else"));
    let origin = Origin::new().page(&path, Page::new("other bytes")).run();
    let proxy = Proxy::start(lone("site").any_target()).await;
    assert_eq!(proxy.get(origin.url(&path)).await.body, "other bytes");
    let proxy = Proxy::start(serving(TargetShape::Debian)).await;
    assert_eq!(proxy.get(origin.url(&path)).await.status(), 403);
}

#[tokio::test]
async fn clients_that_name_nobody_are_answered_from_the_group_for_their_layout() {
    let blob = Object::named_by(Algorithm::Sha256, 3, 30_000);
    let (cas, ac) = (format!("/cas/{}", hex(&blob.bytes)), format!("/ac/{}", hex(b"an action")));
    let strata = Origin::new().run();
    let cache = Origin::new().page(&cas, Page::new(blob.bytes.clone())).page(&ac, Page::new("result")).run();
    let group = |name: &str, serves: &str, server: &Stratum| MirrorGroup {
        name: name.to_owned(),
        urls: vec![server.base().parse().unwrap()],
        serves: vec![Glob::new(serves)],
    };
    let proxy = Proxy::start(serving(TargetShape::Bazel).with(|config| {
        config.mirrors = vec![group("strata", "*.test.local", &strata), group("builds", "bazel", &cache)];
    }));
    let proxy = proxy.await;
    assert_eq!(proxy.get(&cas).await.body, blob.bytes);
    assert_eq!(proxy.get(&ac).await.body, "result");
    let missing = format!("/ac/{}", hex(b"another"));
    assert_eq!(proxy.get(&missing).await.status(), 404);
    assert_eq!((strata.requests(), cache.requests()), (0, 3));
}
