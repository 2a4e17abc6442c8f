//! A small page of another server, to which an answer points.

use bytes::Bytes;
use http::header::{ACCEPT, VIA};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout_at};

use super::{Fetch, nobody_serves};
use crate::cache::{FillError, Why};
use crate::config::ServerUrl;
use crate::upstream::{Outgoing, UpstreamOutcome};

impl Fetch {
    /// The JSON that `server` has at `path`, of at most so many bytes; within `head_deadline`, if the access rules allow it, and
    /// through the same parent as the answer that pointed there.
    ///
    /// # Errors
    /// Anything but a whole 200.
    pub async fn elsewhere(
        &self,
        server: ServerUrl,
        path: PathAndQuery,
        most: usize,
    ) -> Result<Bytes, FillError> {
        let from = self.candidates.first().ok_or_else(nobody_serves)?;
        let candidate = self.client.elsewhere(from, server)?;
        let deadline = Instant::now() + self.head_deadline;
        let mut headers = HeaderMap::new();
        headers.insert(VIA, self.via.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = Outgoing { method: Method::GET, path_and_query: path, headers, redirects: 0 };
        let upstream = &candidate.upstream;
        let answer = self.client.send(&candidate, request, deadline).await;
        let answer = answer.inspect_err(|failure| upstream.record(UpstreamOutcome::from(failure)))?;
        if answer.status() != StatusCode::OK {
            upstream.record(upstream.verdict(answer.status(), answer.headers()));
            return Err(FillError::new(Why::Unavailable, format!("answered {}", answer.status())));
        }
        match timeout_at(deadline, Limited::new(answer.into_body(), most).collect()).await {
            Ok(Ok(body)) => {
                upstream.record(UpstreamOutcome::Ok);
                Ok(body.to_bytes())
            }
            Ok(Err(error)) => {
                upstream.record(UpstreamOutcome::Protocol);
                Err(FillError::new(Why::Unavailable, error.to_string()))
            }
            Err(_) => {
                upstream.record(UpstreamOutcome::Stalled);
                Err(FillError::new(Why::TooSlow, "it did not come to an end"))
            }
        }
    }
}
