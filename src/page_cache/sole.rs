//! A file that nobody but this program should write to, and how it notices that somebody did: by the time of the last change.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;

/// A file system may give the same time once more to whoever writes so much later: ticks of the kernel, seconds where inodes are
/// small.
const TICK: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub struct SoleFile {
    file: File,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When this program saw it changed last.
    changed: Option<SystemTime>,
    /// Counts the changes that others made.
    intrusions: u64,
}

/// What a file was at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    intrusions: u64,
}

impl SoleFile {
    /// As it is now.
    pub fn new(file: File) -> Self {
        Self { file, state: RwLock::default() }
    }

    /// What is read from now on is what it is until [`Self::is_since`] says otherwise. `None` when it was written to within the
    /// last two seconds: somebody could do so once more, and the time would not tell.
    pub fn observe(&self) -> io::Result<Option<Observed>> {
        let mut state = self.state.write();
        let changed = self.changed()?;
        if changed.elapsed().is_ok_and(|age| age >= TICK) {
            state.note(changed);
            return Ok(Some(Observed { intrusions: state.intrusions }));
        }
        Ok(None)
    }

    /// Whether nobody else has written to it since. What a write is about to change it changes after the time. Waits for
    /// nobody: while this program changes the file itself, nothing else is noticed.
    pub fn is_since(&self, observed: Observed) -> bool {
        let Some(state) = self.state.try_read() else { return true };
        let same = self.changed().is_ok_and(|changed| state.changed == Some(changed));
        same && state.intrusions == observed.intrusions
    }

    /// Has this program change what it has not observed. Blocks. Should others write at the same time, nobody may notice.
    pub fn change<T>(&self, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.write();
        if state.changed.is_none() {
            return write();
        }
        state.note(self.changed()?);
        let written = write();
        state.changed = Some(self.changed()?);
        written
    }

    fn changed(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }
}

impl State {
    fn note(&mut self, changed: SystemTime) {
        if self.changed.replace(changed) != Some(changed) {
            self.intrusions += 1;
        }
    }
}

impl Deref for SoleFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;

    fn old() -> (tempfile::NamedTempFile, SoleFile) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100]).unwrap();
        file.as_file().set_modified(SystemTime::now() - 2 * TICK).unwrap();
        let again = std::fs::OpenOptions::new().read(true).write(true).open(file.path()).unwrap();
        let sole = SoleFile::new(again);
        (file, sole)
    }

    #[test]
    fn others_are_noticed_and_reading_is_not_writing() {
        let (file, sole) = old();
        let observed = sole.observe().unwrap().unwrap();
        sole.read_exact_at(&mut [0; 100], 0).unwrap();
        assert_eq!(sole.observe().unwrap(), Some(observed));
        assert!(sole.is_since(observed));
        file.as_file().write_all_at(&[7], 3).unwrap();
        assert!(!sole.is_since(observed), "also when it was the same byte");
    }

    #[test]
    fn what_was_written_to_just_now_is_not_observed() {
        let (file, sole) = old();
        file.as_file().write_all_at(&[8], 3).unwrap();
        assert_eq!(sole.observe().unwrap(), None);
        file.as_file().set_modified(SystemTime::now() + 100 * TICK).unwrap();
        assert_eq!(sole.observe().unwrap(), None, "the clock was set back");
    }

    #[test]
    fn whoever_looks_later_does_not_make_good_what_was_seen_before() {
        let (file, sole) = old();
        let observed = sole.observe().unwrap().unwrap();
        file.as_file().write_all_at(&[8], 3).unwrap();
        file.as_file().set_modified(SystemTime::now() - 3 * TICK).unwrap();
        let later = sole.observe().unwrap().unwrap();
        assert!(!sole.is_since(observed) && sole.is_since(later));
    }

    #[test]
    fn our_own_changes_are_none_and_hide_none() {
        let (file, sole) = old();
        let observed = sole.observe().unwrap().unwrap();
        sole.change(|| sole.write_all_at(&[1], 0)).unwrap();
        assert!(sole.is_since(observed));
        assert!(sole.change(|| Ok(sole.is_since(observed))).unwrap(), "nobody waits meanwhile");
        file.as_file().set_modified(SystemTime::now() - 3 * TICK).unwrap();
        sole.change(|| sole.write_all_at(&[2], 0)).unwrap();
        assert!(!sole.is_since(observed), "somebody else was here before");
    }
}
