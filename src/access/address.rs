//! Which addresses are not part of the public internet.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Special-purpose blocks of IPv4: first address, prefix length.
const INTERNAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by carriers' address translators
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, where clouds keep their metadata services
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // IETF protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // former 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and the broadcast address
];

/// Blocks inside the global unicast range of IPv6 that are special all the same.
const INTERNAL_V6: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF protocol assignments, Teredo among them
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The address that `host` stands for without asking a name server (RFC 6761 §6.3 for `localhost`).
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    if host == "localhost" || host.ends_with(".localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.parse().ok()
}

/// Where a connection to `address` ends: an IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) is what it leads to.
pub(super) fn destination(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    }
}

/// Whether `address` leads to this machine, its neighbours or nowhere, rather than into the public internet.
/// An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) is judged as what it leads to.
pub(super) fn is_internal(address: IpAddr) -> bool {
    match destination(address) {
        IpAddr::V4(v4) => is_internal_v4(v4),
        // Everything outside this range is loopback, local, multicast or unassigned.
        IpAddr::V6(v6) => !in_v6(GLOBAL_UNICAST_V6, v6) || INTERNAL_V6.iter().any(|&block| in_v6(block, v6)),
    }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    INTERNAL_V4.iter().any(|&(first, length)| (first.to_bits() ^ address.to_bits()).leading_zeros() >= length)
}

fn in_v6((first, length): (Ipv6Addr, u32), address: Ipv6Addr) -> bool {
    (first.to_bits() ^ address.to_bits()).leading_zeros() >= length
}

/// The IPv4 destination behind an address translator (RFC 6052 §2.1) or a 6to4 router (RFC 3056 §2).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => Some(v4(g, h)),
        (0x2002, _) => Some(v4(b, c)),
        _ => None,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_disguise_changes_nothing(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let expected = is_internal(plain.into());
            let embedded = u128::from(bits);
            let disguises = [
                plain.to_ipv6_mapped(),
                Ipv6Addr::from_bits(0x64_ff9b << 96 | embedded),
                Ipv6Addr::from_bits(0x2002 << 112 | embedded << 80),
            ];
            for disguise in disguises {
                prop_assert_eq!(is_internal(disguise.into()), expected, "{}", disguise);
            }
        }
    }

    #[test]
    fn internal_addresses() {
        let table = [
            ("0.0.0.0", true),
            ("0.1.2.3", true),
            ("9.255.255.255", false),
            ("10.0.0.1", true),
            ("11.0.0.0", false),
            ("100.63.255.255", false),
            ("100.64.0.1", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("127.0.0.1", true),
            ("127.255.255.254", true),
            ("128.142.0.1", false),
            ("169.254.169.254", true),
            ("172.15.255.255", false),
            ("172.31.0.1", true),
            ("172.32.0.0", false),
            ("192.0.2.1", true),
            ("192.168.1.1", true),
            ("192.169.0.0", false),
            ("198.19.0.1", true),
            ("203.0.113.9", true),
            ("224.0.0.1", true),
            ("240.0.0.1", true),
            ("255.255.255.255", true),
            ("::", true),
            ("::1", true),
            ("::127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:128.142.0.1", false),
            ("64:ff9b::7f00:1", true),
            ("64:ff9b::808e:1", false),
            ("64:ff9b:1::808e:1", true),
            ("100::1", true),
            ("2001:0:1::1", true),
            ("2001:1458::1", false),
            ("2001:db8::1", true),
            ("2002:7f00:1::", true),
            ("2002:808e:1::", false),
            ("2a00:1450::1", false),
            ("3fff::1", true),
            ("3fff:1000::1", false),
            ("4000::1", true),
            ("fc00::1", true),
            ("fdff::1", true),
            ("fe80::1", true),
            ("fec0::1", true),
            ("ff02::1", true),
        ];
        for (text, expected) in table {
            assert_eq!(is_internal(text.parse().unwrap()), expected, "{text}");
        }
    }
}
