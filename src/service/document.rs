//! A document, from its key to its answer.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::Response;

use super::fetching::note_first;
use super::{Place, Worker};
use crate::cache::FillError;
use crate::document::{Answer, DocumentRequest, Failure, UpstreamRequest};
use crate::outcome::Outcome;
use crate::request::Verb;
use crate::response::body::Body;
use crate::response::whole;
use crate::tally::Tally;
use crate::upstream::{UpstreamBody, Wanted};

impl Place {
    pub(super) fn wanted(&self) -> Wanted<'_> {
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
        let refusals = place.refusals;
        let fetch = move |request: UpstreamRequest| async move {
            let fetch = worker.fetch(&place, place.wanted());
            if let Some(first) = fetch.candidates.first() {
                asked.get_or_init(|| first.clone());
            }
            let (fetch, _turn) = worker.turns.begin(place.client, place.urgency, fetch).await?;
            worker.ask(&fetch, &place, (request.method, request.headers), refusals).await
        };
        let answer = self.documents.answer(request, fetch, SystemTime::now()).await;
        if let Ok(answer) = &answer
            && !answer.outcome.is_hit()
            && answer.outcome != Outcome::DocumentCollapsed
        {
            note_first(first.get(), tally);
        }
        self.tell_document(answer, verb, tally)
    }

    /// The answer about a document, or why there is none.
    pub(super) fn tell_document(
        &self,
        answer: Result<Answer<UpstreamBody, FillError>, Failure<FillError>>,
        verb: Verb,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        match answer {
            Ok(answer) => {
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
