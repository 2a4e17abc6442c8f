//! The table of fills in progress: what it keeps of each, and how one takes the place of another.

use std::sync::Arc;

use super::{Fill, FillReader, FillWriter};
use crate::cache::{Cache, Share};

/// What the table of fills keeps.
#[derive(Clone)]
pub(in crate::cache) struct FillHandle(pub(super) Arc<Fill>);

impl FillHandle {
    pub(in crate::cache) fn join(&self) -> Option<FillReader> {
        self.0.join().map(|slot| FillReader::new(Arc::clone(&self.0), slot))
    }

    pub(in crate::cache) fn readers(&self) -> usize {
        self.0.readers()
    }

    fn is(&self, fill: &Arc<Fill>) -> bool {
        Arc::ptr_eq(&self.0, fill)
    }
}

impl Cache {
    /// Puts a new fill into the place of `fill`, unless another one has taken it.
    pub(super) fn replace(self: &Arc<Self>, fill: &Arc<Fill>, share: Share) -> Option<FillWriter> {
        let mut fills = self.fills(&fill.key.name).lock();
        if !fills.get(&fill.key).is_some_and(|handle| handle.is(fill)) {
            return None;
        }
        let (mut writer, _nobody_yet) = FillWriter::new(Arc::clone(self), fill.key, share);
        writer.verify_first = writer.verify_first.max(self.limits().window.bytes());
        fills.insert(fill.key, writer.shared());
        self.count_led();
        Some(writer)
    }

    /// Removes `fill` from the table, unless a newer one took its place.
    pub(super) fn forget(&self, fill: &Arc<Fill>) {
        let mut fills = self.fills(&fill.key.name).lock();
        if fills.get(&fill.key).is_some_and(|handle| handle.is(fill)) {
            fills.remove(&fill.key);
        }
    }
}
