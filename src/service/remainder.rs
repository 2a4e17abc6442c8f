//! What is left of an object whose stored bytes failed in the middle of an answer: it comes from elsewhere, and the client
//! does not notice.

use std::sync::Arc;

use super::object::{LOOKUPS, irreplaceable, too_many};
use super::{Place, Worker};
use crate::cache::{FillError, FillWriter, Lookup, Object, Ready, Why};
use crate::digest::ObjectName;
use crate::response::body::{Body, DiskSource, Remainder};
use crate::upstream::{Candidate, Wanted};

/// From further on, a client would have left before the bytes up to there had come.
const REACH: u64 = 64 << 20;

impl Worker {
    /// Makes the body of what follows on an offset, should it be needed. `len` is that of the whole object.
    pub(super) fn remainder(
        self: &Arc<Self>,
        name: ObjectName,
        len: u64,
        account: &str,
        place: Place,
    ) -> Remainder {
        let (worker, account) = (Arc::clone(self), Box::<str>::from(account));
        Box::new(move |offset| {
            Box::pin(async move { worker.follow(&name, len, &account, &place, offset).await })
        })
    }

    async fn follow(
        &self,
        name: &ObjectName,
        len: u64,
        account: &str,
        place: &Place,
        offset: u64,
    ) -> Result<Body, FillError> {
        if offset > REACH {
            return Err(FillError::new(Why::Storage, "the stored bytes are bad"));
        }
        let sources = self.upstreams.scope(place.named.as_ref(), place.repository.as_deref());
        let share = self.cache.share(Some(account));
        let mut last = irreplaceable();
        for _ in 0..LOOKUPS {
            let (mut reader, leads) = match self.cache.lookup_past_disk(name, share, &sources) {
                Lookup::Hit(object) => return Ok(self.at_rest_from(name, object, offset)),
                Lookup::Full => return Err(too_many()),
                Lookup::Join(reader) => (reader, false),
                Lookup::Lead(writer, reader) => {
                    self.lead(name, place, writer);
                    (reader, true)
                }
            };
            match reader.ready().await {
                Ok(Ready::Complete(object)) => return Ok(self.at_rest_from(name, object, offset)),
                // Of another length, its end would be no proof of ours.
                Ok(Ready::Streaming { len: now }) if now != Some(len) => {
                    return Err(FillError::new(Why::Corrupt, "another length than what is stored"));
                }
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
        let filling = Arc::clone(&self.turns).fill(place.client, place.urgency, fetch, writer);
        // Boxed: a task is moved several times on its way into the runtime and out of it.
        tokio::spawn(Box::pin(filling));
        first
    }

    fn at_rest_from(&self, name: &ObjectName, object: Object, offset: u64) -> Body {
        let left = object.len().saturating_sub(offset);
        match object {
            Object::Memory(object) => Body::memory(object, offset, left),
            Object::Disk(object) => {
                Body::disk(DiskSource::new(Arc::clone(&self.cache), *name, object, offset, None, None), left)
            }
        }
    }
}
