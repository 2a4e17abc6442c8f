//! The write-behind queue: bounded in bytes, each name at most once. What waits in it can be read.
//!
//! The writer sleeps a little before it begins, so that a stream of small objects wakes it now and then, not for each of
//! them: waking a thread costs as much as writing a small object.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::object::DiskObject;
use super::record::RecordHeader;
use super::segment::Segment;
use super::shares::Share;
use crate::digest::ObjectName;

// What a small job costs besides its bytes: names, chunks, the queue itself.
const OVERHEAD: u64 = 256;

// Places for so many jobs are kept while there are none; a burst of small objects may need many more.
const KEPT: usize = 1024;

// Jobs that may wait: at the size of most objects fewer bytes than the limit. More would only take memory, since the disk
// would be a second behind.
const MOST: usize = 32 << 10;

// With fewer bytes than this waiting, the disk keeps up.
const IDLE: u64 = 1 << 20;

// How long jobs gather before the writer begins with them, unless there are many bytes.
const GATHER: Duration = Duration::from_millis(5);

/// Something for the writer thread.
pub enum Job {
    /// Store an object whose bytes are in memory.
    Store(Store),
    /// Make the record at this offset unfindable for a restart.
    Blot(Arc<Segment>, u64),
    /// Move a stored object to another share.
    Claim(Box<DiskObject>, Share),
}

/// An object to be stored.
#[derive(Clone)]
pub struct Store {
    /// What the record will say.
    pub header: RecordHeader,
    /// Whose it is.
    pub share: Share,
    /// Its bytes, in consecutive pieces.
    pub body: Arc<[Bytes]>,
}

/// See the module.
pub struct WriteQueue {
    limit: u64,
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    // These two of the jobs in the queue and of the one in the writer's hands.
    objects: HashMap<ObjectName, Store>,
    bytes: u64,
    phase: Phase,
    // Somebody waits for the queue to be empty.
    flushing: usize,
}

/// A job as it waits; what is to be stored is in the map already.
enum Task {
    Store(ObjectName),
    Other(Job),
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// The writer waits to be called.
    #[default]
    Idle,
    /// The writer looks again by itself, soon.
    Gathering,
    Writing,
    Stopped,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// In the queue, now or already before.
    Accepted,
    /// The queue is full, or the thread has been stopped.
    Full,
}

impl WriteQueue {
    /// A queue for at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, state: Mutex::default(), work: Condvar::new(), idle: Condvar::new() }
    }

    /// Adds a job.
    pub fn push(&self, job: Job) -> Queued {
        let mut state = self.state.lock();
        let cost = job.cost();
        if let Job::Store(store) = &job
            && state.objects.contains_key(&store.header.name)
        {
            return Queued::Accepted;
        }
        // A job that is larger than the whole queue may go alone.
        let is_full = state.bytes > 0 && state.bytes + cost > self.limit;
        if state.phase == Phase::Stopped || is_full || state.tasks.len() >= MOST {
            return Queued::Full;
        }
        let task = match job {
            Job::Store(store) => {
                let name = store.header.name;
                state.objects.insert(name, store);
                Task::Store(name)
            }
            other => Task::Other(other),
        };
        state.bytes += cost;
        state.tasks.push_back(task);
        if state.phase == Phase::Idle || (state.phase == Phase::Gathering && state.bytes >= IDLE) {
            self.work.notify_one();
        }
        Queued::Accepted
    }

    /// The same for a job that can as well be done another time: only while there is next to nothing else to do.
    pub fn push_if_idle(&self, job: Job) {
        if self.bytes() < IDLE {
            self.push(job);
        }
    }

    /// An object that is not written yet.
    pub fn get(&self, name: &ObjectName) -> Option<Store> {
        self.state.lock().objects.get(name).cloned()
    }

    /// For the writer thread: the next job; `None` once stopped. Asking means that the one before is done.
    pub fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if matches!(state.phase, Phase::Idle | Phase::Gathering) {
                self.gather(&mut state);
            }
            if state.phase == Phase::Stopped {
                return None;
            }
            let job = match state.tasks.pop_front() {
                Some(Task::Store(name)) => state.objects.get(&name).cloned().map(Job::Store),
                Some(Task::Other(job)) => Some(job),
                None => None,
            };
            if job.is_some() {
                state.phase = Phase::Writing;
                return job;
            }
            if state.tasks.capacity() > KEPT {
                (state.tasks, state.objects) = Default::default();
            }
            self.idle.notify_all();
            if state.phase == Phase::Writing {
                // More comes soon, as likely as not.
                state.phase = Phase::Gathering;
            } else {
                state.phase = Phase::Idle;
                self.work.wait(&mut state);
            }
        }
    }

    /// Lets jobs come together for a moment.
    fn gather(&self, state: &mut MutexGuard<'_, State>) {
        if state.flushing == 0 && state.bytes < IDLE {
            state.phase = Phase::Gathering;
            self.work.wait_for(state, GATHER);
        }
    }

    /// For the writer thread: a job is done, its bytes are free.
    pub fn done(&self, job: &Job) {
        let mut state = self.state.lock();
        state.bytes -= job.cost();
        if let Job::Store(store) = job {
            state.objects.remove(&store.header.name);
        }
    }

    /// Waits until everything that was queued before the call is done, or the thread has stopped.
    pub fn flush(&self) {
        let mut state = self.state.lock();
        state.flushing += 1;
        self.work.notify_all();
        while state.phase != Phase::Stopped && (state.phase == Phase::Writing || !state.tasks.is_empty()) {
            self.idle.wait(&mut state);
        }
        state.flushing -= 1;
    }

    /// Stops the writer thread after the job in hand; what is queued is lost.
    pub fn stop(&self) {
        self.state.lock().phase = Phase::Stopped;
        self.work.notify_all();
        self.idle.notify_all();
    }

    /// Bytes in the queue and in the writer's hands.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }
}

impl Job {
    fn cost(&self) -> u64 {
        match self {
            Self::Store(store) => store.header.len + OVERHEAD,
            Self::Blot(..) | Self::Claim(..) => OVERHEAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;

    fn job(content: &'static str) -> Job {
        let name = ObjectName::of(Algorithm::Sha1, content.as_bytes());
        let header = RecordHeader { name, len: content.len() as u64, stored_at: 0 };
        Job::Store(Store { header, share: Share::REST, body: [Bytes::from(content)].into() })
    }

    #[test]
    fn bounded_in_bytes_and_each_name_once() {
        let queue = WriteQueue::new(2 * OVERHEAD + 10);
        assert_eq!(queue.push(job("12345")), Queued::Accepted);
        assert_eq!(queue.push(job("12345")), Queued::Accepted);
        assert_eq!(queue.push(job("abcde")), Queued::Accepted);
        assert_eq!(queue.push(job("x")), Queued::Full);
        let first = queue.next().unwrap();
        assert_eq!(queue.push(job("x")), Queued::Full);
        queue.done(&first);
        assert_eq!(queue.push(job("x")), Queued::Accepted);
        assert_eq!(queue.bytes(), 2 * OVERHEAD + 6);
        queue.stop();
        assert!(queue.next().is_none());
        assert_eq!(queue.push(job("y")), Queued::Full);
    }

    #[test]
    fn bounded_in_number() {
        let queue = WriteQueue::new(u64::MAX);
        for n in 0..MOST as u64 {
            let name = ObjectName::of(Algorithm::Sha1, &n.to_le_bytes());
            let header = RecordHeader { name, len: 1, stored_at: 0 };
            let body = [Bytes::from_static(b"x")].into();
            assert_eq!(queue.push(Job::Store(Store { header, share: Share::REST, body })), Queued::Accepted);
        }
        assert_eq!(queue.push(job("one more")), Queued::Full);
        // What a burst took is given back.
        for _ in 0..MOST {
            let job = queue.next().unwrap();
            queue.done(&job);
        }
        queue.stop();
        assert!(queue.next().is_none());
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn an_object_can_be_read_until_it_is_written() {
        let queue = WriteQueue::new(1000);
        let name = ObjectName::of(Algorithm::Sha1, b"12345");
        let read = || queue.get(&name).map(|store| store.body.concat());
        assert_eq!(read(), None);
        assert_eq!(queue.push(job("12345")), Queued::Accepted);
        assert_eq!(read().as_deref(), Some(&b"12345"[..]));
        let taken = queue.next().unwrap();
        assert_eq!(read().as_deref(), Some(&b"12345"[..]));
        queue.done(&taken);
        assert_eq!(read(), None);
    }
}
