//! Container images in the tier before the jobs start: as an operator brings them there, and as jobs then read them.

use std::collections::{BTreeSet, HashMap};
use std::process::{Output, Stdio};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use substratum::config::{ByteSize, Memory};

use crate::support::binary::command;
use crate::support::client::{Ask, Client};
use crate::support::fixtures;
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::{Fault, Origin, Stratum};
use crate::support::proxy::{Proxy, Setup, node, site};
use crate::support::repository::{File, Part, Revision};

pub const REPOSITORY: &str = "images.test.local";
pub const EL7: &str = "/opensciencegrid/osgvo-el7:latest";
const EL8: &str = "/opensciencegrid/osgvo-el8:latest";

/// With a disk, and an admin port that tells what is on it.
pub fn on_disk(setup: Setup) -> Setup {
    with_admin(setup.disk(ByteSize::mib(64)))
}

fn with_admin(setup: Setup) -> Setup {
    setup.with(|config| config.listen.admin = Some(([127, 0, 0, 1], 0).into()))
}

fn stratum() -> Stratum {
    Origin::new().fixtures().revision(REPOSITORY, 3).run()
}

/// Runs a command against a tier, to its end.
async fn run(proxy: &Proxy, stratum: &Stratum, command_name: &str, arguments: &[&str]) -> Output {
    let url = stratum.url(&format!("/cvmfs/{REPOSITORY}"));
    let (via, admin) = (proxy.address().to_string(), proxy.admin_address().to_string());
    let mut all = vec![command_name, url.as_str(), "--via", via.as_str(), "--admin", admin.as_str()];
    all.extend(arguments);
    let mut command = command(&all);
    tokio::task::spawn_blocking(move || command.output().expect("the program runs")).await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn check(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in\n{said}");
    }
}

/// The regular files of an image.
pub fn files(revision: &Revision, image: &str) -> Vec<File> {
    let below = format!("{image}/");
    revision.files.iter().filter(|file| file.path.starts_with(&below)).cloned().collect()
}

/// Paths of all objects of these files, from the root of the repository.
pub fn objects(files: &[File]) -> BTreeSet<String> {
    let parts = files.iter().flat_map(|file| &file.parts);
    parts
        .filter_map(|part| match part {
            Part::Object(path) => Some(path.clone()),
            Part::Range { .. } => None,
        })
        .collect()
}

/// Reads a whole image as a job does: what comes first, its catalogs, all of its files.
async fn read(client: &mut Client, stratum: &Stratum, image: &str) -> Result<usize, String> {
    let revision = Revision::read(REPOSITORY, 3);
    let files = files(&revision, image);
    let first = [".cvmfspublished", ".cvmfswhitelist", &revision.certificate].map(ToOwned::to_owned);
    let catalogs = std::fs::read_to_string(fixtures().join(REPOSITORY).join("catalogs.tsv")).unwrap();
    let catalogs = crate::support::repository::rows(&catalogs)
        .filter(|row| row[0] == "3" && (row[1] == "/" || row[1].starts_with(image)))
        .map(|row| row[2].to_owned())
        .collect::<Vec<_>>();
    let mut parts: HashMap<String, Bytes> = HashMap::new();
    for path in first.into_iter().chain(catalogs).chain(objects(&files)) {
        let answer = client.ask(stratum.url(&revision.url_path(&path))).await;
        let answer = answer.map_err(|error| format!("{path}: {error}"))?;
        if answer.status() != 200 {
            return Err(format!("{path}: {}", answer.status()));
        }
        parts.insert(path, answer.body);
    }
    for file in &files {
        file.check(&parts)?;
    }
    Ok(files.len())
}

#[tokio::test]
async fn a_warm_image_needs_no_stratum() {
    let stratum = stratum();
    let site = Proxy::start(on_disk(site(&[&stratum]))).await;
    let node = Proxy::start(on_disk(node(&site, &[&stratum]))).await;
    let key = fixtures().join("keys/images.test.local.pub");
    let warm = [EL7, "--key", key.to_str().unwrap()];
    let output = run(&node, &stratum, "warm", &warm).await;
    let revision = Revision::read(REPOSITORY, 3);
    let count = objects(&files(&revision, EL7)).len();
    let missing = format!("{count} of {count} objects are missing");
    check(&output, 0, &["its signature is good", &missing, "all of it is in the tier now"]);
    assert_eq!(
        stratum.requests(),
        count + 5,
        "each object once; manifest, whitelist, certificate, two catalogs"
    );

    // Cut off.
    stratum.inject(Fault::CloseUnanswered);
    stratum.forget();
    let mut client = node.client();
    assert_eq!(read(&mut client, &stratum, EL7).await, Ok(files(&revision, EL7).len()));
    assert_eq!(stratum.requests(), 0, "{:?}", stratum.requests_by_path());
    let error = read(&mut client, &stratum, EL8).await.unwrap_err();
    assert!(error.ends_with(": 502") || error.ends_with(": 504"), "{error}");
    let output = run(&node, &stratum, "warm", &["--path", EL8]).await;
    check(&output, 1, &["the catalog of /opensciencegrid/osgvo-el8:latest", "cannot be had: 50"]);

    // And back.
    stratum.heal();
    check(&run(&node, &stratum, "warm", &[EL8]).await, 0, &["all of it is in the tier now"]);
    assert_eq!(read(&mut client, &stratum, EL8).await, Ok(files(&revision, EL8).len()));
}

#[tokio::test]
async fn what_is_there_already_is_not_asked_for() {
    let stratum = stratum();
    let proxy = Proxy::start(on_disk(site(&[&stratum]))).await;
    // Whoever is broken off, or comes second, goes on where the other one was.
    let revision = Revision::read(REPOSITORY, 3);
    let all = objects(&files(&revision, EL8));
    let mut client = proxy.client();
    for path in all.iter().take(100) {
        client.ask(stratum.url(&revision.url_path(path))).await.unwrap();
    }
    proxy.flush();
    stratum.forget();
    let output = run(&proxy, &stratum, "warm", &[EL8, "--rate", "1GB/s", "--jobs", "3"]).await;
    let missing = format!("{} of {} objects are missing", all.len() - 100, all.len());
    check(&output, 0, &[&missing, "at 1.00 GB a second"]);
    // Manifest, whitelist, certificate, three catalogs.
    assert_eq!(stratum.requests(), all.len() - 100 + 6);
    stratum.forget();
    let output = run(&proxy, &stratum, "warm", &[EL8, EL7, "--catalogs-only"]).await;
    check(&output, 0, &["/cvmfs/images.test.local/opensciencegrid/osgvo-el8:latest: 3 catalogs\n"]);
    assert_eq!(stratum.requests(), 1, "{:?}", stratum.requests_by_path());
    check(&run(&proxy, &stratum, "warm", &[EL8]).await, 0, &["all of it is there already"]);
}

#[tokio::test]
async fn whoever_has_had_enough_may_break_it_off_and_go_on_later() {
    let stratum = stratum();
    let all = objects(&files(&Revision::read(REPOSITORY, 3), EL8));
    stratum.inject(Fault::HoldHead.on(all.last().unwrap()));
    let proxy = Proxy::start(on_disk(site(&[&stratum]))).await;
    let url = stratum.url(&format!("/cvmfs/{REPOSITORY}"));
    let (via, admin) = (proxy.address().to_string(), proxy.admin_address().to_string());
    let mut warm = command(&["warm", &url, "--via", &via, "--admin", &admin, EL8]);
    let warm = warm.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Manifest, whitelist, certificate, three catalogs, and all objects: the one does not come.
    stratum.until_requests(all.len() + 6).await;
    proxy.until(metric("substratum_fills").eq(1)).await;
    kill_process(Pid::from_child(&warm), Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || warm.wait_with_output().unwrap()).await.unwrap();
    check(&output, 130, &["broken off, fetched ", "the same command goes on"]);
    stratum.release();
    proxy.until(metric("substratum_fills").eq(0)).await;
    proxy.flush();
    stratum.forget();
    check(&run(&proxy, &stratum, "warm", &[EL8]).await, 0, &["all of it is "]);
    assert!(stratum.requests_for("/data/") <= 1, "{:?}", stratum.requests_by_path());
}

#[tokio::test]
async fn operators_see_how_much_of_an_image_is_here() {
    let stratum = stratum();
    let proxy = Proxy::start(on_disk(site(&[&stratum]))).await;
    check(&run(&proxy, &stratum, "warm", &[EL7]).await, 0, &[]);
    let output = run(&proxy, &stratum, "images", &[]).await;
    check(&output, 0, &["3 images"]);
    let text = said(&output);
    let line = |name: &str| {
        let line = text.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let revision = Revision::read(REPOSITORY, 3);
    let count = |image: &str| objects(&files(&revision, image));
    assert_eq!(line(EL7)[2..4], [count(EL7).len().to_string(), "all".to_owned()]);
    let shared = count(EL7).intersection(&count(EL8)).count();
    let percent = 100 * shared / count(EL8).len();
    assert_eq!(
        line(EL8)[2..],
        [count(EL8).len().to_string(), percent.to_string(), "%".to_owned(), EL8.to_owned()]
    );
    let output = run(&proxy, &stratum, "images", &["*/tiny:*", "--names"]).await;
    check(&output, 0, &[]);
    assert_eq!(said(&output), "/opensciencegrid/tiny:latest\n", "for scripts");
    check(&run(&proxy, &stratum, "images", &["*/none:*"]).await, 0, &["none of 3 images matches"]);

    let output = run(&proxy, &stratum, "ls", &[&format!("/cvmfs/{REPOSITORY}{EL7}/etc")]).await;
    check(
        &output,
        0,
        &[
            "/cvmfs/images.test.local/opensciencegrid/osgvo-el7:latest/etc",
            "mtab -> /proc/self/mounts",
            "  all  in all: ",
        ],
    );
    let output = run(&proxy, &stratum, "ls", &["/opensciencegrid"]).await;
    check(&output, 0, &["osgvo-el7:latest/ ...", "3 catalogs not looked into (--deep)"]);
    let output = run(&proxy, &stratum, "ls", &["/opensciencegrid", "--deep"]).await;
    let files_in_all = [EL7, EL8, "/opensciencegrid/tiny:latest"].map(|image| files(&revision, image).len());
    check(&output, 0, &[&format!("in all: {} files", files_in_all.iter().sum::<usize>())]);
}

#[tokio::test]
async fn what_cannot_be_warmed_is_said() {
    let stratum = stratum();
    let proxy = Proxy::start(on_disk(site(&[&stratum]))).await;
    let output = run(&proxy, &stratum, "warm", &["/opensciencegrid/osgvo-el9:latest"]).await;
    let nearest =
        "there is no /opensciencegrid/osgvo-el9:latest; the nearest are /opensciencegrid/osgvo-el7:latest, ";
    check(&output, 1, &[nearest]);
    check(&run(&proxy, &stratum, "warm", &["/../etc"]).await, 2, &["is no path in a repository"]);
    check(&run(&proxy, &stratum, "warm", &["--rate", "0"]).await, 2, &["a rate of 0 would never end"]);
    let key = fixtures().join("keys/rmd160.test.local.pub");
    let output = run(&proxy, &stratum, "warm", &["--key", key.to_str().unwrap()]).await;
    check(
        &output,
        1,
        &["the manifest of images.test.local is refused: the whitelist is not signed with the key"],
    );
    check(&run(&proxy, &stratum, "ls", &["--key", "/nowhere"]).await, 2, &["cannot read /nowhere"]);
    let silent = command(&["warm", "http://a.invalid/cvmfs/a.b", "--via", "127.0.0.1:1"]).output().unwrap();
    check(&silent, 1, &["nothing answers at 127.0.0.1:1"]);
    let foreign = command(&["warm", "http://a.invalid/atlas"]).output().unwrap();
    check(&foreign, 2, &["expected /cvmfs/ and the name of a repository"]);
    let beyond = command(&["ls", "http://a.invalid/cvmfs/a.b/c"]).output().unwrap();
    check(&beyond, 2, &["expected nothing behind the repository's name"]);

    // Too small a tier: said before anything is fetched.
    let small =
        with_admin(site(&[&stratum])).with(|config| config.memory = Memory::with_capacity(ByteSize::mib(2)));
    let small = Proxy::start(small).await;
    stratum.forget();
    let output = run(&small, &stratum, "warm", &[EL8]).await;
    check(
        &output,
        1,
        &["but the memory of the tier has room for 2.10 MB only", "nothing was fetched; --anyway"],
    );
    assert_eq!(stratum.requests(), 6, "what comes first, and catalogs");
}

#[tokio::test]
async fn who_can_wait_is_served_behind_those_who_cannot() {
    let object = |seed| Object::generate(seed, 3_000);
    let all: Vec<_> = (0..40).map(object).collect();
    let stratum = all.iter().fold(Origin::new(), Origin::object).hold_after(0).run();
    let site = Proxy::start(site(&[&stratum])).await;
    let node = Proxy::start(node(&site, &[&stratum])).await;
    let ask = |object: &Object, priority: &str| {
        let (node, ask) = (node.client(), Ask::get(stratum.url(&object.path())).field("Priority", priority));
        let mut client = node;
        tokio::spawn(async move { client.ask(ask).await.unwrap().status() })
    };
    let mut answers: Vec<_> = all[..20].iter().map(|object| ask(object, "u=3")).collect();
    stratum.until_requests(20).await;
    answers.extend(all[20..].iter().map(|object| ask(object, "u=7")));
    stratum.until_requests(22).await;
    node.until(metric("substratum_requests_in_flight").at_least(40)).await;
    assert_eq!(stratum.requests(), 22, "two at a time, however many clients wait");
    let background = stratum.seen().iter().filter(|seen| seen.get("priority") == Some("u=7")).count();
    assert_eq!(background, 2, "said up to the stratum");
    stratum.release();
    for answer in answers {
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn objects_that_cannot_be_had_are_told_and_the_rest_is_brought() {
    let stratum = stratum();
    let proxy = Proxy::start(on_disk(site(&[&stratum]))).await;
    let revision = Revision::read(REPOSITORY, 3);
    let all = objects(&files(&revision, "/opensciencegrid/tiny:latest"));
    let lost = all.iter().next_back().unwrap();
    stratum.inject(Fault::Status(404).on(lost.clone()));
    let output = run(&proxy, &stratum, "warm", &["/opensciencegrid/tiny:latest"]).await;
    let words =
        ["1 object could not be had; one of them is ", &format!("{lost}: 404"), "the same command goes on"];
    check(&output, 1, &words);
    stratum.heal();
    let output = run(&proxy, &stratum, "warm", &["/opensciencegrid/tiny:latest"]).await;
    check(&output, 0, &["1 of ", "fetched 1 object", "all of it is in the tier now"]);
}
