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
