//! The writing side of a fill. Whoever holds it must bring the bytes: dropping it fails the fill.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::room::Claim;
use super::window::Spill;
use super::{Fill, FillError, FillHandle, FillKey, FillReader, Phase, Why};
use crate::cache::object::{CHUNK, MemoryObject, Object};
use crate::cache::{Cache, Share};
use crate::digest::{Mismatch, ObjectName, Verifier};

/// How long a fill without readers may take to finish.
const FINISH_WITHIN: Duration = Duration::from_secs(60);

/// Why bytes could not be committed. The writer is still usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Fewer or more bytes than announced.
    #[error("announced {announced} bytes, received {received}")]
    Length {
        /// What the source announced.
        announced: u64,
        /// What came.
        received: u64,
    },
    /// The bytes are not the object.
    #[error(transparent)]
    Digest(#[from] Mismatch),
}

/// The duty to fill an object.
pub struct FillWriter {
    pub(super) cache: Arc<Cache>,
    pub(super) fill: Arc<Fill>,
    /// Of the disk.
    pub(super) share: Share,
    verifier: Verifier,
    buffer: BytesMut,
    /// Bytes in `buffer` and before it; `State::received` lags behind by the buffer.
    pub(super) taken: u64,
    pub(super) spill: Spill,
    /// Bytes that are kept in memory: as configured, or less where all fills together have no more.
    pub(super) window: u64,
    pub(super) claim: Option<Claim>,
    /// Objects of up to so many bytes are verified before readers see any.
    pub(super) verify_first: u64,
    /// Since when nobody reads.
    alone_since: Option<Instant>,
    ended: bool,
}

impl FillWriter {
    /// A new fill, and the reader of whoever starts it.
    pub(in crate::cache) fn new(cache: Arc<Cache>, key: FillKey, share: Share) -> (Self, FillReader) {
        let (fill, slot) = Fill::new(key);
        let reader = FillReader::new(Arc::clone(&fill), slot);
        cache.filling.fetch_add(1, Ordering::Relaxed);
        let limits = cache.limits();
        let (verify_first, window) = (limits.verify_first.bytes(), limits.window.bytes());
        drop(limits);
        let writer = Self {
            window,
            claim: None,
            verify_first,
            cache,
            fill,
            share,
            verifier: key.name.verifier(),
            buffer: BytesMut::new(),
            taken: 0,
            spill: Spill::Window,
            alone_since: None,
            ended: false,
        };
        (writer, reader)
    }

    pub(in crate::cache) fn shared(&self) -> FillHandle {
        FillHandle(Arc::clone(&self.fill))
    }

    /// The object being filled.
    pub fn name(&self) -> ObjectName {
        self.fill.key.name
    }

    /// Bytes taken so far: where another source has to continue.
    pub fn received(&self) -> u64 {
        self.taken
    }

    /// Bytes in all, if known.
    pub fn len(&self) -> Option<u64> {
        self.fill.state.lock().len
    }

    /// Whether no byte was taken yet.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Whether readers may have seen bytes, so that the fill can be continued but not begun anew.
    pub fn is_released(&self) -> bool {
        !matches!(self.fill.state.lock().phase, Phase::Hidden)
    }

    /// Whether bytes were taken that readers were not given yet.
    pub fn has_unshown(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether finishing still serves somebody: readers wait, or so little is missing that storing it pays.
    pub fn is_wanted(&mut self) -> bool {
        let state = self.fill.state.lock();
        if state.readers.len() > 0 {
            self.alone_since = None;
            return true;
        }
        if self.alone_since.get_or_insert_with(Instant::now).elapsed() > FINISH_WITHIN {
            return false;
        }
        let missing = state.len.map_or(0, |len| len.saturating_sub(self.taken));
        missing <= self.cache.limits().finish_abandoned.bytes() && !matches!(self.spill, Spill::Nowhere)
    }

    /// A source answered and announced `len` bytes in all (`None`: it did not say). Decides where the bytes will live,
    /// and lets readers start unless the object is small enough to be verified first. Fails when all fills together have
    /// no memory left, not even for the least that this one needs.
    pub fn begin(&mut self, len: Option<u64>) -> Result<(), FillError> {
        self.set_aside(len)?;
        if let (Some(len), Some(disk)) = (len, self.cache.disk())
            && len > self.window
            && matches!(self.spill, Spill::Window)
            && disk.admits(len, self.share).is_ok()
        {
            self.spill = Spill::Due(len);
        }
        self.fill.state.lock().len = len;
        if len.is_some_and(|len| len > self.verify_first) {
            self.fill.release();
        }
        Ok(())
    }

    /// Lets readers start now.
    pub fn release(&mut self) {
        self.fill.release();
    }

    /// Takes the next bytes. Waits when the fill is kept nowhere and a reader lags.
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), FillError> {
        self.taken += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.buffer.capacity() == 0 {
                self.buffer = BytesMut::with_capacity(self.room());
            }
            let room = self.buffer.capacity() - self.buffer.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == self.buffer.capacity() {
                self.flush().await?;
            }
        }
        let unknown_length = self.fill.state.lock().len.is_none();
        if unknown_length && self.taken > self.verify_first {
            self.fill.release();
        }
        Ok(())
    }

    /// Shows readers what was taken, although the current chunk is not full.
    pub async fn flush(&mut self) -> Result<(), FillError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = self.buffer.split().freeze();
        let start = self.fill.publish(bytes.clone());
        // Readers were woken first: hashing and storing overlap with their writing to the network.
        self.verifier.update(&bytes);
        self.store_beyond_window(start, bytes).await
    }

    /// Ends the fill, with the verified object in the tiers unless our own storage failed; or hands the writer back
    /// with the reason why the bytes are not the object.
    pub async fn commit(mut self) -> Result<(), (Self, CommitError)> {
        if let Err(error) = self.flush().await {
            self.end(Phase::Failed(error));
            return Ok(());
        }
        let len = self.len();
        let announced = len.unwrap_or(self.taken);
        if announced != self.taken {
            let received = self.taken;
            return Err((self, CommitError::Length { announced, received }));
        }
        if let Err(mismatch) = self.verifier.clone().finish() {
            return Err((self, CommitError::Digest(mismatch)));
        }
        let name = self.fill.key.name;
        match std::mem::replace(&mut self.spill, Spill::Window) {
            Spill::Window | Spill::Due(_) => {
                let chunks: Vec<_> =
                    self.fill.state.lock().chunks.iter().map(|chunk| chunk.bytes.clone()).collect();
                let object = Arc::new(match len {
                    Some(_) => MemoryObject::new(chunks, self.cache.now()),
                    // What the last buffer has to spare would stay with the object, and nobody would count it.
                    None => MemoryObject::copied(&chunks, self.cache.now()),
                });
                self.cache.count_verified();
                self.cache.insert(name, self.share, Arc::clone(&object));
                self.end(Phase::Complete(Some(Object::Memory(object))));
            }
            Spill::Disk(writer) => {
                let written = self.on_disk(move || writer.commit().map_err(std::io::Error::other)).await;
                if let Err(error) = written {
                    tracing::warn!(%name, %error, "an object could not be finished on disk and stays unstored");
                }
                // Also unfinished it can be read back by those who are attached.
                self.cache.count_verified();
                let found = self.cache.disk().and_then(|disk| disk.get(&name));
                self.end(Phase::Complete(found.map(Object::Disk)));
            }
            // Readers that are attached read on from the window; nobody else can find the object.
            Spill::Nowhere => {
                self.cache.count_verified();
                self.end(Phase::Complete(None));
            }
        }
        Ok(())
    }

    /// Ends the fill without the object.
    pub fn fail(mut self, error: FillError) {
        self.end(Phase::Failed(error));
    }

    /// Forgets all bytes, for a source that begins anew. Only while nothing was released.
    pub fn reset(&mut self) {
        let mut state = self.fill.state.lock();
        debug_assert!(matches!(state.phase, Phase::Hidden));
        state.chunks.clear();
        state.received = 0;
        state.len = None;
        state.extent = None;
        drop(state);
        self.clear();
    }

    /// Fails this fill and starts another under the same name, which later requests will join. `None` when there is
    /// a newer fill already. Clients retry wrong bytes once only, and the next source may be no better: as far as the
    /// window reaches, the new fill is verified first.
    pub fn fail_and_restart(mut self, error: FillError) -> Option<Self> {
        // The new one first: between the two a request would lead a third, and meet the same bad source again.
        let again = self.cache.replace(&self.fill, self.share);
        self.end(Phase::Failed(error));
        again
    }

    fn clear(&mut self) {
        self.verifier = self.fill.key.name.verifier();
        self.buffer = BytesMut::new();
        self.taken = 0;
        self.spill = Spill::Window;
        self.claim = None;
    }

    /// Size of the next buffer: up to the next chunk boundary, and no more than is announced.
    fn room(&self) -> usize {
        let state = self.fill.state.lock();
        let to_boundary = CHUNK as u64 - state.received % CHUNK as u64;
        let announced = match state.len {
            Some(len) if len > state.received => len - state.received,
            // Unknown, or more than announced: the commit will tell.
            _ => CHUNK as u64,
        };
        to_boundary.min(announced) as usize
    }

    /// The one end of the fill.
    fn end(&mut self, phase: Phase) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Phase::Failed(error) = &phase {
            self.cache.count_failure(error.why);
        }
        self.cache.filling.fetch_sub(1, Ordering::Relaxed);
        // Out of the table first: who looks from now on finds the object, or leads anew.
        self.cache.forget(&self.fill);
        self.fill.end(phase);
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        self.end(Phase::Failed(FillError::new(Why::Abandoned, "the transfer was given up")));
    }
}
