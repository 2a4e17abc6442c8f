//! How the other threads call the maintenance thread and wait for it.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::shares::{MAX_SHARES, Share};

/// See the module.
#[derive(Default)]
pub struct Bell {
    state: Mutex<State>,
    rung: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct State {
    call: Option<Call>,
    started: u64,
    finished: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    Stopped,
}

/// What the maintenance thread was called for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    wanted: [u64; MAX_SHARES],
}

impl Call {
    /// Bytes that somebody could not have for a share.
    pub fn wanted(&self, share: Share) -> u64 {
        self.wanted[share.index()]
    }

    /// The most that anybody could not have.
    pub fn most_wanted(&self) -> u64 {
        self.wanted.into_iter().max().unwrap_or(0)
    }
}

/// The tier is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl Bell {
    /// Asks for a pass.
    pub fn ring(&self) {
        self.ring_for(Share::REST, 0);
    }

    /// Asks for a pass, which makes room for `wanted` bytes of a share besides the usual.
    pub fn ring_for(&self, share: Share, wanted: u64) {
        self.call(&mut self.state.lock(), share, wanted);
    }

    /// The same, and waits until a pass that began after the call has ended.
    pub fn ring_and_wait(&self, share: Share, wanted: u64) -> Result<(), Stopped> {
        let mut state = self.state.lock();
        self.call(&mut state, share, wanted);
        let pass = state.started + 1;
        while state.finished < pass {
            if state.phase == Phase::Stopped {
                return Err(Stopped);
            }
            self.done.wait(&mut state);
        }
        Ok(())
    }

    /// Tells everybody to stop.
    pub fn stop(&self) {
        self.state.lock().phase = Phase::Stopped;
        self.rung.notify_all();
        self.done.notify_all();
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.state.lock().phase == Phase::Stopped
    }

    /// For the maintenance thread: waits for a call, at most for `patience`, and starts a pass.
    pub fn wait(&self, patience: Duration) -> Result<Call, Stopped> {
        let until = Instant::now() + patience;
        let mut state = self.state.lock();
        loop {
            if state.phase == Phase::Stopped {
                return Err(Stopped);
            }
            if state.call.is_some() || Instant::now() >= until {
                state.started += 1;
                return Ok(state.call.take().unwrap_or_default());
            }
            self.rung.wait_until(&mut state, until);
        }
    }

    /// Waits for `pause`, or until it is stopped.
    pub fn pause(&self, pause: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + pause;
        let mut state = self.state.lock();
        while state.phase == Phase::Running {
            if self.rung.wait_until(&mut state, until).timed_out() {
                return Ok(());
            }
        }
        Err(Stopped)
    }

    /// For the maintenance thread: the pass has ended.
    pub fn pass_done(&self) {
        let mut state = self.state.lock();
        state.finished = state.started;
        self.done.notify_all();
    }

    fn call(&self, state: &mut State, share: Share, wanted: u64) {
        let call = state.call.get_or_insert_default();
        let most = &mut call.wanted[share.index()];
        *most = wanted.max(*most);
        // Others wait for pauses to pass.
        self.rung.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_sees_a_whole_pass() {
        let bell = Bell::default();
        const LONG: Duration = Duration::from_secs(100);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| bell.ring_and_wait(Share::REST, 7));
            assert_eq!(bell.wait(LONG).map(|call| call.wanted(Share::REST)), Ok(7));
            bell.ring_for(Share::REST, 5);
            bell.ring();
            bell.pass_done();
            assert_eq!(waiter.join().unwrap(), Ok(()));
            assert_eq!(bell.wait(LONG).map(|call| call.most_wanted()), Ok(5));
            bell.pass_done();
        });
        assert_eq!(bell.wait(Duration::ZERO), Ok(Call::default()));
        bell.stop();
        assert_eq!(bell.pause(LONG), Err(Stopped));
        assert_eq!(bell.wait(LONG), Err(Stopped));
        assert_eq!(bell.ring_and_wait(Share::REST, 0), Err(Stopped));
    }
}
