//! What was written, as a stored response again: judged by today's rules and today's clock. Pure.
//!
//! Times are those of the wall clock, so that the time between two runs counts. If a response seems to come from the
//! future, the clock was set back, and nobody knows how old it is: it is stale from now on, and asked about before it is used.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{AGE, HeaderValue};

use super::codec::Written;
use crate::document::cache_control::RequestDirectives;
use crate::document::freshness::Exchange;
use crate::document::key::{DocumentKey, Kind};
use crate::document::manifest;
use crate::document::stored::Stored;
use crate::document::terms::Terms;
use crate::document::{reuse, validation};

/// A clock may be corrected by so much without anybody calling it set back.
const CORRECTION: Duration = Duration::from_secs(2);

/// Why a record that is intact is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Useless {
    /// Too old for anything, and nothing to ask about.
    #[error("expired")]
    Expired,
    /// A manifest that is none: this program would not have written it.
    #[error("not a manifest")]
    NoManifest,
}

impl Written {
    /// The response of a URL.
    pub fn document(self, key: &DocumentKey, terms: &Terms, now: SystemTime) -> Result<Stored, Useless> {
        let is_manifest = matches!(key.kind(), Kind::Manifest { .. }) && self.status == StatusCode::OK;
        let stored = if is_manifest { self.manifest(terms, now)? } else { self.response(terms, now) };
        let asked = RequestDirectives::default();
        let may_stand_in = reuse::may_stand_in(stored.facts(&asked, now), terms.stale_if_error);
        let is_of_use = may_stand_in
            || reuse::may_serve_meanwhile(stored.facts(&asked, now), terms.stale_while_revalidate)
            || reuse::decide(stored.facts(&asked, now)) == reuse::Reuse::Fresh
            || validation::has_validator(stored.headers());
        if is_of_use { Ok(stored) } else { Err(Useless::Expired) }
    }

    /// A manifest, with its place in the history of its repository.
    pub fn manifest(self, terms: &Terms, now: SystemTime) -> Result<Stored, Useless> {
        let revision = manifest::revision(&self.body).map_err(|_| Useless::NoManifest)?;
        Ok(self.response(terms, now).with_revision(revision))
    }

    fn response(self, terms: &Terms, now: SystemTime) -> Stored {
        let received = self.received.min(now);
        let aged = |age: Duration, written: Self| {
            let mut headers = written.headers;
            headers.insert(AGE, HeaderValue::from(age.as_secs()));
            // What is beyond whole seconds goes where an answer's delay is counted (RFC 9111 §4.2.3).
            let requested =
                received.checked_sub(Duration::from_nanos(age.subsec_nanos().into())).unwrap_or(received);
            let at = Exchange { requested, received };
            Stored::new(written.status, headers, written.body, written.selection, terms, at)
        };
        let is_from_the_future = self.received.duration_since(now).is_ok_and(|ahead| ahead > CORRECTION);
        if !is_from_the_future {
            return aged(self.age, self);
        }
        let lifetime = aged(self.age, self.clone()).freshness().lifetime;
        aged(lifetime.max(self.age), self)
    }
}
