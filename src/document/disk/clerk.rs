//! The thread that knows the disk: loads what the last run left, then does what the desk orders. One for all files.
//!
//! ```text
//! newest manifests -> ready -> list -> load one file | do one task -> ... -> tasks only
//! ```
//! Tasks go before loading, so that a slow disk with much on it delays no write. A folder that cannot be listed is not
//! written to, since nobody knows how full it is; it is looked at again after a pause. Errors pause reading and writing
//! apart, as with objects. A file that has to go and cannot be removed is tried again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::books::Room;
use super::desk::{Desk, Task, Wait};
use super::files::Files;
use super::name::Name;
use super::slots::{NotWritten, Slots};
use super::{Board, Mend, codec};
use crate::cache::disk::{Change, Condition, Health, blocks};
use crate::document::key::DocumentKey;
use crate::document::shelf::Shelf;
use crate::document::stored::Stored;
use crate::document::watermark::MarkKey;
use crate::metrics::DocumentDiskMetrics;

/// After so long a removal that failed is tried again.
const REMOVE_AGAIN: Duration = Duration::from_secs(5);

/// One document takes no more than this part of the files' room.
const LARGEST: u64 = 4;

/// See the module.
pub struct Clerk {
    pub(super) desk: Arc<Desk>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) files: Files,
    pub(super) slots: Slots,
    pub(super) slot_count: u64,
    // What documents may take, without the slots.
    pub(super) room: u64,
    pub(super) mend: Mend,
    pub(super) board: Arc<Board>,
    pub(super) metrics: DocumentDiskMetrics,
    pub(super) stock: Stock,
    pub(super) reading: Health,
    pub(super) writing: Health,
    pub(super) stuck: BTreeSet<Name>,
}

/// How much of the last run's files is in the store.
pub(super) enum Stock {
    /// It is not even known which there are.
    Unknown,
    /// These are to be loaded, the last first.
    Loading(Vec<Name>),
    /// All.
    Loaded,
}

impl Clerk {
    /// A clerk for `files`, of which documents may take `room` bytes and manifests `slot_count` slots.
    pub fn new(
        desk: Arc<Desk>,
        shelf: Arc<Shelf>,
        files: Files,
        (room, slot_count): (u64, u64),
        mend: Mend,
        board: Arc<Board>,
    ) -> Self {
        let metrics = shelf.metrics.disk.clone();
        let slots = Slots::new(files.clone(), slot_count);
        let (reading, writing) = (Health::default(), Health::default());
        let (stock, stuck) = (Stock::Unknown, BTreeSet::new());
        Self {
            desk,
            shelf,
            files,
            slots,
            slot_count,
            room,
            mend,
            board,
            metrics,
            stock,
            reading,
            writing,
            stuck,
        }
    }

    /// Works until the desk is closed.
    pub fn run(mut self) {
        self.load_manifests();
        self.board.ready.set();
        self.take_stock();
        loop {
            self.publish();
            match self.desk.next(self.wait()) {
                Task::Write(name, key, stored) => self.write(name, &key, &stored),
                Task::Remove(name) => self.remove(name),
                Task::Mark(key, manifest, confirmed) => self.mark(&key, &manifest, confirmed),
                Task::Nothing => self.go_on(),
                Task::Stop => return,
            }
        }
    }

    fn wait(&self) -> Wait {
        let now = Instant::now();
        let pause = self.reading.trouble(now).map(|pause| Wait::Until(now + pause));
        match &self.stock {
            Stock::Unknown | Stock::Loading(_) => pause.unwrap_or(Wait::Not),
            Stock::Loaded if !self.stuck.is_empty() => Wait::Until(now + REMOVE_AGAIN),
            Stock::Loaded => Wait::Ever,
        }
    }

    /// What there is to do without an order.
    fn go_on(&mut self) {
        match &mut self.stock {
            Stock::Unknown => self.take_stock(),
            Stock::Loading(names) => match names.pop() {
                Some(name) => self.load(name),
                None => {
                    self.desk.loaded();
                    self.stock = Stock::Loaded;
                    self.reading = Health::default();
                    tracing::debug!(
                        documents = self.desk.books(|books| books.files()),
                        "documents are loaded"
                    );
                }
            },
            Stock::Loaded => self.remove_stuck(),
        }
    }

    fn remove_stuck(&mut self) {
        std::mem::take(&mut self.stuck).into_iter().for_each(|name| self.remove(name));
    }

    fn write(&mut self, name: Name, key: &DocumentKey, stored: &Stored) {
        if matches!(self.stock, Stock::Unknown) || !self.writing.may_try(Instant::now()) {
            self.metrics.dropped.paused.inc();
            return self.remove(name);
        }
        let record = codec::document(key, stored).filter(|record| record.len() as u64 <= self.room / LARGEST);
        let Some(record) = record else {
            self.metrics.dropped.too_large.inc();
            return self.remove(name);
        };
        let written = self.place(name, &record);
        if written.is_ok() {
            self.stuck.remove(&name);
            self.metrics.writes.inc();
        } else {
            self.metrics.dropped.failed.inc();
            // An older answer must not come back.
            self.remove(name);
        }
        self.wrote(&written);
    }

    /// Writes a file after it has made room for it.
    fn place(&mut self, name: Name, record: &[u8]) -> io::Result<()> {
        let bytes = blocks(record.len() as u64);
        loop {
            match self.desk.books(|books| books.promise(name, bytes)) {
                Room::Promised => break,
                Room::Evict(victim) => {
                    self.files.remove(victim)?;
                    self.desk.books(|books| books.remove(victim));
                    self.metrics.dropped.space.inc();
                }
                Room::Never => return Err(io::ErrorKind::StorageFull.into()),
            }
        }
        match self.files.write(name, record) {
            Ok(()) => {
                self.desk.books(|books| books.keep(name, bytes, Instant::now()));
                Ok(())
            }
            Err(error) => {
                // What is left of it counts until it is gone; it will be, or be written over.
                let left = self.files.discard_new();
                self.desk.books(|books| books.take_back(bytes));
                if left.is_err() {
                    self.stock = Stock::Unknown;
                }
                Err(error)
            }
        }
    }

    fn mark(&mut self, key: &MarkKey, manifest: &Stored, confirmed: SystemTime) {
        if !self.writing.may_try(Instant::now()) {
            self.metrics.dropped.paused.inc();
            return;
        }
        let written = match self.slots.write(key, manifest, confirmed) {
            Ok(()) => Ok(()),
            Err(NotWritten::TooLarge) => {
                self.metrics.dropped.too_large.inc();
                return;
            }
            Err(NotWritten::Io(error)) => {
                self.metrics.dropped.failed.inc();
                Err(error)
            }
        };
        self.wrote(&written);
    }

    pub(super) fn remove(&mut self, name: Name) {
        if self.desk.books(|books| books.state(name)).is_none() {
            return;
        }
        match self.files.remove(name) {
            Ok(()) => {
                self.stuck.remove(&name);
                self.desk.books(|books| books.remove(name));
            }
            Err(error) => {
                if self.stuck.insert(name) {
                    tracing::warn!(file = %name, %error, "a document on disk cannot be removed: it is tried again");
                }
            }
        }
    }

    fn wrote(&mut self, result: &io::Result<()>) {
        let change = match result {
            Ok(()) => {
                // What failed then may succeed now.
                self.remove_stuck();
                self.writing.succeeded()
            }
            Err(error) => {
                self.metrics.write_errors.inc();
                if error.kind() == io::ErrorKind::NotFound {
                    self.mend();
                }
                self.writing.failed(Instant::now())
            }
        };
        let words = match result {
            Ok(()) => "documents can be written to disk again",
            Err(_) => "documents cannot be written to disk: they are kept in memory only for a while",
        };
        note(change, words, result.as_ref().err());
    }

    /// Somebody emptied the folder under us.
    pub(super) fn mend(&mut self) {
        let mended = (self.mend)().and_then(|()| self.files.create_folder());
        match mended {
            Ok(()) => {
                self.slots = Slots::new(self.files.clone(), self.slot_count);
                self.stock = Stock::Unknown;
                self.shelf.watermarks.write_all_again();
            }
            Err(error) => tracing::warn!(%error, "the folder of documents is gone and cannot be made again"),
        }
    }

    fn publish(&self) {
        let (bytes, documents) = self.desk.books(|books| (books.used(), books.files()));
        let now = Instant::now();
        let (condition, retry_in) = match (self.reading.trouble(now), self.writing.trouble(now)) {
            (Some(pause), _) => (Condition::MemoryOnly, Some(pause)),
            (None, Some(pause)) => (Condition::ReadOnly, Some(pause)),
            (None, None) => (Condition::Working, None),
        };
        self.board.show(super::Usage {
            documents,
            manifests: self.slots.len(),
            bytes,
            condition,
            retry_at: retry_in.map(|pause| now + pause),
            is_loaded: matches!(self.stock, Stock::Loaded),
        });
    }
}

/// Tells the log what changed, once.
pub(super) fn note(change: Change, words: &str, error: Option<&io::Error>) {
    match (change, error) {
        (Change::Paused(pause), Some(error)) => tracing::error!(%error, ?pause, "{words}"),
        (Change::Recovered, _) => tracing::info!("{words}"),
        _ => {}
    }
}
