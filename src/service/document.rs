//! A document, from its key to its answer.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::Response;

use super::{Place, Worker, note_first};
use crate::document::{DocumentRequest, UpstreamRequest};
use crate::fetch::Refusals;
use crate::outcome::Outcome;
use crate::request::Verb;
use crate::response::body::Body;
use crate::response::whole;
use crate::tally::Tally;
use crate::upstream::Wanted;

impl Place {
    fn wanted(&self) -> Wanted<'_> {
        Wanted::Document(self.path.as_str())
    }
}

impl Worker {
    /// Anything that is not an object.
    pub(super) async fn document(
        self: Arc<Self>,
        verb: Verb,
        request: DocumentRequest,
        place: Place,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        let worker = Arc::clone(&self);
        let first = Arc::new(OnceLock::new());
        let asked = Arc::clone(&first);
        let refusals = match place.repository {
            Some(_) => Refusals::Trouble,
            None => Refusals::Answer,
        };
        let fetch = move |request: UpstreamRequest| async move {
            let fetch = worker.fetch(&place, place.wanted());
            if let Some(first) = fetch.candidates.first() {
                asked.get_or_init(|| first.clone());
            }
            let (fetch, _turn) = worker.turns.begin(place.client, fetch).await?;
            fetch.document(request.method, request.headers, refusals).await
        };
        match self.documents.answer(request, fetch, SystemTime::now()).await {
            Ok(answer) => {
                if !answer.outcome.is_hit() && answer.outcome != Outcome::DocumentCollapsed {
                    note_first(first.get(), tally);
                }
                if let Some(reason) = answer.cache_status.reason() {
                    tally.because(reason);
                }
                let mut response = answer.response.map(Body::document);
                self.heads.sign_document(response.headers_mut(), &answer.cache_status, answer.outcome);
                (response, answer.outcome)
            }
            Err(failure) => {
                tally.because(failure.reason().unwrap_or_else(|upstream| upstream.why.reason()));
                let (response, outcome) = self.heads.document_failure(&failure);
                (whole(response, Some(verb)), outcome)
            }
        }
    }
}
