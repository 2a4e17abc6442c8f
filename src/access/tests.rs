//! The four questions, as tables.

use super::*;

fn url(text: &str) -> ServerUrl {
    text.parse().unwrap()
}

fn globs(patterns: &[&str]) -> Vec<Glob> {
    patterns.iter().map(|pattern| Glob::new(pattern)).collect()
}

fn rules() -> config::Access {
    config::Access {
        clients: ["127.0.0.0/8", "::1/128", "10.0.0.0/8"].map(|net| net.parse().unwrap()).to_vec(),
        targets: vec![TargetShape::Cvmfs],
        hosts: globs(&["*.cern.ch"]),
        ports: config::Access::default().ports,
        internal_hosts: globs(&["*.site.local", "localhost", "0.0.0.0", "127.*"]),
        methods: Vec::new(),
        connect: Vec::new(),
    }
}

fn access_with(own: &[&str]) -> Access {
    let mirrors = [MirrorGroup {
        name: "group".to_owned(),
        urls: vec![url("http://stratum.example:8000"), url("http://10.1.1.1:8000")],
        serves: globs(&["*"]),
    }];
    let parents = [Parent { url: url("http://192.168.0.1:3128"), login: None }];
    let own: Vec<SocketAddr> = own.iter().map(|address| address.parse().unwrap()).collect();
    Access::new(&rules(), &mirrors, &parents, &own)
}

fn access() -> Access {
    access_with(&["0.0.0.0:3128", "127.0.0.1:3129"])
}

#[test]
fn clients() {
    let table = [
        ("127.0.0.1", true),
        ("10.200.3.4", true),
        ("::ffff:10.200.3.4", true),
        ("::1", true),
        ("11.0.0.1", false),
        ("::ffff:11.0.0.1", false),
        ("fe80::1", false),
    ];
    for (ip, allowed) in table {
        let ip: IpAddr = ip.parse().unwrap();
        let expected = if allowed { Ok(()) } else { Err(Denial::Client(ip.to_canonical())) };
        assert_eq!(access().client(ip), expected, "{ip}");
    }
}

#[test]
fn targets() {
    use TargetShape::{Any, Bazel, Cvmfs, Debian, Frontier};
    let (manifest, query) = ("/cvmfs/a.b/.cvmfspublished", "/atlr/Frontier/type=frontier_request:1");
    let object = "/cvmfs/a.b/data/49/bf00112233445566778899aabbccddeeff0a1b";
    let index = "/debian/dists/sid/by-hash/SHA256/\
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let blob = "/cas/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let table: [(&[TargetShape], &str, bool); 13] = [
        (&[Cvmfs], manifest, true),
        (&[Cvmfs], "/cvmfs/a.b/.cvmfspublished?x", true),
        (&[Cvmfs], "/x?/cvmfs/a.b/.cvmfspublished", false),
        (&[Cvmfs], query, false),
        (&[Frontier], query, true),
        (&[Frontier], manifest, false),
        (&[Cvmfs, Frontier], query, true),
        (&[Any], "/anything?at=all", true),
        (&[], manifest, false),
        (&[Debian], "/debian/dists/sid/InRelease", true),
        (&[Debian], blob, false),
        (&[Bazel], blob, true),
        (&[Bazel], index, false),
    ];
    for (targets, path, allowed) in table {
        let access = Access { targets: targets.to_vec(), ..access() };
        let expected = if allowed { Ok(()) } else { Err(Denial::Target) };
        assert_eq!(access.target(path), expected, "{path} {targets:?}");
        for (layout, object) in [(Layout::Cvmfs, object), (Layout::Debian, index), (Layout::Bazel, blob)] {
            let served = access.target(object).is_ok();
            let general = targets.contains(&Any) && layout != Layout::Cvmfs;
            assert_eq!(access.objects(layout), served && !general, "{layout:?} {targets:?}");
        }
    }
}

#[test]
fn hosts() {
    let table = [
        ("http://s1.cern.ch:8000", true),
        ("http://stratum.example:8000", true), // a mirror, though no pattern covers it
        ("http://stratum.example:22", false),
        ("http://192.168.0.1:3128", false), // a parent is asked on our own account only
        ("http://cern.ch.example", false),
    ];
    for (text, allowed) in table {
        let named = url(text);
        let expected = if allowed { Ok(()) } else { Err(Denial::Host(named.host.as_ref().into())) };
        assert_eq!(access().host(&named), expected, "{text}");
    }
}

#[test]
fn hosts_that_are_addresses() {
    let table = [
        ("http://128.142.0.1", true),
        ("http://127.0.0.1:8000", true), // among the internal hosts of these rules
        ("http://127.0.0.1:3129", false),
        ("http://localhost:3129", false),
        ("http://10.1.1.1:8000", true), // a mirror
        ("http://10.1.1.1:22", false),
        ("http://[::1]:8000", false),
        ("http://[::ffff:10.0.0.1]", false),
        ("http://admin.localhost", false),
    ];
    let access = Access { hosts: globs(&["*"]), ..access() };
    for (text, allowed) in table {
        assert_eq!(access.host(&url(text)).is_ok(), allowed, "{text}");
    }
}

#[test]
fn addresses_to_connect_to() {
    #[derive(Debug, PartialEq)]
    enum Verdict {
        Allowed,
        Internal,
        Ourselves,
    }
    use Verdict::*;
    let table = [
        ("http://s1.cern.ch:8000", "128.142.0.1", Allowed),
        ("http://s1.cern.ch:8000", "127.0.0.1", Internal),
        ("http://s1.cern.ch:8000", "::ffff:10.0.0.1", Internal),
        ("http://s1.cern.ch", "169.254.169.254", Internal),
        ("http://10.1.1.1:8000", "10.1.1.1", Allowed), // mirror
        ("http://10.1.1.1:22", "10.1.1.1", Internal),  // its neighbour on the same machine
        ("http://stratum.example:8000", "10.9.9.9", Allowed),
        ("http://192.168.0.1:3128", "192.168.0.1", Allowed), // parent
        ("http://crl.site.local", "10.0.0.7", Allowed),
        ("http://localhost:8000", "127.0.0.1", Allowed),
        // Our own listeners stay closed whatever `internal_hosts` says.
        ("http://localhost:3129", "127.0.0.1", Ourselves),
        ("http://localhost:3129", "::ffff:127.0.0.1", Ourselves),
        ("http://0.0.0.0:3129", "0.0.0.0", Ourselves),
        ("http://x.site.local:3129", "::", Ourselves),
        ("http://localhost:3128", "127.0.0.1", Ourselves),
        ("http://127.9.9.9:3128", "127.9.9.9", Ourselves),
        ("http://localhost:3128", "::1", Ourselves),
        // A translator or a 6to4 router may lead back here.
        ("http://x.site.local:3129", "64:ff9b::7f00:1", Ourselves),
        ("http://x.site.local:3129", "2002:7f00:1::1", Ourselves),
        ("http://x.site.local:8000", "64:ff9b::7f00:1", Allowed),
        ("http://s1.cern.ch", "64:ff9b::a9fe:a9fe", Internal),
        ("http://s1.cern.ch", "fd00:ec2::254", Internal),
        ("http://s1.cern.ch", "::ffff:169.254.169.254", Internal),
    ];
    for (server, ip, expected) in table {
        let verdict = match access().may_connect(&url(server), ip.parse().unwrap()) {
            Ok(()) => Allowed,
            Err(Denial::InternalAddress { .. }) => Internal,
            Err(Denial::Ourselves { .. }) => Ourselves,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(verdict, expected, "{server} {ip}");
    }
}

#[test]
fn a_mirror_that_is_ourselves_is_refused() {
    let access = access_with(&["10.1.1.1:8000"]);
    let verdict = access.may_connect(&url("http://10.1.1.1:8000"), "10.1.1.1".parse().unwrap());
    assert!(matches!(verdict, Err(Denial::Ourselves { .. })));
}

#[test]
fn a_listener_on_all_addresses_is_known_by_its_connections() {
    let table = [
        ("http://me.cern.ch:3128", "128.142.0.1", "128.142.0.1:3128", false),
        ("http://other.cern.ch:3128", "128.142.0.1", "128.142.0.2:3128", true),
        ("http://me.cern.ch:8000", "128.142.0.1", "128.142.0.1:8000", true),
    ];
    for (server, local, peer, allowed) in table {
        let verdict = access().connected(&url(server), local.parse().unwrap(), peer.parse().unwrap());
        assert_eq!(verdict.is_ok(), allowed, "{server}");
    }
}

#[test]
fn denials_name_the_key_to_change() {
    let table = [
        (access().client("11.0.0.1".parse().unwrap()), "clients at 11.0.0.1", "`clients` in [access]"),
        (access().target("/x"), "URLs of this kind", "`targets` in [access]"),
        (access().host(&url("http://x.example")), "ask x.example", "`hosts` in [access]"),
        (
            access().may_connect(&url("http://s1.cern.ch"), "10.0.0.1".parse().unwrap()),
            "s1.cern.ch: its address 10.0.0.1 is internal",
            "`internal_hosts` in [access]",
        ),
    ];
    for (denial, what, key) in table {
        let text = denial.unwrap_err().to_string();
        assert!(text.contains(what) && text.contains(key), "{text}");
    }
}
