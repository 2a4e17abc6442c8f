//! Lines of `http_access` and what becomes of them.

use std::net::IpAddr;

use super::*;
use crate::cli::import_squid::directive::read;

const LISTS: &str = "acl N src 10.0.0.0/8\nacl M src 10.1.0.0/16\nacl W dstdomain .cern.ch\nacl B dstdomain bad.cern.ch\n\
                     acl S port 80 1025-65535\nacl T time 10:00-12:00\nacl C urlpath_regex ^/cvmfs/\n";

fn decided(lines: &str) -> Option<Decision> {
    let none = |_: &str| None;
    let directives = read(&format!("{LISTS}{lines}"), "f", &none);
    decide(&directives, &Acls::read(&directives, &none))
}

/// Clients, hosts, ports, targets, and whether something was lost.
fn check(lines: &str, clients: &[&str], hosts: &[&str], ports: &[&str], targets: &[&str], lost: bool) {
    let decision = decided(lines).unwrap_or_else(|| panic!("nothing allowed: {lines}"));
    let texts = |list: &mut dyn Iterator<Item = String>| list.collect::<Vec<_>>();
    assert_eq!(texts(&mut decision.clients.iter().map(ToString::to_string)), clients, "{lines}");
    assert_eq!(texts(&mut decision.hosts.iter().map(|host| host.as_str().to_owned())), hosts, "{lines}");
    assert_eq!(texts(&mut decision.ports.iter().map(ToString::to_string)), ports, "{lines}");
    assert_eq!(
        texts(&mut decision.targets.iter().map(|shape| shape.as_str().to_owned())),
        targets,
        "{lines}"
    );
    assert_eq!(!decision.lost.is_empty(), lost, "{lines}: {:?}", decision.lost);
}

#[test]
fn the_first_line_that_matches_counts() {
    check(
        "http_access allow N\nhttp_access deny all",
        &["10.0.0.0/8"],
        &["*"],
        &["1-65535"],
        &["any"],
        false,
    );
    check(
        "http_access deny !S\nhttp_access allow N",
        &["10.0.0.0/8"],
        &["*"],
        &["80", "1025-65535"],
        &["any"],
        false,
    );
    check(
        "http_access deny !W\nhttp_access allow N",
        &["10.0.0.0/8"],
        &["cern.ch", "*.cern.ch"],
        &["1-65535"],
        &["any"],
        false,
    );
    check(
        "http_access allow N C\nhttp_access deny all",
        &["10.0.0.0/8"],
        &["*"],
        &["1-65535"],
        &["cvmfs"],
        true,
    );
    check(
        "http_access allow M\nhttp_access deny N\nhttp_access deny all",
        &["10.1.0.0/16"],
        &["*"],
        &["1-65535"],
        &["any"],
        false,
    );
    check(
        "http_access deny to_localhost\nhttp_access allow N",
        &["10.0.0.0/8"],
        &["*"],
        &["1-65535"],
        &["any"],
        false,
    );
}

#[test]
fn after_the_last_line_its_opposite_holds() {
    let decision = decided("http_access deny M").unwrap();
    assert!(!decision.clients.iter().any(|network| network.contains(&IpAddr::from([10, 1, 2, 3]))));
    assert!(decision.clients.iter().any(|network| network.contains(&IpAddr::from([10, 2, 2, 3]))));
    assert!(decision.clients.iter().any(|network| network.contains(&IpAddr::from([192, 0, 2, 1]))));
    assert_eq!(decided(""), None);
    assert_eq!(decided("http_access allow NOBODY"), None);
}

#[test]
fn what_cannot_be_said_never_opens() {
    // All hosts but one: names known to be allowed.
    let decision = decided("http_access deny B\nhttp_access allow N").unwrap();
    assert_eq!(decision.hosts.len(), STRATA.len() + 1, "those, and cern.ch itself");
    assert!(!decision.lost.is_empty());
    // Somebody may more than the others.
    check(
        "http_access allow M\nhttp_access allow N W\nhttp_access deny all",
        &["10.0.0.0/8"],
        &["cern.ch", "*.cern.ch"],
        &["1-65535"],
        &["any"],
        true,
    );
    // Times: allowed never, refused always.
    assert_eq!(decided("http_access allow N T\nhttp_access deny all"), None);
    assert_eq!(decided("http_access deny T\nhttp_access allow N"), None);
    assert_eq!(decided("include /etc/more\nhttp_access allow N"), None);
}
