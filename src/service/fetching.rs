//! What a worker gives a fetch: whom to ask, with what, and for how long.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::behind::{PRIORITY, Urgency};
use super::{Place, Worker, registry};
use crate::fetch::Fetch;
use crate::tally::Tally;
use crate::upstream::{Candidate, RouteQuery, Wanted};

impl Worker {
    /// What it takes to fetch what stands at `place`.
    pub(super) fn fetch(&self, place: &Place, wanted: Wanted<'_>) -> Fetch {
        let query =
            RouteQuery { named: place.named.as_ref(), repository: place.repository.as_deref(), wanted };
        Fetch {
            client: self.client.clone(),
            candidates: self.upstreams.route(query),
            path: place.path.clone(),
            via: self.heads.request_via().clone(),
            fields: self.fields(place),
            first_byte_budget: self.upstream.first_byte_timeout,
            head_deadline: self.upstream.head_deadline,
            waited: Duration::ZERO,
            redirects: match place.fields {
                Some(_) => self.upstream.redirects.max(registry::REDIRECTS),
                None => self.upstream.redirects,
            },
            hedges: Arc::clone(&self.hedges),
            priority: match place.urgency {
                Urgency::Usual => None,
                Urgency::Background => Some((PRIORITY.clone(), HeaderValue::from_static("u=7"))),
            },
            verify_first_patience: self.objects.verify_first_patience,
        }
    }

    /// The fields that go with a request for an object.
    fn fields(&self, place: &Place) -> HeaderMap {
        let mut fields = place.fields.clone().unwrap_or_default();
        if let Some(token) = self.tokens.known(place) {
            fields.insert(AUTHORIZATION, token.field);
        }
        fields
    }
}

/// Tells the log who is asked first.
pub(super) fn note_first(first: Option<&Candidate>, tally: &mut Tally) {
    if let Some(first) = first {
        tally.asked(first.upstream.role(), &first.upstream.url().authority());
    }
}
