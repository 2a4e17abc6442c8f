//! The disk tier alone, at any number of objects: memory of the index, time to store and to look up as it fills, time to
//! open and to find everything again after a clean stop and after a sudden death.
//!
//! `cargo bench --bench disk -- FOLDER OBJECTS [BYTES]`; FOLDER must be new, and is left behind.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use substratum::cache::Share;
use substratum::cache::disk::{Disk, IndexState, NotAdmitted};
use substratum::config::{self, ByteSize};
use substratum::digest::{Algorithm, ObjectName};
use substratum::metrics::Metrics;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["fill", folder, objects, bytes] => fill(Path::new(folder), objects.parse()?, bytes.parse()?),
        ["load", folder, objects, bytes] => load(Path::new(folder), objects.parse()?, bytes.parse()?),
        [folder, objects] => all(folder, objects, "100"),
        [folder, objects, bytes] => all(folder, objects, bytes),
        _ => bail!("usage: FOLDER OBJECTS [BYTES]"),
    }
}

fn all(folder: &str, objects: &str, bytes: &str) -> anyhow::Result<()> {
    let step =
        |what: &str| Command::new(std::env::current_exe()?).args([what, folder, objects, bytes]).spawn();
    let mut filling = Command::new(std::env::current_exe()?)
        .args(["fill", folder, objects, bytes])
        .stdin(Stdio::piped())
        .spawn()?;
    // Ends by itself, without a clean stop.
    filling.wait()?;
    println!("after sudden death:");
    step("load")?.wait()?;
    println!("after a clean stop:");
    step("load")?.wait()?;
    Ok(())
}

fn open(folder: &Path, objects: u64, bytes: u64) -> anyhow::Result<(Disk, Duration)> {
    let needed = objects * (bytes + 64 + 16 + 16 + 24);
    let config = config::Disk {
        scrub_rate: ByteSize(0),
        segment: ByteSize::mib(64),
        ..config::Disk::new(PathBuf::from(folder), ByteSize(needed * 5 / 4 + (2 << 30)))
    };
    let metrics = Metrics::new()?;
    let start = Instant::now();
    let disk = Disk::open(&config, metrics.disk)?;
    Ok((disk, start.elapsed()))
}

fn fill(folder: &Path, objects: u64, bytes: u64) -> anyhow::Result<()> {
    let (disk, _) = open(folder, objects, bytes)?;
    let body: Arc<[Bytes]> = Arc::from([Bytes::from(vec![7; bytes as usize])]);
    let before = rss()?;
    let mut start = Instant::now();
    for n in 0..objects {
        while disk.store(name(n)?, Share::REST, Arc::clone(&body)) == Err(NotAdmitted::QueueFull) {
            disk.flush();
        }
        if (n + 1) % (objects / 4).max(1) == 0 {
            disk.flush();
            let stored = start.elapsed();
            let looked_up = look_up(&disk, n + 1)?;
            println!(
                "{:>9} objects: {:.2} us to store one, {:.2} us to look one up, {:.1} bytes of RSS each, {:.1} of them index",
                n + 1,
                stored.as_secs_f64() * 1e6 / (objects / 4).max(1) as f64,
                looked_up,
                (rss()? - before) as f64 / (n + 1) as f64,
                disk.usage().index_memory as f64 / (n + 1) as f64,
            );
            start = Instant::now();
        }
    }
    std::io::stdout().flush()?;
    // No destructors, no clean stop.
    std::process::abort()
}

fn load(folder: &Path, objects: u64, bytes: u64) -> anyhow::Result<()> {
    let base = rss()?;
    let start = Instant::now();
    let (disk, opened) = open(folder, objects, bytes)?;
    let mut found_first = None;
    while disk.usage().index != IndexState::Loaded {
        if found_first.is_none() && disk.usage().objects > 0 {
            found_first = Some(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let loaded = start.elapsed();
    let usage = disk.usage();
    println!(
        "  open {:.1} ms, everything findable after {:.0} ms ({} of {objects} objects, {} segments), {:.1} bytes of RSS each",
        opened.as_secs_f64() * 1e3,
        loaded.as_secs_f64() * 1e3,
        usage.objects,
        usage.segments,
        (rss()? - base) as f64 / objects as f64
    );
    println!("  {:.2} us to look one up", look_up(&disk, objects)?);
    let start = Instant::now();
    disk.close();
    println!("  clean stop {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Microseconds for a lookup among the first `count` objects, without reading.
fn look_up(disk: &Disk, count: u64) -> anyhow::Result<f64> {
    const TIMES: u64 = 100_000;
    let mut rng = fastrand::Rng::with_seed(count);
    let names: Vec<ObjectName> = (0..TIMES).map(|_| name(rng.u64(..count))).collect::<Result<_, _>>()?;
    let start = Instant::now();
    let found = names.iter().filter(|name| disk.get(name).is_some()).count() as u64;
    let time = start.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    if found != TIMES {
        bail!("{found} of {TIMES} objects found");
    }
    Ok(time)
}

fn name(n: u64) -> anyhow::Result<ObjectName> {
    let mut digest = [0; 20];
    fastrand::Rng::with_seed(n).fill(&mut digest);
    ObjectName::new(Algorithm::Sha1, &digest).context("20 bytes are a SHA-1")
}

/// Resident memory in bytes.
fn rss() -> anyhow::Result<u64> {
    let mut text = String::new();
    std::fs::File::open("/proc/self/statm")?.read_to_string(&mut text)?;
    let pages: u64 = text.split(' ').nth(1).context("statm")?.parse()?;
    Ok(pages * 4096)
}
