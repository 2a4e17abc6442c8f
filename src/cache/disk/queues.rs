//! The two queues of segments, and those that are on their way out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ledger::Charge;
use super::replacement::{Holding, Queue};
use super::segment::Segment;

/// See the module.
#[derive(Default)]
pub struct Queues {
    pub probation: Line,
    pub main: Line,
    pub free_slots: Vec<u32>,
    /// Numbers and orders come from one counter, so that neither is ever used twice.
    pub next_number: u64,
    pub sealable: Vec<Arc<Segment>>,
    /// Not findable any more; kept while readers have them open, so that none of those waits for the file system to free
    /// a file.
    pub doomed: Vec<Arc<Segment>>,
    /// Of files that could be neither used nor removed: they keep counting.
    pub set_aside: Vec<Charge>,
    /// Those among the doomed whose files are still there.
    pub stuck: Vec<Arc<Segment>>,
}

/// One queue.
#[derive(Default)]
pub struct Line {
    /// Oldest first; the append point, if any, is in here too.
    pub segments: VecDeque<Arc<Segment>>,
    pub append: Option<Arc<Segment>>,
}

impl Queues {
    pub fn line(&self, queue: Queue) -> &Line {
        match queue {
            Queue::Probation => &self.probation,
            Queue::Main => &self.main,
        }
    }

    pub fn line_mut(&mut self, queue: Queue) -> &mut Line {
        match queue {
            Queue::Probation => &mut self.probation,
            Queue::Main => &mut self.main,
        }
    }

    pub fn take(&mut self, segment: &Arc<Segment>) {
        for line in [&mut self.probation, &mut self.main] {
            if let Some(at) = line.segments.iter().position(|other| Arc::ptr_eq(other, segment)) {
                line.segments.remove(at);
            }
        }
    }

    pub fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

impl Line {
    pub fn holding(&self) -> Holding {
        self.segments.iter().fold(Holding::default(), |sum, segment| Holding {
            bytes: sum.bytes + segment.charge.books().total(),
            sealed: sum.sealed + usize::from(segment.is_sealed()),
        })
    }
}
