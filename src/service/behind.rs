//! Downloads that can wait, behind those of clients who cannot.
//!
//! Whoever says so with a request (`Priority: u=7`, RFC 9218 §4.1: background) is believed: it only asks for less. Such downloads
//! have what clients leave of a few places, and two whatever happens, so that they come to an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::sync::Notify;

use super::turns::Crowded;

/// Downloads in the background at the same time, when no client has any.
const MOST: usize = 16;

/// The same however many clients have.
const LEAST: usize = 2;

/// `Priority`, as sent and as passed on.
pub(super) static PRIORITY: HeaderName = HeaderName::from_static("priority");

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A job does.
    Usual,
    /// Nobody does.
    Background,
}

impl Urgency {
    /// What a request says of itself.
    pub fn of(headers: &HeaderMap) -> Self {
        let said = headers.get_all(&PRIORITY).iter().filter_map(|value| value.to_str().ok());
        let mut members = said.flat_map(|value| value.split(',')).map(str::trim);
        // The last one counts (RFC 8941 §3.2).
        match members.rfind(|member| member.starts_with("u=")) {
            Some("u=7") => Self::Background,
            _ => Self::Usual,
        }
    }
}

/// How many downloads of either kind are in progress; shared by all workers.
#[derive(Default)]
pub struct Behind {
    clients: AtomicUsize,
    background: AtomicUsize,
    freed: Notify,
}

/// One download in progress, until dropped.
pub struct Counted {
    behind: Arc<Behind>,
    urgency: Urgency,
}

impl Behind {
    /// A client's download, which waits for nothing here.
    pub fn client(self: &Arc<Self>) -> Counted {
        self.clients.fetch_add(1, Relaxed);
        Counted { behind: Arc::clone(self), urgency: Urgency::Usual }
    }

    /// One in the background, when there is a place for it.
    pub async fn background(self: &Arc<Self>, patience: Duration) -> Result<Counted, Crowded> {
        let place = async {
            loop {
                // Made before the look: what is freed after it is not missed.
                let freed = self.freed.notified();
                if let Some(counted) = self.place() {
                    return counted;
                }
                freed.await;
            }
        };
        tokio::time::timeout(patience, place).await.map_err(|_| Crowded)
    }

    fn place(self: &Arc<Self>) -> Option<Counted> {
        let most = MOST.saturating_sub(self.clients.load(Relaxed)).max(LEAST);
        let taken = self.background.fetch_update(Relaxed, Relaxed, |n| (n < most).then_some(n + 1));
        taken.ok().map(|_| Counted { behind: Arc::clone(self), urgency: Urgency::Background })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = match self.urgency {
            Urgency::Usual => &self.behind.clients,
            Urgency::Background => &self.behind.background,
        };
        count.fetch_sub(1, Relaxed);
        self.behind.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_requests_say_of_themselves() {
        let table = [
            ("u=7", Urgency::Background),
            ("u=7, i", Urgency::Background),
            ("i, u=7", Urgency::Background),
            ("u=7, u=1", Urgency::Usual),
            ("u=70", Urgency::Usual),
            ("u=0", Urgency::Usual),
            ("7", Urgency::Usual),
        ];
        for (value, expected) in table {
            let headers = HeaderMap::from_iter([(PRIORITY.clone(), HeaderValue::from_static(value))]);
            assert_eq!(Urgency::of(&headers), expected, "{value}");
        }
        assert_eq!(Urgency::of(&HeaderMap::new()), Urgency::Usual);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_leave_less_and_less_but_never_nothing() {
        let behind = Arc::new(Behind::default());
        let patience = Duration::from_secs(1);
        let take = async |n: usize| {
            let mut had = Vec::new();
            while had.len() < n
                && let Ok(counted) = behind.background(patience).await
            {
                had.push(counted);
            }
            had
        };
        assert_eq!(take(100).await.len(), MOST);
        let clients: Vec<_> = (0..10).map(|_| behind.client()).collect();
        assert_eq!(take(100).await.len(), MOST - 10);
        let more: Vec<_> = (0..100).map(|_| behind.client()).collect();
        let least = take(100).await;
        assert_eq!(least.len(), LEAST);
        drop(more);
        let waiting = tokio::spawn({
            let behind = Arc::clone(&behind);
            async move { behind.background(patience).await.is_ok() }
        });
        drop(clients);
        assert!(waiting.await.unwrap(), "as soon as there is a place");
        drop(least);
        assert_eq!(take(100).await.len(), MOST);
    }
}
