//! `substratum demo`: what the tier does, shown on loopback in one process, without any configuration.
//!
//! Three strata hold a generated container image. A site's cache asks them, the caches of some nodes ask the site, and
//! many simulated jobs ask their nodes: first with empty caches, then once more, then for a new revision while one
//! stratum sends wrong bytes and another one is killed. Every number printed was counted by those who took part.
//!
//! Codemap: `image` is what there is to read, `stratum` serves it, `tier` starts the caches, `job` reads, `crew` runs
//! many of them, `wave` runs a crew and counts, `progress` and `report` tell.

mod account;
mod board;
mod crew;
mod image;
mod job;
mod latency;
mod paint;
mod progress;
mod report;
mod stratum;
mod tier;
mod wave;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use self::image::Image;
use self::job::Job;
use self::paint::Paint;
use self::report::Report;
pub use self::report::Verdict;
use self::stratum::{Conduct, MANIFEST_LIFETIME, Stratum};
use self::tier::{Sizes, Tier, TierError};
use self::wave::{Wave, WaveError};
use super::figures::{self, bytes, plural, time};
use super::output::Output;

/// Strata: one to send wrong bytes, one to be killed, one that keeps well.
const STRATA: usize = 3;

/// What a job fetches besides the objects that the catalog lists: manifest and catalog.
const LISTS: u64 = 2;

/// Connections of one job; a CVMFS client opens 16 at most.
const JOB_CONNECTIONS: usize = 6;

/// Connections of all jobs together: each may cause one at every level, and a process may often have 1024 only.
const ALL_CONNECTIONS: usize = 144;

/// How long a new revision may take to be seen through the caches.
const NEWS_PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks for it.
const NEWS_LOOK: Duration = Duration::from_millis(100);

/// Exit status after SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// What can be chosen.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Jobs that start together, in each wave
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=ALL_CONNECTIONS as i64))]
    jobs: u16,
    /// Nodes that the jobs run on, each with a cache of its own
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32))]
    nodes: u16,
    /// Objects of the image; 3,500 of them are about 90 MB
    #[arg(long, default_value_t = 3_500, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=20_000))]
    objects: u32,
    /// Makes another image
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Keeps the caches' folders and configurations in DIR, which must be new or empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Why the demo came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder for the caches cannot be made.
    #[error("cannot use the folder {0}: {1}")]
    Folder(PathBuf, io::Error),
    /// The folder to keep holds something.
    #[error("{0} is not empty: the first wave is to meet empty caches; give a new folder")]
    NotEmpty(PathBuf),
    /// A stratum cannot be started.
    #[error("cannot start a stratum: {0}")]
    Stratum(io::Error),
    /// A cache cannot be started.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// A wave could not be run.
    #[error(transparent)]
    Wave(#[from] WaveError),
    /// The caches kept showing the old revision.
    #[error("the new revision was not seen within {NEWS_PATIENCE:?}")]
    NoNews,
    /// Nothing can be printed any more.
    #[error("cannot write the report: {0}")]
    Output(#[source] io::Error),
    /// The system gave no runtime, or no signals.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// Somebody wanted it to stop.
    #[error("interrupted; everything is stopped and removed")]
    Interrupted,
}

impl DemoError {
    /// The exit status.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => INTERRUPTED,
            _ => 1,
        }
    }
}

/// Runs the demo; reports to standard output.
pub fn run(options: &Options) -> Result<Verdict, DemoError> {
    // The faults are staged: what the caches say about them would only be in the way.
    // Nobody changes it.
    let _ = crate::diagnostics::install("off");
    // Not for files, pipes, `TERM=dumb` and `NO_COLOR`.
    let paint = if console::colors_enabled() { Paint::Terminal } else { Paint::Plain };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(DemoError::Start)?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(DemoError::Start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::Start)?;
        // Dropping the play stops its threads, closes its ports and removes its folder.
        tokio::select! {
            verdict = play(options, paint) => verdict,
            _ = interrupt.recv() => Err(DemoError::Interrupted),
            _ = terminate.recv() => Err(DemoError::Interrupted),
        }
    })
}

async fn play(options: &Options, paint: Paint) -> Result<Verdict, DemoError> {
    let mut stage = Stage::set(options, paint)?;
    let image = stage.image.clone();
    let jobs = u64::from(options.jobs);
    stage.introduce()?;

    stage.announce(
        1,
        "Cold",
        &[&format!("{} start at once and read the whole image; every cache is empty.", plural(jobs, "job"))],
    )?;
    let cold = stage.wave(|_| {}).await?;

    stage.announce(2, "Warm", &["As many new jobs read the same image."])?;
    let warm = stage.wave(|_| {}).await?;

    let update = stage.publish().await?;
    let news = update.news(Some(&image));
    stage.announce(
        3,
        "Faults",
        &[
            &format!(
                "Revision 2 has {} ({}); new jobs read it.",
                plural(news.objects, "new object"),
                bytes(news.bytes)
            ),
            "Stratum 1 now changes a byte in every object it sends; stratum 2 is killed midway.",
        ],
    )?;
    stage.strata[0].behave(Conduct::Corrupt);
    let faults = stage.wave(|strata| strata[1].kill()).await?;

    let report = Report { jobs, image: image.news(None), update: news, cold, warm, faults };
    report.write(&mut Output, paint).map_err(DemoError::Output)?;
    Ok(report.verdict())
}

/// Where the caches live.
enum Folder {
    /// Removed at the end.
    Temporary(TempDir),
    /// Somebody wants to look at it.
    Kept(PathBuf),
}

impl Folder {
    fn make(keep: Option<&Path>) -> Result<Self, DemoError> {
        let Some(path) = keep else {
            return tempfile::Builder::new()
                .prefix("substratum-demo-")
                .tempdir()
                .map(Self::Temporary)
                .map_err(|error| DemoError::Folder(std::env::temp_dir(), error));
        };
        let failed = |error| DemoError::Folder(path.to_owned(), error);
        std::fs::create_dir_all(path).map_err(failed)?;
        match std::fs::read_dir(path).map_err(failed)?.next() {
            None => Ok(Self::Kept(path.to_owned())),
            Some(_) => Err(DemoError::NotEmpty(path.to_owned())),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// Everything that takes part. Dropped in this order: caches first, their folder last.
struct Stage<'a> {
    tier: Tier,
    strata: Vec<Stratum>,
    image: Image,
    rng: fastrand::Rng,
    sizes: Sizes,
    options: &'a Options,
    paint: Paint,
    folder: Folder,
}

impl<'a> Stage<'a> {
    fn set(options: &'a Options, paint: Paint) -> Result<Self, DemoError> {
        let folder = Folder::make(options.keep.as_deref())?;
        let mut rng = fastrand::Rng::with_seed(options.seed);
        let image = Image::generate(options.objects as usize, &mut rng, now());
        let strata = (0..STRATA)
            .map(|_| Stratum::start(image.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(DemoError::Stratum)?;
        let urls: Vec<_> = strata.iter().map(|stratum| stratum.url().clone()).collect();
        let sizes = Sizes::for_image(image.news(None));
        let tier = Tier::start(folder.path(), &urls, options.nodes.into(), &sizes)?;
        Ok(Self { tier, strata, image, rng, sizes, options, paint, folder })
    }

    /// Who takes part.
    fn introduce(&self) -> Result<(), DemoError> {
        let Self { sizes, options, paint, .. } = self;
        let image = self.image.news(None);
        let title = paint.bold("Substratum: a container image through two levels of caches");
        let place = match &self.folder {
            Folder::Temporary(_) => "nothing remains on its disk".to_owned(),
            Folder::Kept(path) => format!("the caches remain in {}", path.display()),
        };
        let lines = [
            format!("{title}\nEverything runs on this machine, on loopback; {place}.\n"),
            format!(
                "  strata   {STRATA} servers with the same repository: {} named by their SHA-1, {}",
                plural(image.objects, "object"),
                bytes(image.bytes)
            ),
            format!(
                "  site     1 cache, the only one that can reach the strata; memory {}, disk {}",
                sizes.site_memory, sizes.disk
            ),
            format!(
                "  nodes    {} that can reach the site only; memory {}, disk {} each",
                plural(options.nodes.into(), "cache"),
                sizes.node_memory,
                sizes.disk
            ),
            format!(
                "  jobs     {} at a time, each with {} to its node; every object is checked",
                options.jobs,
                plural(self.connections() as u64, "connection")
            ),
        ];
        self.say(&lines)
    }

    fn announce(&self, number: u32, title: &str, lines: &[&str]) -> Result<(), DemoError> {
        let head = self.paint.bold(format!("{number}  {title:<8}"));
        let text = lines.join(&format!("\n{:11}", ""));
        self.say(&[format!("\n{head}{text}")])
    }

    fn say(&self, lines: &[String]) -> Result<(), DemoError> {
        writeln!(Output, "{}", lines.join("\n")).map_err(DemoError::Output)
    }

    fn connections(&self) -> usize {
        (ALL_CONNECTIONS / usize::from(self.options.jobs)).clamp(1, JOB_CONNECTIONS)
    }

    /// New jobs, spread over the nodes. They name different strata, as clients at different places do; for the caches
    /// an object is the same whatever stratum is named.
    fn jobs(&self) -> Vec<Job> {
        let nodes: Vec<_> = self.tier.nodes().collect();
        let strata: Vec<Arc<str>> =
            self.strata.iter().map(|stratum| stratum.url().authority().into()).collect();
        let job = |number: usize| {
            let mut strata = strata.clone();
            strata.rotate_left(number / nodes.len() % STRATA);
            Job { node: nodes[number % nodes.len()], strata, connections: self.connections() }
        };
        (0..self.options.jobs.into()).map(job).collect()
    }

    async fn wave(&mut self, midway: impl FnOnce(&mut [Stratum])) -> Result<Wave, DemoError> {
        let things = self.image.entries().len() as u64 + LISTS;
        let jobs = self.jobs();
        let wave = Wave::run(&self.tier, &mut self.strata, &jobs, things, midway).await?;
        let rate = wave.jobs.requests as f64 / wave.elapsed.as_secs_f64().max(0.001);
        let result = format!(
            "{:11}{} and {} in {}: {}/s",
            "",
            plural(wave.jobs.requests, "answer"),
            bytes(wave.jobs.bytes),
            time(wave.elapsed),
            plural(rate as u64, "request")
        );
        self.say(&[self.paint.dim(result)])?;
        Ok(wave)
    }

    /// Publishes the next revision and waits until every job would see it.
    async fn publish(&mut self) -> Result<Image, DemoError> {
        let update = self.image.update(&mut self.rng, now());
        for stratum in &self.strata {
            stratum.publish(update.clone());
        }
        self.image = update.clone();
        let published = Instant::now();
        for job in self.jobs() {
            while job.clone().revision().await != Some(update.revision) {
                if published.elapsed() > NEWS_PATIENCE {
                    return Err(DemoError::NoNews);
                }
                tokio::time::sleep(NEWS_LOOK).await;
            }
        }
        self.say(&[format!(
            "\n           Revision 2 is published; all nodes see it after {} (manifests live {} s here).",
            time(published.elapsed()),
            MANIFEST_LIFETIME.as_secs()
        )])?;
        Ok(update)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
