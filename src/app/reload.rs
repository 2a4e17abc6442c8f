//! Another configuration for a running tier, without dropping a request.
//!
//! Everything that can fail comes first: a configuration that cannot hold changes nothing. Then the parts are replaced;
//! requests in progress end with what they began with.

use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;

use super::{App, StartError};
use crate::access_log::AccessLog;
use crate::config::change::Change;
use crate::config::keys::Key;
use crate::config::{ByteSize, Config, ConfigError};
use crate::metrics::ConfigMetrics;
use crate::upstream::Client;

/// Why the old configuration stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new one is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A part cannot be made of it.
    #[error(transparent)]
    Part(#[from] StartError),
}

/// The keys that wait for a restart, or why it was refused.
type Told = Result<Vec<&'static Key>, String>;

/// How the reloads of a process went, for whoever asks.
pub struct Reloads {
    metrics: ConfigMetrics,
    last: Mutex<Option<(Instant, Told)>>,
}

/// The last reload, as `/status` tells it.
#[derive(Serialize)]
pub struct LastReload {
    result: &'static str,
    age_seconds: u64,
    /// Why it was refused.
    reason: Option<String>,
    /// Keys that hold after a restart only.
    waiting_for_restart: Vec<String>,
}

impl Reloads {
    /// None yet.
    pub fn new(metrics: ConfigMetrics) -> Self {
        Self { metrics, last: Mutex::new(None) }
    }

    /// The last one, if there was any.
    pub fn last(&self) -> Option<LastReload> {
        let last = self.last.lock();
        let (at, result) = last.as_ref()?;
        let names = |keys: &Vec<&'static Key>| keys.iter().map(|key| name(key)).collect();
        Some(LastReload {
            result: if result.is_ok() { "applied" } else { "refused" },
            age_seconds: at.elapsed().as_secs(),
            reason: result.as_ref().err().cloned(),
            waiting_for_restart: result.as_ref().map(names).unwrap_or_default(),
        })
    }

    fn note(&self, result: Told) {
        match &result {
            Ok(waiting) => {
                self.metrics.applied.inc();
                self.metrics.successful.set(1);
                self.metrics.waiting.set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
                for key in waiting {
                    tracing::warn!(
                        "{} was changed, but holds only after a restart; the old value stays in force",
                        name(key)
                    );
                }
                tracing::info!("the configuration was reloaded");
            }
            Err(reason) => {
                self.metrics.refused.inc();
                self.metrics.successful.set(0);
                tracing::error!("the configuration was not reloaded, the old one stays in force: {reason}");
            }
        }
        *self.last.lock() = Some((Instant::now(), result));
    }
}

/// `[table] key`
fn name(key: &Key) -> String {
    format!("[{}] {}", key.table, key.name)
}

impl App {
    /// Takes on another configuration, or says why not; either way it is told in log, metrics and status. The keys
    /// returned hold after a restart only. Requests, connections, downloads and caches go on. Blocking, for as long as it
    /// takes to read passwords and certificates, and for about a microsecond for each object in memory when that changes its capacity.
    pub fn reload(&self, wanted: Result<Config, ConfigError>) -> Result<Vec<&'static Key>, ReloadError> {
        let result = wanted.map_err(ReloadError::from).and_then(|wanted| self.take_on(wanted));
        let told = result.as_ref().map(Vec::clone).map_err(ToString::to_string);
        self.reloads.note(told);
        result
    }

    fn take_on(&self, wanted: Config) -> Result<Vec<&'static Key>, ReloadError> {
        // Held to the end: one at a time.
        let mut log = self.log.lock();
        let old = self.site.load_full();
        let documents = old.config.disk.as_ref().map_or(0, |disk| disk.documents.bytes());
        let least_disk = self.ground.cache.disk().map_or(0, |disk| disk.least_capacity().bytes() + documents);
        let least_disk = ByteSize(least_disk);
        let Change { config, waiting } = Change::of(&old.config, wanted, least_disk);
        let new = old.renewed(config, &self.own)?;
        let guard = new.guard()?;
        let new_log = (new.config.log != old.config.log)
            .then(|| AccessLog::open(&new.config.log, self.metrics.log.clone()))
            .transpose()
            .map_err(StartError::from)?;
        // Nothing fails from here on.
        let config = &new.config;
        for current in &self.currents {
            let before = current.load_full();
            let client: Client = before.client.over(new.upstreams.clone());
            current.store(new.worker(&self.ground, client, before.recorder.clone()));
        }
        if let Some(new_log) = new_log {
            for current in &self.currents {
                current.load().recorder.report_to(new_log.logger());
            }
            // Ends the former one, with all its lines.
            *log = Some(new_log);
        }
        self.guard.store(guard.into());
        new.upstreams.take_leave(&old.upstreams);
        self.ground.cache.adjust(&config.memory, &config.objects, config.disk.as_ref());
        ArcSwap::store(&self.site, new.into());
        Ok(waiting)
    }
}
