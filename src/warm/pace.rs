//! So many bytes a second, over all lanes together.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What the first things are taken for, in bytes.
const FIRST: u64 = 16 << 10;

/// What was brought is paid for with a pause before the next thing: right on average, for objects of any size. Lanes that wait
/// go on one by one: all at once would be as many requests that the tier answers in one go, with its clients behind them.
pub struct Pace {
    /// Bytes a second; nothing: as fast as it goes.
    rate: Option<u64>,
    account: Mutex<Account>,
}

struct Account {
    /// Until then everything is paid for.
    paid: Instant,
    /// What one thing usually takes, in bytes: paid in advance by whoever has a turn.
    usual: u64,
}

/// A turn; what it cost is to be told.
#[must_use]
pub struct Turn<'p> {
    pace: &'p Pace,
    advance: u64,
}

impl Pace {
    /// So many bytes a second, more than 0.
    pub fn new(rate: Option<u64>) -> Self {
        let account = Mutex::new(Account { paid: Instant::now(), usual: FIRST });
        Self { rate: rate.filter(|rate| *rate > 0), account }
    }

    /// Waits until everything brought so far is paid for, and what others have begun most likely as well.
    pub async fn turn(&self) -> Turn<'_> {
        let Some(rate) = self.rate else { return Turn { pace: self, advance: 0 } };
        let (begin, advance) = {
            let mut account = self.account.lock();
            // What was not used is not saved up.
            let begin = account.paid.max(Instant::now());
            let advance = account.usual;
            account.paid = begin + cost(advance, rate);
            (begin, advance)
        };
        // Gives back what is never begun.
        let turn = Turn { pace: self, advance };
        tokio::time::sleep_until(begin).await;
        turn
    }
}

impl Turn<'_> {
    /// So many bytes were brought.
    pub fn brought(mut self, bytes: u64) {
        let advance = std::mem::take(&mut self.advance);
        let Some(rate) = self.pace.rate else { return };
        let mut account = self.pace.account.lock();
        account.usual = (account.usual.saturating_mul(7).saturating_add(bytes)) / 8;
        account.settle(advance, bytes, rate);
    }
}

/// Nothing was brought: what was paid in advance is given back.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(rate) = self.pace.rate.filter(|_| self.advance > 0) {
            self.pace.account.lock().settle(self.advance, 0, rate);
        }
    }
}

impl Account {
    fn settle(&mut self, advance: u64, bytes: u64, rate: u64) {
        let now = Instant::now();
        let paid = self.paid.max(now) + cost(bytes, rate);
        self.paid = paid.checked_sub(cost(advance, rate)).unwrap_or(now);
    }
}

fn cost(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time() {
        let (pace, begun) = (Pace::new(Some(1_000)), Instant::now());
        for _ in 0..5 {
            pace.turn().await.brought(500);
        }
        pace.turn().await.brought(0);
        assert!((2_490..2_510).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        // What was not used is not saved up.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        pace.turn().await.brought(1_000);
        pace.turn().await.brought(1_000);
        drop(pace.turn().await);
        assert!((1_990..2_010).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        let free = Pace::new(None);
        free.turn().await.brought(u64::MAX);
        let begun = Instant::now();
        free.turn().await.brought(1);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_go_one_by_one() {
        let pace = Pace::new(Some(1_000));
        for _ in 0..100 {
            pace.turn().await.brought(100);
        }
        let begun = Instant::now();
        // None of them is at its end before the last one begins.
        let mut turns = Vec::new();
        for n in 0..10 {
            turns.push(pace.turn().await);
            let expected = 100 * n;
            assert!(
                (expected..expected + 130).contains(&begun.elapsed().as_millis()),
                "{n}: {:?}",
                begun.elapsed()
            );
        }
        // What they were right about costs nothing more; what came to nothing is given back.
        for turn in turns.drain(..5) {
            turn.brought(100);
        }
        drop(turns);
        let begun = Instant::now();
        drop(pace.turn().await);
        assert!(begun.elapsed() < Duration::from_millis(130), "{:?}", begun.elapsed());
    }
}
