//! A request that may change something: to one server, once.

use http::header::VIA;
use http::{HeaderMap, Method, Response};

use super::attempts::Attempts;
use super::{Fetch, nobody_serves};
use crate::cache::FillError;
use crate::config::ServerUrl;
use crate::upstream::{Content, Outgoing, UpstreamBody, UpstreamOutcome};

impl Fetch {
    /// The answer of `target`. Another way to it, through another parent, is tried only while nothing was sent.
    pub async fn change(
        self,
        method: Method,
        headers: HeaderMap,
        target: Option<ServerUrl>,
        content: Content,
    ) -> Result<Response<UpstreamBody>, FillError> {
        let target = target.ok_or_else(nobody_serves)?;
        let mut headers = headers;
        headers.append(VIA, self.via.clone());
        let mut content = Some(content);
        let mut attempts = Attempts::default();
        for candidate in self.candidates.iter().filter(|candidate| *candidate.target() == target) {
            let request = Outgoing {
                method: method.clone(),
                path_and_query: self.path.clone(),
                headers: headers.clone(),
                redirects: 0,
            };
            let answer = self.client.send_once(candidate, request, &mut content, self.head_deadline).await;
            if let Some(response) = attempts.taken(candidate, answer) {
                let verdict = candidate.upstream.verdict(response.status(), response.headers());
                candidate.upstream.record(match verdict {
                    // Whatever it says about a change, it is there.
                    UpstreamOutcome::ClientError | UpstreamOutcome::NotFound => UpstreamOutcome::Ok,
                    other => other,
                });
                return Ok(response);
            }
            if content.is_none() {
                break;
            }
        }
        Err(attempts.verdict())
    }
}
