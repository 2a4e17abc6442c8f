//! Who is asked, in which order, in which form.

use super::*;

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

/// The hosts in order; a parent as `parent(target)`.
fn route(tested: &Tested, named: Option<&str>, repository: Option<&str>, kind: RouteKind) -> String {
    let named = named.map(|host| format!("http://{host}").parse().unwrap());
    let candidates = tested.upstreams.route(RouteQuery { named: named.as_ref(), repository, kind });
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
    use RouteKind::{Document, Object};
    let (cern, egi) = (Some("x.cern.ch"), Some("x.egi.eu"));
    let table = [
        (Some("a"), cern, Object, "a b c"),
        (Some("c"), cern, Object, "a b c"),
        (Some("c"), cern, Document, "c a b"),
        (Some("b"), cern, Document, "b a c"),
        // In two groups: the one that serves the repository, else the first.
        (Some("b"), egi, Object, "b d"),
        (Some("b"), Some("x.org"), Object, "a b c"),
        (Some("b"), None, Document, "b a c"),
        // In a group, whatever it serves.
        (Some("d"), cern, Object, "b d"),
        (Some("e"), cern, Object, "e"),
        (Some("e"), None, Document, "e"),
        (None, cern, Object, "a b c"),
        (None, egi, Document, "b d"),
        (None, None, Document, "a b c"),
        (None, Some("x.org"), Object, ""),
    ];
    let tested = network(&[], Direct::Allowed);
    for (named, repository, kind, expected) in table {
        assert_eq!(route(&tested, named, repository, kind), expected, "{named:?} {repository:?} {kind:?}");
    }
}

#[test]
fn with_parents() {
    use RouteKind::{Document, Object};
    let (cern, parents) = (Some("x.cern.ch"), ["http://p", "http://q"]);
    let table = [
        (Direct::Allowed, Some("c"), cern, Object, "p(c) q(c) a b c"),
        (Direct::Allowed, Some("c"), cern, Document, "p(c) q(c) c a b"),
        (Direct::Allowed, Some("e"), cern, Object, "p(e) q(e) e"),
        (Direct::Allowed, None, cern, Object, "p(a) q(a) a b c"),
        (Direct::Allowed, None, Some("x.org"), Object, ""),
        (Direct::Never, Some("c"), cern, Object, "p(c) q(c)"),
        (Direct::Never, Some("e"), None, Document, "p(e) q(e)"),
        (Direct::Never, None, cern, Object, "p(a) q(a)"),
    ];
    for (direct, named, repository, kind, expected) in table {
        let tested = network(&parents, direct);
        assert_eq!(route(&tested, named, repository, kind), expected, "{named:?} {repository:?} {kind:?}");
    }
    // Without parents, direct is the only way.
    assert_eq!(route(&network(&[], Direct::Never), Some("c"), cern, Object), "a b c");
}

#[test]
fn a_server_is_the_same_in_all_groups_and_requests() {
    let tested = network(&[], Direct::Allowed);
    let query = |repository| RouteQuery { named: None, repository, kind: RouteKind::Object };
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
        kind: RouteKind::Document,
    });
    let of_host = |candidate: &&Candidate| &*candidate.upstream.url().host == host;
    let upstream = &all.iter().find(of_host).unwrap().upstream;
    outcomes.iter().for_each(|&outcome| upstream.record(outcome));
}

const DOWN: &[UpstreamOutcome] = &[UpstreamOutcome::Refused; 3];
const CORRUPT: &[UpstreamOutcome] = &[UpstreamOutcome::BadDigest];

#[tokio::test(start_paused = true)]
async fn whoever_is_in_trouble_is_asked_last() {
    use RouteKind::{Document, Object};
    let cern = Some("x.cern.ch");
    let table: [(&[&str], RouteKind, &str); 7] = [
        (&["a"], Object, "b c a"),
        (&["b"], Object, "a c b"),
        (&["a", "b"], Object, "c a b"),
        (&["a", "b", "c"], Object, "a b c"),
        (&["b"], Document, "c a b"),
        (&["c"], Document, "a b c"),
        (&["e"], Object, "a b c"),
    ];
    for (down, kind, expected) in table {
        let tested = network(&[], Direct::Allowed);
        down.iter().for_each(|host| outcomes(&tested, host, DOWN));
        assert_eq!(route(&tested, Some("c"), cern, kind), expected, "{down:?} {kind:?}");
    }
    let tested = network(&["http://p", "http://q"], Direct::Allowed);
    outcomes(&tested, "p", DOWN);
    assert_eq!(route(&tested, Some("c"), cern, Object), "q(c) a b c p(c)");
    outcomes(&tested, "q", CORRUPT);
    assert_eq!(route(&tested, Some("c"), cern, Object), "a b c p(c) q(c)");
}

#[tokio::test(start_paused = true)]
async fn one_request_tries_the_server_again_that_was_in_trouble() {
    let object = |tested: &Tested| route(tested, None, Some("x.cern.ch"), RouteKind::Object);
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
