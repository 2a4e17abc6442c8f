//! What a fill keeps in memory, and where the rest of its bytes go.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::writer::FillWriter;
use super::{DISK_PATIENCE, FillError, Why};
use crate::cache::disk::DiskWriter;
use crate::cache::object::CHUNK;

/// The smallest window: a chunk that is written, and one that is read.
const LEAST_WINDOW: u64 = 2 * CHUNK as u64;

/// Where bytes go that the window cannot hold.
pub(super) enum Spill {
    /// The whole object fits the window.
    Window,
    /// Into an extent on disk, for so many bytes in all, which is reserved when the first of them are written.
    Due(u64),
    /// Into that extent.
    Disk(DiskWriter),
    /// Nowhere: past the slowest reader they are forgotten, and the object is not stored.
    Nowhere,
}

impl FillWriter {
    /// Memory for the window; if there is not so much, for a chunk to write and one to read, or for what is verified first.
    pub(super) fn set_aside(&mut self, len: Option<u64>) -> Result<(), FillError> {
        self.claim = None;
        let (window, most) = {
            let limits = self.cache.limits();
            (limits.window.bytes(), limits.fill_memory.bytes())
        };
        let least = self.verify_first.max(LEAST_WINDOW).min(window);
        // Of a length that nobody knows, the least to begin with.
        let windows = if len.is_some() { [window, least] } else { [least, least] };
        for window in windows {
            self.claim = self.cache.room.claim(len.map_or(window, |len| len.min(window)), most);
            if self.claim.is_some() {
                self.window = window;
                return Ok(());
            }
        }
        Err(FillError::new(
            Why::Overload,
            "downloads take as much memory as they may: `fill_memory` in [objects]",
        ))
    }

    /// Twice as much memory, if that is allowed and there.
    fn widen(&mut self) -> bool {
        let limits = self.cache.limits();
        let wider = limits.window.bytes().min(2 * self.window);
        let more = wider.saturating_sub(self.window);
        let grown =
            more > 0 && self.claim.as_mut().is_some_and(|claim| claim.grow(more, limits.fill_memory.bytes()));
        drop(limits);
        if grown {
            self.window = wider;
        }
        grown
    }

    pub(super) async fn store_beyond_window(&mut self, start: u64, bytes: Bytes) -> Result<(), FillError> {
        while matches!(self.spill, Spill::Window) && self.taken > self.window && self.widen() {}
        let window = self.window;
        let spill = match std::mem::replace(&mut self.spill, Spill::Nowhere) {
            Spill::Window if self.taken <= window => {
                self.spill = Spill::Window;
                return Ok(());
            }
            Spill::Window | Spill::Nowhere => return self.let_window_move(window).await,
            spill => spill,
        };
        let (cache, name, share) = (Arc::clone(&self.cache), self.name(), self.share);
        let written = self.on_disk(move || {
            let writer = match (spill, cache.disk()) {
                (Spill::Disk(writer), _) => writer,
                (Spill::Due(len), Some(disk)) => match disk.reserve(name, share, len) {
                    Ok(writer) => writer,
                    Err(_) => return Ok(None),
                },
                _ => return Ok(None),
            };
            writer.write_at(start, &bytes).map(|()| Some(writer))
        });
        match written.await {
            Ok(Some(writer)) => {
                let mut state = self.fill.state.lock();
                state.extent.get_or_insert_with(|| writer.reader());
                state.forget(window, u64::MAX);
                drop(state);
                self.spill = Spill::Disk(writer);
                Ok(())
            }
            // Not admitted.
            Ok(None) if self.taken <= window => {
                self.spill = Spill::Window;
                Ok(())
            }
            Ok(None) => self.let_window_move(window).await,
            // The disk failed under us: go on from memory, for those who read along.
            Err(error) => {
                // The extent goes back to the disk tier with its writer: nothing may be read from it.
                self.fill.state.lock().extent = None;
                tracing::warn!(%error, "an object could not be written to disk and is passed on unstored");
                self.let_window_move(window).await
            }
        }
    }

    /// Lets a thread that may block work with the disk, for as long as readers can be kept waiting.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let working = tokio::task::spawn_blocking(work);
        let waiting = working.abort_handle();
        match tokio::time::timeout(DISK_PATIENCE, working).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(std::io::Error::other("the process is stopping")),
            Err(_) => {
                // One that has not begun yet need not begin.
                waiting.abort();
                if let Some(disk) = self.cache.disk() {
                    disk.too_slow_to_write();
                }
                Err(std::io::ErrorKind::TimedOut.into())
            }
        }
    }

    /// Keeps at most `window` bytes: waits for the slowest reader. While another one starves for it, the slowest one's
    /// patience runs out, and in the end it is left behind.
    async fn let_window_move(&mut self, window: u64) -> Result<(), FillError> {
        loop {
            let (slowest, patience, seen) = {
                let mut state = self.fill.state.lock();
                let visible = state.visible();
                let Some((slowest, position, patience)) = state.readers.slowest() else {
                    return Err(FillError::new(
                        Why::Abandoned,
                        "no reader kept up, and the object is not stored",
                    ));
                };
                state.forget(window, position);
                if state.held() <= window {
                    return Ok(());
                }
                let patience = state.readers.any_at(visible).then_some(patience);
                if patience == Some(Duration::ZERO) {
                    state.readers.leave_behind(slowest);
                    continue;
                }
                (slowest, patience, state.readers.moves)
            };
            let moved = std::future::poll_fn(|cx| self.fill.poll_moved(seen, cx.waker()));
            let Some(patience) = patience else {
                moved.await;
                continue;
            };
            let since = Instant::now();
            // Over in any case: what is left of the patience decides in the next round.
            let _ = tokio::time::timeout(patience, moved).await;
            self.fill.state.lock().readers.charge(slowest, since.elapsed());
        }
    }
}
