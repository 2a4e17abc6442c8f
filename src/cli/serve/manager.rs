//! What the service manager is told: ready, reloading, stopping, alive. Source: sd_notify(3).
//!
//! Without a manager that wants to know (`NOTIFY_SOCKET`), nothing is sent. A message that cannot be sent is no reason to
//! stop serving.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Requests are taken; `status` is one line for people.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read; `ready` is to follow.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    tell(&states);
}

/// No more requests are taken.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: answers in progress are finished")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

/// Proves to the manager that all workers move (`WatchdogSec=`). Each beats once a second: the watchdog's time should be 5 s
/// or more.
pub struct Watchdog {
    tick: Option<Interval>,
    seen: Vec<u64>,
}

impl Watchdog {
    /// As the manager wants it. Needs a runtime.
    pub fn of_process() -> Self {
        let tick = sd_notify::watchdog_enabled().filter(|time| !time.is_zero()).map(|time: Duration| {
            let mut tick = interval(time / 2);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick
        });
        Self { tick, seen: Vec::new() }
    }

    /// Waits until it is time to look; for ever, when nobody wants to know.
    pub async fn due(&mut self) {
        match &mut self.tick {
            Some(tick) => {
                tick.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Tells the manager, if every worker has beaten since the last look.
    pub fn look(&mut self, beats: Vec<u64>) {
        let all_move = beats.iter().zip(&self.seen).all(|(now, before)| now != before);
        self.seen = beats;
        if all_move {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a worker stands still: the service manager is not told that all is well");
        }
    }
}
