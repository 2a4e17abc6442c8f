//! `substratum serve`: runs until SIGTERM or SIGINT, then drains. SIGHUP reads the configuration anew.

mod ephemeral;
mod manager;

use std::io;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::output::Output;
use crate::allowance::Allowance;
use crate::app::{self, App, StartError, Surroundings};
use crate::cache::disk;
use crate::config::{ByteSize, Config, ConfigError, Environment};
use crate::diagnostics;
use crate::server::inherited::Inherited;

/// Arguments.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// For the time of a job: free ports of this machine, a temporary folder, an end when the parent process ends; prints the
    /// setting for CVMFS clients to standard output
    #[arg(long)]
    ephemeral: bool,
    /// When another instance uses the disk tier's folder, wait until it has stopped, and take over
    #[arg(long)]
    wait: bool,
}

/// Why `serve` ends badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is wrong; nothing was started.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A part could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals cannot be received, or the folder cannot be waited for.
    #[error("cannot start: {0}")]
    Signals(#[from] io::Error),
    /// What an ephemeral cache needs is not to be had.
    #[error("cannot serve for the time of a job: {0}")]
    Ephemeral(#[source] io::Error),
}

impl ServeError {
    /// 2: the configuration is to be changed; 1: anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => super::BAD_CONFIGURATION,
            Self::Start(_) | Self::Signals(_) | Self::Ephemeral(_) => 1,
        }
    }
}

/// Serves until told to stop.
pub fn run(options: &Options, config: Option<&Path>) -> Result<(), ServeError> {
    let filter = diagnostics::install("info");
    // Its folder is removed last, when nothing writes to it any more.
    let job = options.ephemeral.then(ephemeral::begin).transpose().map_err(ServeError::Ephemeral)?;
    let load = || load(config, job.as_ref());
    let config = load()?;
    let inherited = Inherited::of_process()?;
    let summary = summary(&config);
    let admin_scheme = if config.admin.tls { "https" } else { "http" };
    raise_file_limit(&config);
    raise_lock_limit();
    let allowance = Allowance::of_process();
    if let Some(look) = allowance.as_ref().and_then(Allowance::look)
        && let Some(warning) = app::too_large(&config, ByteSize(look.limit))
    {
        eprintln!("warning: {warning}");
    }
    // Before there are handlers for signals: whoever waits can be ended like any program.
    if options.wait
        && let Some(disk) = &config.disk
    {
        eprintln!("waiting for {} to be free", disk.path.display());
        disk::wait_until_free(&disk.path)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Signals first: one that arrives while the parts start must not be lost.
    let (mut terminate, mut interrupt, mut rotate, mut hangup) = runtime.block_on(async {
        io::Result::Ok((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::user_defined1())?,
            signal(SignalKind::hangup())?,
        ))
    })?;
    let app =
        App::start_with(config, Surroundings { filter, inherited, allowance, ..Surroundings::default() })?;
    for address in app.proxy_addrs() {
        eprintln!("listening on {address}");
    }
    for address in app.tls_addrs() {
        eprintln!("TLS on {address}");
    }
    if let Some(address) = app.admin_addr() {
        eprintln!("admin on {admin_scheme}://{address}");
    }
    if let Some(address) = app.snmp_addr() {
        eprintln!("snmp on {address}");
    }
    eprint!("{summary}");
    if job.is_some() {
        ephemeral::announce(app.proxy_addr(), &mut Output).map_err(ServeError::Ephemeral)?;
    }
    let serving = format!("serving on {}", app.proxy_addr());
    manager::ready(&serving);
    runtime.block_on(async {
        let mut watchdog = manager::Watchdog::of_process();
        loop {
            tokio::select! {
                () = watchdog.due() => watchdog.look(app.beats()),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = rotate.recv() => app.reopen_log(),
                _ = hangup.recv() => {
                    manager::reloading();
                    match app.reload(load()) {
                        Ok(_) => manager::ready(&serving),
                        // It has been told in the log.
                        Err(_) => manager::ready(&format!("{serving}; the last reload was refused, see the log")),
                    }
                }
            }
        }
    });
    manager::stopping();
    eprintln!("stopping: answers in progress are finished");
    app.stop();
    eprintln!("stopped");
    Ok(())
}

/// The configuration, with its warnings told.
fn load(path: Option<&Path>, job: Option<&ephemeral::Job>) -> Result<Config, ConfigError> {
    let mut config = Config::obtain(path, &Environment::of_process())?.config;
    if let Some(job) = job {
        job.adapt(&mut config);
    }
    for warning in config.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(config)
}

/// Large objects are locked in the page cache. Where the limit does not suffice, they are copied: no reason to fail.
fn raise_lock_limit() {
    let limit = getrlimit(Resource::Memlock);
    let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, ..limit });
}

/// Connections, segments and upstreams each take a descriptor. The soft limit is a leftover of `select`; going up to the
/// hard limit is free.
fn raise_file_limit(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        eprintln!("warning: cannot raise the limit of open files: {error}");
    }
    let segments = config.disk.as_ref().map_or(0, |disk| disk.capacity.bytes() / disk.segment.bytes().max(1));
    let servers = config.parents.len()
        + config.registries.len()
        + config.mirrors.iter().map(|group| group.urls.len()).sum::<usize>();
    let upward = config.upstream.max_connections * config.listen.workers * servers.max(1);
    // A few are needed for everything else.
    let wanted = (config.listen.max_connections + upward) as u64 + segments + 64;
    if let Some(open) = getrlimit(Resource::Nofile).current
        && open < wanted
    {
        eprintln!(
            "warning: at most {open} files may be open, but `max_connections` = {} may need {wanted}; \
             raise the limit (LimitNOFILE= of the service) or lower the key",
            config.listen.max_connections
        );
    }
}

/// What is cached, how much of it, and from where, in a few lines.
fn summary(config: &Config) -> String {
    let mut text = format!("memory tier: {}\n", config.memory.capacity);
    text += &match &config.disk {
        Some(disk) => format!("disk tier: {} in {}\n", disk.capacity, disk.path.display()),
        None => "disk tier: none\n".to_owned(),
    };
    let shapes: Vec<_> = config.access.targets.iter().map(|shape| shape.as_str()).collect();
    let clients: Vec<_> = config.access.clients.iter().map(ToString::to_string).collect();
    text += &format!("serving: {} for {}\n", shapes.join(", "), clients.join(", "));
    for group in &config.mirrors {
        let urls: Vec<_> = group.urls.iter().map(ToString::to_string).collect();
        text += &format!("mirrors {}: {}\n", group.name, urls.join(", "));
    }
    for registry in &config.registries {
        text += &format!("registry {}: {}\n", registry.name, registry.url);
    }
    for parent in &config.parents {
        text += &format!("parent: {}\n", parent.url);
    }
    text
}
