//! Reports: answers that have to be gathered from all parts, and so might wait for a lock or a disk.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::task;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::graphs::Graphs;
use super::history::{History, View};
use super::routes::{self, Answer};
use super::server::Limits;
use super::trouble::{self, Trouble};
use super::{Admin, page, repositories, tiles};

/// What can be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    Metrics,
    Status,
    History,
    Page(page::Refresh),
}

/// The service behind [`answer`]; clones share their limits.
pub(super) type Reports = BoxCloneSyncService<Report, Answer, BoxError>;

pub(super) fn service(admin: Arc<Admin>, history: Arc<History>, limits: &Limits) -> Reports {
    let service =
        ServiceBuilder::new()
            .timeout(limits.report_time)
            // A report that nobody waits for any more keeps its place until it ends. Otherwise each scrape of a tier
            // that hangs would leave one more thread behind.
            .map_future(|report| async { task::spawn(report).await? })
            .load_shed()
            .concurrency_limit(limits.reports)
            .service_fn(move |report| {
                let (admin, history) = (admin.clone(), history.clone());
                async move {
                    Ok::<_, BoxError>(task::spawn_blocking(move || make(&admin, &history, report)).await??)
                }
            });
    BoxCloneSyncService::new(service)
}

/// Asks for a report; trouble is an answer, too.
pub(super) async fn answer(reports: &Reports, report: Report) -> Answer {
    reports.clone().oneshot(report).await.unwrap_or_else(|error| {
        if error.is::<Overloaded>() {
            routes::text(StatusCode::SERVICE_UNAVAILABLE, "busy: too many reports are being made already")
        } else if error.is::<Elapsed>() {
            tracing::warn!(?report, "an admin report took too long");
            routes::text(StatusCode::SERVICE_UNAVAILABLE, "the report took too long")
        } else {
            tracing::error!(?report, %error, "an admin report failed");
            routes::text(StatusCode::INTERNAL_SERVER_ERROR, "the report failed: see the program's log")
        }
    })
}

fn make(admin: &Admin, history: &History, report: Report) -> Result<Answer, ReportError> {
    Ok(match report {
        Report::Metrics => {
            admin.status.sample();
            routes::typed(StatusCode::OK, EXPOSITION_FORMAT, admin.metrics.render()?)
        }
        Report::Status => {
            let mut json = serde_json::to_string_pretty(&status(admin, &history.view()))?;
            json.push('\n');
            routes::typed(StatusCode::OK, JSON, json)
        }
        Report::History => {
            routes::typed(StatusCode::OK, JSON, serde_json::to_string(&Graphs::of(&history.view()))?)
        }
        Report::Page(refresh) => {
            let view = history.view();
            let mut status = admin.status.status();
            status.insert(REPOSITORIES.to_owned(), listed(repositories::busiest(&view)));
            let now = page::Now {
                readiness: &admin.status.ready(),
                troubles: &trouble::find(&view),
                tiles: &tiles::glance(&view, &status),
            };
            let html = page::render(&status, &now, refresh);
            routes::typed(StatusCode::OK, "text/html; charset=utf-8", html)
        }
    })
}

/// The status, with what needs attention (`troubles`), what did within the hour (`recent_troubles`), and who asked in it.
fn status(admin: &Admin, view: &View) -> Map<String, Value> {
    let mut status = admin.status.status();
    let (fresh, recent): (Vec<_>, Vec<_>) = trouble::find(view).into_iter().partition(Trouble::is_fresh);
    status.insert("troubles".to_owned(), listed(fresh));
    status.insert("recent_troubles".to_owned(), listed(recent));
    status.insert(REPOSITORIES.to_owned(), listed(repositories::busiest(view)));
    status
}

fn listed<T: Serialize>(rows: Vec<T>) -> Value {
    rows.iter().map(|row| serde_json::to_value(row).unwrap_or_default()).collect()
}

/// The key, and on the page the heading, of those who were asked for most.
const REPOSITORIES: &str = "repositories_in_the_last_hour";

/// Why a report could not be written down.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("status: {0}")]
    Status(#[from] serde_json::Error),
}

const JSON: &str = "application/json";
/// Prometheus, "Exposition formats", text-based format.
const EXPOSITION_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
