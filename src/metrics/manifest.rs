//! The newest manifest that is known of a repository. The label is a name from requests: only those are shown that
//! [`super::RepositoryMetrics`] names.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, MetricFamily, MetricType};
use prometheus::{IntGauge, Registry};

use super::request::{Family, labelled};

/// Handle of the part's metrics.
#[derive(Clone)]
pub struct ManifestMetrics {
    /// Repositories of which a manifest is known, shown or not.
    pub known: IntGauge,
    rows: Arc<Mutex<Vec<ManifestFigures>>>,
}

/// What is shown of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestFigures {
    /// The repository.
    pub repository: Box<str>,
    /// Its revision.
    pub revision: u64,
    /// When that was published: unix time in seconds.
    pub published: u64,
    /// When an upstream last sent or confirmed it: unix time in seconds.
    pub confirmed: u64,
}

impl ManifestMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let rows = Arc::default();
        registry.register(Box::new(Shown { families: families()?, rows: Arc::clone(&rows) }))?;
        let known = super::gauge(
            registry,
            "substratum_manifests",
            "Repositories of which a manifest is known. A rise means that clients mount more repositories.",
        )?;
        Ok(Self { known, rows })
    }

    /// Shows these from now on; one a repository.
    pub fn show(&self, rows: Vec<ManifestFigures>) {
        *self.rows.lock() = rows;
    }
}

/// The collector. All rows change at once: a scrape never sees half of them.
struct Shown {
    families: [Family; 3],
    rows: Arc<Mutex<Vec<ManifestFigures>>>,
}

fn families() -> Result<[Family; 3], prometheus::Error> {
    let family = |name: &str, help: &str| Family::new(name, help, &["repository"], MetricType::GAUGE);
    Ok([
        family(
            "substratum_manifest_revision",
            "Revision of the newest manifest known. Different from other caches for long: a stratum lags.",
        )?,
        family(
            "substratum_manifest_published_timestamp_seconds",
            "When that revision was published. The distance to now is how old the software is that jobs see.",
        )?,
        family(
            "substratum_manifest_confirmed_timestamp_seconds",
            "When an upstream last sent or confirmed it. Staying behind while clients ask: no stratum answers.",
        )?,
    ])
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().map(Family::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let rows = self.rows.lock().clone();
        let parts: [fn(&ManifestFigures) -> u64; 3] =
            [|row| row.revision, |row| row.published, |row| row.confirmed];
        let filled = self.families.iter().zip(parts).map(|(family, part)| {
            let metrics = rows.iter().map(|row| {
                let mut gauge = Gauge::default();
                gauge.set_value(part(row) as f64);
                let mut metric = labelled("repository", &row.repository);
                metric.set_gauge(gauge);
                metric
            });
            family.filled(metrics.collect())
        });
        filled.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_is_shown_is_replaced() {
        let metrics = Metrics::new().unwrap();
        let row = |repository: &str, revision| ManifestFigures {
            repository: repository.into(),
            revision,
            published: 5,
            confirmed: 6,
        };
        metrics.manifest.show(vec![row("a.example", 7), row("b.example", 8)]);
        metrics.manifest.show(vec![row("a.example", 9)]);
        let text = metrics.render().unwrap();
        let shown: Vec<_> = text.lines().filter(|line| line.starts_with("substratum_manifest_")).collect();
        let expected = [
            "substratum_manifest_confirmed_timestamp_seconds{repository=\"a.example\"} 6",
            "substratum_manifest_published_timestamp_seconds{repository=\"a.example\"} 5",
            "substratum_manifest_revision{repository=\"a.example\"} 9",
        ];
        assert_eq!(shown, expected);
    }
}
