//! Which segment goes: what is needed, who may give it.

use std::sync::Arc;

use super::super::bell::Call;
use super::super::replacement::Queue;
use super::super::segment::Segment;
use super::super::shares::{Keep, Need, Standing, choose};
use super::{Segments, Shortage};

impl Segments {
    /// The segment to reclaim next for what was called for; `None` when nothing has to go or can.
    pub fn victim(&self, call: &Call) -> Option<(Queue, Arc<Segment>)> {
        let needs: Vec<Need> = self.needs(call).collect();
        let queues = self.queues.lock();
        let standing = |share| {
            let [probation, main] = [Queue::Probation, Queue::Main].map(|queue| queues.line(share, queue));
            Standing {
                limits: self.shares.limits(share),
                stored: probation.stored() + main.stored(),
                bytes: [probation.bytes(), main.bytes()],
                wanted: call.wanted(share),
            }
        };
        let standings: Vec<Standing> = self.shares.all().map(standing).collect();
        let fronts: Vec<_> = self.shares.all().flat_map(|share| queues.fronts(share)).collect();
        let limit = |need| match need {
            Need::Ceiling(share) => self.shares.limits(share).ceiling,
            Need::Ahead | Need::Urgent | Need::Squeezed => self.ledger.limit(),
        };
        let front = needs.into_iter().find_map(|need| choose(need, &fronts, &standings, limit(need)))?;
        Some((front.queue, Arc::clone(queues.front(front.share, front.queue)?)))
    }

    /// What there is to make room for.
    fn needs(&self, call: &Call) -> impl Iterator<Item = Need> {
        let whole = match self.is_short_of(call.most_wanted()) {
            Shortage::Evict if self.ledger.excess() > 0 => Some(Need::Squeezed),
            Shortage::Evict if self.ledger.free() < call.most_wanted() => Some(Need::Urgent),
            Shortage::Evict => Some(Need::Ahead),
            Shortage::None | Shortage::HeldByReaders => None,
        };
        if self.shares.count() > 1 {
            // What went already counts no more once its last reader has left.
            self.sweep_up();
        }
        let crowded = self.shares.all().filter(|&share| {
            let limits = self.shares.limits(share);
            let wanted = call.wanted(share).min(limits.ceiling / 2);
            let ahead = self.segment_size.max(limits.ceiling / 256);
            limits.keep == Keep::Deserving
                && self.ledger.free_below_ceiling(share) < ahead.saturating_add(wanted)
                && self.doomed(|segment| segment.share == share) <= limits.ceiling / 4
        });
        whole.into_iter().chain(crowded.map(Need::Ceiling).collect::<Vec<_>>())
    }
}
