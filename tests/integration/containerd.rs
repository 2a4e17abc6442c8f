//! containerd as a client of registries behind the tier, by the settings that the documentation shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::registries::{LAYER, before, programs};
use crate::support::image::Image;
use crate::support::metric::metric;
use crate::support::peer::{Auth, Peer};
use crate::support::proxy::Proxy;
use crate::support::{LOOK_AGAIN, PATIENCE};

/// containerd in a folder of its own. Killed when dropped.
struct Containerd {
    child: Child,
    folder: TempDir,
}

impl Containerd {
    /// Where it is installed and can work: it wants to be root, and many sandboxes forbid what it needs.
    fn start() -> Option<Self> {
        let program = PathBuf::from("/usr/bin/containerd");
        if !program.is_file() || !Path::new("/usr/bin/ctr").is_file() || !geteuid().is_root() {
            eprintln!("containerd is not installed, or cannot work here: not tested");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let settings = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            at("root"),
            at("state"),
            at("socket"),
            at("ttrpc")
        );
        fs::write(at("config.toml"), settings).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(at("config.toml")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut machine = Self { child, folder };
        let serves = machine.serves();
        if !serves {
            eprintln!("containerd cannot work here: not tested");
        }
        serves.then_some(machine)
    }

    /// No when it ends instead, or never does.
    fn serves(&mut self) -> bool {
        let looks = PATIENCE.as_millis() / LOOK_AGAIN.as_millis();
        (0..looks).any(|_| {
            std::thread::sleep(LOOK_AGAIN);
            matches!(self.child.try_wait(), Ok(None)) && self.ctr(&["version"]).status.success()
        })
    }

    fn ctr(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("/usr/bin/ctr");
        command.env_clear().arg("--address").arg(self.folder.path().join("socket")).arg("--timeout=60s");
        command.args(arguments).output().unwrap()
    }

    /// Fetches an image by these settings for its registry, and compares every blob.
    fn fetch(&self, settings: &str, registry: &str, name: &str, image: &Image) {
        let hosts = self.folder.path().join("certs.d");
        let folder = hosts.join(registry);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("hosts.toml"), settings).unwrap();
        let name = format!("{registry}/{name}");
        let output = self.ctr(&["content", "fetch", "--hosts-dir", hosts.to_str().unwrap(), &name]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        for digest in image.layers.iter().chain([&image.manifest]) {
            assert!(self.ctr(&["content", "get", digest]).stdout == image.blob(digest), "{digest}");
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `hosts.toml` as the documentation has it, for this cache and this server.
fn hosts_toml(proxy: &Proxy, server: &str) -> String {
    let page = include_str!("../../docs/registries.md");
    let (_, shown) = page.split_once("```toml\nserver = ").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let cache = format!("http://{}", proxy.address());
    let settings = format!("server = {shown}").replace("http://cache.example.org:3128", &cache);
    assert!(settings.contains(&cache), "{settings}");
    settings.replace("https://registry-1.docker.io", server)
}

#[tokio::test]
async fn containerd_pulls_by_the_settings_shown() {
    let Some((program, skopeo)) = programs() else { return };
    let (Some(one), Some(two)) = (Containerd::start(), Containerd::start()) else { return };
    let registry = Peer::registry(&program, &Auth::Nobody);
    let image = Image::new(&[1, 2], LAYER);
    image.push(&skopeo, registry.address(), "library/one:1", None);
    let proxy = Proxy::start(before(&[("docker.io", registry.address())])).await;
    // Nobody could find the server itself.
    let settings = hosts_toml(&proxy, "https://registry.invalid");
    one.fetch(&settings, "docker.io", "library/one:1", &image);
    let fetched = registry.blob_bytes();
    two.fetch(&settings, "docker.io", "library/one:1", &image);
    assert_eq!(registry.blob_bytes(), fetched, "a second machine");
    assert!(image.layers.iter().all(|layer| registry.blob_gets("library/one", layer) == 1));

    // A registry that the cache does not know.
    let machine = Containerd::start().unwrap();
    machine.fetch(&hosts_toml(&proxy, &registry.base()), "other.test", "library/one:1", &image);
    let refused = metric("substratum_request_reasons_total").label("reason", "registry_not_served");
    assert!(refused.at_least(1).holds(&proxy.metrics()), "{}", proxy.metrics());
}
