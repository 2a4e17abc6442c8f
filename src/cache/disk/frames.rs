//! Reusable buffers for large reads: allocating, zeroing and unmapping 256 KiB costs more than copying them.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::record::{BLOCK, HEADER};

/// Most bytes of an object in one read.
pub const MAX_FRAME: usize = 256 << 10;
// A read that does not start with a block covers one block more; a first one brings header and table with it.
const BUFFER: usize = MAX_FRAME + BLOCK as usize + 4096 + HEADER;
// Whoever keeps the bytes keeps the whole buffer: smaller reads would waste too much of it.
const POOLED_FROM: usize = 192 << 10;
// At rest the pool holds at most about 5 MiB.
const KEPT: usize = 16;

/// A pool of buffers. At most [`KEPT`] of them are kept unused.
#[derive(Default)]
pub struct Frames {
    unused: Mutex<Vec<Box<[u8]>>>,
}

impl Frames {
    /// A buffer of exactly `len` bytes with any contents.
    pub fn take(self: &Arc<Self>, len: usize) -> Frame {
        if !(POOLED_FROM..=BUFFER).contains(&len) {
            return Frame::Plain(vec![0; len]);
        }
        let bytes = self.unused.lock().pop().unwrap_or_else(|| vec![0; BUFFER].into());
        Frame::Pooled(Pooled { bytes, len, pool: Arc::downgrade(self) })
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let mut unused = self.unused.lock();
        if unused.len() < KEPT {
            unused.push(bytes);
        }
    }
}

/// A buffer to read into.
pub enum Frame {
    /// On its own.
    Plain(Vec<u8>),
    /// Goes back to the pool.
    Pooled(Pooled),
}

/// See [`Frame`].
pub struct Pooled {
    bytes: Box<[u8]>,
    len: usize,
    pool: Weak<Frames>,
}

impl Frame {
    /// The whole buffer.
    pub fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Pooled(pooled) => &mut pooled.bytes[..pooled.len],
        }
    }

    /// The buffer as shared bytes; it goes back to the pool with the last of them.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Plain(bytes) => bytes.into(),
            Self::Pooled(pooled) => Bytes::from_owner(pooled),
        }
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_come_back_with_their_last_bytes() {
        let pool = Arc::new(Frames::default());
        let mut frame = pool.take(200_000);
        frame.as_mut()[7] = 9;
        let bytes = frame.into_bytes();
        assert_eq!((bytes.len(), bytes[7]), (200_000, 9));
        let part = bytes.slice(5..10);
        drop(bytes);
        assert_eq!(pool.unused.lock().len(), 0);
        drop(part);
        assert_eq!(pool.unused.lock().len(), 1);
        drop(pool.take(10));
        assert_eq!(pool.unused.lock().len(), 1);
    }
}
