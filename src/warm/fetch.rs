//! Brings objects to the tier, over several lanes, within a pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::task::JoinSet;

use super::client::{Lane, Trouble, Way};
use super::pace::Pace;
use crate::catalog::Object;

/// After so many that failed, the rest is given up: most likely nobody can be reached.
const MAX_FAILURES: u64 = 40;

/// An object to be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub object: Object,
    /// Bytes of its content, where a catalog tells; stored it takes less, mostly.
    pub content: u64,
}

/// How far it is, for whoever watches.
#[derive(Default)]
pub struct Board {
    /// Objects that are in the tier now.
    pub brought: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Objects that could not be had.
    pub failed: AtomicU64,
    /// Bytes of content of both.
    pub content: AtomicU64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Brought {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that could not be had; others were not asked for when it is the most there may be.
    pub failed: u64,
    /// One of them, and why.
    pub example: Option<(Object, Trouble)>,
}

/// Brings all of them, or gives up.
pub async fn bring(
    way: &Arc<Way>,
    objects: Vec<Wanted>,
    jobs: usize,
    pace: &Arc<Pace>,
    board: &Arc<Board>,
) -> Brought {
    let objects = Arc::new(objects);
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..jobs.clamp(1, objects.len().max(1)) {
        let (objects, next) = (Arc::clone(&objects), Arc::clone(&next));
        let (pace, board) = (Arc::clone(pace), Arc::clone(board));
        let mut lane = Lane::new(Arc::clone(way));
        lanes.spawn(async move {
            let mut example = None;
            while board.failed.load(Relaxed) < MAX_FAILURES {
                let Some(&Wanted { object, content }) = objects.get(next.fetch_add(1, Relaxed)) else {
                    break;
                };
                let turn = pace.turn().await;
                match lane.bring(object).await {
                    Ok(bytes) => {
                        turn.brought(bytes);
                        board.brought.fetch_add(1, Relaxed);
                        board.bytes.fetch_add(bytes, Relaxed);
                    }
                    Err(trouble) => {
                        board.failed.fetch_add(1, Relaxed);
                        example.get_or_insert((object, trouble));
                    }
                }
                board.content.fetch_add(content, Relaxed);
            }
            example
        });
    }
    let mut example = None;
    while let Some(ended) = lanes.join_next().await {
        match ended {
            Ok(found) => example = example.or(found),
            Err(error) => {
                tracing::error!(%error, "a lane cannot go on");
                board.failed.fetch_add(1, Relaxed);
            }
        }
    }
    Brought {
        objects: board.brought.load(Relaxed),
        bytes: board.bytes.load(Relaxed),
        failed: board.failed.load(Relaxed),
        example,
    }
}
