//! Names of servers and the rules about them: lines of a pattern, a host with its port, a range of ports, a network.
//! A name is read in one way or not at all; a pattern matches what a slow reader of patterns says.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use substratum::config::{Authority, Glob, PortRange, Scheme, ServerUrl};

/// By the definition: `*` is any run of characters.
fn slowly(pattern: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for &c in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = row[0] && c == b'*';
        for at in 1..=text.len() {
            next[at] = match c {
                b'*' => row[at] || next[at - 1],
                c => row[at - 1] && c.eq_ignore_ascii_case(&text[at - 1]),
            };
        }
        row = next;
    }
    row[text.len()]
}

fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let (pattern, host, ports) =
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    assert_eq!(Glob::new(pattern).matches(host), slowly(pattern.as_bytes(), host.as_bytes()), "{pattern:?} {host:?}");
    for scheme in [Scheme::Http, Scheme::Https] {
        let Ok(server) = ServerUrl::from_authority(scheme, host) else { continue };
        assert_eq!(server.to_string().parse::<ServerUrl>().as_ref(), Ok(&server), "{host:?}");
        assert_eq!(ServerUrl::from_authority(scheme, &server.authority()).as_ref(), Ok(&server), "{host:?}");
        assert!(server.port > 0 && !server.host.is_empty() && !server.host.bytes().any(|c| c.is_ascii_uppercase()));
        assert!(!server.host.contains(['@', '/', '%', '\\', ' ', '[']) && server.host.is_ascii());
        // Nothing that a resolver takes for an address and we do not.
        let last = server.host.rsplit('.').next().unwrap_or_default();
        if !server.host.contains(':') && last.starts_with(|c: char| c.is_ascii_digit()) {
            assert!(server.host.parse::<Ipv4Addr>().is_ok(), "{host:?}");
        }
    }
    if let Ok(authority) = host.parse::<Authority>() {
        assert_eq!(authority.to_string().parse::<Authority>().as_ref(), Ok(&authority), "{host:?}");
    }
    if let Ok(range) = ports.parse::<PortRange>() {
        assert_eq!(range.to_string().parse::<PortRange>(), Ok(range));
        assert!(range.contains(range.first()) && range.contains(range.last()) && !range.contains(0));
    }
});
