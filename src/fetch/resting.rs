//! Sources that failed without delivering anything, until they are worth another question.
//!
//! A fill may outlast a source's trouble: while others stall, one that answered 503 at its beginning may be well again. Asking
//! at once would only add to its trouble.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::race::{Chance, Turn};

/// How long a source is left alone.
const REST: Duration = Duration::from_secs(1);

/// The sources that rest.
#[derive(Default)]
pub struct Resting(Vec<(Turn, Instant)>);

impl Resting {
    /// The source of this turn has failed. After its second chance it is not asked again.
    pub fn note(&mut self, turn: Turn, now: Instant) {
        self.0.extend(turn.again().map(|again| (again, now)));
    }

    /// Puts those that have rested into the queue: behind first chances, before sources that spoiled what they delivered.
    pub fn wake(&mut self, queue: &mut VecDeque<Turn>, now: Instant) {
        let mut place = queue.iter().position(|turn| turn.chance == Chance::Second).unwrap_or(queue.len());
        self.0.retain(|&(turn, since)| {
            let rests = now < since + REST;
            if !rests {
                queue.insert(place, turn);
                place += 1;
            }
            rests
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_rested_is_asked_once_more() {
        let (mut resting, now) = (Resting::default(), Instant::now());
        let second = |candidate| Turn { candidate, chance: Chance::Second };
        resting.note(Turn::first(0), now);
        resting.note(Turn::first(1), now + REST);
        resting.note(second(2), now);
        let mut queue = VecDeque::from([Turn::first(3), second(4)]);
        resting.wake(&mut queue, now + REST / 2);
        assert_eq!(queue.len(), 2);
        resting.wake(&mut queue, now + REST);
        assert_eq!(queue, [Turn::first(3), second(0), second(4)]);
        resting.wake(&mut queue, now + 2 * REST);
        assert_eq!(queue, [Turn::first(3), second(1), second(0), second(4)]);
        resting.wake(&mut queue, now + 9 * REST);
        assert_eq!(queue.len(), 4);
    }
}
