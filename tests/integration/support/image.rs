//! A small image of a container, as a folder in the OCI image layout, and skopeo to carry it about.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use substratum::digest::{Algorithm, ObjectName};
use tempfile::TempDir;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image in a folder of its own.
pub struct Image {
    folder: TempDir,
    /// Digests of its layers, `sha256:...`.
    pub layers: Vec<String>,
    /// Digest of its manifest.
    pub manifest: String,
}

impl Image {
    /// An image with one layer for each seed: different seeds, different bytes.
    pub fn new(seeds: &[u64], layer_len: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = folder.path().join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a folder");
        let write = |bytes: &[u8]| {
            let hex = hex(bytes);
            fs::write(blobs.join(&hex), bytes).expect("a blob");
            (format!("sha256:{hex}"), bytes.len())
        };
        let (mut layers, mut listed, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for seed in seeds {
            let tar = archive(*seed, layer_len);
            plain.push(format!("\"sha256:{}\"", hex(&tar)));
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&tar).expect("memory");
            let (digest, size) = write(&gzip.finish().expect("memory"));
            listed.push(format!(
                r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{size}}}"#
            ));
            layers.push(digest);
        }
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            plain.join(",")
        );
        let (config, size) = write(config.as_bytes());
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{size}}},"layers":[{}]}}"#,
            listed.join(",")
        );
        let (manifest, size) = write(manifest.as_bytes());
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{MANIFEST}","digest":"{manifest}","size":{size}}}]}}"#
        );
        fs::write(folder.path().join("index.json"), index).expect("the index");
        fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the mark");
        Self { folder, layers, manifest }
    }

    /// The bytes of a blob.
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        fs::read(blob(self.folder.path(), digest)).expect("a blob of the image")
    }

    /// Puts it into a registry.
    pub fn push(&self, skopeo: &Path, registry: SocketAddr, name: &str, credentials: Option<&str>) {
        let mut command = copy(skopeo);
        command.arg("--dest-tls-verify=false");
        command.args(credentials.map(|credentials| format!("--dest-creds={credentials}")));
        command.arg(format!("oci:{}", self.folder.path().display()));
        succeeds(command.arg(format!("docker://{registry}/{name}")));
    }

    /// Fetches it as a client whose registry is at `server`, into an empty folder, and compares every blob.
    pub fn pull(&self, skopeo: &Path, server: SocketAddr, name: &str, credentials: Option<&str>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = copy(skopeo);
        command.arg("--src-tls-verify=false");
        command.args(credentials.map(|credentials| format!("--src-creds={credentials}")));
        command.arg(format!("docker://{server}/{name}"));
        succeeds(command.arg(format!("oci:{}", folder.path().display())));
        self.is_in(folder.path());
    }

    /// Fetches it with these settings of registries (containers-registries.conf), which say where its registry is to be had.
    pub fn pull_by_settings(&self, skopeo: &Path, settings: &Path, name: &str) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = skopeo_with(skopeo, &[OsStr::new("--registries-conf"), settings.as_os_str()]);
        command.arg(format!("docker://{name}"));
        succeeds(command.arg(format!("oci:{}", folder.path().display())));
        self.is_in(folder.path());
    }

    fn is_in(&self, folder: &Path) {
        for digest in self.layers.iter().chain([&self.manifest]) {
            let pulled = fs::read(blob(folder, digest)).expect("a blob that was pulled");
            assert!(pulled == self.blob(digest), "other bytes than pushed: {digest}");
        }
    }
}

fn blob(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs").join(digest.replace(':', "/"))
}

/// Fetches an image with podman into an empty store of its own, by these settings of registries.
pub fn pull_with_podman(podman: &Path, settings: &Path, name: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = podman_in(podman, folder.path());
    let policy = folder.path().join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).expect("a file");
    command.env("CONTAINERS_REGISTRIES_CONF", settings).args(["pull", "--quiet", "--signature-policy"]);
    succeeds(command.arg(policy).arg(name));
}

/// podman, where it is installed and can work; many sandboxes forbid what it needs.
pub fn working_podman() -> Option<PathBuf> {
    let podman = PathBuf::from("/usr/bin/podman");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let works = podman.is_file()
        && podman_in(&podman, folder.path()).arg("info").output().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("podman is not installed, or cannot work here: not tested");
    }
    works.then_some(podman)
}

fn podman_in(podman: &Path, folder: &Path) -> Command {
    let mut command = Command::new(podman);
    command.env_clear().env("HOME", folder).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.arg("--root").arg(folder.join("store")).arg("--runroot").arg(folder.join("run"));
    command.args(["--storage-driver", "vfs"]);
    command
}

/// `skopeo copy` that knows nothing of the user's and the machine's settings.
fn copy(skopeo: &Path) -> Command {
    skopeo_with(skopeo, &[])
}

fn skopeo_with(skopeo: &Path, options: &[&OsStr]) -> Command {
    let mut command = Command::new(skopeo);
    command.env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin");
    command.args(options).args(["--insecure-policy", "--command-timeout=60s", "copy", "--quiet"]);
    command
}

fn succeeds(command: &mut Command) {
    let Output { status, stderr, .. } = command.output().expect("skopeo runs");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
}

/// A tar archive with one file of bytes that do not compress.
fn archive(seed: u64, len: usize) -> Vec<u8> {
    let mut header = [0; 512];
    let mut field = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(0, &format!("file-{seed}"));
    field(100, "0000644\0" /* mode */);
    field(108, "0000000\0" /* owner */);
    field(116, "0000000\0" /* group */);
    field(124, &format!("{len:011o}\0"));
    field(136, "00000000000\0" /* time */);
    field(148, "        " /* the checksum counts as blanks */);
    field(156, "0");
    field(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut content = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut content);
    content.resize(len.next_multiple_of(512) + 1024, 0);
    [&header[..], &content].concat()
}

fn hex(bytes: &[u8]) -> String {
    let name = ObjectName::of(Algorithm::Sha256, bytes).to_string();
    name.trim_end_matches("-sha256").to_owned()
}
