//! `substratum warm`: brings what is under a path into the tier, before the jobs start.

mod estimate;
mod progress;
mod room;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use self::estimate::{Sum, USUAL};
use self::progress::{Progress, Reading};
use self::room::Room;
use super::figures::{bytes, count, plural, time};
use super::visit::{self, Visit, VisitError};
use crate::catalog::walk::Depth;
use crate::catalog::{RepoPath, Tree};
use crate::config::{ByteSize, quantity};
use crate::warm::{Board, Brought, Pace, Presence, Wanted, bring, shown};

/// Arguments of `substratum warm`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    visit: visit::Place,
    /// What to warm, from the root of the repository or as it is mounted [default: all of it]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// The same, as an option
    #[arg(long = "path", value_name = "PATH")]
    further: Vec<String>,
    /// So much a second at the most, such as 50MB/s
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<ByteSize>,
    /// Objects asked for at the same time
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Only the catalogs, so that directories are listed at once everywhere
    #[arg(long)]
    catalogs_only: bool,
    /// Begin although the tier has most likely no room for all of it
    #[arg(long)]
    anyway: bool,
}

/// What a script needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is in the tier.
    Warm,
    /// Some of it is not.
    NotAll,
    /// Somebody has had enough (SIGINT).
    BrokenOff,
}

/// Warms, and tells what came of it.
pub fn run(options: &Options, config: Option<&Path>, out: &mut dyn Write) -> Result<Verdict, VisitError> {
    let named: Vec<&str> = options.paths.iter().chain(&options.further).map(String::as_str).collect();
    let named = if named.is_empty() { &["/"][..] } else { &named };
    let paths = named.iter().map(|path| options.visit.path(path)).collect::<Result<Vec<_>, _>>()?;
    let depth = if options.catalogs_only { Depth::Catalogs } else { Depth::All };
    let pace = Arc::new(Pace::new(options.rate.map(ByteSize::bytes)));
    visit::block_on(async {
        let begun = Instant::now();
        let mut visit = options.visit.begin(config, Arc::clone(&pace)).await?;
        writeln!(out, "{}", visit.headline())?;
        out.flush()?;
        let Some(all) = survey(&mut visit, &paths, depth, out).await? else {
            writeln!(out, "broken off before anything but catalogs was fetched; the same command goes on")?;
            out.flush()?;
            return Ok(Verdict::BrokenOff);
        };
        let (missing, room) = (visit.presence.missing(&all.objects)?, Room::ask(&visit));
        let wanted = |object| Wanted { object, content: all.content(&object) };
        let missing: Vec<_> = missing.into_iter().map(wanted).collect();
        tell_plan(options, &visit, &all, Sum::of(&missing), out)?;
        if missing.is_empty() && !all.objects.is_empty() {
            out.flush()?;
            return Ok(Verdict::Warm);
        }
        if !missing.is_empty() && !room.tell(all.bytes, USUAL, options.anyway, out)? {
            return Ok(Verdict::NotAll);
        }
        out.flush()?;
        let board = Arc::new(Board::default());
        let Some(brought) = bring_watched(&visit, missing, options, &pace, &board).await? else {
            let (objects, size) = (board.brought.load(Relaxed), board.bytes.load(Relaxed));
            let objects = plural(objects, "object");
            writeln!(out, "broken off, fetched {objects}, {}; the same command goes on", bytes(size))?;
            out.flush()?;
            return Ok(Verdict::BrokenOff);
        };
        let verdict = tell_end(&visit, &all, &brought, begun.elapsed(), out)?;
        out.flush()?;
        Ok(verdict)
    })
}

/// What stands under the paths; nothing when somebody at the terminal breaks it off.
async fn survey(
    visit: &mut Visit,
    paths: &[RepoPath],
    depth: Depth,
    out: &mut dyn Write,
) -> Result<Option<Tree>, VisitError> {
    let mut all = Tree::default();
    for path in paths {
        let mut reading = Reading::new(visit.surveyor.surveyed());
        let tree = watched(visit.walk().tree(path, depth), || reading.show()).await?;
        drop(reading);
        let Some(tree) = tree.transpose()? else { return Ok(None) };
        let catalogs = plural(tree.catalogs.len() as u64, "catalog");
        let (objects, size) = (plural(tree.objects.len() as u64, "object"), bytes(tree.file_bytes));
        let place = shown(&visit.way.repository, path);
        match depth {
            Depth::Catalogs => writeln!(out, "{place}: {catalogs}")?,
            _ => writeln!(out, "{place}: {catalogs}, {} ({size}), {objects}", plural(tree.files, "file"))?,
        }
        if tree.external > 0 {
            let (files, size) = (plural(tree.external, "file"), bytes(tree.external_bytes));
            writeln!(out, "  {files} ({size}) have their content beside the repository and are left out")?;
        }
        all.merge(&tree);
    }
    Ok(Some(all))
}

fn tell_plan(
    options: &Options,
    visit: &Visit,
    all: &Tree,
    missing: Sum,
    out: &mut dyn Write,
) -> Result<(), VisitError> {
    if all.objects.is_empty() {
        return Ok(());
    }
    match (&visit.presence, missing.objects) {
        (Presence::Unknown, _) => {
            writeln!(out, "what is there already is not known (no --admin): everything is asked for")?;
        }
        (_, 0) => {
            writeln!(out, "all of it is there already")?;
            return Ok(());
        }
        (_, missing) => {
            writeln!(out, "{} of {} objects are missing", count(missing), count(all.objects.len() as u64))?;
        }
    }
    let usual = missing.usual();
    write!(out, "about {} to fetch, {} at the most", bytes(usual), bytes(missing.content))?;
    match options.rate.filter(|rate| rate.bytes() > 0) {
        Some(rate) => {
            let seconds = usual / rate.bytes();
            writeln!(
                out,
                ": about {} at {} a second",
                time(Duration::from_secs(seconds.max(1))),
                bytes(rate.bytes())
            )?;
        }
        None => writeln!(out)?,
    }
    Ok(())
}

/// What was brought; nothing when somebody at the terminal breaks it off.
async fn bring_watched(
    visit: &Visit,
    missing: Vec<Wanted>,
    options: &Options,
    pace: &Arc<Pace>,
    board: &Arc<Board>,
) -> io::Result<Option<Brought>> {
    if missing.is_empty() {
        return Ok(Some(Brought::default()));
    }
    let mut progress = Progress::new(Sum::of(&missing), options.rate.map(ByteSize::bytes));
    let bringing = bring(&visit.way, missing, options.jobs.into(), pace, board);
    watched(bringing, || progress.show(board)).await
}

/// Does it, and shows now and then how far it is; nothing when somebody at the terminal breaks it off, which leaves no half of a bar
/// behind.
async fn watched<T>(work: impl Future<Output = T>, mut show: impl FnMut()) -> io::Result<Option<T>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut work = std::pin::pin!(work);
    let mut look = tokio::time::interval(progress::REFRESH);
    loop {
        tokio::select! {
            done = &mut work => return Ok(Some(done)),
            _ = interrupts.recv() => return Ok(None),
            _ = look.tick() => show(),
        }
    }
}

fn tell_end(
    visit: &Visit,
    all: &Tree,
    brought: &Brought,
    took: Duration,
    out: &mut dyn Write,
) -> Result<Verdict, VisitError> {
    let read = visit.surveyor.surveyed();
    write!(out, "read {} ({})", plural(read.catalogs(), "catalog"), bytes(read.bytes()))?;
    if !all.objects.is_empty() {
        write!(out, ", fetched {}, {}", plural(brought.objects, "object"), bytes(brought.bytes))?;
    }
    let rate = (read.bytes() + brought.bytes) as f64 / took.as_secs_f64().max(0.001);
    writeln!(out, " in {} ({}/s)", time(took), bytes(rate as u64))?;
    if let Some((object, why)) = &brought.example {
        writeln!(
            out,
            "{} could not be had; one of them is {object}: {why}",
            plural(brought.failed, "object")
        )?;
    }
    let asked = brought.objects + brought.failed;
    // What is written in the background counts as there.
    let left = match visit.presence {
        Presence::Unknown => all.objects.len() as u64 - brought.objects.min(all.objects.len() as u64),
        _ => visit.presence.missing(&all.objects)?.len() as u64,
    };
    match left {
        0 => writeln!(out, "all of it is in the tier now")?,
        left if brought.failed == 0 => {
            writeln!(out, "{} did not stay in the tier: it has no room for them", plural(left, "object"))?;
        }
        left => writeln!(
            out,
            "{} of {} are missing still; the same command goes on",
            count(left),
            count(left.max(asked))
        )?,
    }
    Ok(if left == 0 && brought.failed == 0 { Verdict::Warm } else { Verdict::NotAll })
}

/// `50MB/s`, `50 MB` or `50 MB/s`: the same.
fn rate(text: &str) -> Result<ByteSize, String> {
    let size = text.strip_suffix("/s").unwrap_or(text);
    match quantity::parse_size(size) {
        Ok(ByteSize(0)) => Err("a rate of 0 would never end".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(format!("it {error}; one such as 50MB/s is expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, expected) in
            [("50MB/s", Some(50_000_000)), ("50 MB/s", Some(50_000_000)), ("1 MiB", Some(1 << 20))]
        {
            assert_eq!(rate(text).ok(), expected.map(ByteSize), "{text}");
        }
        for text in ["0", "0/s", "fast", "1 Mb/s", ""] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
