//! What is left of an object whose stored bytes failed in the middle of an answer: it comes from elsewhere, and the client
//! does not notice.

use std::sync::Arc;

use super::{Place, Worker};
use crate::cache::disk::DiskObject;
use crate::cache::{FillError, FillWriter, Lookup, Object, Ready, Why};
use crate::digest::ObjectName;
use crate::response::body::{Body, DiskSource, Remainder};
use crate::upstream::{Candidate, Wanted};

/// How often it is looked for.
const LOOKUPS: usize = 3;

impl Worker {
    /// Makes the body of what follows on an offset, should it be needed.
    pub(super) fn remainder(self: &Arc<Self>, name: ObjectName, account: &str, place: Place) -> Remainder {
        let (worker, account, place) = (Arc::clone(self), Arc::<str>::from(account), Arc::new(place));
        Arc::new(move |offset| {
            let (worker, account, place) = (Arc::clone(&worker), Arc::clone(&account), Arc::clone(&place));
            Box::pin(async move { worker.follow(&name, &account, &place, offset).await })
        })
    }

    async fn follow(
        self: &Arc<Self>,
        name: &ObjectName,
        account: &str,
        place: &Place,
        offset: u64,
    ) -> Result<Body, FillError> {
        let sources = self.upstreams.scope(place.named.as_ref(), place.repository.as_deref());
        let share = self.cache.share(Some(account));
        let mut last = FillError::new(Why::Storage, "the stored bytes are bad and could not be replaced");
        for _ in 0..LOOKUPS {
            let (mut reader, leads) = match self.cache.lookup_past_disk(name, share, &sources) {
                Lookup::Hit(object) => return Ok(self.at_rest_from(name, object, offset)),
                Lookup::Full => return Err(FillError::new(Why::Overload, "too many downloads at once")),
                Lookup::Join(reader) => (reader, false),
                Lookup::Lead(writer, reader) => {
                    self.lead(name, place, writer);
                    (reader, true)
                }
            };
            match reader.ready().await {
                Ok(Ready::Complete(object)) => return Ok(self.at_rest_from(name, object, offset)),
                Ok(Ready::Streaming { .. }) => {
                    reader.seek(offset);
                    return Ok(Body::fill(reader, None));
                }
                Err(error) if leads && error.why != Why::Abandoned => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Has an object fetched; whom it asks first.
    pub(super) fn lead(&self, name: &ObjectName, place: &Place, writer: FillWriter) -> Option<Candidate> {
        let fetch = self.fetch(place, Wanted::Object(name.hash64()));
        let first = fetch.candidates.first().cloned();
        tokio::spawn(Arc::clone(&self.turns).fill(place.client, place.urgency, fetch, writer));
        first
    }

    fn at_rest_from(&self, name: &ObjectName, object: Object, offset: u64) -> Body {
        let left = object.len().saturating_sub(offset);
        match object {
            Object::Memory(object) => Body::memory(object, offset, left),
            Object::Disk(object) => Body::disk(self.disk_source(name, object, offset, None, None), left),
        }
    }

    pub(super) fn disk_source(
        &self,
        name: &ObjectName,
        object: DiskObject,
        offset: u64,
        first: Option<bytes::Bytes>,
        remainder: Option<Remainder>,
    ) -> DiskSource {
        DiskSource::new(Arc::clone(&self.cache), *name, object, offset, first, remainder)
    }
}
