//! Where the store says what changed and the clerk finds what to do: bounded, and nobody who serves waits for a disk.
//!
//! For each file there is at most one order, the latest: what is not written yet and changes again is written once. An order
//! to write that finds no room becomes one to remove, because an older answer must not come back with the next start. Orders
//! to remove are never refused; there are no more of them than files.
//! Lock order: the store's, then this one. While files of the last run are being loaded, `touched` remembers which URLs
//! have changed since: what is newer is never replaced by what was on disk.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use http::header::{self, HeaderMap};
use parking_lot::{Condvar, Mutex};

use super::books::{Books, FileState};
use super::name::Name;
use crate::document::key::DocumentKey;
use crate::document::stored::Stored;
use crate::document::watermark::MarkKey;
use crate::metrics::DocumentDiskMetrics;

/// Bytes of documents that may wait for the disk.
const QUEUE: usize = 16 << 20;
/// Manifests that may wait for it.
const MARKS: usize = 1024;
/// A longer manifest is not remembered on disk; it would not fit into its slot.
const MAX_MARK: usize = 16 << 10;
/// URLs that may change before everything is loaded; when more do, the rest of what was there is given up.
const TOUCHED: usize = 65_536;
/// A body that is larger, and was only confirmed, is written again no more often than this.
const LARGE: usize = 64 << 10;
const LARGE_AGAIN: Duration = Duration::from_secs(600);

/// See the module.
pub struct Desk {
    metrics: DocumentDiskMetrics,
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

struct State {
    books: Books,
    orders: BTreeMap<Name, (u64, Order)>,
    // By the number of the order.
    queue: BTreeMap<u64, Name>,
    next_order: u64,
    // What the clerk is writing or removing.
    in_hand: Option<Name>,
    marks: HashMap<MarkKey, (Arc<Stored>, SystemTime)>,
    mark_queue: VecDeque<MarkKey>,
    bytes: usize,
    touched: Touched,
    phase: Phase,
}

enum Order {
    Write(DocumentKey, Arc<Stored>),
    Remove,
}

/// Which URLs have changed since the start.
enum Touched {
    These(HashSet<u64>),
    TooMany,
    /// Everything is loaded: nobody asks any more.
    Loaded,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Working,
    Stopped,
}

/// Something for the clerk.
pub enum Task {
    /// Write a document.
    Write(Name, DocumentKey, Arc<Stored>),
    /// Remove a file.
    Remove(Name),
    /// Write the newest manifest of a repository.
    Mark(MarkKey, Arc<Stored>, SystemTime),
    /// There is nothing to do.
    Nothing,
    /// Everything ends.
    Stop,
}

/// How long the clerk waits for something to do.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// It has something else to do.
    Not,
    /// Until then.
    Until(Instant),
    /// As long as it takes.
    Ever,
}

impl Desk {
    /// Nothing to do yet; files may take `bound` bytes.
    pub fn new(bound: u64, metrics: DocumentDiskMetrics) -> Self {
        let state = State {
            books: Books::new(bound),
            orders: BTreeMap::new(),
            queue: BTreeMap::new(),
            next_order: 0,
            in_hand: None,
            marks: HashMap::new(),
            mark_queue: VecDeque::new(),
            bytes: 0,
            touched: Touched::These(HashSet::new()),
            phase: Phase::default(),
        };
        Self { metrics, state: Mutex::new(state), work: Condvar::new(), idle: Condvar::new() }
    }

    /// The variants of a URL were `before` and are `after`. Called while nobody else can change them.
    pub fn changed(&self, key: &DocumentKey, before: &[Arc<Stored>], after: &[Arc<Stored>]) {
        let url = Name::url_of(key);
        let name = |one: &Arc<Stored>| Name::of(url, one.selection());
        let kept: Vec<Name> = after.iter().map(name).collect();
        let mut state = self.state.lock();
        state.touched.add(url);
        let is_new = |one: &&Arc<Stored>| !before.iter().any(|old| Arc::ptr_eq(old, one));
        for stored in after.iter().filter(is_new) {
            let name = name(stored);
            if stored.status() == StatusCode::PARTIAL_CONTENT {
                // Only what is complete is worth a file.
                state.remove(name);
            } else if is_private(stored) {
                self.metrics.dropped.credentials.inc();
                state.remove(name);
            } else if !state.is_hardly_new(name, stored, before)
                && let Err(Full) = state.write(name, key, stored)
            {
                self.metrics.dropped.queue_full.inc();
            }
        }
        let mut gone = state.of_url(url);
        gone.retain(|one| !kept.contains(one));
        // What is newer hides what is older: it goes later, and after the new one is there.
        gone.sort_by_cached_key(|gone| before.iter().find(|one| name(one) == *gone).map(|one| one.date()));
        gone.into_iter().for_each(|gone| state.remove(gone));
        self.work.notify_one();
    }

    /// A URL had to leave memory.
    pub fn evicted(&self, key: &DocumentKey, variants: &[Arc<Stored>]) {
        let url = Name::url_of(key);
        let mut state = self.state.lock();
        for one in variants {
            state.remove(Name::of(url, one.selection()));
        }
        self.work.notify_one();
    }

    /// A manifest became the newest of its repository, or was confirmed.
    pub fn mark(&self, key: &MarkKey, manifest: &Arc<Stored>, confirmed: SystemTime) {
        let mut state = self.state.lock();
        let State { marks, mark_queue, .. } = &mut *state;
        let is_waiting = marks.contains_key(key);
        if manifest.weight() > MAX_MARK {
            self.metrics.dropped.too_large.inc();
        } else if !is_waiting && marks.len() >= MARKS {
            self.metrics.dropped.queue_full.inc();
        } else {
            if !is_waiting {
                mark_queue.push_back(key.clone());
            }
            marks.insert(key.clone(), (manifest.clone(), confirmed));
            self.work.notify_one();
        }
    }

    /// Whether what the last run left of a URL is still good: nothing happened to it since the start.
    pub fn may_load(&self, key: &DocumentKey) -> bool {
        self.may_load_any_of(Name::url_of(key))
    }

    /// The same of what a file's name tells about the URL.
    pub fn may_load_any_of(&self, url: u64) -> bool {
        match &self.state.lock().touched {
            Touched::These(urls) => !urls.contains(&url),
            Touched::TooMany | Touched::Loaded => false,
        }
    }

    /// Whether there may be more on disk than in the store.
    pub fn is_loading(&self) -> bool {
        !matches!(self.state.lock().touched, Touched::Loaded)
    }

    /// Waits until everything that was ordered is done or given up. Blocks.
    pub fn flush(&self) {
        let mut state = self.state.lock();
        while state.phase != Phase::Stopped
            && (state.phase == Phase::Working || !state.queue.is_empty() || !state.mark_queue.is_empty())
        {
            self.idle.wait(&mut state);
        }
    }

    /// Ends the clerk after the task in hand.
    pub fn stop(&self) {
        self.state.lock().phase = Phase::Stopped;
        self.work.notify_all();
        self.idle.notify_all();
    }

    /// For the clerk: what to do next. Asking means that the last task is done. Manifests come first.
    pub fn next(&self, wait: Wait) -> Task {
        let mut state = self.state.lock();
        loop {
            if state.phase == Phase::Stopped {
                return Task::Stop;
            }
            if let Some(task) = state.take() {
                state.phase = Phase::Working;
                return task;
            }
            state.phase = Phase::Idle;
            state.in_hand = None;
            self.idle.notify_all();
            match wait {
                Wait::Not => return Task::Nothing,
                Wait::Ever => self.work.wait(&mut state),
                Wait::Until(until) => {
                    if self.work.wait_until(&mut state, until).timed_out() {
                        return if state.phase == Phase::Stopped { Task::Stop } else { Task::Nothing };
                    }
                }
            }
        }
    }

    /// For the clerk: the books, for as long as the call takes.
    pub fn books<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.state.lock().books)
    }

    /// For the clerk: everything that was on disk is loaded or given up.
    pub fn loaded(&self) {
        self.state.lock().touched = Touched::Loaded;
    }
}

/// There is no room in the queue.
struct Full;

impl State {
    fn write(&mut self, name: Name, key: &DocumentKey, stored: &Arc<Stored>) -> Result<(), Full> {
        self.cancel(name);
        let cost = stored.weight();
        if self.bytes > 0 && self.bytes + cost > QUEUE {
            self.remove(name);
            return Err(Full);
        }
        self.bytes += cost;
        self.order(name, Order::Write(key.clone(), stored.clone()));
        Ok(())
    }

    fn remove(&mut self, name: Name) {
        self.cancel(name);
        // What is being written is not in the books yet.
        if self.books.state(name).is_some() || self.in_hand == Some(name) {
            self.order(name, Order::Remove);
        }
    }

    fn order(&mut self, name: Name, order: Order) {
        self.queue.insert(self.next_order, name);
        self.orders.insert(name, (self.next_order, order));
        self.next_order += 1;
    }

    fn cancel(&mut self, name: Name) {
        if let Some((number, old)) = self.orders.remove(&name) {
            self.queue.remove(&number);
            self.forget(&old);
        }
    }

    fn forget(&mut self, order: &Order) {
        if let Order::Write(_, stored) = order {
            self.bytes -= stored.weight();
        }
    }

    fn take(&mut self) -> Option<Task> {
        if let Some(key) = self.mark_queue.pop_front()
            && let Some((manifest, confirmed)) = self.marks.remove(&key)
        {
            return Some(Task::Mark(key, manifest, confirmed));
        }
        let (_, name) = self.queue.pop_first()?;
        let (_, order) = self.orders.remove(&name)?;
        self.forget(&order);
        self.in_hand = Some(name);
        Some(match order {
            Order::Write(key, stored) => Task::Write(name, key, stored),
            Order::Remove => Task::Remove(name),
        })
    }

    /// Files of a URL that are there or will be.
    fn of_url(&self, url: u64) -> Vec<Name> {
        let ordered = self.orders.range(Name::all_of(url)).map(|(name, _)| *name);
        let in_hand = self.in_hand.filter(|name| name.url() == url);
        self.books.of_url(url).chain(ordered).chain(in_hand).collect()
    }

    /// Whether nothing changed but the times of a large body, and its file is not old.
    fn is_hardly_new(&self, name: Name, stored: &Stored, before: &[Arc<Stored>]) -> bool {
        let Some(FileState::Known(written)) = self.books.state(name) else { return false };
        stored.body().len() > LARGE
            && !self.orders.contains_key(&name)
            && written.elapsed() < LARGE_AGAIN
            && before.iter().any(|old| {
                old.body().as_ptr() == stored.body().as_ptr()
                    && without_times(old.headers()) == without_times(stored.headers())
            })
    }
}

impl Touched {
    fn add(&mut self, url: u64) {
        if let Self::These(urls) = self {
            urls.insert(url);
            if urls.len() > TOUCHED {
                *self = Self::TooMany;
            }
        }
    }
}

/// Whether the record would tell credentials of a client: they are among what the answer varies on.
fn is_private(stored: &Stored) -> bool {
    const CREDENTIALS: [header::HeaderName; 3] =
        [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];
    stored.selection().fields().any(|(name, _)| CREDENTIALS.contains(name))
}

fn without_times(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [header::DATE, header::EXPIRES] {
        headers.remove(name);
    }
    headers
}
