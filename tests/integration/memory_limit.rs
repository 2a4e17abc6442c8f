//! Memory that the machine limits: the memory tier gives way before the kernel kills, and takes its room again later.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::join_all;
use substratum::allowance::Allowance;
use substratum::config::{ByteSize, Memory};

use crate::support::binary::{Binary, command, config_text};
use crate::support::metric::metric;
use crate::support::object::Object;
use crate::support::origin::Origin;
use crate::support::proxy::{Proxy, site};

const MIB: u64 = 1 << 20;
const CAPACITY: u64 = 16 * MIB;

/// Eight of them are what is wanted.
const WANTED: usize = 8;

/// A group as the kernel shows it: 80 MiB allowed, so that 64 are near and 72 nearer.
fn group(folder: &Path, taken: u64) {
    let group = folder.join("cache.service");
    fs::create_dir_all(&group).unwrap();
    // Pages of files are no trouble.
    let cached = 500 * MIB;
    for (name, text) in [
        ("memory.max", (80 * MIB).to_string()),
        ("memory.high", "max".to_owned()),
        ("memory.stat", format!("anon 1\ninactive_file {cached}\n")),
        ("memory.current", (taken + cached).to_string()),
    ] {
        // Never seen half written.
        let whole = group.join("new");
        fs::write(&whole, text).unwrap();
        fs::rename(&whole, group.join(name)).unwrap();
    }
}

#[tokio::test]
async fn the_memory_tier_gives_way_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    group(folder.path(), 50 * MIB);
    let objects: Vec<_> = (0..80).map(|seed| Object::generate(seed, 100_000)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let setup = site(&[&stratum]).with(|config| config.memory = Memory::with_capacity(ByteSize(CAPACITY)));
    let proxy = Proxy::start(setup.in_groups(Allowance::below(folder.path(), "0::/cache.service\n"))).await;
    let mut client = proxy.client();
    for object in &objects {
        assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    // Asked for again: these are to go last.
    for object in &objects[..WANTED] {
        client.ask(stratum.url(&object.path())).await.unwrap();
    }
    let (allowed, taken) =
        (|| metric("substratum_memory_allowed_bytes"), || metric("substratum_memory_taken_bytes"));
    proxy.until(taken().eq(50 * MIB)).await;
    assert!(allowed().eq(CAPACITY).holds(&proxy.metrics()));

    // Near: no more than the 8 MB it has. Then nearer, by less than that.
    for megabytes in [62, 66, 68] {
        group(folder.path(), megabytes * MIB);
        proxy.until(taken().eq(megabytes * MIB)).await;
    }
    proxy.until(allowed().at_most(8_100_000)).await;
    assert!(metric("substratum_memory_given_up_bytes_total").eq(0).holds(&proxy.metrics()));
    group(folder.path(), 70 * MIB + MIB / 2);
    proxy.until(metric("substratum_memory_given_up_bytes_total").at_least(4 * MIB)).await;
    let before = stratum.requests();
    for object in &objects[..WANTED] {
        assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    assert_eq!(stratum.requests(), before, "what is wanted stayed");

    // All of it. Everything is still served, and nothing kept.
    group(folder.path(), 79 * MIB);
    proxy.until(allowed().eq(0)).await;
    for _ in 0..2 {
        let before = stratum.requests();
        for object in &objects[..WANTED] {
            assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
        }
        assert_eq!(stratum.requests(), before + WANTED);
    }

    group(folder.path(), 50 * MIB);
    proxy.until(allowed().at_least(7 * MIB)).await;
    let before = stratum.requests();
    for object in [&objects[..WANTED], &objects[..WANTED]].into_iter().flatten() {
        assert!(client.ask(stratum.url(&object.path())).await.unwrap().body == object.bytes);
    }
    assert_eq!(stratum.requests(), before + WANTED, "they are kept again");
}

/// A real group with a limit, removed at the end; nothing where this user may make none.
struct Group(PathBuf);

impl Group {
    fn new(limit: u64) -> Option<Self> {
        let name = format!("substratum-test-{}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/memory").join(&name);
        let second = Path::new("/sys/fs/cgroup").join(&name);
        for (path, file) in [(first, "memory.limit_in_bytes"), (second, "memory.max")] {
            if path.parent().is_some_and(|root| root.join("cgroup.procs").is_file())
                && fs::create_dir(&path).is_ok()
            {
                let group = Self(path);
                if group.0.join(file).is_file() && fs::write(group.0.join(file), limit.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails while a process is in it.
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn the_kernel_does_not_kill_what_has_a_tier_larger_than_its_limit() {
    const LIMIT: u64 = 160 * MIB;
    let Some(group) = Group::new(LIMIT) else {
        eprintln!("SKIPPED: no control group can be made here, so nothing shows how a real limit works");
        return;
    };
    let objects: Vec<_> = (0..256).map(|seed| Object::generate(seed, 1 << 20)).collect();
    let stratum = objects.iter().fold(Origin::new(), Origin::object).run();
    let program = command(&[]).get_program().to_owned();
    let mut shell = Command::new("sh");
    let enter = format!("echo $$ >{}/cgroup.procs && exec \"$0\" serve \"$@\"", group.0.display());
    shell.args(["-c", &enter]).arg(program);
    let text = config_text(&[&stratum], None).replace("16 MiB", "256 MiB");
    let mut binary = Binary::run(shell, &text);
    binary.until_said("memory of this process is limited to 160 MiB, but it may need 432 MiB").await;
    binary.until_said("serving: ").await;
    for turn in 0..3 {
        for some in objects.chunks(8) {
            let answers = some.iter().map(|object| {
                let (mut client, url) = (binary.client(), stratum.url(&object.path()));
                async move { client.ask(&url).await }
            });
            for (answer, object) in join_all(answers).await.into_iter().zip(some) {
                let answer = answer
                    .unwrap_or_else(|error| panic!("turn {turn}: {error}; it said:\n{}", binary.said()));
                assert!(answer.body == object.bytes);
            }
        }
    }
    binary.until(metric("substratum_memory_limit_bytes").eq(LIMIT)).await;
    binary.until(metric("substratum_memory_allowed_bytes").at_most(LIMIT)).await;
    binary.terminate();
    assert!(binary.exit().await.success());
}
