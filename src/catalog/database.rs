//! One catalog: an SQLite file from who knows where, opened in memory, read only, and believed in nothing.
//!
//! No view, trigger, function or other table is reachable; rows, statements and work are bounded. Each row is bound to its
//! place: its key must be the MD5 of the path that led to it, so that no directory leads back to one above it.
//! Source: cvmfs `catalog_sql.h` (columns, flags).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};

use super::inflate::{self, InflateError};
use super::object::{Kind, Object};
use super::path::{BadPath, RepoPath, printable};
use crate::digest::{Algorithm, ObjectName};
use crate::document::manifest::parse_checksum;

/// Bytes of one catalog, inflated: in memory while it is read. Publishers are warned far below.
pub const MAX_CATALOG: u64 = 256 << 20;

/// Bytes of one row or value.
const MAX_VALUE: i32 = 1 << 20;

/// Bytes of the target of a link: what Linux follows (PATH_MAX).
const MAX_LINK: usize = 4096;

/// Bytes of paths and links of one directory's entries: each entry has its whole path.
const MAX_DIRECTORY: usize = 64 << 20;

/// Largest file that is believed in, in bytes: 1 PiB.
const MAX_FILE: u64 = 1 << 50;

/// Steps of SQLite between two looks at the bound.
const STEPS: i32 = 10_000;

/// So many looks, and it is broken off: a few seconds. A catalog of half a million entries takes a third of it.
const MAX_LOOKS: u64 = 20_000;

/// What may be read.
const TABLES: [&str; 4] = ["catalog", "chunks", "nested_catalogs", "sqlite_master"];

/// Why a catalog is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadCatalog {
    /// Not a zlib stream, or too long a one.
    #[error(transparent)]
    Inflate(#[from] InflateError),
    /// Not the database it should be.
    #[error("it is no usable database: {}", plain(.0))]
    Database(#[from] rusqlite::Error),
    /// Nothing that leads into it.
    #[error("it has no directory {0}, where it is mounted")]
    Unrooted(RepoPath),
    /// A row under a name that leads elsewhere.
    #[error("below {0} it has {1}")]
    Path(RepoPath, BadPath),
    /// A row that is not where its key says.
    #[error("its entry {0} belongs somewhere else")]
    Misplaced(RepoPath),
    /// A row that cannot be.
    #[error("its entry {0} has {1}")]
    Entry(RepoPath, &'static str),
}

/// What there is under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: RepoPath,
    /// What.
    pub kind: EntryKind,
    /// Bytes of content, for files.
    pub size: u64,
}

impl Entry {
    /// Bytes on the heap.
    pub(super) fn held(&self) -> usize {
        let target = if let EntryKind::Link(target) = &self.kind { target.len() } else { 0 };
        size_of::<Self>() + self.path.as_bytes().len() + target
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory whose entries are in the same catalog.
    Directory,
    /// A directory whose entries are in a catalog of their own; nothing when that is only mounted for history.
    Mountpoint,
    /// A file that is one object.
    File(Object),
    /// A file of several parts, named by this algorithm.
    Chunked(Algorithm),
    /// A file whose content comes from elsewhere.
    External,
    /// A link, and where to.
    Link(Vec<u8>),
    /// A device, pipe or socket; or a historic tree mounted here.
    Special,
}

/// An open catalog.
pub struct Catalog {
    database: Connection,
    /// Where it is mounted.
    pub mounted: RepoPath,
    /// Bytes, inflated.
    pub len: u64,
}

impl Catalog {
    /// Opens a catalog as it is stored, of no more than [`MAX_CATALOG`] bytes and `most` bytes.
    pub fn open(stored: &[u8], mounted: RepoPath, most: u64) -> Result<Self, BadCatalog> {
        let limit = most.min(MAX_CATALOG);
        let len = inflate::inflated_len(stored, limit)?;
        let len = usize::try_from(len).map_err(|_| InflateError::TooLarge { limit })?;
        let mut database = Connection::open_in_memory()?;
        database.deserialize_read_exact("main", inflate::reader(stored), len, true)?;
        confine(&database)?;
        let catalog = Self { database, mounted, len: len as u64 };
        for table in ["catalog", "chunks", "nested_catalogs"] {
            let sql: String = catalog.database.query_row(
                "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?",
                [table],
                |row| row.get(0),
            )?;
            // Nothing computed, nothing virtual.
            if !sql.starts_with("CREATE TABLE") {
                return Err(rusqlite::Error::InvalidQuery.into());
            }
        }
        match catalog.entry(&catalog.mounted)? {
            Some(_) => Ok(catalog),
            None => Err(BadCatalog::Unrooted(catalog.mounted)),
        }
    }

    /// What there is under `path`, as far as this catalog knows.
    pub fn entry(&self, path: &RepoPath) -> Result<Option<Entry>, BadCatalog> {
        let (first, second) = path.key();
        let sql = "SELECT hash, size, mode, flags, name, symlink FROM catalog WHERE md5path_1 = ? AND md5path_2 = ?";
        let mut statement = self.database.prepare_cached(sql)?;
        let mut rows = statement.query(params![first, second])?;
        rows.next()?.map(|row| entry(row, path.clone())).transpose()
    }

    /// The entries of a directory, in no order, each in its place; at most `most`, and 64 MiB of paths and
    /// links.
    pub fn children(&self, of: &RepoPath, most: usize) -> Result<Option<Vec<Entry>>, BadCatalog> {
        let (first, second) = of.key();
        let sql = "SELECT hash, size, mode, flags, name, symlink, md5path_1, md5path_2 FROM catalog \
                   WHERE parent_1 = ? AND parent_2 = ?";
        let mut statement = self.database.prepare_cached(sql)?;
        let mut rows = statement.query(params![first, second])?;
        let (mut found, mut held) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if found.len() == most || held > MAX_DIRECTORY {
                return Ok(None);
            }
            let name = bytes(row.get_ref(4)?).unwrap_or_default();
            let path = of.child(name).map_err(|why| BadCatalog::Path(of.clone(), why))?;
            if path.key() != (row.get(6)?, row.get(7)?) {
                return Err(BadCatalog::Misplaced(path));
            }
            let entry = entry(row, path)?;
            held += entry.held();
            found.push(entry);
        }
        Ok(Some(found))
    }

    /// The parts of a file with their sizes, in order: without gaps, and as long as the file together.
    pub fn chunks(
        &self,
        file: &Entry,
        algorithm: Algorithm,
        most: usize,
    ) -> Result<Option<Vec<(Object, u64)>>, BadCatalog> {
        let (first, second) = file.path.key();
        let sql =
            "SELECT offset, size, hash FROM chunks WHERE md5path_1 = ? AND md5path_2 = ? ORDER BY offset";
        let mut statement = self.database.prepare_cached(sql)?;
        let mut rows = statement.query(params![first, second])?;
        let (mut found, mut end) = (Vec::new(), 0_u64);
        let bad = |what| BadCatalog::Entry(file.path.clone(), what);
        while let Some(row) = rows.next()? {
            if found.len() == most {
                return Ok(None);
            }
            let size = number(row, 1)
                .filter(|size| *size <= file.size)
                .ok_or_else(|| bad("a part of absurd size"))?;
            if number(row, 0) != Some(end) {
                return Err(bad("parts with a gap between them"));
            }
            let name = bytes(row.get_ref(2)?).and_then(|digest| ObjectName::new(algorithm, digest));
            let name = name.ok_or_else(|| bad("a part without a checksum"))?;
            found.push((Object { name, kind: Kind::Part }, size));
            end += size;
        }
        if end == file.size { Ok(Some(found)) } else { Err(bad("parts that are not as long as the file")) }
    }

    /// The catalog mounted at `path`.
    pub fn nested(&self, path: &RepoPath) -> Result<Option<Object>, BadCatalog> {
        let mut statement =
            self.database.prepare_cached("SELECT sha1 FROM nested_catalogs WHERE path = ?")?;
        let text = ToSqlOutput::Borrowed(ValueRef::Text(path.as_bytes()));
        let mut rows = statement.query([text])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let name = bytes(row.get_ref(0)?).and_then(parse_checksum);
        let name = name.ok_or_else(|| BadCatalog::Entry(path.clone(), "a catalog without a checksum"))?;
        Ok(Some(Object { name, kind: Kind::Catalog }))
    }
}

/// SQLite's words quote what it does not understand.
fn plain(error: &rusqlite::Error) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = printable(error.to_string().as_bytes(), &mut text);
    text
}

/// Leaves nothing within reach but three tables, and so much work.
fn confine(database: &Connection) -> Result<(), rusqlite::Error> {
    use DbConfig::*;
    database
        .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON;")?;
    for (what, on) in [
        (SQLITE_DBCONFIG_DEFENSIVE, true),
        (SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
    ] {
        database.set_db_config(what, on)?;
    }
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 10_000),
        (Limit::SQLITE_LIMIT_COLUMN, 100),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 50),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        database.set_limit(limit, most)?;
    }
    let looks = Arc::new(AtomicU64::new(0));
    database.progress_handler(STEPS, Some(move || looks.fetch_add(1, Ordering::Relaxed) >= MAX_LOOKS))?;
    database.authorizer(Some(|context: AuthContext<'_>| match context.action {
        AuthAction::Select => Authorization::Allow,
        AuthAction::Read { table_name, .. } if TABLES.contains(&table_name) => Authorization::Allow,
        _ => Authorization::Deny,
    }))
}

mod flag {
    pub(super) const DIRECTORY: i64 = 1;
    pub(super) const MOUNTPOINT: i64 = 2;
    pub(super) const FILE: i64 = 4;
    pub(super) const LINK: i64 = 8;
    pub(super) const SPECIAL: i64 = 16;
    pub(super) const CHUNKED: i64 = 64;
    pub(super) const EXTERNAL: i64 = 128;
    /// Three bits: the algorithm, SHA-1 first.
    pub(super) const ALGORITHM_SHIFT: u32 = 8;
    pub(super) const BOUND: i64 = 1 << 14;
}

/// Columns `hash, size, mode, flags, name, symlink`.
fn entry(row: &Row<'_>, path: RepoPath) -> Result<Entry, BadCatalog> {
    let flags = match row.get_ref(3)? {
        ValueRef::Integer(flags) => flags,
        _ => return Err(BadCatalog::Entry(path, "no flags")),
    };
    let has = |flag| flags & flag != 0;
    let algorithm = match flags >> flag::ALGORITHM_SHIFT & 7 {
        0 => Algorithm::Sha1,
        1 => Algorithm::Rmd160,
        2 => Algorithm::Shake128,
        _ => return Err(BadCatalog::Entry(path, "an unknown checksum algorithm")),
    };
    let size = match number(row, 1).filter(|size| *size <= MAX_FILE) {
        Some(size) => size,
        None => return Err(BadCatalog::Entry(path, "an absurd size")),
    };
    let kind = match () {
        () if has(flag::BOUND) || has(flag::SPECIAL) => EntryKind::Special,
        () if has(flag::DIRECTORY) && has(flag::MOUNTPOINT) => EntryKind::Mountpoint,
        () if has(flag::DIRECTORY) => EntryKind::Directory,
        () if has(flag::LINK) => match bytes(row.get_ref(5)?).unwrap_or_default() {
            target if target.len() > MAX_LINK => {
                return Err(BadCatalog::Entry(path, "a link of absurd length"));
            }
            target => EntryKind::Link(target.to_vec()),
        },
        () if has(flag::EXTERNAL) => EntryKind::External,
        () if has(flag::CHUNKED) => EntryKind::Chunked(algorithm),
        () if has(flag::FILE) => {
            let name = bytes(row.get_ref(0)?).and_then(|digest| ObjectName::new(algorithm, digest));
            match name {
                Some(name) => EntryKind::File(Object { name, kind: Kind::File }),
                None => return Err(BadCatalog::Entry(path, "no checksum")),
            }
        }
        () => EntryKind::Special,
    };
    let size = match kind {
        EntryKind::File(_) | EntryKind::Chunked(_) | EntryKind::External => size,
        _ => 0,
    };
    Ok(Entry { path, kind, size })
}

/// A number that is not negative; nothing counts as 0.
fn number(row: &Row<'_>, column: usize) -> Option<u64> {
    match row.get_ref(column).ok()? {
        ValueRef::Integer(number) => u64::try_from(number).ok(),
        ValueRef::Null => Some(0),
        _ => None,
    }
}

fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
pub(in crate::catalog) mod tests;
