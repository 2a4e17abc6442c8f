//! From squid: its configurations come over, and whoever asks gets the same answers to the question "may I?".
//!
//! Real squids are asked the same requests as the tier with the imported file, both with one server behind them that has
//! everything. Networks of the files are moved into 127.0.0.0/8, so that a client can have an address in each.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use substratum::cli::import_squid::{Imported, Source, import};
use substratum::config::{AccessLogFormat, Config, Parent, Scheme, ServerUrl, TargetShape};

use crate::support::PATIENCE;
use crate::support::binary::command;
use crate::support::peer::{Peer, find};
use crate::support::proxy::{Proxy, lone};

/// The files, and whether squid's rules can be said exactly.
const FILES: [(&str, bool); 8] = [
    ("osg-site.customize.sh", true),
    ("restricted-site.customize.sh", true),
    ("replica.customize.sh", true),
    ("generated.squid.conf", true),
    ("distribution.squid.conf", true),
    ("campus.squid.conf", false),
    ("node.squid.conf", false),
    ("blocklist.squid.conf", false),
];

const HOSTS: [&str; 12] = [
    "cvmfs-stratum-one.cern.ch",
    "cmsfrontier.cern.ch",
    "cvmfs-s1fnal.opensciencegrid.org",
    "opensciencegrid.org",
    "evil-opensciencegrid.org",
    "opensciencegrid.org.evil.example",
    "crl1.example.org",
    "crl.example.org",
    "ads.example.org",
    "www.facebook.com",
    "games.example.org",
    "www.example.org",
];

const PATHS: [&str; 3] = [
    "/cvmfs/a.test.local/.cvmfspublished",
    "/atlr/Frontier/type=frontier_request:1:DEFAULT&p1=x",
    "/index.html",
];
const PORTS: [u16; 4] = [80, 25, 1024, 8000];

/// In 10.0.0.0/8 (and 10.0.0.0/16), 192.168.1.0/24, 192.168.99.0/24, 172.16.0.0/12, none, and this machine.
const CLIENTS: [[u8; 4]; 6] =
    [[127, 10, 0, 7], [127, 168, 1, 7], [127, 168, 99, 7], [127, 16, 0, 7], [127, 200, 0, 7], [127, 0, 0, 1]];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/squid")
}

fn imported(file: &str, change: impl Fn(String) -> String) -> Imported {
    let text = change(std::fs::read_to_string(folder().join(file)).unwrap());
    let (squid_conf, customize) = match file.ends_with(".sh") {
        true => (None, Some((file, text.as_str()))),
        false => (Some((file, text.as_str())), None),
    };
    import(Source { squid_conf, customize }, &|_| None).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Private networks -> parts of 127.0.0.0/8.
fn moved(text: String) -> String {
    [
        ("10.0.0.0/255.255.0.0", "127.10.0.0/255.255.0.0"),
        ("10.0.0.0/8", "127.10.0.0/16"),
        ("172.16.0.0/12", "127.16.0.0/16"),
        ("192.168.", "127.168."),
    ]
    .iter()
    .fold(text, |text, (from, to)| text.replace(from, to))
}

#[test]
fn every_file_gives_a_good_configuration_that_says_what_is_missing() {
    for (file, exact) in FILES {
        let imported = imported(file, |text| text);
        let config = Config::parse(&imported.toml, &folder().join(file)).unwrap();
        assert_eq!(imported.is_exact(), exact, "{file}: {:#?}", imported.notes);
        assert!(!config.access.clients.is_empty());
        for note in &imported.notes {
            assert!(imported.toml.contains(&note.text), "{file}: not in the file: {}", note.text);
        }
    }
}

#[test]
fn what_the_lines_say_arrives() {
    let site = Config::parse(&imported("osg-site.customize.sh", |text| text).toml, &folder()).unwrap();
    assert_eq!(site.memory.capacity.bytes(), 256 << 20);
    assert_eq!(site.disk.unwrap().capacity.bytes(), 200_000 << 20);
    assert_eq!((site.listen.workers, site.log.access), (4, AccessLogFormat::Frontier));
    assert_eq!(site.access.targets, [TargetShape::Any]);

    let replica = Config::parse(&imported("replica.customize.sh", |text| text).toml, &folder()).unwrap();
    assert_eq!(replica.mirrors[0].urls[0].to_string(), "http://localhost:8081");
    assert!(replica.access.hosts.is_empty(), "only its own origin");
    assert_eq!(replica.listen.proxy[0].port(), 8000);

    let node = Config::parse(&imported("node.squid.conf", |text| text).toml, &folder()).unwrap();
    assert_eq!(node.parents.len(), 2);
    assert!(!node.upstream.direct);
    assert_eq!((node.access.targets, node.log.access), (vec![TargetShape::Cvmfs], AccessLogFormat::Off));
    assert_eq!(node.listen.drain_timeout, Duration::from_secs(10));
}

#[test]
fn the_command_writes_a_file_once_and_lists_what_is_missing() {
    let folder_of_result = tempfile::tempdir().unwrap();
    let output = folder_of_result.path().join("site.toml");
    let source = folder().join("generated.squid.conf");
    let arguments =
        ["import-squid", "--squid-conf", source.to_str().unwrap(), "--output", output.to_str().unwrap()];
    let first = command(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(first.status.success() && said.contains("snmp_port 3401"), "{said}");
    let check = command(&["check", "--config", output.to_str().unwrap()]).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    assert_eq!(command(&arguments).output().unwrap().status.code(), Some(1), "never over an existing file");
}

/// Squid itself finds no fault with what was taken into account.
#[test]
fn squid_reads_the_files() {
    let Some(squid) = find("squid") else { return };
    for (file, _) in FILES {
        let conf = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(conf.path(), imported(file, |text| text).effective).unwrap();
        let output = Command::new(&squid).args(["-k", "parse", "-f"]).arg(conf.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Names of parents are looked up; there is no network here.
        assert!(
            output.status.success() && !said.contains("unrecognized") && !said.contains("FATAL"),
            "{file}: {said}"
        );
    }
}

/// A server that has everything: it answers whatever comes.
fn everything() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test process: nobody but its tests can reach it.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer_all(stream));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let _ = stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nok",
    );
}

/// The status that a client with this address gets; 403 too when it is turned away without one.
fn status(proxy: SocketAddr, client: [u8; 4], url: &str, host: &str) -> u16 {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::from(client), 0).into()).unwrap();
    socket.connect(&proxy.into()).unwrap();
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    if stream.write_all(request.as_bytes()).is_ok() {
        // A reset is as good an end as any.
        let _ = stream.read_to_end(&mut answer);
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split(' ').nth(1).map_or(403, |status| status.parse().unwrap())
}

#[tokio::test]
async fn the_same_requests_get_the_same_answers() {
    let Some(squid) = find("squid") else { return };
    let behind = everything();
    for (file, exact) in FILES.into_iter().filter(|(file, _)| *file != "replica.customize.sh") {
        let imported = imported(file, moved);
        let kept = ["acl ", "http_access "];
        let rules: String = imported
            .effective
            .lines()
            .filter(|line| kept.iter().any(|word| line.starts_with(word)))
            .map(|line| format!("{line}\n"))
            .collect();
        let peer = Peer::squid_with(&squid, &rules, behind);
        let mut setup = lone("imported");
        let config = Config::parse(&imported.toml, &folder()).unwrap();
        setup.config.access = config.access;
        let url =
            ServerUrl { scheme: Scheme::Http, host: behind.ip().to_string().into(), port: behind.port() };
        setup.config.parents.push(Parent { url, login: None });
        setup.config.upstream.direct = false;
        let proxy = Proxy::start(setup).await;
        let mut allowed = 0;
        for client in CLIENTS {
            for host in HOSTS {
                for (port, path) in PORTS.iter().flat_map(|port| PATHS.map(|path| (port, path))) {
                    let authority = if *port == 80 { host.to_owned() } else { format!("{host}:{port}") };
                    let url = format!("http://{authority}{path}");
                    let theirs = status(peer.address(), client, &url, &authority) != 403;
                    let ours = status(proxy.address(), client, &url, &authority) != 403;
                    allowed += usize::from(ours);
                    assert!(theirs || !ours, "{file}: opened {url} for {client:?}\n{}", imported.toml);
                    assert!(
                        ours == theirs || !exact,
                        "{file}: squid {theirs}, ours {ours}: {url} for {client:?}\n{}",
                        imported.toml
                    );
                }
            }
        }
        assert!(allowed > 0, "{file}: nothing is allowed\n{}", imported.toml);
    }
}
