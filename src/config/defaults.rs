//! Every default, in one place. `keys.rs` repeats them for people; a test holds the two together.
//!
//! A default that depends on another key is a constructor (`Memory::with_capacity`), so that a file which gives only
//! the capacity is consistent. Nothing here looks at the environment; `Config::builtin` does.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::units::{ByteSize, Glob, PortRange};
use super::{
    Access, AccessLogFormat, Admin, Config, Disk, Listen, Log, Memory, MirrorGroup, Objects, ParentsChoice,
    TargetShape, Upstream,
};

/// Longest `listen.name`, in bytes: it is repeated in the head of every answer.
pub(super) const MAX_NAME: usize = 64;

impl Default for Config {
    /// What an empty file means: this machine's clients only, memory only, no mirrors, no parents.
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin: Admin::default(),
            access: Access::default(),
            memory: Memory::default(),
            disk: None,
            objects: Objects::default(),
            documents: Vec::new(),
            mirrors: Vec::new(),
            registries: Vec::new(),
            parents: Vec::new(),
            upstream: Upstream::default(),
            warm: Vec::new(),
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            proxy: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 3128))],
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 3129))),
            tls: Vec::new(),
            identity: None,
            name: name_from_host(&rustix::system::uname().nodename().to_string_lossy()),
            workers: std::thread::available_parallelism().map_or(1, NonZero::get),
            max_connections: 10_000,
            max_client_connections: 5_000,
            max_requests: 0,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            max_head: ByteSize::kib(64),
            max_target: ByteSize::kib(32),
            max_content: ByteSize::mib(1),
            drain_timeout: Duration::from_secs(20),
            max_tunnels: 100,
            max_client_tunnels: 50,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { tls: false, token_file: None, snmp: None, snmp_community: "public".to_owned() }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            clients: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            ],
            targets: vec![TargetShape::Cvmfs],
            hosts: vec![Glob::new("*")],
            ports: vec![PortRange::new(80, 80), PortRange::new(443, 443), PortRange::new(1024, u16::MAX)],
            internal_hosts: Vec::new(),
            methods: Vec::new(),
            connect: Vec::new(),
        }
    }
}

impl Memory {
    /// A memory tier of this size.
    pub fn with_capacity(capacity: ByteSize) -> Self {
        Self { capacity, max_object: quarter(capacity).min(ByteSize::mib(32)), ..Self::default() }
    }

    /// The same, with this much for documents.
    pub fn with_documents(self, documents: ByteSize) -> Self {
        Self { documents, max_document: quarter(documents).min(ByteSize::mib(8)), ..self }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            capacity: ByteSize::mib(256),
            max_object: ByteSize::mib(32),
            documents: ByteSize::mib(64),
            max_document: ByteSize::mib(8),
        }
    }
}

impl Disk {
    /// A disk tier of this size in this folder.
    pub fn new(path: PathBuf, capacity: ByteSize) -> Self {
        Self {
            path,
            capacity,
            documents: ByteSize(capacity.bytes() / 100).min(ByteSize::mib(256)),
            free_reserve: ByteSize(capacity.bytes() / 10).min(ByteSize::gib(1)),
            segment: segment_for(capacity),
            max_object: quarter(capacity).min(ByteSize::gib(4)),
            scrub_rate: ByteSize::mib(2),
            io_threads: 8,
            quotas: Vec::new(),
        }
    }
}

/// For downloads beside so much memory for objects.
pub(super) fn fill_memory_for(capacity: ByteSize, window: ByteSize) -> ByteSize {
    // No more than the key takes.
    quarter(capacity).max(ByteSize(window.bytes().saturating_mul(4))).min(ByteSize::gib(1024))
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            verify_first: ByteSize::kib(256),
            verify_first_patience: Duration::from_secs(2),
            window: ByteSize::mib(16),
            fill_memory: fill_memory_for(ByteSize::mib(256), ByteSize::mib(16)),
            finish_abandoned: ByteSize::mib(16),
            max_fills: 4096,
            max_client_fills: 256,
        }
    }
}

impl MirrorGroup {
    /// The `serves` of a group that answers for every repository.
    pub fn serves_all() -> Vec<Glob> {
        vec![Glob::new("*")]
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            first_byte_timeout: Duration::from_millis(1500),
            head_deadline: Duration::from_secs(4),
            stall_timeout: Duration::from_secs(2),
            // What clients themselves demand (CVMFS_LOW_SPEED_LIMIT).
            min_rate: ByteSize::kib(1),
            hedge_percent: 5,
            absent_for: Duration::from_secs(5),
            max_body: ByteSize::gib(64),
            redirects: 0,
            max_connections: 256,
            max_waiting: 1024,
            idle_connections: 128,
            // Apache closes at 5 s (KeepAliveTimeout); whoever closes first does not race with a request.
            idle_timeout: Duration::from_secs(4),
            parents_choice: ParentsChoice::Ordered,
            direct: true,
            ca_files: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { access: AccessLogFormat::Off, path: None, max_size: ByteSize::mib(100), keep: 5 }
    }
}

fn quarter(size: ByteSize) -> ByteSize {
    ByteSize(size.bytes() / 4)
}

/// 64 MiB, or the largest power of two that still gives 64 segments, but never below 1 MiB. Space is reclaimed by the
/// segment, and some four of them are append points or kept free: with 16 segments a fifth of the capacity lay idle.
fn segment_for(capacity: ByteSize) -> ByteSize {
    let most = (capacity.bytes() / 64).max(1);
    ByteSize(1 << most.ilog2()).clamp(ByteSize::mib(1), ByteSize::mib(64))
}

/// The host name as an RFC 9110 token: whatever may not stand in one becomes `-`.
fn name_from_host(host: &str) -> String {
    let name: String = host.chars().map(|c| if is_name_char(c) { c } else { '-' }).take(MAX_NAME).collect();
    if name.is_empty() { "substratum".to_owned() } else { name }
}

/// Whether `c` may stand in `listen.name`: the unreserved ones among the characters of a token (RFC 9110 §5.6.2), which
/// need no quoting in any log either.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_become_tokens() {
        let check = |host: &str, expected: &str| assert_eq!(name_from_host(host), expected);
        check("cache-01.example.org", "cache-01.example.org");
        check("my laptop", "my-laptop");
        check("büro", "b-ro");
        check("", "substratum");
        check(&"x".repeat(300), &"x".repeat(64));
    }

    #[test]
    fn segments_shrink_with_the_capacity() {
        let check = |capacity, expected| assert_eq!(segment_for(capacity), expected, "{capacity}");
        check(ByteSize(0), ByteSize::mib(1));
        check(ByteSize::mib(16), ByteSize::mib(1));
        check(ByteSize::mib(100), ByteSize::mib(1));
        check(ByteSize::gib(1), ByteSize::mib(16));
        check(ByteSize::gib(4), ByteSize::mib(64));
        check(ByteSize::gib(200), ByteSize::mib(64));
    }
}
