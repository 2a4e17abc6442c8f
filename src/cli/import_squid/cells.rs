//! What requests are told apart by: groups of clients, patterns of hosts, ranges of ports. Each bounded.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::acl::{Acls, Condition};
use crate::config::{Glob, PortRange};

/// Most groups, patterns and ranges.
const MAX_CLIENTS: usize = 32;
const MAX_HOSTS: usize = 512;
const MAX_PORTS: usize = 32;

/// Networks of all lists together.
const MAX_NETWORKS: usize = 2_048;

/// A group of clients that no list tells apart.
pub type Clients = Vec<IpNet>;

/// All addresses, in groups that no list tells apart; `None` when there are too many.
pub fn client_groups(acls: &Acls) -> Option<Vec<Clients>> {
    let lists: Vec<&Vec<IpNet>> = acls
        .conditions()
        .filter_map(|condition| match condition {
            Condition::Clients(networks, _) => Some(networks),
            _ => None,
        })
        .collect();
    let all: Vec<IpNet> = lists.iter().flat_map(|list| list.iter().copied()).collect();
    if all.len() > MAX_NETWORKS {
        return None;
    }
    let mut atoms = Vec::new();
    for whole in [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())] {
        split(whole, &all, &mut atoms);
    }
    let mut groups: BTreeMap<Vec<bool>, Clients> = BTreeMap::new();
    for atom in atoms {
        let within = lists.iter().map(|list| list.iter().any(|network| network.contains(&atom))).collect();
        groups.entry(within).or_default().push(atom);
    }
    (groups.len() <= MAX_CLIENTS).then(|| groups.into_values().collect())
}

/// Parts of `whole`, each of which is inside or outside of every network.
fn split(whole: IpNet, networks: &[IpNet], atoms: &mut Vec<IpNet>) {
    let inside: Vec<IpNet> =
        networks.iter().copied().filter(|network| whole.contains(network) && *network != whole).collect();
    let halves = whole.prefix_len().checked_add(1).and_then(|bits| whole.subnets(bits).ok());
    match halves.filter(|_| !inside.is_empty()) {
        Some(halves) => halves.for_each(|half| split(half, &inside, atoms)),
        None => atoms.push(whole),
    }
}

/// The patterns that lists of hosts are made of, as far as `hosts` can say them.
pub fn host_patterns(acls: &Acls) -> Vec<Glob> {
    let mut all: Vec<Glob> = Vec::new();
    for condition in acls.conditions() {
        if let Condition::Hosts(hosts) = condition {
            for host in &hosts.inner {
                let sayable = |c: char| c.is_ascii_alphanumeric() || "-._*".contains(c);
                let sayable = !host.as_str().is_empty() && host.as_str().chars().all(sayable)
                    || host.as_str().parse::<IpAddr>().is_ok();
                if sayable && !all.contains(host) && all.len() < MAX_HOSTS {
                    all.push(host.clone());
                }
            }
        }
    }
    all
}

/// All ports, in ranges that no list tells apart. Of too many, the last one is never allowed more than its first port.
pub fn port_ranges(acls: &Acls) -> Vec<PortRange> {
    let mut starts = vec![1u16];
    for condition in acls.conditions() {
        if let Condition::Ports(ranges) = condition {
            starts.extend(
                ranges.iter().flat_map(|range| [Some(range.first()), range.last().checked_add(1)]).flatten(),
            );
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([u16::MAX]);
    starts.iter().zip(ends).take(MAX_PORTS).map(|(&first, last)| PortRange::new(first, last)).collect()
}
