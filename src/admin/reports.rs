//! Reports: answers that have to be gathered from all parts, and so might wait for a lock or a disk.

use std::sync::Arc;

use http::StatusCode;
use tokio::task;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::routes::{self, Answer};
use super::server::Limits;
use super::{Admin, page};

/// What can be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    Metrics,
    Status,
    Page(page::Refresh),
}

/// The service behind [`answer`]; clones share their limits.
pub(super) type Reports = BoxCloneSyncService<Report, Answer, BoxError>;

pub(super) fn service(admin: Arc<Admin>, limits: &Limits) -> Reports {
    let service = ServiceBuilder::new()
        .timeout(limits.report_time)
        // A report that nobody waits for any more keeps its place until it ends. Otherwise each scrape of a tier
        // that hangs would leave one more thread behind.
        .map_future(|report| async { task::spawn(report).await? })
        .load_shed()
        .concurrency_limit(limits.reports)
        .service_fn(move |report| {
            let admin = admin.clone();
            async move { Ok::<_, BoxError>(task::spawn_blocking(move || make(&admin, report)).await??) }
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

fn make(admin: &Admin, report: Report) -> Result<Answer, ReportError> {
    Ok(match report {
        Report::Metrics => {
            admin.status.sample();
            routes::typed(StatusCode::OK, EXPOSITION_FORMAT, admin.metrics.render()?)
        }
        Report::Status => {
            let mut json = serde_json::to_string_pretty(&admin.status.status())?;
            json.push('\n');
            routes::typed(StatusCode::OK, "application/json", json)
        }
        Report::Page(refresh) => {
            let html = page::render(&admin.status.status(), &admin.status.ready(), refresh);
            routes::typed(StatusCode::OK, "text/html; charset=utf-8", html)
        }
    })
}

/// Why a report could not be written down.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("status: {0}")]
    Status(#[from] serde_json::Error),
}

/// Prometheus, "Exposition formats", text-based format.
const EXPOSITION_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
