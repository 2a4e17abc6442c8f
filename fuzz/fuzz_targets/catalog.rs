//! Catalogs: rows of any kind in a good database, and damaged databases. A walk ends within its bounds, whatever it is shown,
//! also when every nested catalog is the same one again.
#![no_main]

use std::io::Write;

use arbitrary::Arbitrary;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use libfuzzer_sys::fuzz_target;
use rusqlite::{Connection, params};
use substratum::catalog::walk::{Bounds, Depth, Source, Walk};
use substratum::catalog::{Kind, Object, RepoPath};
use substratum::digest::{Algorithm, ObjectName};

const BOUNDS: Bounds = Bounds { catalogs: 5, inflated: 1 << 20, entries: 60, objects: 20 };

const TABLES: &str = "\
    CREATE TABLE catalog (md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, hash BLOB, size INTEGER, \
        mode INTEGER, flags INTEGER, name TEXT, symlink TEXT);
    CREATE INDEX of_parent ON catalog (parent_1, parent_2);
    CREATE TABLE chunks (md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB);
    CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER);";

#[derive(Arbitrary, Debug)]
struct Row<'a> {
    parent: u8,
    name: &'a [u8],
    size: i64,
    flags: u16,
    hash: Option<[u8; 20]>,
    link: &'a [u8],
    part: Option<(i64, i64)>,
    nested: Option<[u8; 20]>,
    misplaced: bool,
}

/// Gives the same catalog for any name.
struct Same(Bytes);

impl Source for Same {
    type Error = std::fmt::Error;

    async fn catalog(&mut self, _: Object) -> Result<Bytes, std::fmt::Error> {
        Ok(self.0.clone())
    }
}

fn database(rows: &[Row<'_>]) -> rusqlite::Result<Vec<u8>> {
    let database = Connection::open_in_memory()?;
    database.execute_batch(TABLES)?;
    let mut paths = vec![RepoPath::default()];
    let (a, b) = paths[0].key();
    database.execute("INSERT INTO catalog VALUES (?, ?, 0, 0, NULL, 0, 0, 1, '', '')", params![a, b])?;
    for row in rows.iter().take(40) {
        let parent = paths[usize::from(row.parent) % paths.len()].clone();
        let path = parent.child(row.name).unwrap_or_else(|_| parent.clone());
        let ((mut a, b), (c, d)) = (path.key(), parent.key());
        a = a.wrapping_add(row.misplaced.into());
        let name = String::from_utf8_lossy(row.name);
        let (hash, link) = (row.hash.map(|hash| hash.to_vec()), String::from_utf8_lossy(row.link));
        database.execute(
            "INSERT INTO catalog VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
            params![a, b, c, d, hash, row.size, row.flags, name, link],
        )?;
        if let Some((offset, size)) = row.part {
            database.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", params![a, b, offset, size, row.hash.map(|h| h.to_vec())])?;
        }
        if let Some(nested) = row.nested.and_then(|digest| ObjectName::new(Algorithm::Sha1, &digest)) {
            let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
            database.execute("INSERT INTO nested_catalogs VALUES (?, ?, 0)", params![path, nested.to_string()])?;
        }
        paths.push(path);
    }
    Ok(database.serialize("main")?.to_vec())
}

fuzz_target!(|input: (Vec<Row<'_>>, Vec<(u16, u8)>, u16)| {
    let (rows, flips, cut) = input;
    let Ok(mut bytes) = database(&rows) else { return };
    for (at, flip) in flips {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= flip;
    }
    if cut > 0x8000 {
        bytes.truncate(usize::from(cut));
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
    let stored = encoder.write_all(&bytes).and_then(|()| encoder.finish()).unwrap_or_default();
    let root = Object { name: ObjectName::of(Algorithm::Sha1, &stored), kind: Kind::Catalog };
    let mut source = Same(stored.into());
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let tree = runtime.block_on(Walk::new(&mut source, root, BOUNDS).tree(&RepoPath::default(), Depth::All));
    match tree {
        Ok(tree) => {
            assert!(tree.catalogs.len() <= BOUNDS.catalogs && tree.objects.len() <= BOUNDS.objects);
            for object in &tree.objects {
                let path = format!("/cvmfs/a.b/{object}");
                assert_eq!(substratum::layout::object(&path).map(|found| found.name), Some(object.name), "{path}");
            }
            for (path, _) in &tree.catalogs {
                assert!(!path.to_string().chars().any(char::is_control), "{path}");
            }
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
    let _ = runtime.block_on(Walk::new(&mut source, root, BOUNDS).list(&RepoPath::default(), Depth::OneCatalog));
});
