//! So many bytes a second, over all lanes together.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What was brought is paid for with a pause before the next thing: right on average, for objects of any size.
pub struct Pace {
    /// Bytes a second; nothing: as fast as it goes.
    rate: Option<u64>,
    paid: Mutex<Instant>,
}

impl Pace {
    /// So many bytes a second, more than 0.
    pub fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), paid: Mutex::new(Instant::now()) }
    }

    /// Waits until everything brought so far is paid for.
    pub async fn turn(&self) {
        let until = *self.paid.lock();
        tokio::time::sleep_until(until).await;
    }

    /// So many bytes were brought.
    pub fn brought(&self, bytes: u64) {
        let Some(rate) = self.rate else { return };
        let mut paid = self.paid.lock();
        *paid = (*paid).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / rate as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time() {
        let (pace, begun) = (Pace::new(Some(1_000)), Instant::now());
        for _ in 0..5 {
            pace.turn().await;
            pace.brought(500);
        }
        pace.turn().await;
        assert!((2_499..2_510).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        // What was not used is not saved up.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        pace.brought(1_000);
        pace.brought(1_000);
        pace.turn().await;
        assert!((1_999..2_010).contains(&begun.elapsed().as_millis()));
        let free = Pace::new(None);
        free.brought(u64::MAX);
        free.turn().await;
        assert!((1_999..2_010).contains(&begun.elapsed().as_millis()));
    }
}
