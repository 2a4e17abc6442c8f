//! Where lines go: a file that is rotated, or a stream (standard output, a pipe, a device).
//!
//! A file never grows beyond its limit by more than one block, so all of them together stay within
//! `(keep + 1) * max_size` and that block. A write that fails half-way leaves no half line behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Takes blocks of whole lines. Also the seam for tests.
pub(super) trait Sink: Send {
    /// Appends; may block.
    fn append(&mut self, lines: &[u8]) -> Result<(), Short>;

    /// Starts anew, where that means something.
    fn rotate(&mut self) -> io::Result<()>;
}

/// Not everything was written.
#[derive(Debug)]
pub(super) struct Short {
    /// Bytes that stand in the log: whole lines.
    pub(super) kept: usize,
    /// Why the rest does not.
    pub(super) source: io::Error,
}

impl From<io::Error> for Short {
    fn from(source: io::Error) -> Self {
        Self { kept: 0, source }
    }
}

/// Opens or creates a file; anything but a regular file is a stream.
pub(super) fn open(path: &Path, max_size: u64, keep: usize) -> io::Result<Box<dyn Sink>> {
    let file = open_file(path)?;
    if !file.metadata()?.is_file() {
        return Ok(Box::new(Stream(Output { file, end: End::Whole })));
    }
    let output = Output { end: end_of(&file)?, file };
    Ok(Box::new(RotatedFile { path: path.to_owned(), max_size, keep, output }))
}

/// Standard output, without the buffer and the lock of [`io::stdout`].
pub(super) fn standard_output() -> io::Result<Box<dyn Sink>> {
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(Box::new(Stream(Output { file, end: End::Whole })))
}

struct Stream(Output);

impl Sink for Stream {
    fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        self.0
            .write(lines)
            .map_err(|(written, source)| Short { kept: whole_lines(&lines[..written]), source })
    }

    fn rotate(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct RotatedFile {
    path: PathBuf,
    max_size: u64,
    /// Older files kept: `.1` is the youngest.
    keep: usize,
    output: Output,
}

impl Sink for RotatedFile {
    fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        // Asked anew each time: another process may truncate the file, or append to it during a restart.
        let size = self.output.file.metadata()?.len();
        if size > 0 && size + lines.len() as u64 > self.max_size {
            self.rotate()?;
        }
        self.output.write(lines).map_err(|(written, source)| {
            let kept = whole_lines(&lines[..written]);
            self.output.take_back(written - kept);
            Short { kept, source }
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Somebody else (logrotate) may have renamed it already; then only a new file is due.
        if self.is_in_place()? {
            for age in (1..self.keep).rev() {
                rename(&self.aged(age), &self.aged(age + 1))?;
            }
            match self.keep {
                0 => fs::remove_file(&self.path)?,
                _ => rename(&self.path, &self.aged(1))?,
            }
        }
        let file = open_file(&self.path)?;
        self.output = Output { end: end_of(&file)?, file };
        Ok(())
    }
}

impl RotatedFile {
    /// Whether the path still names the open file.
    fn is_in_place(&self) -> io::Result<bool> {
        let open = self.output.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn aged(&self, age: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{age}"));
        name.into()
    }
}

/// An open file, and whether its last line is whole.
struct Output {
    file: File,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Torn,
}

impl Output {
    /// On failure: how many bytes of `lines` were written.
    fn write(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.end == End::Torn {
            write_counting(&mut self.file, b"\n").map_err(|(_, error)| (0, error))?;
            self.end = End::Whole;
        }
        write_counting(&mut self.file, lines).inspect_err(|&(written, _)| {
            if whole_lines(&lines[..written]) != written {
                self.end = End::Torn;
            }
        })
    }

    /// Removes the beginning of a line from the end, or remembers that it stands there.
    fn take_back(&mut self, torn: usize) {
        if torn == 0 {
            return;
        }
        let shortened =
            self.file.metadata().and_then(|now| self.file.set_len(now.len().saturating_sub(torn as u64)));
        self.end = if shortened.is_ok() { End::Whole } else { End::Torn };
    }
}

fn write_counting(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// Reading is for [`end_of`]; with it, opening a pipe does not wait for a reader. The lines say who asked for
/// what, so they are not for everybody's eyes.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}

/// A crash may have left the beginning of a line.
fn end_of(file: &File) -> io::Result<End> {
    let mut last = [b'\n'];
    if let Some(at) = file.metadata()?.len().checked_sub(1) {
        file.read_at(&mut last, at)?;
    }
    Ok(if last == *b"\n" { End::Whole } else { End::Torn })
}

/// Length of the whole lines at the start.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&c| c == b'\n').map_or(0, |at| at + 1)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use rustix::fs::{OFlags, fcntl_setfl};

    use super::*;

    /// A pipe takes a part of a write, and no more until somebody reads.
    #[test]
    fn a_half_line_in_a_stream_gets_an_end_before_the_next() {
        let (mut reader, writer) = io::pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let mut stream = Stream(Output { file: OwnedFd::from(writer).into(), end: End::Whole });
        let lines = format!("{}\n", "x".repeat(99)).repeat(1_000_000 / 100);

        let short = stream.append(lines.as_bytes()).unwrap_err();
        assert_eq!(short.source.kind(), io::ErrorKind::WouldBlock);
        assert!(short.kept > 0 && short.kept.is_multiple_of(100) && short.kept < lines.len());

        let mut before = vec![0; short.kept];
        reader.read_exact(&mut before).unwrap();
        stream.append(b"next\n").unwrap();
        drop(stream);
        let mut after = String::new();
        reader.read_to_string(&mut after).unwrap();
        let (torn, next) = after.split_once('\n').unwrap();
        assert!(torn.len() < 100 && torn.bytes().all(|c| c == b'x'));
        assert_eq!(next, "next\n");
    }

    #[test]
    fn a_half_line_in_a_file_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "whole\nhal").unwrap();
        let file = open_file(&path).unwrap();
        let mut output = Output { end: end_of(&file).unwrap(), file };
        assert!(output.end == End::Torn);
        output.take_back(3);
        output.write(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nnext\n");
    }
}
