//! Objects whose pages somebody keeps beyond a reading, and how he learns that they are to go.

use super::object::DiskObject;
use super::{Disk, ObjectName};

/// Is told of objects whose segment has been removed.
pub type Evicted = Box<dyn Fn(&ObjectName) + Send + Sync>;

impl Disk {
    /// The object of a name, not counted as a use, even while the disk is passed over.
    pub fn peek(&self, name: &ObjectName) -> Option<DiskObject> {
        self.shared().peek(name)
    }

    /// Has `told` called with the names of pinned objects whose segments have been removed: their space on disk becomes free
    /// when nobody has their pages any more. Only the first call counts.
    pub fn on_eviction(&self, told: impl Fn(&ObjectName) + Send + Sync + 'static) {
        let _ = self.shared().segments.evicted.set(Box::new(told));
    }

    /// Finishes the segment of an object that is wanted again, soon, so that its pages may be locked; see `segments/closing.rs`.
    /// Blocks.
    pub fn close_early(&self, object: &DiskObject) {
        self.shared().segments.close_early(object.segment());
    }
}
