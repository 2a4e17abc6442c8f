//! `acl` lines -> conditions on a request, as far as they can be known beforehand.
//!
//! A condition that cannot (times, users, programs to ask) is `Unknown`: an `allow` that depends on it does not count, a
//! `deny` that depends on it always does.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Subnets};

use super::directive::{Directive, Files};
use super::pattern::Hosts;
use crate::config::check::is_internal;
use crate::config::{Glob, PortRange, TargetShape};

/// Most networks, hosts or ports of one list.
const MAX_VALUES: usize = 1_024;

/// Whether a list says everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It does.
    Whole,
    /// There are entries that only squid can read, such as names to look up.
    Part,
}

/// What an `acl` asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The client's address.
    Clients(Vec<IpNet>, Extent),
    /// The host named.
    Hosts(Hosts),
    /// The port named.
    Ports(Vec<PortRange>),
    /// URLs of these shapes certainly; others perhaps.
    Shapes(Vec<TargetShape>),
    /// Addresses that this program refuses anyway.
    Internal,
    /// True of everything that this program serves.
    Always,
    /// True of nothing that it serves.
    Never,
    /// Not to be known.
    Unknown,
}

/// The lists by name.
#[derive(Debug)]
pub struct Acls(BTreeMap<String, Condition>);

impl Acls {
    /// Reads all `acl` lines. Lines with the same name belong together.
    pub fn read(directives: &[Directive], files: Files<'_>) -> Self {
        let loopback = vec![
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 32)),
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]).into(),
        ];
        let mut all = BTreeMap::from(
            [
                ("all", Condition::Always),
                ("manager", Condition::Never),
                ("CONNECT", Condition::Never),
                ("localhost", Condition::Clients(loopback, Extent::Whole)),
                ("to_localhost", Condition::Internal),
                ("to_linklocal", Condition::Internal),
            ]
            .map(|(name, condition)| (name.to_owned(), condition)),
        );
        for directive in directives.iter().filter(|directive| directive.name == "acl") {
            let (Some(name), Some(kind)) = (directive.word(0), directive.word(1)) else { continue };
            let values = values(&directive.words[2..], files);
            let condition = condition(kind, values.as_deref());
            // squid has these built in; old files say them again, in other words.
            if matches!(name, "all" | "manager" | "to_localhost") {
                continue;
            }
            let name = name.to_owned();
            let merged = match all.remove(&name).filter(|_| name != "CONNECT") {
                Some(earlier) => either(earlier, condition),
                None => condition,
            };
            all.insert(name, merged);
        }
        Self(all)
    }

    /// What `name` asks; a name without a list is not to be known.
    pub fn get(&self, name: &str) -> &Condition {
        self.0.get(name).unwrap_or(&Condition::Unknown)
    }

    /// All of them.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.0.values()
    }
}

/// The values of a list, those of files in their place; `None` when a file cannot be read or there are too many.
fn values(words: &[String], files: Files<'_>) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for word in words {
        match word.strip_prefix('"') {
            Some(file) => {
                for (_, text) in files(file.trim_end_matches('"'))? {
                    let lines =
                        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                    all.extend(lines.map(str::to_owned));
                }
            }
            None => all.push(word.clone()),
        }
        if all.len() > MAX_VALUES {
            return None;
        }
    }
    Some(all)
}

fn condition(kind: &str, values: Option<&[String]>) -> Condition {
    let Some(values) = values else { return Condition::Unknown };
    // Options come first: -i, -n, and -- as their end.
    let mut values: Vec<&str> =
        values.iter().map(String::as_str).skip_while(|value| value.starts_with('-')).collect();
    match kind {
        "src" => clients(&values),
        "dst" => destinations(&values),
        "dstdomain" => Condition::Hosts(union(values.iter().map(|value| Hosts::of_domain(value)))),
        "dstdom_regex" => Condition::Hosts(union(values.iter().map(|value| Hosts::of_regex(value)))),
        "port" => match values.iter().map(|value| value.parse()).collect() {
            Ok(ports) => Condition::Ports(ports),
            Err(_) => Condition::Unknown,
        },
        "url_regex" | "urlpath_regex" => {
            let shapes = values.iter().flat_map(|regex| shapes(kind, regex)).collect();
            Condition::Shapes(shapes)
        }
        "method" | "proto" => {
            values.sort_unstable();
            let has = |word: &str| values.iter().any(|value| value.eq_ignore_ascii_case(word));
            match (kind, has("GET"), has("HEAD")) {
                ("method", true, true) => Condition::Always,
                ("method", false, false) => Condition::Never,
                ("method", ..) => Condition::Unknown,
                _ if has("http") => Condition::Always,
                _ => Condition::Never,
            }
        }
        _ => Condition::Unknown,
    }
}

fn union(all: impl Iterator<Item = Hosts>) -> Hosts {
    all.fold(Hosts::default(), |mut sum, hosts| {
        sum.inner.extend(hosts.inner);
        sum.outer.extend(hosts.outer);
        sum
    })
}

/// True where one of the two is.
fn either(a: Condition, b: Condition) -> Condition {
    match (a, b) {
        (Condition::Clients(mut a, whole), Condition::Clients(b, also)) => {
            a.extend(b);
            Condition::Clients(a, if whole == also { whole } else { Extent::Part })
        }
        (Condition::Hosts(a), Condition::Hosts(b)) => Condition::Hosts(union([a, b].into_iter())),
        (Condition::Ports(mut a), Condition::Ports(b)) => {
            a.extend(b);
            Condition::Ports(a)
        }
        (Condition::Shapes(mut a), Condition::Shapes(b)) => {
            a.extend(b);
            Condition::Shapes(a)
        }
        (Condition::Always, _) | (_, Condition::Always) => Condition::Always,
        (Condition::Never, other) | (other, Condition::Never) => other,
        (Condition::Internal, Condition::Internal) => Condition::Internal,
        _ => Condition::Unknown,
    }
}

fn clients(values: &[&str]) -> Condition {
    if values.contains(&"all") {
        return Condition::Always;
    }
    let mut networks = Vec::new();
    let mut extent = Extent::Whole;
    for value in values {
        match network(value) {
            Some(found) => networks.extend(found),
            None => extent = Extent::Part,
        }
    }
    if networks.len() > MAX_VALUES { Condition::Unknown } else { Condition::Clients(networks, extent) }
}

/// `dst` looks at the address that a name has. Only an address that is named itself can be told beforehand.
fn destinations(values: &[&str]) -> Condition {
    let Some(networks) = values.iter().map(|value| network(value)).collect::<Option<Vec<_>>>() else {
        return Condition::Unknown;
    };
    let networks: Vec<IpNet> = networks.into_iter().flatten().collect();
    if !networks.is_empty() && networks.iter().all(is_internal) {
        return Condition::Internal;
    }
    let single =
        |network: &&IpNet| network.prefix_len() == network.max_prefix_len() && network.addr().is_ipv4();
    let inner =
        networks.iter().filter(single).map(|network| Glob::new(&network.addr().to_string())).collect();
    Condition::Hosts(Hosts { inner, outer: vec![Glob::new("*")] })
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.0.0.1`, `10.0.0.1-10.0.0.9`. `None` for anything else, such as a name.
fn network(value: &str) -> Option<Vec<IpNet>> {
    match value {
        "ipv4" => return Some(vec![IpNet::V4(Ipv4Net::default())]),
        "ipv6" => return Some(vec![IpNet::V6(ipnet::Ipv6Net::default())]),
        _ => {}
    }
    if let Some((first, last)) = value.split_once('-') {
        return match (first.parse().ok()?, last.parse().ok()?) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Some(Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect())
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Some(Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect())
            }
            _ => None,
        };
    }
    let Some((address, mask)) = value.split_once('/') else {
        return value.parse::<IpAddr>().ok().map(|address| vec![address.into()]);
    };
    let address: IpAddr = address.parse().ok()?;
    let network = match mask.parse::<u8>() {
        Ok(bits) => IpNet::new(address, bits).ok()?,
        Err(_) => IpNet::with_netmask(address, mask.parse().ok()?).ok()?,
    };
    Some(vec![network.trunc()])
}

/// The shapes whose every URL the expression matches.
fn shapes(kind: &str, regex: &str) -> Vec<TargetShape> {
    let path = match kind {
        "url_regex" => {
            let hosts = [
                "^http://[^/]*",
                "^http://[^/]+",
                "^https?://[^/]*",
                "^https?://[^/]+",
                "^http://.*",
                "^https?://.*",
            ];
            if matches!(regex, "." | ".*" | "^http" | "^http:" | "^http://" | "^https?://") {
                return TargetShape::ALL.to_vec();
            }
            hosts
                .iter()
                .find_map(|host| regex.strip_prefix(host))
                .or((!regex.starts_with('^')).then_some(regex))
        }
        _ if matches!(regex, "." | ".*" | "^/" | "^/.*") => return TargetShape::ALL.to_vec(),
        _ => Some(regex),
    };
    match path.map(|path| path.trim_end_matches(".*")) {
        Some("^/cvmfs/" | "/cvmfs/" | "^/cvmfs" | "/cvmfs" | "cvmfs") => vec![TargetShape::Cvmfs],
        Some("/Frontier" | "/Frontier/" | "Frontier") if regex.ends_with("Frontier") => {
            vec![TargetShape::Frontier]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import_squid::directive::read;

    fn acl(text: &str) -> Condition {
        let none = |_: &str| None;
        Acls::read(&read(text, "f", &none), &none).get("A").clone()
    }

    #[test]
    fn clients_in_every_form() {
        let table: [(&str, &[&str]); 6] = [
            ("10.0.0.0/8", &["10.0.0.0/8"]),
            ("10.1.2.3/8", &["10.0.0.0/8"]),
            ("10.0.0.0/255.255.0.0", &["10.0.0.0/16"]),
            ("192.0.2.7", &["192.0.2.7/32"]),
            ("192.0.2.6-192.0.2.8", &["192.0.2.6/31", "192.0.2.8/32"]),
            ("fc00::/7", &["fc00::/7"]),
        ];
        for (value, expected) in table {
            let expected = expected.iter().map(|network| network.parse().unwrap()).collect();
            assert_eq!(
                acl(&format!("acl A src {value}")),
                Condition::Clients(expected, Extent::Whole),
                "{value}"
            );
        }
        assert_eq!(acl("acl A src all"), Condition::Always);
        assert_eq!(acl("acl A src node.example.org"), Condition::Clients(vec![], Extent::Part));
        assert_eq!(acl("acl A src \"/etc/nodes\""), Condition::Unknown);
    }

    #[test]
    fn other_kinds() {
        assert_eq!(
            acl("acl A port 80 1025-65535"),
            Condition::Ports(vec![PortRange::new(80, 80), PortRange::new(1025, 65_535)])
        );
        assert_eq!(acl("acl A method CONNECT"), Condition::Never);
        assert_eq!(acl("acl A method GET HEAD"), Condition::Always);
        assert_eq!(acl("acl A method GET"), Condition::Unknown);
        assert_eq!(acl("acl A dst 10.0.0.0/8 ::1"), Condition::Internal);
        assert_eq!(acl("acl A time 10:00-12:00"), Condition::Unknown);
        assert_eq!(acl("acl A urlpath_regex ^/cvmfs/"), Condition::Shapes(vec![TargetShape::Cvmfs]));
        assert_eq!(acl("acl A urlpath_regex ^/cvmfs/[^/]*/api/"), Condition::Shapes(vec![]));
        assert_eq!(acl("acl B src ::1"), Condition::Unknown);
    }
}
