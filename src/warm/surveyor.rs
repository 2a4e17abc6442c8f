//! Brings catalogs within a pace, and keeps some for a second look.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

use super::client::{Lane, Trouble};
use super::pace::Pace;
use crate::catalog::Object;
use crate::catalog::walk::Source;

/// Bytes of stored catalogs that are kept.
const KEPT: usize = 64 << 20;

/// Whoever brings catalogs.
pub struct Surveyor {
    lane: Lane,
    pace: Arc<Pace>,
    kept: HashMap<Object, Bytes>,
    room: usize,
    surveyed: Arc<Surveyed>,
}

/// What was brought, for whoever watches.
#[derive(Debug, Default)]
pub struct Surveyed {
    catalogs: AtomicU64,
    bytes: AtomicU64,
}

impl Surveyed {
    /// How many.
    pub fn catalogs(&self) -> u64 {
        self.catalogs.load(Relaxed)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl Source for Surveyor {
    type Error = Trouble;

    async fn catalog(&mut self, catalog: Object) -> Result<Bytes, Trouble> {
        if let Some(stored) = self.kept.get(&catalog) {
            let stored = stored.clone();
            // Opening it takes its time, and nothing else would let others have theirs.
            tokio::task::yield_now().await;
            return Ok(stored);
        }
        let turn = self.pace.turn().await;
        let stored = self.lane.object(catalog).await?;
        turn.brought(stored.len() as u64);
        self.surveyed.catalogs.fetch_add(1, Relaxed);
        self.surveyed.bytes.fetch_add(stored.len() as u64, Relaxed);
        if let Some(room) = self.room.checked_sub(stored.len()) {
            self.room = room;
            self.kept.insert(catalog, stored.clone());
        }
        Ok(stored)
    }
}

impl Surveyor {
    /// Over this lane.
    pub fn new(lane: Lane, pace: Arc<Pace>) -> Self {
        Self { lane, pace, kept: HashMap::new(), room: KEPT, surveyed: Arc::default() }
    }

    /// What it has brought so far, now and later.
    pub fn surveyed(&self) -> Arc<Surveyed> {
        Arc::clone(&self.surveyed)
    }
}
