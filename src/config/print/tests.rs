//! What is printed reads back to the same value.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::{
    self, Access, AccessLogFormat, ByteSize, Disk, DocumentPattern, DocumentRule, Glob, Identity, Listen,
    Log, Login, Memory, MirrorGroup, Objects, OnRevision, Parent, ParentsChoice, PortRange, Quota, Registry,
    TargetShape, Upstream, Warm, WriteMethod,
};

fn check(config: &Config) -> Result<(), TestCaseError> {
    let printed = config.to_string();
    match Config::parse(&printed, Path::new("printed.toml")) {
        Ok(read) => prop_assert_eq!(&read, config, "{}", printed),
        Err(error) => return Err(TestCaseError::fail(format!("{error}\n{printed}"))),
    }
    Ok(())
}

#[test]
fn the_default_reads_back() {
    check(&Config::default()).unwrap();
    let builtin = Config::builtin();
    check(&builtin).unwrap();
}

#[test]
fn what_follows_from_the_largest_memory_reads_back() {
    let text = "[access]\nclients = [\"10.0.0.0/8\"]\n[memory]\ncapacity = \"16384 GiB\"\n";
    check(&Config::parse(text, Path::new("large.toml")).unwrap()).unwrap();
}

#[test]
fn strings_are_escaped() {
    let config = Config {
        log: Log { path: Some(PathBuf::from("/a \"quoted\" \\ \t\u{7f}\u{85} ü 🦀")), ..Log::default() },
        ..Config::default()
    };
    check(&config).unwrap();
}

#[test]
fn every_key_is_printed() {
    let group = |name: &str| MirrorGroup {
        name: name.to_owned(),
        urls: vec!["http://a".parse().unwrap()],
        serves: MirrorGroup::serves_all(),
    };
    let repository = Glob::new("a.cern.ch");
    let quota = Quota { repository, floor: ByteSize(0), ceiling: Some(ByteSize::mib(1)), pin: true };
    let config = Config {
        disk: Some(Disk { quotas: vec![quota], ..Disk::new(PathBuf::from("/c"), ByteSize::gib(1)) }),
        documents: vec![DocumentRule {
            pattern: DocumentPattern::Cvmfs,
            ttl: Some(Duration::ZERO),
            negative_ttl: Some(Duration::ZERO),
            stale_if_error: Some(Duration::ZERO),
            stale_while_revalidate: Some(Duration::ZERO),
        }],
        mirrors: vec![group("one"), group("two")],
        registries: vec![registry("docker.io", &[]), registry("b.test:5000", &["b-*.test", "::1"])],
        parents: vec![Parent { url: "http://p:3128".parse().unwrap(), login: Some(login()) }],
        log: Log { path: Some(PathBuf::from("/l")), ..Log::default() },
        warm: vec![warm()],
        admin: config::Admin { token_file: Some(PathBuf::from("/t")), ..config::Admin::default() },
        listen: Listen {
            identity: Some(Identity { certificate: "/a".into(), key: "/b".into() }),
            ..Listen::default()
        },
        ..Config::default()
    };
    let printed = config.to_string();
    for table in keys::TABLES {
        let section = printed.split(&format!("\n{table}\n")).nth(1).unwrap();
        let section = section.split("\n[").next().unwrap();
        for key in table.keys {
            assert!(section.contains(&format!("\n{} = ", key.name)), "{table} {}", key.name);
        }
    }
    assert!(printed.lines().all(|line| !line.starts_with('#') || line.chars().count() <= WIDTH), "{printed}");
}

fn size(max: u64) -> impl Strategy<Value = ByteSize> {
    (0..=max).prop_map(ByteSize)
}

fn wait(max_ms: u64) -> impl Strategy<Value = Duration> {
    (1..=max_ms).prop_map(Duration::from_millis)
}

fn glob() -> impl Strategy<Value = Glob> {
    "[a-z*][a-z.*-]{0,12}".prop_map(|pattern| Glob::new(&pattern))
}

fn file() -> impl Strategy<Value = PathBuf> {
    // A letter first: "/./" is the root folder.
    "/[a-z][^/\0]{0,19}/\\PC{0,9}".prop_map(PathBuf::from)
}

fn network() -> impl Strategy<Value = IpNet> {
    (any::<IpAddr>(), 0u8..=32).prop_map(|(address, bits)| IpNet::new(address, bits).unwrap().trunc())
}

fn listen() -> impl Strategy<Value = Listen> {
    let name = "[A-Za-z0-9._~-]{1,64}";
    // One address for each listener, so that none collide.
    let admin = option::of(Just(SocketAddr::from(([127, 0, 0, 1], 9))));
    let proxy = vec(any::<IpAddr>(), 1..4)
        .prop_map(|ips| ips.into_iter().zip(3128..).map(SocketAddr::from).collect());
    (proxy, admin, name, 1usize..=1024, 1usize..=1_000_000, wait(86_399_000), wait(3_600_000)).prop_map(
        |(proxy, admin, name, workers, max_connections, idle, drain_timeout)| Listen {
            proxy,
            tls: vec![SocketAddr::from(([127, 0, 0, 1], 3000))],
            identity: Some(Identity { certificate: "/a".into(), key: "/b".into() }),
            admin,
            name,
            workers,
            max_connections,
            max_client_connections: max_connections.div_ceil(3),
            max_requests: max_connections,
            head_timeout: Duration::from_secs(1 + workers as u64),
            idle_timeout: idle + Duration::from_secs(1),
            max_head: ByteSize::kib(workers as u64),
            max_target: ByteSize::kib(1 + workers as u64 % 60),
            max_content: ByteSize(max_connections as u64),
            drain_timeout,
            max_tunnels: workers,
            max_client_tunnels: workers.div_ceil(4),
        },
    )
}

fn admin() -> impl Strategy<Value = config::Admin> {
    let snmp = option::of(any::<(IpAddr, u16)>().prop_map(SocketAddr::from));
    (any::<bool>(), option::of(file()), snmp, "[ -~]{1,64}").prop_map(
        |(tls, token_file, snmp, snmp_community)| config::Admin { tls, token_file, snmp, snmp_community },
    )
}

fn access() -> impl Strategy<Value = Access> {
    let targets = vec(select(&TargetShape::ALL[..]), 1..4);
    let methods = vec(select(&WriteMethod::ALL[..]), 0..3);
    (vec(network(), 1..6), targets, vec(glob(), 1..4), vec(glob(), 0..4), methods).prop_map(
        |(clients, targets, hosts, internal_hosts, methods)| Access {
            clients,
            targets,
            hosts,
            ports: vec![PortRange::new(80, 80), PortRange::new(1025, 65_535)],
            internal_hosts,
            connect: methods.iter().map(|_| "a.example.org:443".parse().unwrap()).collect(),
            methods,
        },
    )
}

fn disk() -> impl Strategy<Value = Disk> {
    (file(), (1u64 << 24)..=1 << 44, 1usize..=256, vec((any::<bool>(), any::<bool>()), 0..4)).prop_map(
        |(path, capacity, io_threads, quotas)| {
            let quota = |(n, &(limited, pin)): (usize, &(bool, bool))| Quota {
                repository: Glob::new(&format!("{n}.example.org")),
                floor: ByteSize(if pin { 0 } else { capacity >> 5 }),
                ceiling: (limited || pin).then_some(ByteSize(capacity >> 4)),
                pin,
            };
            let quotas = quotas.iter().enumerate().map(quota).collect();
            Disk { io_threads, quotas, ..Disk::new(path, ByteSize(capacity)) }
        },
    )
}

fn objects() -> impl Strategy<Value = Objects> {
    (size(1 << 20), wait(60_000), size(1 << 30), size(1 << 40), 1usize..=1_000_000).prop_map(
        |(verify_first, verify_first_patience, window, finish_abandoned, max_fills)| Objects {
            verify_first,
            verify_first_patience,
            window: ByteSize(window.bytes() + (1 << 20)),
            fill_memory: ByteSize(window.bytes() + (2 << 20)),
            finish_abandoned,
            max_fills,
            max_client_fills: max_fills.div_ceil(2),
        },
    )
}

fn document_rule() -> impl Strategy<Value = DocumentRule> {
    let pattern = select(&["manifests", "whitelists", "cvmfs", "frontier", "*.cern.ch/crl/*", "*/*?q"][..])
        .prop_map(|text| text.parse::<DocumentPattern>().unwrap());
    let time = || option::of(wait(86_400_000));
    (pattern, time(), time(), time(), time()).prop_map(
        |(pattern, ttl, negative_ttl, stale_if_error, stale_while_revalidate)| DocumentRule {
            pattern,
            ttl,
            negative_ttl,
            stale_if_error,
            stale_while_revalidate,
        },
    )
}

fn mirrors() -> impl Strategy<Value = Vec<MirrorGroup>> {
    let urls = select(vec![
        vec!["http://a.example.org:8000"],
        vec!["https://b.example.org", "http://[2001:db8::1]:8000"],
        vec!["http://192.0.2.1"],
    ]);
    vec((urls, vec(glob(), 1..3)), 0..4).prop_map(|groups| {
        let group = |(i, (urls, serves)): (usize, (Vec<&str>, _))| MirrorGroup {
            name: format!("group-{i}"),
            urls: urls.into_iter().map(|url| url.parse().unwrap()).collect(),
            serves,
        };
        groups.into_iter().enumerate().map(group).collect()
    })
}

fn registry(name: &str, hosts: &[&str]) -> Registry {
    let url = format!("https://{name}").parse().unwrap();
    Registry {
        name: name.to_owned(),
        url,
        hosts: hosts.iter().map(|host| Glob::new(host)).collect(),
        anonymous: !hosts.is_empty(),
    }
}

fn login() -> Login {
    Login { user: "node".to_owned(), password_file: PathBuf::from("/etc/password") }
}

fn warm() -> Warm {
    let repository = "http://a/cvmfs/x.y".parse().unwrap();
    let (on_revision, key) = (OnRevision::All, Some(PathBuf::from("/k")));
    Warm { paths: vec!["/a:b".to_owned(), "/c".to_owned()], on_revision, key, ..Warm::new(repository) }
}

fn parent() -> impl Strategy<Value = Parent> {
    let login = ("[^:\\pC]{1,9}", file()).prop_map(|(user, password_file)| Login { user, password_file });
    let url = "http://parent.example.org:3128";
    option::of(login).prop_map(|login| Parent { url: url.parse().unwrap(), login })
}

fn upstream() -> impl Strategy<Value = Upstream> {
    (
        wait(60_000),
        wait(60_000),
        wait(3_600_000),
        1usize..=65_535,
        0.0..=1.0,
        (select(&ParentsChoice::ALL[..]), any::<bool>()),
        vec(file(), 0..3),
        (size(1 << 30), 0usize..=100, wait(3_600_000), 0usize..=10, 0usize..=65_535, size(1 << 40)),
    )
        .prop_map(
            |(
                connect_timeout,
                first_byte_timeout,
                wait,
                max_connections,
                idle,
                (parents_choice, direct),
                ca_files,
                (min_rate, hedge_percent, absent_for, redirects, max_waiting, max_body),
            )| Upstream {
                connect_timeout,
                first_byte_timeout,
                head_deadline: connect_timeout.max(first_byte_timeout).max(wait),
                stall_timeout: wait,
                min_rate,
                hedge_percent,
                absent_for,
                max_body: ByteSize(max_body.bytes().max(1 << 20)),
                redirects,
                max_connections,
                max_waiting,
                idle_connections: (max_connections as f64 * idle) as usize,
                idle_timeout: wait,
                parents_choice,
                direct,
                ca_files,
            },
        )
}

fn log() -> impl Strategy<Value = Log> {
    let path = option::of("/var/\\PC{1,9}".prop_map(PathBuf::from));
    (select(&AccessLogFormat::ALL[..]), path, (1u64 << 20)..=1 << 40, 0usize..=1000)
        .prop_map(|(access, path, max_size, keep)| Log { access, path, max_size: ByteSize(max_size), keep })
}

prop_compose! {
    fn config()(
        listen in listen(),
        admin in admin(),
        access in access(),
        memory in (size(1 << 44), size(1 << 40))
            .prop_map(|(all, documents)| Memory::with_capacity(all).with_documents(documents)),
        disk in option::of(disk()),
        objects in objects(),
        documents in vec(document_rule(), 0..4),
        mirrors in mirrors(),
        registries in 0usize..3,
        parents in option::of(parent()),
        upstream in upstream(),
        warm in vec(select(vec![warm(), Warm { key: None, ..warm() }]), 0..3),
        log in log(),
    ) -> Config {
        let direct = upstream.direct || parents.is_none() || !access.connect.is_empty();
        let log = if disk.is_some() { Log { path: None, ..log } } else { log };
        let upstream = Upstream { direct, ..upstream };
        let parents = parents.into_iter().collect();
        let registries = (0..registries).map(|n| registry(&format!("r{n}.test"), &["a.test"][..n.min(1)])).collect();
        Config {
            listen, admin, access, memory, disk, objects, documents, mirrors, registries, parents, upstream, warm, log,
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(config in config()) {
        check(&config)?;
    }
}
