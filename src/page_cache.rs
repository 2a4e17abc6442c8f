//! Stretches of files whose pages are locked in the page cache: what was read and checked there once stays as it is unless
//! somebody writes to the file, which is noticed, and sockets can be given the pages themselves instead of copies.
//!
//! Such a stretch is mapped, and its bytes are known by their addresses, like any others. Only nobody needs to touch them: who
//! wants to send them asks [`find`] for their place in the file; who wants to read them asks that place as well
//! ([`Place::read`]). For reading through the mapping would end the process if somebody cut the file off (SIGBUS).
//! One of two places in this program that need `unsafe`: mapping a file is.

mod sole;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::{Mmap, MmapOptions};
use parking_lot::RwLock;
use rustix::fs::sendfile;
use rustix::io::Errno;
use sole::Observed;
pub use sole::SoleFile;

/// Bytes from which pages are better sent than copied.
pub const WORTH_SENDING: usize = 32 << 10;

/// Most stretches at a time: half of what Linux maps for a process by default (`vm.max_map_count`).
const MOST: usize = 32 << 10;

/// By the address of their first byte: where each ends, and what it is.
static LOCKED: RwLock<BTreeMap<usize, (usize, Arc<Stretch>)>> = RwLock::new(BTreeMap::new());

/// What is locked of a file.
#[derive(Debug)]
struct Stretch {
    file: Arc<SoleFile>,
    observed: Observed,
    offset: u64,
    /// Not all of it could be had.
    torn: AtomicBool,
}

impl Stretch {
    /// Whether it can be had, and is what was locked.
    fn is_whole(&self) -> bool {
        if !self.torn.load(Ordering::Relaxed) && !self.file.is_since(self.observed) {
            self.torn.store(true, Ordering::Relaxed);
        }
        !self.torn.load(Ordering::Relaxed)
    }

    fn check(&self) -> io::Result<()> {
        match self.is_whole() {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "somebody else has changed the file")),
        }
    }
}

/// A place in a locked stretch.
#[derive(Clone, Debug)]
pub struct Place {
    stretch: Arc<Stretch>,
    offset: u64,
}

impl Place {
    /// Fills `buf`; an error where somebody has cut the file off, or written to it.
    pub fn read(&self, buf: &mut [u8]) -> io::Result<()> {
        self.noted(self.stretch.file.read_exact_at(buf, self.offset))?;
        self.stretch.check()
    }

    /// Gives at most `len` bytes to a socket that does not block; how many it took. An error as for [`Self::read`]. What the
    /// socket took is still the file's page until it has left.
    pub fn send(&self, socket: impl AsFd, len: usize) -> io::Result<usize> {
        self.stretch.check()?;
        let mut offset = self.offset;
        match sendfile(socket, &**self.stretch.file, Some(&mut offset), len) {
            // The file's, not the socket's.
            Err(error @ (Errno::IO | Errno::INVAL | Errno::STALE)) => self.noted(Err(error.into())),
            Err(error) => Err(error.into()),
            Ok(0) => self.noted(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => Ok(n),
        }
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.stretch.torn.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// A stretch of a file whose pages stay in memory until this is dropped.
pub struct Locked {
    map: Mmap,
    stretch: Arc<Stretch>,
}

impl Locked {
    /// Reads the stretch into the page cache, where it is not there yet, and locks it there. Blocks. To be checked afterwards:
    /// what is changed from now on is noticed. `None` when the file was written to in the last two seconds. Fails where
    /// `RLIMIT_MEMLOCK` is too small.
    pub fn new(file: Arc<SoleFile>, offset: u64, len: usize) -> io::Result<Option<Self>> {
        if LOCKED.read().len() >= MOST {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let Some(observed) = file.observe()? else { return Ok(None) };
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        // SAFETY: the bytes do not change while they are mapped: records of segments are written once, and files of segments
        // only removed, never cut off behind a record. Should another process do that, nobody reads through the mapping: who
        // sends the bytes has `find`.
        #[allow(unsafe_code, reason = "see above")]
        let map = unsafe { options.map(&**file)? };
        map.lock()?;
        let range = map.as_ptr_range();
        let stretch = Arc::new(Stretch { file, observed, offset, torn: AtomicBool::new(false) });
        LOCKED.write().insert(range.start as usize, (range.end as usize, Arc::clone(&stretch)));
        Ok(Some(Self { map, stretch }))
    }

    /// Tells whether it is still what it was, also when this is somebody else's.
    pub fn watch(&self) -> Watch {
        Watch { stretch: Arc::clone(&self.stretch) }
    }
}

/// See [`Locked::watch`].
pub struct Watch {
    stretch: Arc<Stretch>,
}

impl Watch {
    /// Whether somebody has cut the file off, or written to it.
    pub fn is_torn(&self) -> bool {
        !self.stretch.is_whole()
    }
}

impl AsRef<[u8]> for Locked {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Before the addresses can be somebody else's.
        LOCKED.write().remove(&(self.map.as_ptr() as usize));
    }
}

/// The kernel could not read all of these (EFAULT).
pub fn unreadable(bytes: &[u8]) {
    if let Some(place) = find(bytes) {
        place.stretch.torn.store(true, Ordering::Relaxed);
    }
}

/// The first of `slices` with at least so many bytes that is of a locked stretch, and where it lies.
pub fn first_of(slices: &[IoSlice<'_>], least: usize) -> Option<(usize, Place)> {
    let mut looked_up = slices.iter().enumerate().filter(|(_, slice)| slice.len() >= least);
    looked_up.find_map(|(at, slice)| Some((at, find(slice)?)))
}

/// Where `bytes` lie in a file, if they are of a locked stretch.
pub fn find(bytes: &[u8]) -> Option<Place> {
    let range = bytes.as_ptr_range();
    let (start, end) = (range.start as usize, range.end as usize);
    let locked = LOCKED.read();
    let (&first, (last, stretch)) = locked.range(..=start).next_back()?;
    let offset = stretch.offset + (start - first) as u64;
    (end <= *last).then(|| Place { stretch: Arc::clone(stretch), offset })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use super::*;

    /// As if it had been written some time ago.
    fn aged(file: File) -> Arc<SoleFile> {
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        Arc::new(SoleFile::new(file))
    }

    fn zeros() -> Arc<SoleFile> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        aged(file)
    }

    #[test]
    fn locked_bytes_are_known_by_their_addresses() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        file.write_all(&bytes).unwrap();
        let file = aged(file);
        let locked = Locked::new(Arc::clone(&file), 5001, 10_000).unwrap().unwrap();
        let mapped = locked.as_ref();
        assert!(mapped == &bytes[5001..15_001]);
        for range in [0..10_000, 0..1, 77..9_000, 9_999..10_000] {
            let place = find(&mapped[range.clone()]).unwrap();
            let mut read = vec![0; range.len()];
            place.read(&mut read).unwrap();
            assert!(read == mapped[range]);
        }
        assert!(find(&bytes).is_none() && find(&[0; 3]).is_none());
        let (start, end) = (mapped.as_ptr() as usize, mapped.as_ptr() as usize + mapped.len());
        drop(locked);
        assert!(LOCKED.read().range(start..end).next().is_none());
        assert_eq!(Arc::strong_count(&file), 1);
    }

    #[test]
    fn a_file_that_was_cut_off_is_an_error() {
        let file = zeros();
        let locked = Locked::new(Arc::clone(&file), 0, 8192).unwrap().unwrap();
        let watch = locked.watch();
        assert!(!watch.is_torn());
        file.set_len(4096).unwrap();
        let place = find(locked.as_ref()).unwrap();
        assert!(place.read(&mut [0; 8192]).is_err() && watch.is_torn());
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        assert!(Locked::new(file, 0, 8192).is_err(), "there is nothing to lock");
    }

    #[test]
    fn a_file_that_was_written_to_is_an_error() {
        let file = zeros();
        let locked = Locked::new(Arc::clone(&file), 0, 4096).unwrap().unwrap();
        let watch = locked.watch();
        let place = find(locked.as_ref()).unwrap();
        assert!(place.read(&mut [0; 10]).is_ok());
        // Which of its bytes was changed, nobody tells.
        file.write_all_at(&[1], 8000).unwrap();
        assert!(Locked::new(Arc::clone(&file), 0, 4096).unwrap().is_none(), "too early");
        let (_there, here) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(place.send(&here, 10).is_err() && place.read(&mut [0; 10]).is_err() && watch.is_torn());
    }
}
