//! What the clerk does with the files of the last run: finds out which there are, makes them fit, and puts back into the
//! store what is intact, of use, and not out of date. The newest manifests come first, and all at once.

use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;

use super::books::FileState;
use super::clerk::{Clerk, Stock, note};
use super::codec;
use super::files::Found;
use super::name::Name;
use super::record::Fault;
use super::restored::Useless;
use super::slots::Slots;
use crate::cache::disk::blocks;
use crate::document::key::DocumentKey;
use crate::document::store::Restored;
use crate::document::stored::Stored;
use crate::document::terms::Terms;

impl Clerk {
    pub(super) fn load_manifests(&mut self) {
        if self.slot_count == 0 {
            let _ = self.files.remove_manifests();
            return;
        }
        let contents = match Slots::open(self.files.clone(), self.slot_count) {
            Ok((slots, contents)) => {
                self.slots = slots;
                contents
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.metrics.dropped.unreadable.inc();
                self.metrics.read_errors.inc();
                tracing::error!(
                    folder = %self.files.folder().display(), %error,
                    "the newest manifests of the last run cannot be read: until new ones come, older ones are not noticed"
                );
                return;
            }
        };
        for (slot, fault) in &contents.faults {
            self.count_fault(*fault);
            tracing::warn!(slot, %fault, "a manifest on disk is not used");
        }
        let now = SystemTime::now();
        for mark in contents.marks {
            // The times of a mark are those of its confirmation; the terms of the document do not matter here.
            let restored = mark.manifest.manifest(&Terms::default(), now);
            let is_kept = restored.is_ok_and(|manifest| {
                self.shelf.watermarks.restore(&mark.key, Arc::new(manifest), mark.confirmed.min(now), now)
            });
            if !is_kept {
                self.slots.forget(&mark.key);
            } else if !self.slots.holds(&mark.key) {
                self.shelf.watermarks.write_again(&mark.key);
            }
        }
    }

    /// Finds out which files there are, and makes them fit.
    pub(super) fn take_stock(&mut self) {
        let listed = self.files.create_folder().and_then(|()| self.files.list());
        match listed.and_then(|found| self.enter(found)) {
            Ok(names) => {
                note(self.reading.succeeded(), "the folder of documents can be read again", None);
                self.stock = if self.desk.is_loading() { Stock::Loading(names) } else { Stock::Loaded };
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    self.mend();
                }
                self.metrics.read_errors.inc();
                note(
                    self.reading.unusable(Instant::now()),
                    "the folder of documents cannot be read: nothing is loaded or written",
                    Some(&error),
                );
            }
        }
    }

    fn enter(&mut self, found: Vec<Found>) -> io::Result<Vec<Name>> {
        self.desk.books(|books| books.recount(found.iter().map(|file| (file.name, blocks(file.bytes)))));
        while let Some(name) = self.desk.books(|books| books.surplus()) {
            self.files.remove(name)?;
            self.desk.books(|books| books.remove(name));
            self.metrics.dropped.space.inc();
        }
        Ok(found.into_iter().map(|file| file.name).collect())
    }

    pub(super) fn load(&mut self, name: Name) {
        if self.desk.books(|books| books.state(name)) != Some(FileState::Found) {
            return;
        }
        if !self.desk.may_load_any_of(name.url()) {
            return self.remove(name);
        }
        let bytes = match self.files.read(name, self.room) {
            Ok(bytes) => {
                note(self.reading.succeeded(), "documents on disk can be read again", None);
                bytes
            }
            Err(error) => {
                self.metrics.dropped.unreadable.inc();
                self.metrics.read_errors.inc();
                let change = self.reading.failed(Instant::now());
                note(change, "documents on disk cannot be read: trying again after a pause", Some(&error));
                return;
            }
        };
        let Some(bytes) = bytes else { return self.desk.books(|books| books.remove(name)) };
        let (key, stored) = match self.understand(name, bytes.into()) {
            Ok(understood) => understood,
            // It may be of use to the program that wrote it, as long as there is room.
            Err(Dropped::Fault(fault @ Fault::Newer(_))) => return self.count_fault(fault),
            Err(Dropped::Fault(fault)) => {
                tracing::warn!(file = %name, %fault, "a document on disk is dropped");
                self.count_fault(fault);
                return self.remove(name);
            }
            Err(Dropped::Expired) => {
                self.metrics.dropped.expired.inc();
                return self.remove(name);
            }
        };
        self.desk.books(|books| books.know(name, Instant::now()));
        match self.shelf.store.restore(&key, Arc::new(stored)) {
            Restored::Entered => self.metrics.loaded.inc(),
            // Whoever changed it has ordered what becomes of the file.
            Restored::Superseded => {}
            Restored::NoRoom => self.remove(name),
        }
    }

    fn understand(&self, name: Name, bytes: Bytes) -> Result<(DocumentKey, Stored), Dropped> {
        let (key, written) = codec::read_document(&bytes)?;
        let stored = written.document(&key, &self.shelf.terms(&key), SystemTime::now())?;
        // The name tells which one it replaces.
        if Name::of(Name::url_of(&key), stored.selection()) != name {
            return Err(Fault::Damaged.into());
        }
        Ok((key, stored))
    }

    fn count_fault(&self, fault: Fault) {
        match fault {
            Fault::Newer(_) => self.metrics.dropped.newer.inc(),
            Fault::Damaged => self.metrics.dropped.corrupt.inc(),
        }
    }
}

/// Why a file is not loaded.
enum Dropped {
    Fault(Fault),
    Expired,
}

impl From<Fault> for Dropped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Useless> for Dropped {
    fn from(useless: Useless) -> Self {
        match useless {
            Useless::Expired => Self::Expired,
            Useless::NoManifest => Self::Fault(Fault::Damaged),
        }
    }
}
