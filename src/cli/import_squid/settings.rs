//! Everything but access: sizes, ports, parents, logs. Each value with the lines that it comes from.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::Note;
use super::directive::{Directive, Scope};
use super::page::Page;
use crate::config::quantity::exact_size;
use crate::config::{ByteSize, ServerUrl};

/// Limits of keys: what is beyond is brought within.
const DISK: (u64, u64) = (16 << 20, 1 << 50);
const MEMORY: u64 = 1 << 44;

/// Where this program keeps its files.
const CACHE: &str = "/var/cache/substratum";
const LOG: &str = "/var/log/substratum/access.log";

/// How requests reach squid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// As a proxy.
    Proxy,
    /// Only as a server (`accel`).
    Server,
}

/// Writes what the directives say to `page`.
pub fn write(directives: &[Directive], ipv6_clients: bool, page: &mut Page, notes: &mut Vec<Note>) -> Use {
    let used = listen(directives, ipv6_clients, page, notes);
    memory(directives, page);
    disk(directives, page, notes);
    peers(directives, page, notes);
    log(directives, page, notes);
    for directive in directives {
        if directive.name == "collapsed_forwarding" {
            notes.push(Note::absent(directive, "always on; a slow client does not slow the others"));
        }
    }
    used
}

/// The last one counts, as for squid.
fn last<'d>(directives: &'d [Directive], name: &str) -> Option<&'d Directive> {
    directives.iter().rev().find(|directive| directive.name == name)
}

fn all<'d>(directives: &'d [Directive], name: &'static str) -> impl Iterator<Item = &'d Directive> {
    directives.iter().filter(move |directive| directive.name == name)
}

fn listen(directives: &[Directive], ipv6_clients: bool, page: &mut Page, notes: &mut Vec<Note>) -> Use {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut sources = Vec::new();
    let mut used = Use::Server;
    for directive in all(directives, "http_port") {
        let mode =
            |word: &&String| matches!(word.as_str(), "intercept" | "tproxy" | "ssl-bump" | "transparent");
        if let Some(mode) = directive.words.iter().find(mode) {
            notes.push(Note::absent(
                directive,
                &format!("{mode}: connections are not intercepted; name the proxy in CVMFS_HTTP_PROXY"),
            ));
            continue;
        }
        let Some(found) = directive.word(0).and_then(|text| listening(text, ipv6_clients)) else {
            notes.push(Note::absent(
                directive,
                "neither a port nor an address and a port: add it to `proxy` in [listen]",
            ));
            continue;
        };
        if !directive
            .words
            .iter()
            .any(|word| matches!(word.as_str(), "accel" | "vhost") || word.starts_with("defaultsite="))
        {
            used = Use::Proxy;
        }
        let taken = |new: &SocketAddr| {
            addresses.iter().any(|old| old.port() == new.port() && (old.is_ipv4() == new.is_ipv4()))
        };
        let found: Vec<_> = found.into_iter().filter(|address| !taken(address)).collect();
        if !found.is_empty() {
            addresses.extend(found);
            sources.push(directive);
        }
    }
    if addresses.is_empty() {
        addresses.push(SocketAddr::from(([0, 0, 0, 0], 3128)));
        used = Use::Proxy;
    }
    let taken = |port: &u16| !addresses.iter().any(|address| address.port() == *port);
    page.set("listen", "proxy", list(&addresses), &sources);
    let admin = (3129..).find(taken).unwrap_or(3129);
    page.set("listen", "admin", quoted(SocketAddr::from(([127, 0, 0, 1], admin))), &[]);
    if let Some(directive) = last(directives, "visible_hostname") {
        let name = directive.word(0).unwrap_or_default();
        if (1..=64).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
        {
            page.set("listen", "name", quoted(name), &[directive]);
        } else {
            notes.push(Note::absent(directive, "not a name that can stand in Via: set `name` in [listen]"));
        }
    }
    if let Some(directive) = last(directives, "workers") {
        match directive.word(0).and_then(|count| count.parse::<u32>().ok()) {
            Some(workers) if (2..=1024).contains(&workers) => {
                page.set("listen", "workers", workers.to_string(), &[directive])
            }
            _ => notes.push(Note::absent(
                directive,
                "the default is a worker a core, with one cache for all of them",
            )),
        }
    }
    if let Some(directive) = last(directives, "shutdown_lifetime") {
        match seconds(&directive.words) {
            Some(seconds) if seconds <= 3600 => {
                page.set("listen", "drain_timeout", quoted(format!("{seconds} s")), &[directive])
            }
            _ => notes
                .push(Note::absent(directive, "not a time up to an hour: set `drain_timeout` in [listen]")),
        }
    }
    used
}

/// `3128`, `10.0.0.1:3128`, `[::]:3128`. A port alone is one of all addresses.
fn listening(text: &str, ipv6_clients: bool) -> Option<Vec<SocketAddr>> {
    let text = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = text.parse::<u16>() {
        let mut addresses = vec![SocketAddr::from(([0, 0, 0, 0], port))];
        if ipv6_clients {
            addresses.push(SocketAddr::from(([0u16; 8], port)));
        }
        return (port != 0).then_some(addresses);
    }
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0).map(|address| vec![address])
}

fn memory(directives: &[Directive], page: &mut Page) {
    match last(directives, "cache_mem").map(|directive| (size(&directive.words), directive)) {
        Some((Some(bytes), directive)) => {
            page.set("memory", "capacity", size_text(bytes.min(MEMORY)), &[directive])
        }
        // Squid's own default.
        _ => page.set("memory", "capacity", quoted("256 MiB"), &[]),
    }
}

fn disk(directives: &[Directive], page: &mut Page, notes: &mut Vec<Note>) {
    let mut sources = Vec::new();
    let mut total = 0u64;
    for directive in all(directives, "cache_dir") {
        let kind = directive.word(0).unwrap_or_default();
        let megabytes = directive.word(2).and_then(|text| text.parse::<u64>().ok());
        match (kind, megabytes) {
            ("ufs" | "aufs" | "diskd" | "rock", Some(megabytes)) => {
                total = total.saturating_add(megabytes.saturating_mul(1 << 20));
                sources.push(directive);
            }
            ("null", _) => {}
            _ => notes.push(Note::absent(directive, "not a kind of store that is known: set [disk]")),
        }
    }
    let Some(first) = sources.first() else { return };
    if sources.len() > 1 {
        notes.push(Note::absent(first, "there is one folder for the disk tier: the sizes are added up; put it on a file system that holds them"));
    }
    if let Some(directive) =
        sources.iter().find(|directive| directive.words.iter().any(|word| word.contains("${process_number}")))
    {
        notes.push(Note::absent(directive, "squid had this much for each worker; here all workers share one cache, so you may want to give more"));
    }
    let capacity = total.clamp(DISK.0, DISK.1);
    page.comment(
        "disk",
        "A new folder: what squid has in its own cannot be taken over, and may be deleted later.",
    );
    page.set("disk", "path", quoted(new_folder(first.word(1).unwrap_or_default())), &[first]);
    page.set("disk", "capacity", size_text(capacity), &sources);
    if let Some(directive) = last(directives, "maximum_object_size")
        && let Some(bytes) = size(&directive.words)
    {
        page.set(
            "disk",
            "max_object",
            size_text(bytes.clamp(1 << 10, (1 << 40).min(capacity / 4))),
            &[directive],
        );
    }
}

/// Beside squid's, or where the package puts ours.
fn new_folder(squids: &str) -> String {
    let plain = !squids.contains(['$', '\0']) && squids.starts_with('/') && !squids.starts_with("/var/");
    match Path::new(squids)
        .parent()
        .filter(|parent| plain && parent.parent().is_some())
        .and_then(Path::to_str)
    {
        Some(parent) => format!("{parent}/substratum"),
        None => CACHE.to_owned(),
    }
}

fn peers(directives: &[Directive], page: &mut Page, notes: &mut Vec<Note>) {
    let mut parents: Vec<(ServerUrl, &Directive)> = Vec::new();
    let mut origins: Vec<(ServerUrl, &Directive)> = Vec::new();
    let mut sharing = None;
    for directive in all(directives, "cache_peer") {
        let has = |option: &str| directive.words.iter().skip(4).any(|word| word == option);
        let (host, kind, port) = (directive.word(0), directive.word(1), directive.word(2));
        let host = host.map(|host| {
            if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
        });
        let url =
            host.zip(port).and_then(|(host, port)| format!("http://{host}:{port}").parse::<ServerUrl>().ok());
        let Some(url) = url.filter(|_| kind == Some("parent")) else {
            notes.push(Note::absent(directive, "only parents are asked, at a host and an HTTP port"));
            continue;
        };
        if has("tls") || has("ssl") {
            notes.push(Note::absent(directive, "add it with https:// by hand"));
            continue;
        }
        if directive.words.iter().any(|word| word.starts_with("login=")) {
            notes.push(Note::absent(
                directive,
                "login: put the password into a file, and set `user` and `password_file` of the parent",
            ));
        }
        sharing = sharing
            .or(["carp", "sourcehash", "userhash"].iter().any(|option| has(option)).then_some(directive));
        let peers = if has("originserver") { &mut origins } else { &mut parents };
        if !peers.iter().any(|(earlier, _)| *earlier == url) {
            peers.push((url, directive));
        }
    }
    let all_of = |name| {
        all(directives, name)
            .find(|directive| directive.scope == Scope::Always && directive.words == ["allow", "all"])
    };
    for directive in all(directives, "never_direct")
        .chain(all(directives, "always_direct"))
        .filter(|directive| !directive.words.ends_with(&["all".to_owned()]))
    {
        notes.push(Note::absent(
            directive,
            "the way of a request does not depend on lists: see `direct` in [upstream]",
        ));
    }
    if let Some(directive) = all_of("always_direct").filter(|_| !parents.is_empty()) {
        notes.push(Note::absent(
            directive,
            "squid never asked its parents because of this: they are left out",
        ));
        parents.clear();
    }
    if !origins.is_empty() {
        let urls: Vec<_> = origins.iter().map(|(url, _)| url).collect();
        let sources: Vec<_> = origins.iter().map(|(_, directive)| *directive).collect();
        page.set("[mirrors]", "name", quoted("origin"), &[]);
        page.set("[mirrors]", "urls", list(urls), &sources);
    }
    for (url, directive) in &parents {
        page.another("[parents]");
        page.set("[parents]", "url", quoted(url), &[directive]);
    }
    if let Some(directive) = sharing.filter(|_| parents.len() > 1) {
        page.set("upstream", "parents_choice", quoted("rendezvous"), &[directive]);
    }
    match all_of("never_direct") {
        Some(directive) if !parents.is_empty() => {
            page.set("upstream", "direct", "false".to_owned(), &[directive])
        }
        Some(directive) if origins.is_empty() => {
            notes.push(Note::absent(directive, "there is no parent that could be asked instead"))
        }
        _ => {}
    }
}

fn log(directives: &[Directive], page: &mut Page, notes: &mut Vec<Note>) {
    let logs: Vec<&Directive> = all(directives, "access_log").collect();
    for directive in logs.iter().skip(1) {
        notes.push(Note::absent(directive, "there is one access log"));
    }
    let Some(directive) = logs.first().filter(|directive| !matches!(directive.word(0), None | Some("none")))
    else {
        return page.set("log", "access", quoted("off"), &logs);
    };
    let target = directive.word(0).unwrap_or_default();
    let options: Vec<&str> = directive.words.iter().skip(1).map(String::as_str).collect();
    let format = options
        .iter()
        .find_map(|word| word.strip_prefix("logformat=").or((!word.contains('=')).then_some(*word)))
        .unwrap_or("squid");
    let own = all(directives, "logformat").find(|directive| directive.word(0) == Some(format));
    let form = match (format, own) {
        (_, Some(own)) if own.to_string().contains("X-Frontier-Id") => "frontier",
        (_, Some(own)) => {
            notes.push(Note::absent(own, "a form of your own: \"squid\" is taken; \"json\" has every field"));
            "squid"
        }
        ("combined" | "common", None) => "combined",
        _ => "squid",
    };
    page.set("log", "access", quoted(form), &own.into_iter().chain([*directive]).collect::<Vec<_>>());
    let path = target.split_once(':').map_or(target, |(_, path)| path);
    if path.starts_with('/') && !target.starts_with("tcp:") && !target.starts_with("udp:") {
        page.set("log", "path", quoted(LOG), &[directive]);
    } else {
        notes.push(Note::absent(
            directive,
            "the log goes to a file or to standard output; this one to the latter",
        ));
    }
    if let Some(directive) = last(directives, "logfile_rotate")
        && let Some(keep) =
            directive.word(0).and_then(|text| text.parse::<u16>().ok()).filter(|keep| *keep <= 1000)
    {
        page.set("log", "keep", keep.to_string(), &[directive]);
    }
}

/// `128 MB`, squid's units: powers of 1024; bytes without one.
fn size(words: &[String]) -> Option<u64> {
    let number: u64 = words.first()?.parse().ok()?;
    let shift = match words.get(1).map(|unit| unit.to_ascii_lowercase()).as_deref() {
        None | Some("bytes" | "byte" | "b") => 0,
        Some("kb") => 10,
        Some("mb") => 20,
        Some("gb") => 30,
        Some(_) => return None,
    };
    number.checked_mul(1 << shift)
}

/// `30 seconds`, `1 minute`.
fn seconds(words: &[String]) -> Option<u64> {
    let number: u64 = words.first()?.parse().ok()?;
    let one = match words.get(1).map(|unit| unit.trim_end_matches('s').to_ascii_lowercase()).as_deref() {
        None | Some("second") => 1,
        Some("minute") => 60,
        Some("hour") => 3600,
        Some(_) => return None,
    };
    number.checked_mul(one)
}

fn size_text(bytes: u64) -> String {
    quoted(exact_size(ByteSize(bytes)))
}

/// A string of TOML. Everything that comes here is printable ASCII or is escaped.
pub fn quoted(value: impl ToString) -> String {
    let text = value.to_string();
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A list of strings.
pub fn list(values: impl IntoIterator<Item = impl ToString>) -> String {
    let values: Vec<_> = values.into_iter().map(quoted).collect();
    format!("[{}]", values.join(", "))
}

/// Whether clients with IPv6 addresses of other machines are answered.
pub fn beyond_loopback(address: IpAddr) -> bool {
    address.is_ipv6() && !address.is_loopback()
}
