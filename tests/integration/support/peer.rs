//! Other people's programs as neighbours: nginx for a stratum, squid above or below us, curl for a client, Prometheus, a
//! registry of container images.
//!
//! Each runs in the foreground, in a folder and on a port of its own, and is killed when dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{LOOK_AGAIN, PATIENCE, fixtures};

/// Attempts to start on a free port: another process may take it between our look and the program's.
const ATTEMPTS: usize = 5;

/// Where `program` is. Without it a test has nothing to say, but where `CI` is set that is an error.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
        eprintln!("{program} is not installed: nothing tested");
    }
    found
}

/// Whom a registry answers.
pub enum Auth {
    /// Everybody.
    Nobody,
    /// Who logs in as `user` with the password `secret`.
    Basic,
    /// Who shows a token from this URL.
    Token(String),
}

/// A program that serves on a port.
pub struct Peer {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Peer {
    /// nginx with the fixtures below `/cvmfs/` and a stratum's header fields.
    pub fn nginx(program: &Path) -> Self {
        Self::start(|address, folder| {
            let file = folder.join("nginx.conf");
            fs::write(&file, nginx_conf(address, folder)).expect("a configuration file");
            let mut command = Command::new(program);
            command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
            command
        })
    }

    /// squid, memory only; with a `parent` it asks nobody else.
    pub fn squid(program: &Path, parent: Option<SocketAddr>) -> Self {
        Self::start(|address, folder| {
            let file = folder.join("squid.conf");
            fs::write(&file, squid_conf(address, parent)).expect("a configuration file");
            let mut command = Command::new(program);
            command.arg("-N").arg("-f").arg(file);
            command
        })
    }

    /// Prometheus with the job and the alerts of a folder, scraping `target` every second instead.
    pub fn prometheus(program: &Path, target: SocketAddr, shipped: &Path) -> Self {
        let job = fs::read_to_string(shipped.join("scrape.yml")).expect("a scrape configuration");
        Self::scraping(program, target, shipped, &job)
    }

    /// The same where the target wants a token and has this certificate.
    pub fn guarded_prometheus(
        program: &Path,
        target: SocketAddr,
        shipped: &Path,
        token: &Path,
        certificate: &Path,
    ) -> Self {
        let job = fs::read_to_string(shipped.join("scrape-guarded.yml")).expect("a scrape configuration");
        let job = job
            .replace("/etc/prometheus/substratum-token", &token.to_string_lossy())
            .replace("/etc/prometheus/substratum.crt", &certificate.to_string_lossy());
        Self::scraping(program, target, shipped, &job)
    }

    fn scraping(program: &Path, target: SocketAddr, shipped: &Path, job: &str) -> Self {
        let job = job
            .replace("127.0.0.1:3129", &target.to_string())
            .replace("scrape_interval: 15s", "scrape_interval: 1s");
        assert!(job.contains(&target.to_string()) && job.contains("scrape_interval: 1s"), "{job}");
        Self::start(|address, folder| {
            fs::write(folder.join("prometheus.yml"), &job).expect("a configuration file");
            fs::copy(shipped.join("alerts.yml"), folder.join("alerts.yml")).expect("the alerts");
            let mut command = Command::new(program);
            command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
            command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
            command.arg(format!("--web.listen-address={address}"));
            command
        })
    }

    /// squid with these rules, which asks nobody but `parent`.
    pub fn squid_with(program: &Path, rules: &str, parent: SocketAddr) -> Self {
        Self::start(|address, folder| {
            let file = folder.join("squid.conf");
            let conf = squid_conf(address, Some(parent)).replace("http_access allow all\n", rules);
            fs::write(&file, conf).expect("a configuration file");
            let mut command = Command::new(program);
            command.arg("-N").arg("-f").arg(file);
            command
        })
    }

    /// docker-registry, empty.
    pub fn registry(program: &Path, auth: &Auth) -> Self {
        Self::start(|address, folder| {
            // bcrypt of "secret", the cheapest there is.
            let users = "user:$2b$04$xC2InNLcP.ipLPzhUillBe4P8qgSoaUnmjlurYL.aD1k5tjoXisH6\n";
            fs::write(folder.join("users"), users).expect("a file of users");
            let file = folder.join("registry.yml");
            fs::write(&file, registry_conf(address, folder, auth)).expect("a configuration file");
            let mut command = Command::new(program);
            command.env_clear().arg("serve").arg(file);
            command
        })
    }

    /// Bytes of blobs that a registry has sent so far.
    pub fn blob_bytes(&self) -> u64 {
        let sent = |line: &String| line.rsplit(' ').nth(2)?.parse::<u64>().ok();
        self.blob_gets_logged().iter().filter(|line| line.contains("/blobs/")).filter_map(sent).sum()
    }

    /// How often a registry has sent a blob as one of `image`.
    pub fn blob_gets(&self, image: &str, digest: &str) -> usize {
        let path = format!("/v2/{image}/blobs/{digest} ");
        self.blob_gets_logged().iter().filter(|line| line.contains(&path)).count()
    }

    /// Lines in the combined form: `... "GET /v2/a/blobs/sha256:00 HTTP/1.1" 200 BYTES "" "agent"`.
    fn blob_gets_logged(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join(STDOUT)).expect("a log");
        log.lines()
            .filter(|line| line.contains("\"GET ") && line.contains("\" 200 "))
            .map(strip_agent)
            .collect()
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests for objects in its access log so far.
    pub fn object_requests(&self) -> usize {
        let log = fs::read_to_string(self.folder.path().join("access.log")).expect("an access log");
        log.lines().filter(|line| line.contains("/data/")).count()
    }

    fn start(command: impl Fn(SocketAddr, &Path) -> Command) -> Self {
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let address = free_address();
            let mut command = command(address, folder.path());
            let stdout = File::create(folder.path().join(STDOUT)).expect("a file");
            command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
            let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let mut peer = Self { child, address, folder };
            if peer.serves() {
                return peer;
            }
        }
        panic!("the program does not start, or not on a free port");
    }

    /// Waits until the port is open; no when the process ends before.
    fn serves(&mut self) -> bool {
        let looks = PATIENCE.as_millis() / LOOK_AGAIN.as_millis();
        for _ in 0..looks {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        false
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

/// What a program says on its standard output.
const STDOUT: &str = "stdout";

/// `... 200 BYTES "" "agent with blanks"` -> `... 200 BYTES "" ""`
fn strip_agent(line: &str) -> String {
    let (before, _) = line.rsplit_once(" \"").unwrap_or((line, ""));
    format!("{before} \"\"")
}

fn registry_conf(address: SocketAddr, folder: &Path, auth: &Auth) -> String {
    let folder = folder.display();
    let auth = match auth {
        Auth::Nobody => String::new(),
        Auth::Basic => format!("auth: {{htpasswd: {{realm: tests, path: {folder}/users}}}}\n"),
        // It asks for a token and takes any.
        Auth::Token(url) => format!("auth: {{silly: {{realm: \"{url}\", service: tests}}}}\n"),
    };
    format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n\
         http: {{addr: \"{address}\", secret: tests}}\n{auth}"
    )
}

fn nginx_conf(address: SocketAddr, folder: &Path) -> String {
    let (folder, fixtures) = (folder.display(), fixtures());
    let fixtures = fixtures.display();
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
           access_log {folder}/access.log; etag off; if_modified_since off;\n\
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
           uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
           default_type application/octet-stream;\n\
           server {{\n\
             listen {address}; add_header Last-Modified \"\";\n\
             location /cvmfs/ {{ alias {fixtures}/; expires 3d; }}\n\
             location ~ ^/cvmfs/([^/]+/\\.cvmfs.*)$ {{ alias {fixtures}/$1; expires 61s; }}\n\
           }}\n\
         }}\n"
    )
}

fn squid_conf(address: SocketAddr, parent: Option<SocketAddr>) -> String {
    let way = match parent {
        Some(parent) => format!(
            "cache_peer {} parent {} 0 no-query no-digest default\nnever_direct allow all\n",
            parent.ip(),
            parent.port()
        ),
        None => "always_direct allow all\n".to_owned(),
    };
    format!(
        "http_port {address}\n{way}http_access allow all\nvisible_hostname squid\ncache_mem 32 MB\n\
         access_log none\ncache_log /dev/null\ncache_store_log none\npid_filename none\nnetdb_filename none\n\
         pinger_enable off\nshutdown_lifetime 0 seconds\ncollapsed_forwarding on\n"
    )
}
