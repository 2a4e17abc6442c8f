//! Positioned reads and writes of one segment file.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags};

use super::faults::{Faults, Operation, Verdict};
use super::health::ReadHealth;
use crate::page_cache::{Locked, SoleFile};

/// How long a read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Only what the page cache holds: for threads that serve.
    CachedOnly,
    /// As long as the disk takes: for threads that may block.
    Wait,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The whole buffer.
    Whole,
    /// Not all of it is cached; only for [`Patience::CachedOnly`].
    WouldBlock,
    /// The file ends before.
    Short,
}

/// What the folder lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk: reads may have to wait for it.
    Disk,
    /// Memory: reads never wait, and need not (on tmpfs cannot) ask not to.
    Memory,
    /// Another machine, or another process: even to ask when a file was changed may have to wait.
    Remote,
}

impl Medium {
    /// Of the file system that `path` is on.
    pub fn of(path: &Path) -> io::Result<Self> {
        // Linux, include/uapi/linux/magic.h.
        const TMPFS_MAGIC: u64 = 0x0102_1994;
        const RAMFS_MAGIC: u64 = 0x8584_58f6;
        // NFS, FUSE, SMB (three of them), Ceph, AFS, GPFS, Lustre, BeeGFS: as above, and coreutils, src/stat.c.
        const REMOTE: [u64; 10] = [
            0x6969,
            0x6573_5546,
            0x517b,
            0xfe53_4d42,
            0xff53_4d42,
            0x00c3_6400,
            0x5346_414f,
            0x4750_4653,
            0x0bd0_0bd0,
            0x1983_0326,
        ];
        // The type of the field differs between architectures.
        Ok(match rustix::fs::statfs(path)?.f_type as u32 as u64 {
            TMPFS_MAGIC | RAMFS_MAGIC => Self::Memory,
            kind if REMOTE.contains(&kind) => Self::Remote,
            _ => Self::Disk,
        })
    }
}

/// An open segment file.
pub struct SegmentFile {
    file: Arc<SoleFile>,
    medium: Medium,
    faults: Faults,
    health: Arc<ReadHealth>,
}

impl SegmentFile {
    /// Wraps an open file. How its reads go is noted in `health`.
    pub fn new(file: File, medium: Medium, faults: Faults, health: Arc<ReadHealth>) -> Self {
        Self { file: Arc::new(SoleFile::new(file)), medium, faults, health }
    }

    /// Whether its bytes may be locked at all.
    pub fn is_lockable(&self) -> bool {
        self.medium != Medium::Remote
    }

    /// Whether nobody has written to it for two seconds.
    pub fn is_at_rest(&self) -> bool {
        self.file.observe().is_ok_and(|observed| observed.is_some())
    }

    /// Locks `len` bytes from `offset` on in the page cache; `None` when it was written to just now.
    pub fn lock(&self, offset: u64, len: usize) -> io::Result<Option<Locked>> {
        self.faults.check(Operation::Read)?;
        Locked::new(Arc::clone(&self.file), offset, len)
    }

    /// Fills `buf` from `offset`. Its contents are undefined unless the answer is [`Filled::Whole`].
    pub fn read(&self, buf: &mut [u8], offset: u64, patience: Patience) -> io::Result<Filled> {
        match (patience, self.medium) {
            (Patience::CachedOnly, Medium::Disk | Medium::Remote) => self.read_cached(buf, offset),
            (Patience::CachedOnly, Medium::Memory) | (Patience::Wait, _) => {
                let read = self.read_waiting(buf, offset);
                self.health.note(&read);
                read
            }
        }
    }

    /// Writes all of `slices`, one behind the other.
    pub fn write(&self, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        // IOV_MAX of Linux.
        const AT_ONCE: usize = 1024;
        let len = slices.iter().map(|slice| slice.len()).sum();
        match self.faults.judge(Operation::Write(len)) {
            Verdict::Go => {}
            Verdict::Fail(errno) => return Err(errno.into()),
            Verdict::Torn(bytes, errno) => {
                let torn =
                    slices.iter().flat_map(|slice| slice.iter().copied()).take(bytes).collect::<Vec<u8>>();
                rustix::io::pwrite(&**self.file, &torn, offset)?;
                return Err(errno.into());
            }
        }
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let at_once = slices.len().min(AT_ONCE);
            match rustix::io::pwritev(&**self.file, &slices[..at_once], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    offset += n as u64;
                    IoSlice::advance_slices(&mut slices, n);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Has something written that nobody locks, while other bytes may be locked.
    pub fn change(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.file.change(write)
    }

    /// Length of the file in bytes.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Cuts the file off behind `len` bytes.
    pub fn truncate(&self, len: u64) -> io::Result<()> {
        self.faults.check(Operation::Truncate)?;
        self.file.set_len(len)
    }

    fn read_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<Filled> {
        let wanted = buf.len();
        match self.faults.judge(Operation::ReadCached) {
            Verdict::Go => {}
            Verdict::Fail(Errno::AGAIN) => return Ok(Filled::WouldBlock),
            Verdict::Fail(errno) | Verdict::Torn(_, errno) => return Err(errno.into()),
        }
        loop {
            let slices = &mut [IoSliceMut::new(buf)];
            return match rustix::io::preadv2(&**self.file, slices, offset, ReadWriteFlags::NOWAIT) {
                Ok(n) if n == wanted => Ok(Filled::Whole),
                // Less may mean the end of the file as well: a read that waits will tell.
                Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Filled::WouldBlock),
                Err(Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }

    fn read_waiting(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<Filled> {
        self.faults.check(Operation::Read)?;
        while !buf.is_empty() {
            match rustix::io::pread(&**self.file, &mut *buf, offset) {
                Ok(0) => return Ok(Filled::Short),
                Ok(n) => {
                    offset += n as u64;
                    buf = &mut buf[n..];
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Filled::Whole)
    }
}
