//! The configuration: a plain value, complete and consistent once it was parsed.
//!
//! Each key is declared once, in `config/keys.rs`, with its range and meaning. Every default stands in
//! `config/defaults.rs`, every cross-check in `config/check.rs`; TOML is known only to `config/raw.rs`, which reads it,
//! and `config/print.rs`, which writes it. The parts of the program receive their own sub-struct.

mod authority;
pub mod change;
pub mod check;
mod choices;
mod credentials;
pub mod defaults;
pub mod environment;
pub mod error;
pub mod keys;
pub mod method;
pub mod origin;
pub mod pattern;
pub mod print;
pub mod quantity;
mod raw;
mod registry;
mod repository;
mod secret;
pub mod units;
mod warm;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use authority::Authority;
pub use choices::{AccessLogFormat, OnRevision, ParentsChoice, TargetShape};
pub use credentials::{Identity, Login};
pub use environment::Environment;
pub use error::{ConfigError, Fault, Finding};
use ipnet::IpNet;
pub use method::WriteMethod;
pub use origin::{Origin, Origins};
pub use pattern::DocumentPattern;
pub use registry::Registry;
pub use repository::{RepositoryUrl, RepositoryUrlError};
pub use secret::{Readers, Secret, SecretError};
pub use units::{ByteSize, Glob, PortRange, Scheme, ServerUrl};
pub use warm::Warm;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[admin]`
    pub admin: Admin,
    /// `[access]`
    pub access: Access,
    /// `[memory]`
    pub memory: Memory,
    /// `[disk]`; without the table there is no disk tier.
    pub disk: Option<Disk>,
    /// `[objects]`
    pub objects: Objects,
    /// `[[documents]]`, in the order written: the first that matches counts.
    pub documents: Vec<DocumentRule>,
    /// `[[mirrors]]`, in the order written.
    pub mirrors: Vec<MirrorGroup>,
    /// `[[registries]]`, in the order written: the first is meant where nothing else is said.
    pub registries: Vec<Registry>,
    /// `[[parents]]`, in the order written.
    pub parents: Vec<Parent>,
    /// `[upstream]`
    pub upstream: Upstream,
    /// `[[warm]]`, in the order written.
    pub warm: Vec<Warm>,
    /// `[log]`
    pub log: Log,
}

/// A configuration, and where its values came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where from.
    pub origins: Origins,
}

impl Config {
    /// What the program uses: the file, or the built-in defaults without one, and the environment above either.
    pub fn obtain(file: Option<&Path>, environment: &Environment) -> Result<Loaded, ConfigError> {
        match file {
            Some(path) => Self::parse_with(&Self::read(path)?, path, environment),
            None => {
                let mut loaded = Self::parse_with("", Path::new("no file"), environment)?;
                if loaded.config.disk.is_none() {
                    loaded.config.disk = Self::builtin().disk;
                }
                Ok(loaded)
            }
        }
    }

    /// Reads a file; see [`Config::parse`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&Self::read(path)?, path)
    }

    fn read(path: &Path) -> Result<String, ConfigError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
            .map_err(|error| ConfigError::Read { file: path.to_owned(), error })?;
        if text.len() as u64 > MAX_FILE {
            return Err(ConfigError::TooLarge { file: path.to_owned(), limit: MAX_FILE });
        }
        Ok(text)
    }

    /// Parses a file's content. `file` is only named in errors.
    ///
    /// All faults of a kind are reported together: first those of the TOML, then those of single keys, and once every
    /// key is good for itself, those between keys.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Ok(Self::parse_with(text, file, &Environment::default())?.config)
    }

    /// The same with an environment above the file; its faults come behind the file's.
    pub fn parse_with(text: &str, file: &Path, environment: &Environment) -> Result<Loaded, ConfigError> {
        raw::parse(text, environment).map_err(|faults| ConfigError::Invalid { file: file.to_owned(), faults })
    }

    /// What is used without a file: [`Config::default`], and 10 GiB of disk in the user's cache folder if there is one.
    ///
    /// Looks at `XDG_CACHE_HOME` and `HOME`; keys in the environment are for [`Config::obtain`].
    pub fn builtin() -> Self {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        Self::with_cache_folder(variable("XDG_CACHE_HOME"), variable("HOME"))
    }

    /// XDG base directory specification: an unset, empty or relative `XDG_CACHE_HOME` means `~/.cache`.
    fn with_cache_folder(xdg_cache_home: Option<PathBuf>, home: Option<PathBuf>) -> Self {
        let absolute = |path: &PathBuf| path.is_absolute();
        let folder =
            xdg_cache_home.filter(absolute).or_else(|| home.filter(absolute).map(|h| h.join(".cache")));
        let disk = folder.map(|folder| Disk::new(folder.join("substratum"), ByteSize::gib(10)));
        Self { disk, ..Self::default() }
    }

    /// What is valid but suspicious, for the operator to read at the start.
    pub fn warnings(&self) -> Vec<Finding> {
        check::warnings(self)
    }
}

/// `[listen]`: where and how requests are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// `proxy`: addresses for absolute-form and origin-form requests. Port 0 lets the kernel choose.
    pub proxy: Vec<SocketAddr>,
    /// `admin`: metrics, health and status; `"off"` in the file for none.
    pub admin: Option<SocketAddr>,
    /// `tls`: the same over TLS.
    pub tls: Vec<SocketAddr>,
    /// `tls_certificate` and `tls_key`.
    pub identity: Option<Identity>,
    /// `name`: what `Via`, `X-Cache` and `Cache-Status` call this cache (an RFC 9110 token); default: the host name.
    pub name: String,
    /// `workers`: threads that serve; default: one a core.
    pub workers: usize,
    /// `max_connections`: client connections in all.
    pub max_connections: usize,
    /// `max_client_connections`: of them, of one client (an IPv4 address or an IPv6 /64).
    pub max_client_connections: usize,
    /// `max_requests`: on one connection; 0 for any number.
    pub max_requests: usize,
    /// `head_timeout`: a client that takes longer to send the head of a request, or to begin with TLS, is cut.
    pub head_timeout: Duration,
    /// `idle_timeout`: a connection without a request in progress, or whose client takes nothing, is closed after it.
    pub idle_timeout: Duration,
    /// `max_head`: longest head of a request, in bytes; more is answered with 431.
    pub max_head: ByteSize,
    /// `max_target`: longest target of a request; more is answered with 414.
    pub max_target: ByteSize,
    /// `max_content`: longest content of a request, where any is allowed; more is answered with 413.
    pub max_content: ByteSize,
    /// `drain_timeout`: how long answers in progress may take after SIGTERM.
    pub drain_timeout: Duration,
    /// `max_tunnels`: tunnels (CONNECT) open at the same time.
    pub max_tunnels: usize,
    /// `max_client_tunnels`: of them, of one client (an IPv4 address or an IPv6 /64).
    pub max_client_tunnels: usize,
}

/// `[admin]`: the operators' side, beside the admin port.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// `tls`: the admin port is reached over TLS.
    pub tls: bool,
    /// `token_file`: holds what requests to the admin port must bear, in one line.
    pub token_file: Option<PathBuf>,
    /// `snmp`: for monitoring that reads squid's MIB; `"off"` in the file for none.
    pub snmp: Option<SocketAddr>,
    /// `snmp_community`: what its requests must name. Sent in the clear: no secret.
    pub snmp_community: String,
}

/// `[access]`: who may ask, for what, whither.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// `clients`: networks that may ask.
    pub clients: Vec<IpNet>,
    /// `targets`: URL shapes that may be asked for.
    pub targets: Vec<TargetShape>,
    /// `hosts`: host names a forward request may name. Mirrors are always allowed.
    pub hosts: Vec<Glob>,
    /// `ports`: ports a forward request may name. Those of mirrors are always allowed.
    pub ports: Vec<PortRange>,
    /// `internal_hosts`: hosts whose addresses may be loopback, private or link-local. Mirrors and parents always may be.
    pub internal_hosts: Vec<Glob>,
    /// `methods`: methods beside GET and HEAD that are passed on, of documents.
    pub methods: Vec<WriteMethod>,
    /// `connect`: servers to which clients may open tunnels.
    pub connect: Vec<Authority>,
}

/// `[memory]`: the memory tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// `capacity`: bytes of objects, overhead included; 0 switches the tier off.
    pub capacity: ByteSize,
    /// `max_object`: larger objects are kept on disk only. At most a quarter of the capacity.
    pub max_object: ByteSize,
    /// `documents`: bytes of documents, beside the capacity.
    pub documents: ByteSize,
    /// `max_document`: larger documents pass through without being stored.
    pub max_document: ByteSize,
}

/// `[disk]`: the disk tier for objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    /// `path`: a folder of our own; created when missing.
    pub path: PathBuf,
    /// `capacity`: hard limit of the bytes in the folder, reservations included.
    pub capacity: ByteSize,
    /// `documents`: bytes of the capacity that documents may take; 0 for none, and they are in memory only.
    pub documents: ByteSize,
    /// `free_reserve`: bytes of the file system that stay free, whoever fills it.
    pub free_reserve: ByteSize,
    /// `segment`: size of a segment file, 1 MiB to 1 GiB; default: 64 MiB, less when the capacity is small.
    pub segment: ByteSize,
    /// `max_object`: larger objects pass through without being stored.
    pub max_object: ByteSize,
    /// `scrub_rate`: bytes a second that the background check of stored objects reads; 0 for none.
    pub scrub_rate: ByteSize,
    /// `io_threads`: threads for reads that would block, and for writes, for each worker.
    pub io_threads: usize,
    /// `[[quotas]]`, in the order written: the first that matches counts.
    pub quotas: Vec<Quota>,
}

/// Most `[[quotas]]`: each has files of its own that are being written.
pub const MAX_QUOTAS: usize = 31;

/// `[[quotas]]`: how much of the disk the objects of some repositories have, together.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// `repository`: which.
    pub repository: Glob,
    /// `floor`: as long as they have less, nothing of them goes for others.
    pub floor: ByteSize,
    /// `ceiling`: they never have more; default: the capacity.
    pub ceiling: Option<ByteSize>,
    /// `pin`: nothing of them goes at all.
    pub pin: bool,
}

impl Disk {
    /// What objects have of the capacity.
    pub fn objects(&self) -> ByteSize {
        ByteSize(self.capacity.bytes().saturating_sub(self.documents.bytes()))
    }
}

/// `[objects]`: how objects are fetched and passed on.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// `verify_first`: objects up to this size are verified before their first byte is sent.
    pub verify_first: ByteSize,
    /// `verify_first_patience`: how long the first byte may be held back for it.
    pub verify_first_patience: Duration,
    /// `window`: bytes of one fill kept in memory beyond what the tiers hold.
    pub window: ByteSize,
    /// `fill_memory`: the same of all fills together.
    pub fill_memory: ByteSize,
    /// `finish_abandoned`: a fill that lost all its readers is finished when no more than this is missing.
    pub finish_abandoned: ByteSize,
    /// `max_fills`: downloads of objects at the same time, of all workers.
    pub max_fills: usize,
    /// `max_client_fills`: of them, for one client (an IPv4 address or an IPv6 /64).
    pub max_client_fills: usize,
}

/// `[[documents]]`: times of some documents in place of the usual ones. `None`: as without the entry.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentRule {
    /// `match`: which documents.
    pub pattern: DocumentPattern,
    /// `ttl`: lifetime of successful answers and permanent redirects, in place of what these say.
    pub ttl: Option<Duration>,
    /// `negative_ttl`: lifetime of 404 and 410 that do not give one.
    pub negative_ttl: Option<Duration>,
    /// `stale_if_error`: staleness accepted while upstreams fail, unless the answer gives its own.
    pub stale_if_error: Option<Duration>,
    /// `stale_while_revalidate`: staleness during which the old answer is sent while a new one is fetched, unless the
    /// answer gives its own.
    pub stale_while_revalidate: Option<Duration>,
}

/// `[[mirrors]]`: hosts that serve the same repositories.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorGroup {
    /// `name`: for logs and metrics; unique.
    pub name: String,
    /// `urls`: the members, in order of preference.
    pub urls: Vec<ServerUrl>,
    /// `serves`: repositories for which origin-form requests go to this group; default: all.
    pub serves: Vec<Glob>,
}

/// `[[parents]]`: a cache further up, asked in absolute form.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    /// `url`
    pub url: ServerUrl,
    /// `user` and `password_file`: how to log in; default: not at all.
    pub login: Option<Login>,
}

/// `[upstream]`: time and connections given to mirrors and parents.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// `connect_timeout`: name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// `first_byte_timeout`: from the request sent to the head of the answer; then the next upstream is asked.
    pub first_byte_timeout: Duration,
    /// `head_deadline`: for all upstreams together; then the client gets 504.
    pub head_deadline: Duration,
    /// `stall_timeout`: a body that brings nothing for this long is broken off (and continued elsewhere where possible).
    pub stall_timeout: Duration,
    /// `min_rate`: bytes a second below which a body counts as stalled, judged over `stall_timeout`; 0 for no such limit.
    pub min_rate: ByteSize,
    /// `hedge_percent`: share of requests that may be put to a second server before `first_byte_timeout` is over.
    pub hedge_percent: usize,
    /// `absent_for`: how long a mirror that said 404 about an object is asked for it behind the others.
    pub absent_for: Duration,
    /// `max_body`: bytes of one answer's body, announced or not.
    pub max_body: ByteSize,
    /// `redirects`: redirects of one request for an object that are followed; 0: none is.
    pub redirects: usize,
    /// `max_connections`: connections to one upstream, for each worker.
    pub max_connections: usize,
    /// `max_waiting`: requests that wait for one of them, for each worker.
    pub max_waiting: usize,
    /// `idle_connections`: kept-alive connections without a request, to one upstream, for each worker.
    pub idle_connections: usize,
    /// `idle_timeout`: how long these are kept.
    pub idle_timeout: Duration,
    /// `parents_choice`: which parent is asked first.
    pub parents_choice: ParentsChoice,
    /// `direct`: whether strata are asked directly when no parent answers.
    pub direct: bool,
    /// `ca_files`: PEM files with further certificate authorities for https upstreams.
    pub ca_files: Vec<PathBuf>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// `access`: form of the access log.
    pub access: AccessLogFormat,
    /// `path`: its file; default: standard output.
    pub path: Option<PathBuf>,
    /// `max_size`: the file is rotated when it reaches this size.
    pub max_size: ByteSize,
    /// `keep`: rotated files kept beside the current one.
    pub keep: usize,
}

#[cfg(test)]
mod tests;
