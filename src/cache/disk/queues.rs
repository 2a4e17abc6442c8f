//! The queues of segments, two for each share, and the segments that are on their way out.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::folder::FoundFile;
use super::replacement::Queue;
use super::segment::Segment;
use super::shares::{Front, Share};

/// See the module.
pub struct Queues {
    shares: Box<[Pair]>,
    pub free_slots: Vec<u32>,
    /// Numbers and orders come from one counter, so that neither is ever used twice.
    pub next_number: u64,
    pub sealable: Vec<Arc<Segment>>,
    /// Not findable any more; kept while readers have them open, so that none of those waits for the file system to free
    /// a file.
    pub doomed: Vec<Arc<Segment>>,
    /// Files that could be neither used nor removed so far: they keep counting.
    pub set_aside: Vec<FoundFile>,
    /// Segments of the last run that the disk did not let read so far; oldest tries first.
    pub unread: Vec<Unread>,
    /// Those among the doomed whose files are still there.
    pub stuck: Vec<Arc<Segment>>,
    /// When a segment was finished last before it was full.
    pub closed_early: Option<Instant>,
}

/// A segment whose objects are not known yet.
pub struct Unread {
    /// It may go like any other.
    pub segment: Weak<Segment>,
    /// How often reading it failed while others could be read.
    pub tries: u32,
}

/// The queues of one share.
#[derive(Default)]
struct Pair {
    probation: Line,
    main: Line,
}

/// One queue.
#[derive(Default)]
pub struct Line {
    /// Oldest first; the append point, if any, is in here too.
    pub segments: VecDeque<Arc<Segment>>,
    pub append: Option<Arc<Segment>>,
}

impl Queues {
    pub fn new(shares: usize) -> Self {
        Self {
            shares: (0..shares).map(|_| Pair::default()).collect(),
            free_slots: Vec::new(),
            next_number: 1,
            sealable: Vec::new(),
            doomed: Vec::new(),
            set_aside: Vec::new(),
            unread: Vec::new(),
            stuck: Vec::new(),
            closed_early: None,
        }
    }

    pub fn line(&self, share: Share, queue: Queue) -> &Line {
        let pair = &self.shares[share.index()];
        match queue {
            Queue::Probation => &pair.probation,
            Queue::Main => &pair.main,
        }
    }

    pub fn line_mut(&mut self, share: Share, queue: Queue) -> &mut Line {
        let pair = &mut self.shares[share.index()];
        match queue {
            Queue::Probation => &mut pair.probation,
            Queue::Main => &mut pair.main,
        }
    }

    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.shares.iter().flat_map(|pair| [&pair.probation, &pair.main])
    }

    pub fn lines_mut(&mut self) -> impl Iterator<Item = &mut Line> {
        self.shares.iter_mut().flat_map(|pair| [&mut pair.probation, &mut pair.main])
    }

    pub fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.lines().flat_map(|line| &line.segments)
    }

    pub fn take(&mut self, segment: &Arc<Segment>) {
        for line in self.lines_mut() {
            if let Some(at) = line.segments.iter().position(|other| Arc::ptr_eq(other, segment)) {
                line.segments.remove(at);
            }
        }
    }

    pub fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// The oldest segment of a queue that nobody writes to any more.
    pub fn front(&self, share: Share, queue: Queue) -> Option<&Arc<Segment>> {
        self.line(share, queue).segments.iter().find(|segment| segment.is_sealed())
    }

    /// The same for every queue.
    pub fn fronts(&self, share: Share) -> impl Iterator<Item = Front> {
        [Queue::Probation, Queue::Main].into_iter().filter_map(move |queue| {
            let segment = self.front(share, queue)?;
            Some(Front { share, queue, size: segment.charge.books().stored, order: segment.order() })
        })
    }
}

impl Line {
    /// Bytes of its segments, promised ones included.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.charge.books().total()).sum()
    }

    /// Those of them that are on the disk.
    pub fn stored(&self) -> u64 {
        self.segments.iter().map(|segment| segment.charge.books().stored).sum()
    }
}
