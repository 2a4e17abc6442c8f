//! A request that may change a document: to the server that has it, and to nobody else.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Response};
use hyper::body::Incoming;

use super::fetching::note_first;
use super::{Place, Worker};
use crate::document::{DocumentKey, DocumentRequest, UpstreamRequest};
use crate::outcome::Outcome;
use crate::request::Verb;
use crate::response::body::Body;
use crate::tally::Tally;
use crate::upstream::Content;

/// Such a request, detached from its connection but for its content.
pub(super) struct Change {
    pub verb: Verb,
    pub headers: HeaderMap,
    pub place: Place,
    pub content: Incoming,
}

impl Worker {
    /// Passes it on.
    pub(super) async fn change(
        self: Arc<Self>,
        change: Change,
        tally: &mut Tally,
    ) -> (Response<Body>, Outcome) {
        let Change { verb, headers, place, content } = change;
        let fetch = self.fetch(&place, place.wanted());
        // Who is asked by path alone, or in place of a parent, is known by now.
        let first = fetch.candidates.first();
        let server = place.named.clone().or_else(|| first.map(|first| first.target().clone()));
        note_first(first, tally);
        let request = DocumentRequest {
            method: verb.method(),
            key: DocumentKey::at(server.as_ref(), place.path.as_str()),
            scope: self.upstreams.scope(place.named.as_ref(), place.repository.as_deref()),
            headers,
        };
        let target = server.clone();
        let turns = Arc::clone(&self.turns);
        let send = |request: UpstreamRequest| async move {
            let (fetch, _turn) = turns.begin(place.client, place.urgency, fetch).await?;
            fetch.change(request.method, request.headers, target, Content::from(content)).await
        };
        let changed = self.documents.change(request, server.as_ref(), send, SystemTime::now()).await;
        self.tell_document(changed, verb, tally)
    }
}
