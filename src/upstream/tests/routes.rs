//! Who is asked, in which order, in which form.

use super::*;
use crate::config::ParentsChoice;

fn group(urls: &[&str], serves: &[&str]) -> MirrorGroup {
    MirrorGroup {
        name: urls.concat(),
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        serves: serves.iter().map(|glob| Glob::new(glob)).collect(),
    }
}

/// `parents`: asked first; a, b, c serve *.cern.ch; b and d serve *.egi.eu.
fn network(parents: &[&str], direct: Direct) -> Tested {
    let mut setup = setup().limits(|limits| limits.direct = direct == Direct::Allowed);
    setup.mirrors = vec![
        group(&["http://a", "http://b", "http://c"], &["*.cern.ch"]),
        group(&["http://b", "http://d"], &["*.egi.eu"]),
    ];
    parents.iter().fold(setup, |setup, url| setup.parent(url)).client()
}

#[derive(Clone, Copy, PartialEq)]
enum Direct {
    Allowed,
    Never,
}

/// The hash of some object's name.
fn object_name() -> u64 {
    0x0123_4567_89ab_cdef
}

/// The hosts in order; a parent as `parent(target)`.
fn route(tested: &Tested, named: Option<&str>, repository: Option<&str>, wanted: Wanted<'_>) -> String {
    let named = named.map(|host| format!("http://{host}").parse().unwrap());
    let candidates = tested.upstreams.route(RouteQuery { named: named.as_ref(), repository, wanted });
    let words = candidates.iter().map(|candidate| {
        let asked = &candidate.upstream.url().host;
        match &candidate.form {
            Form::Origin => asked.to_string(),
            Form::Absolute(target) => format!("{asked}({})", target.host),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn without_parents() {
    let (object, document) = (Wanted::Object(object_name()), Wanted::Document("/x"));
    let (cern, egi) = (Some("x.cern.ch"), Some("x.egi.eu"));
    let table = [
        (Some("a"), cern, object, "a b c"),
        (Some("c"), cern, object, "a b c"),
        (Some("c"), cern, document, "c a b"),
        (Some("b"), cern, document, "b a c"),
        // In two groups: the one that serves the repository, else the first.
        (Some("b"), egi, object, "b d"),
        (Some("b"), Some("x.org"), object, "a b c"),
        (Some("b"), None, document, "b a c"),
        // In a group, whatever it serves.
        (Some("d"), cern, object, "b d"),
        (Some("e"), cern, object, "e"),
        (Some("e"), None, document, "e"),
        (None, cern, object, "a b c"),
        (None, egi, document, "b d"),
        (None, None, document, "a b c"),
        (None, Some("x.org"), object, ""),
    ];
    let tested = network(&[], Direct::Allowed);
    for (named, repository, wanted, expected) in table {
        assert_eq!(
            route(&tested, named, repository, wanted),
            expected,
            "{named:?} {repository:?} {wanted:?}"
        );
    }
}

#[test]
fn with_parents() {
    let (object, document) = (Wanted::Object(object_name()), Wanted::Document("/x"));
    let (cern, parents) = (Some("x.cern.ch"), ["http://p", "http://q"]);
    let table = [
        (Direct::Allowed, Some("c"), cern, object, "p(c) q(c) a b c"),
        (Direct::Allowed, Some("c"), cern, document, "p(c) q(c) c a b"),
        (Direct::Allowed, Some("e"), cern, object, "p(e) q(e) e"),
        (Direct::Allowed, None, cern, object, "p(a) q(a) a b c"),
        (Direct::Allowed, None, Some("x.org"), object, ""),
        (Direct::Never, Some("c"), cern, object, "p(c) q(c)"),
        (Direct::Never, Some("e"), None, document, "p(e) q(e)"),
        (Direct::Never, None, cern, object, "p(a) q(a)"),
    ];
    for (direct, named, repository, wanted, expected) in table {
        let tested = network(&parents, direct);
        assert_eq!(
            route(&tested, named, repository, wanted),
            expected,
            "{named:?} {repository:?} {wanted:?}"
        );
    }
    // Without parents, direct is the only way.
    assert_eq!(route(&network(&[], Direct::Never), Some("c"), cern, object), "a b c");
}

#[test]
fn a_server_is_the_same_in_all_groups_and_requests() {
    let tested = network(&[], Direct::Allowed);
    let name = object_name();
    let query = |repository| RouteQuery { named: None, repository, wanted: Wanted::Object(name) };
    let cern = tested.upstreams.route(query(Some("x.cern.ch")));
    let egi = tested.upstreams.route(query(Some("x.egi.eu")));
    assert!(Arc::ptr_eq(&cern[1].upstream, &egi[0].upstream));
    assert_eq!(cern[1].upstream.role(), Role::Mirror);
    assert_eq!(tested.candidate("http://e").upstream.role(), Role::Named);
}

/// How the server of this host is doing, or would be after these outcomes.
fn outcomes(tested: &Tested, host: &str, outcomes: &[UpstreamOutcome]) {
    let all = tested.upstreams.route(RouteQuery {
        named: Some(&format!("http://{host}").parse().unwrap()),
        repository: None,
        wanted: Wanted::Document("/x"),
    });
    let of_host = |candidate: &&Candidate| &*candidate.upstream.url().host == host;
    let upstream = &all.iter().find(of_host).unwrap().upstream;
    outcomes.iter().for_each(|&outcome| upstream.record(outcome));
}

const DOWN: &[UpstreamOutcome] = &[UpstreamOutcome::Refused; 3];
const CORRUPT: &[UpstreamOutcome] = &[UpstreamOutcome::BadDigest];

#[tokio::test(start_paused = true)]
async fn whoever_is_in_trouble_is_asked_last() {
    let (object, document) = (Wanted::Object(object_name()), Wanted::Document("/x"));
    let cern = Some("x.cern.ch");
    let table: [(&[&str], Wanted<'_>, &str); 7] = [
        (&["a"], object, "b c a"),
        (&["b"], object, "a c b"),
        (&["a", "b"], object, "c a b"),
        (&["a", "b", "c"], object, "a b c"),
        (&["b"], document, "c a b"),
        (&["c"], document, "a b c"),
        (&["e"], object, "a b c"),
    ];
    for (down, wanted, expected) in table {
        let tested = network(&[], Direct::Allowed);
        down.iter().for_each(|host| outcomes(&tested, host, DOWN));
        assert_eq!(route(&tested, Some("c"), cern, wanted), expected, "{down:?} {wanted:?}");
    }
    let tested = network(&["http://p", "http://q"], Direct::Allowed);
    outcomes(&tested, "p", DOWN);
    assert_eq!(route(&tested, Some("c"), cern, object), "q(c) a b c p(c)");
    outcomes(&tested, "q", CORRUPT);
    assert_eq!(route(&tested, Some("c"), cern, object), "a b c p(c) q(c)");
}

#[tokio::test(start_paused = true)]
async fn one_request_tries_the_server_again_that_was_in_trouble() {
    let object = |tested: &Tested| route(tested, None, Some("x.cern.ch"), Wanted::Object(object_name()));
    let tested = network(&[], Direct::Allowed);
    outcomes(&tested, "a", DOWN);
    assert_eq!(object(&tested), "b c a");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(object(&tested), "a b c", "this one tries");
    assert_eq!(object(&tested), "b c a", "the others wait for it");
    outcomes(&tested, "a", &[UpstreamOutcome::Refused]);
    tokio::time::advance(Duration::from_millis(1500)).await;
    assert_eq!(object(&tested), "b c a", "for twice as long");
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(object(&tested), "a b c");
    outcomes(&tested, "a", &[UpstreamOutcome::Ok]);
    assert_eq!(object(&tested), "a b c");
    assert_eq!(object(&tested), "a b c");
}

#[tokio::test(start_paused = true)]
async fn the_condition_of_servers_is_told() {
    let tested = network(&["http://p"], Direct::Allowed);
    outcomes(&tested, "b", DOWN);
    let told: Vec<_> = tested.upstreams.status().into_iter().map(|s| (s.url, s.role, s.standing)).collect();
    let row = |url: &str, role, standing| (url.to_owned(), role, standing);
    let expected = [
        row("http://p", Role::Parent, Standing::Good),
        row("http://a", Role::Mirror, Standing::Good),
        row("http://b", Role::Mirror, Standing::Out),
        row("http://c", Role::Mirror, Standing::Good),
        row("http://d", Role::Mirror, Standing::Good),
    ];
    assert_eq!(told, expected);
    let failure = tested.upstreams.status()[2].last_failure;
    assert_eq!(failure, Some((UpstreamOutcome::Refused, Duration::ZERO)));
    let healthy = |url| tested.metrics.healthy.with_label_values(&[url]).get();
    assert_eq!((healthy("http://a"), healthy("http://b")), (1, 0));
    assert_eq!(tested.metrics.circuit_opened.with_label_values(&["http://b"]).get(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    tested.upstreams.sample();
    assert_eq!(healthy("http://b"), 1, "it would be asked in its place");
}

#[tokio::test(start_paused = true)]
async fn parents_share_the_names_out() {
    let urls = ["http://p", "http://q", "http://r", "http://s"];
    let shared = |urls: &[&str]| {
        let setup = setup().limits(|limits| limits.parents_choice = ParentsChoice::Rendezvous);
        urls.iter().fold(setup, |setup, url| setup.parent(url)).client()
    };
    let (tested, reversed) = (shared(&urls), shared(&urls.iter().copied().rev().collect::<Vec<_>>()));
    let names: Vec<_> = (0..100).map(|seed| fastrand::Rng::with_seed(seed).u64(..)).collect();
    let routes = |tested: &Tested| -> Vec<String> {
        names.iter().map(|&name| route(tested, Some("a"), None, Wanted::Object(name))).collect()
    };
    let before = routes(&tested);
    assert_eq!(before, routes(&reversed), "whatever the order in which they are written");
    let first_letters: std::collections::BTreeSet<_> = before.iter().map(|route| &route[..1]).collect();
    assert_eq!(first_letters.len(), 4);
    outcomes(&tested, "q", DOWN);
    for (before, after) in before.iter().zip(routes(&tested)) {
        let without = before.replace("q(a) ", "");
        assert_eq!(after, format!("{without} q(a)"), "its names go to the next ones, all others stay");
    }
    let paths = |n: usize| route(&tested, Some("a"), None, Wanted::Document(&format!("/{n}")));
    assert!((1..50).any(|n| paths(n)[..1] != paths(0)[..1]), "documents are shared out, too");
}

#[tokio::test(start_paused = true)]
async fn a_mirror_without_the_object_is_asked_for_it_behind_the_others() {
    let tested = network(&["http://p"], Direct::Allowed);
    let (name, other) = (object_name(), !object_name());
    let object = |name| route(&tested, None, Some("x.cern.ch"), Wanted::Object(name));
    let query = RouteQuery { named: None, repository: None, wanted: Wanted::Object(name) };
    let [parent, a, b, c] = &tested.upstreams.route(query)[..] else { panic!("four candidates") };
    parent.upstream.note_absent(name);
    a.upstream.note_absent(name);
    assert_eq!(object(name), "p(a) b c a");
    assert_eq!(object(other), "p(a) a b c");
    assert_eq!(route(&tested, None, None, Wanted::Document("/x")), "p(a) a b c");
    outcomes(&tested, "b", DOWN);
    assert_eq!(object(name), "p(a) c a b", "rather than one in trouble");
    c.upstream.note_absent(name);
    b.upstream.record(UpstreamOutcome::Ok);
    b.upstream.note_absent(name);
    assert_eq!(object(name), "p(a) a b c", "all are still asked");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(object(name), "p(a) a b c");
}

#[tokio::test(start_paused = true)]
async fn the_caches_behind_a_name_share_the_names_and_come_and_go() {
    const THREE: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    const FIVE: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
    let setup = setup().parent("http://tier:3128").name("tier", &THREE).limits(|limits| {
        limits.direct = false;
        limits.parents_choice = ParentsChoice::Addresses;
    });
    let names = setup.names.clone();
    let tested = setup.client();
    let parents = tested.metrics.parents.clone();
    let target: ServerUrl = "http://stratum".parse().unwrap();
    let homes = || {
        let home = |name: u64| {
            let wanted = Wanted::Object(name.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let query = RouteQuery { named: Some(&target), repository: None, wanted };
            tested.upstreams.route(query).iter().map(|c| c.upstream.name().to_owned()).collect::<Vec<_>>()
        };
        (0..1000).map(home).collect::<Vec<_>>()
    };
    // One look a second, as workers have it, until so many are known.
    let until = async |number: i64| {
        while parents.get() != number {
            tested.upstreams.follow();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    assert_eq!(homes()[0], ["http://tier:3128"], "nothing is known yet: the name is one cache");
    until(3).await;
    let before = homes();
    assert!(
        before.iter().all(|order| order.len() == 3 && order[0].starts_with("http://tier:3128 at 10.0.0."))
    );

    names.set("tier", &FIVE);
    until(5).await;
    let grown = homes();
    let moved = before.iter().zip(&grown).filter(|(before, after)| before[0] != after[0]);
    assert!(moved.clone().all(|(_, after)| after[0].ends_with(".4") || after[0].ends_with(".5")));
    assert!((350..=450).contains(&moved.count()), "two fifths");

    // Another replica of the name server lists them the other way round; one is not there at all.
    names.set("tier", &["10.0.0.3", "10.0.0.2", "10.0.0.1"]);
    until(3).await;
    assert!(homes() == before);
    names.forget("tier");
    tested.upstreams.follow();
    tokio::time::sleep(Duration::from_secs(30)).await;
    tested.upstreams.follow();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(homes() == before, "a name server that does not answer takes nobody away");
}
