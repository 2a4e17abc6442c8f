//! What no single key can tell: contradictions between keys, and settings that are valid but suspicious.
//!
//! Pure: the file system is not looked at and no name is resolved. The ranges of single keys are in `keys.rs`.
//! A contradiction refuses the configuration; a warning is for the operator to read.

mod quotas;
mod registries;
mod warm;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::error::{Finding, Place};
use super::keys;
use super::quantity::{exact_duration, exact_size};
use super::units::{ByteSize, Glob, ServerUrl};
use super::{AccessLogFormat, Config, TargetShape};

/// When a CVMFS client leaves a proxy that has not begun to answer (CVMFS_TIMEOUT).
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);

/// The fewest segments with which reclaiming one does not lose a large part of the cache.
const MIN_SEGMENTS: u64 = 8;

/// Everything that cannot be meant, table by table.
pub fn contradictions(config: &Config) -> Vec<Finding> {
    let mut found = Findings::default();
    listen_addresses(config, &mut found);
    sizes(config, &mut found);
    timeouts(config, &mut found);
    quotas::contradictions(config, &mut found);
    upstreams(config, &mut found);
    warm::contradictions(config, &mut found);
    loops(config, &mut found);
    files(config, &mut found);
    found.0
}

/// Everything that is suspicious, table by table.
pub fn warnings(config: &Config) -> Vec<Finding> {
    let mut found = Findings::default();
    reachability(config, &mut found);
    openness(config, &mut found);
    storage(config, &mut found);
    quotas::warnings(config, &mut found);
    patience(config, &mut found);
    unused(config, &mut found);
    found.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn at(&mut self, place: impl Into<Place>, message: String) {
        self.0.push(Finding { place: place.into(), other: None, message });
    }

    /// Two keys that do not go together.
    fn between(&mut self, place: impl Into<Place>, other: impl Into<Place>, message: String) {
        self.0.push(Finding { place: place.into(), other: Some(other.into()), message });
    }

    /// `[table] small` must not exceed `[table] large`.
    fn at_most(&mut self, small: (&'static keys::Key, ByteSize), large: (&'static keys::Key, ByteSize)) {
        if small.1 > large.1 {
            let (small_size, large_size) = (exact_size(small.1), exact_size(large.1));
            let (small, large) = (small.0, large.0);
            self.between(small, large, format!("{small_size} is more than {} ({large_size})", large.name));
        }
    }
}

fn listen_addresses(config: &Config, found: &mut Findings) {
    use keys::listen::{ADMIN, PROXY, TLS, TLS_CERTIFICATE};
    let listen = &config.listen;
    for (i, &address) in listen.tls.iter().enumerate() {
        let earlier = listen.tls[..i].iter().chain(&listen.proxy).chain(&listen.admin);
        if let Some(&earlier) = earlier.into_iter().find(|&&earlier| collide(earlier, address)) {
            found.at(&TLS, format!("{earlier} and {address} cannot be listened on both"));
        }
    }
    if !listen.tls.is_empty() && listen.identity.is_none() {
        found.between(&TLS, &TLS_CERTIFICATE, "needs tls_certificate and tls_key beside it".to_owned());
    }
    if config.admin.tls && listen.identity.is_none() {
        let message = "needs tls_certificate and tls_key in [listen]".to_owned();
        found.between(&keys::admin::TLS, &TLS_CERTIFICATE, message);
    }
    for (i, &address) in listen.proxy.iter().enumerate() {
        if let Some(&earlier) = listen.proxy[..i].iter().find(|&&earlier| collide(earlier, address)) {
            found.at(&PROXY, format!("{earlier} and {address} cannot be listened on both"));
        }
    }
    if let Some(admin) = listen.admin
        && let Some(&proxy) = listen.proxy.iter().find(|&&proxy| collide(proxy, admin))
    {
        found.between(&ADMIN, &PROXY, format!("{admin} is taken by proxy ({proxy}); choose another port"));
    }
}

/// Whether the system would refuse the second of them. Port 0 is a different one each time; IPv6 sockets take no IPv4.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && same_family && same_address
}

fn sizes(config: &Config, found: &mut Findings) {
    let quarter = |size: ByteSize| ByteSize(size.bytes() / 4);
    let too_large = |size: ByteSize, capacity: ByteSize| {
        let (size, limit) = (exact_size(size), exact_size(quarter(capacity)));
        format!("{size} is more than a quarter of capacity ({limit}); one object would displace all others")
    };
    let memory = &config.memory;
    if memory.max_object > quarter(memory.capacity) {
        use keys::memory::{CAPACITY, MAX_OBJECT};
        found.between(&MAX_OBJECT, &CAPACITY, too_large(memory.max_object, memory.capacity));
    }
    if let Some(disk) = &config.disk {
        use keys::disk::{CAPACITY, DOCUMENTS, MAX_OBJECT, SEGMENT};
        let half = ByteSize(disk.capacity.bytes() / 2);
        if disk.documents > half {
            let (documents, half) = (exact_size(disk.documents), exact_size(half));
            let message =
                format!("{documents} is more than half of capacity ({half}); objects need the room");
            found.between(&DOCUMENTS, &CAPACITY, message);
        }
        if disk.max_object > quarter(disk.capacity) {
            found.between(&MAX_OBJECT, &CAPACITY, too_large(disk.max_object, disk.capacity));
        }
        if disk.capacity.bytes() / MIN_SEGMENTS < disk.segment.bytes() {
            let (segment, capacity) = (exact_size(disk.segment), exact_size(disk.capacity));
            let message = format!(
                "{capacity} of capacity hold fewer than {MIN_SEGMENTS} segments of {segment}; space is reclaimed by \
                 the segment"
            );
            found.between(&SEGMENT, &CAPACITY, message);
        }
    }
    {
        use keys::objects::{FILL_MEMORY, VERIFY_FIRST, WINDOW};
        let objects = &config.objects;
        found.at_most((&VERIFY_FIRST, objects.verify_first), (&WINDOW, objects.window));
        found.at_most((&WINDOW, objects.window), (&FILL_MEMORY, objects.fill_memory));
    }
    {
        use keys::memory::{DOCUMENTS, MAX_DOCUMENT};
        found.at_most((&MAX_DOCUMENT, memory.max_document), (&DOCUMENTS, memory.documents));
    }
}

fn timeouts(config: &Config, found: &mut Findings) {
    use keys::upstream::{
        CONNECT_TIMEOUT, FIRST_BYTE_TIMEOUT, HEAD_DEADLINE, IDLE_CONNECTIONS, MAX_CONNECTIONS,
    };
    let upstream = &config.upstream;
    let parts =
        [(&CONNECT_TIMEOUT, upstream.connect_timeout), (&FIRST_BYTE_TIMEOUT, upstream.first_byte_timeout)];
    for (key, part) in parts {
        if upstream.head_deadline < part {
            let (whole, part) = (exact_duration(upstream.head_deadline), exact_duration(part));
            let message =
                format!("{whole} for all servers together is less than {} for one ({part})", key.name);
            found.between(&HEAD_DEADLINE, key, message);
        }
    }
    if upstream.idle_connections > upstream.max_connections {
        let (idle, max) = (upstream.idle_connections, upstream.max_connections);
        let message = format!("{idle} is more than max_connections ({max})");
        found.between(&IDLE_CONNECTIONS, &MAX_CONNECTIONS, message);
    }
}

fn upstreams(config: &Config, found: &mut Findings) {
    use keys::mirrors::{NAME, URLS};
    for (i, group) in config.mirrors.iter().enumerate() {
        if config.mirrors[..i].iter().any(|earlier| earlier.name == group.name) {
            found.at(Place::nth(&NAME, i), format!("\"{}\" is the name of an earlier group", group.name));
        }
        for (j, url) in group.urls.iter().enumerate() {
            if group.urls[..j].contains(url) {
                found.at(Place::nth(&URLS, i), format!("{url} stands twice"));
            }
        }
    }
    registries::contradictions(config, found);
    for (i, parent) in config.parents.iter().enumerate() {
        if config.parents[..i].iter().any(|earlier| earlier.url == parent.url) {
            let place = Place::nth(&keys::parents::URL, i);
            found.at(place, format!("{} is the URL of an earlier parent", parent.url));
        }
    }
    if !config.upstream.direct && config.parents.is_empty() {
        let message = "false without any [[parents]] leaves nobody to ask".to_owned();
        found.at(&keys::upstream::DIRECT, message);
    }
    if !config.upstream.direct && !config.access.connect.is_empty() {
        let message =
            "tunnels are opened from here, never through a parent, and false forbids that".to_owned();
        found.between(&keys::access::CONNECT, &keys::upstream::DIRECT, message);
    }
    if config.access.hosts.is_empty() && config.mirrors.is_empty() && config.registries.is_empty() {
        let message = "an empty list without any [[mirrors]] leaves nothing to ask for".to_owned();
        found.at(&keys::access::HOSTS, message);
    }
}

fn loops(config: &Config, found: &mut Findings) {
    let mut refuse = |place: Place, url: &ServerUrl| {
        let own = config.listen.proxy.iter().chain(&config.listen.admin);
        if let Some(address) = own.into_iter().find(|&&address| leads_to(url, address)) {
            found.at(place, format!("{url} is this cache itself, which listens on {address}"));
        }
    };
    for (i, group) in config.mirrors.iter().enumerate() {
        group.urls.iter().for_each(|url| refuse(Place::nth(&keys::mirrors::URLS, i), url));
    }
    for (i, registry) in config.registries.iter().enumerate() {
        refuse(Place::nth(&keys::registries::URL, i), &registry.url);
    }
    for (i, parent) in config.parents.iter().enumerate() {
        refuse(Place::nth(&keys::parents::URL, i), &parent.url);
    }
}

/// Whether a connection to `url` certainly arrives at our own `address`.
fn leads_to(url: &ServerUrl, address: SocketAddr) -> bool {
    let loopback_of_family = |ip: IpAddr| ip.is_loopback() && ip.is_ipv4() == address.is_ipv4();
    let arrives = match url.host.parse::<IpAddr>() {
        Ok(ip) => ip == address.ip() || (address.ip().is_unspecified() && loopback_of_family(ip)),
        Err(_) => &*url.host == "localhost" && (address.ip().is_loopback() || address.ip().is_unspecified()),
    };
    arrives && url.port == address.port()
}

fn files(config: &Config, found: &mut Findings) {
    let Some(disk) = &config.disk else { return };
    if disk.path.parent().is_none() {
        found
            .at(&keys::disk::PATH, "the root folder holds other things; give a folder of its own".to_owned());
    }
    if let Some(log) = &config.log.path
        && log.starts_with(&disk.path)
    {
        let (log, folder) = (log.display(), disk.path.display());
        let message =
            format!("{log} is inside the folder of the disk tier ({folder}), which is for nothing else");
        found.between(&keys::log::PATH, &keys::disk::PATH, message);
    }
}

fn reachability(config: &Config, found: &mut Findings) {
    let (proxy, clients) = (&config.listen.proxy, &config.access.clients);
    let distant = clients.iter().find(|network| !network.addr().is_loopback());
    if proxy.iter().all(|address| address.ip().is_loopback()) {
        if let Some(network) = distant {
            let message =
                format!("only this machine can reach a loopback address; {network} in clients cannot");
            found.at(&keys::listen::PROXY, message);
        }
    } else if distant.is_none() {
        let message = "nobody but this machine is answered, although proxy listens for others".to_owned();
        found.at(&keys::access::CLIENTS, message);
    }
    if let Some(admin) = config.listen.admin.filter(|admin| !admin.ip().is_loopback()) {
        let message =
            format!("{admin} can be reached from other machines; make sure that only operators can");
        found.at(&keys::listen::ADMIN, message);
    }
    if let Some(snmp) = config.admin.snmp.filter(|snmp| !snmp.ip().is_loopback()) {
        let message = format!(
            "{snmp} can be reached from other machines, and the community is no secret; let only the monitoring through"
        );
        found.at(&keys::admin::SNMP, message);
    }
}

fn openness(config: &Config, found: &mut Findings) {
    use keys::access::{CLIENTS, INTERNAL_HOSTS, TARGETS};
    let access = &config.access;
    if let Some(everybody) = access.clients.iter().find(|network| network.prefix_len() == 0) {
        found.at(&CLIENTS, format!("{everybody} is the whole Internet; name the networks of the site"));
    }
    let any_target = access.targets.contains(&TargetShape::Any);
    if any_target && let Some(public) = access.clients.iter().find(|network| !is_internal(network)) {
        let message =
            format!("\"any\" and clients beyond private networks ({public}) make this an open proxy");
        found.at(&TARGETS, message);
    }
    if any_target && access.internal_hosts.iter().any(is_everything) {
        let message =
            "\"*\" and the target \"any\" let clients reach every service inside the site".to_owned();
        found.at(&INTERNAL_HOSTS, message);
    }
}

/// Loopback, link-local, private (RFC 1918, RFC 4193) and shared (RFC 6598) addresses.
pub fn is_internal(network: &IpNet) -> bool {
    let v4 = |a, b, bits| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), bits));
    let v6 = |a, bits| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, 0, 0, 0, 0, 0, 0, 0), bits));
    let internal =
        [v4(10, 0, 8), v4(172, 16, 12), v4(192, 168, 16), v4(100, 64, 10), v4(169, 254, 16), v4(127, 0, 8)]
            .into_iter()
            .chain([v6(0xfc00, 7), v6(0xfe80, 10)])
            .chain([IpNet::V6(Ipv6Net::from(Ipv6Addr::LOCALHOST))]);
    internal.into_iter().any(|outer| outer.contains(network))
}

fn is_everything(glob: &Glob) -> bool {
    glob.as_str().bytes().all(|c| c == b'*')
}

fn storage(config: &Config, found: &mut Findings) {
    let memory = config.memory.capacity;
    match &config.disk {
        None if memory.bytes() == 0 => {
            let message = "0 without a [disk] keeps nothing: every object is fetched every time".to_owned();
            found.at(&keys::memory::CAPACITY, message);
        }
        None => {
            let message =
                "without a [disk] table objects are kept in memory only, and lost at every stop".to_owned();
            found.at(&keys::disk::PATH, message);
        }
        Some(disk) if disk.capacity < memory => {
            let (disk, memory) = (exact_size(disk.capacity), exact_size(memory));
            let message = format!("{disk} is less than the memory tier ({memory})");
            found.between(&keys::disk::CAPACITY, &keys::memory::CAPACITY, message);
        }
        Some(_) => {}
    }
}

fn patience(config: &Config, found: &mut Findings) {
    use keys::objects::VERIFY_FIRST_PATIENCE;
    use keys::upstream::{HEAD_DEADLINE, STALL_TIMEOUT};
    let waits = [
        (&HEAD_DEADLINE, config.upstream.head_deadline),
        (&STALL_TIMEOUT, config.upstream.stall_timeout),
        (&VERIFY_FIRST_PATIENCE, config.objects.verify_first_patience),
    ];
    for (key, wait) in waits.into_iter().filter(|(_, wait)| *wait >= CLIENT_PATIENCE) {
        let (wait, patience) = (exact_duration(wait), exact_duration(CLIENT_PATIENCE));
        let message =
            format!("{wait} is longer than CVMFS clients wait ({patience}); they leave for another proxy");
        found.at(key, message);
    }
}

fn unused(config: &Config, found: &mut Findings) {
    for (i, rule) in config.documents.iter().enumerate() {
        if config.documents[..i].iter().any(|earlier| earlier.pattern == rule.pattern) {
            let message =
                format!("an earlier entry says \"{}\", too, and is the one that counts", rule.pattern);
            found.at(Place::nth(&keys::documents::MATCH, i), message);
        }
    }
    let takes_all = config.mirrors.iter().position(|group| group.serves.iter().any(is_everything));
    if let Some(first) = takes_all {
        for (i, group) in config.mirrors.iter().enumerate().skip(first + 1) {
            let message = format!(
                "requests that name no server never come to \"{}\", because \"{}\" above it serves everything",
                group.name, config.mirrors[first].name
            );
            found.at(Place::nth(&keys::mirrors::SERVES, i), message);
        }
    }
    if config.log.access == AccessLogFormat::Off && config.log.path.is_some() {
        found.between(
            &keys::log::PATH,
            &keys::log::ACCESS,
            "nothing is written, because access is off".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests;
