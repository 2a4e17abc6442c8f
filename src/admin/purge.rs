//! `POST /purge?what=...`: drops an object or a document from all tiers. Only where a token guards the port.

use http::StatusCode;

use super::log::decoded;
use super::routes::{Answer, text};
use super::{Admin, PurgeError};

/// Drops it, and says from where. May wait for the disk.
pub(super) async fn purge(admin: &Admin, query: Option<&str>) -> Answer {
    let what = query.and_then(|query| query.strip_prefix("what=")).and_then(decoded);
    let Some(what) = what else {
        let example =
            "say what, as in /purge?what=/cvmfs/software.example.org/.cvmfspublished (with escapes)";
        return text(StatusCode::BAD_REQUEST, example);
    };
    let (status, wanted) = (admin.status.clone(), what.clone());
    match tokio::task::spawn_blocking(move || status.purge(&wanted)).await {
        Ok(Ok(purged)) => {
            tracing::info!(what, found = purged.places.join(", "), "an operator purged {}", purged.kind);
            let places = match purged.places.is_empty() {
                true => "nothing was stored of it".to_owned(),
                false => format!("dropped from {}", purged.places.join(" and ")),
            };
            text(StatusCode::OK, &format!("{}: {places}", purged.kind))
        }
        Ok(Err(error @ PurgeError::Name)) => text(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the purge was broken off"),
    }
}
