//! Catalogs that no publisher would write.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;

const TABLES_SQL: &str = "\
    CREATE TABLE catalog (md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, hash BLOB, \
        size INTEGER, mode INTEGER, flags INTEGER, name TEXT, symlink TEXT, CONSTRAINT pk PRIMARY KEY (md5path_1, md5path_2));
    CREATE TABLE chunks (md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB);
    CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER);";

/// Packs what SQL makes.
pub(in crate::catalog) fn packed(sql: &str) -> Vec<u8> {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(sql).unwrap();
    let bytes = database.serialize("main").unwrap().to_vec();
    deflated(&bytes)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

/// A row of `catalog`; `name` and key are those of the path.
pub(in crate::catalog) fn row(at: &str, size: i64, flags: i64) -> String {
    let at = path(at);
    let parent = at.names().count().checked_sub(1).map(|depth| {
        at.names().take(depth).fold(RepoPath::default(), |path, name| path.child(name).unwrap())
    });
    let ((a, b), (c, d)) = (at.key(), parent.map_or((0, 0), |parent| parent.key()));
    let name = String::from_utf8_lossy(at.name()).into_owned();
    format!(
        "INSERT INTO catalog VALUES ({a}, {b}, {c}, {d}, x'{}', {size}, 0, {flags}, '{name}', '');",
        "00".repeat(20)
    )
}

pub(in crate::catalog) fn with(rows: &[String]) -> Vec<u8> {
    packed(&format!("{TABLES_SQL}{}{}", row("/", 0, 1), rows.concat()))
}

fn refused(stored: &[u8]) -> String {
    match Catalog::open(stored, RepoPath::default(), MAX_CATALOG) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_no_catalog_is_refused() {
    let good = with(&[row("/a", 5, 4)]);
    assert_eq!(refused(&good), "opened");
    assert!(refused(b"x").contains("no whole zlib stream"));
    assert!(refused(&good[..good.len() / 2]).contains("no whole zlib stream"));
    assert!(refused(&deflated(b"")).contains("no usable database"), "{}", refused(&deflated(b"")));
    assert!(refused(&deflated(&[7; 10_000])).contains("no usable database"));
    let inflated = inflate::inflate(&good, 1 << 20).unwrap();
    for len in [100, 4_000, 4_096, 8_192] {
        assert_ne!(refused(&deflated(&inflated[..len])), "opened", "{len} of {}", inflated.len());
    }
    assert!(refused(&packed("CREATE TABLE catalog (x)")).contains("no usable database"));
    let unrooted = packed(TABLES_SQL);
    assert_eq!(refused(&unrooted), "it has no directory /, where it is mounted");
}

#[test]
fn what_sqlite_quotes_steers_no_terminal() {
    let mut bytes = inflate::inflate(&with(&[]), 1 << 20).unwrap();
    let at = bytes.windows(12).position(|words| words == b"CREATE TABLE").unwrap();
    bytes[at + 7] = 0x1b;
    let said = refused(&deflated(&bytes));
    assert!(said.contains("no usable database") && !said.contains('\x1b'), "{said:?}");
}

#[test]
fn any_flipped_byte_is_refused_or_harmless() {
    let inflated =
        inflate::inflate(&with(&[row("/a", 5, 4), row("/d", 0, 1), row("/d/f", 1, 4)]), 1 << 20).unwrap();
    for at in (0..inflated.len()).step_by(7) {
        let mut bytes = inflated.clone();
        bytes[at] ^= 0x55;
        if let Ok(catalog) = Catalog::open(&deflated(&bytes), RepoPath::default(), MAX_CATALOG) {
            // Whatever is said must be an answer.
            let _ = catalog.children(&RepoPath::default(), 100);
            let _ = catalog.nested(&path("/d"));
        }
    }
}

#[test]
fn views_functions_and_computed_columns_are_out_of_reach() {
    let tables = TABLES_SQL.replace("CREATE TABLE catalog", "CREATE TABLE real");
    let view = format!("{tables}CREATE VIEW catalog AS SELECT * FROM real;");
    assert!(refused(&packed(&view)).contains("no usable database"), "{}", refused(&packed(&view)));
    let endless = format!(
        "{tables}CREATE VIEW catalog AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
         SELECT x AS md5path_1, x AS md5path_2, 0 AS parent_1, 0 AS parent_2, 0 AS hash, 0 AS size, 0 AS mode, \
         1 AS flags, '' AS name, '' AS symlink FROM n;"
    );
    assert!(refused(&packed(&endless)).contains("no usable database"));
    let computed = TABLES_SQL.replace("hash BLOB", "hash BLOB AS (zeroblob(100000000))");
    let computed = refused(&packed(&format!(
        "{computed}{}",
        row("/", 0, 1)
            .replace(
                "catalog VALUES",
                "catalog (md5path_1, md5path_2, parent_1, parent_2, size, mode, flags, name, symlink) VALUES"
            )
            .replace(&format!("x'{}', ", "00".repeat(20)), "")
    )));
    assert!(computed.contains("no usable database"), "{computed}");
}

#[test]
fn work_without_end_is_broken_off() {
    // No index on the parents: each directory costs a look at all entries.
    let rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) \
                INSERT INTO catalog SELECT x, x, 7, 7, NULL, 0, 0, 1, 'x', '' FROM n;";
    let catalog = Catalog::open(&with(&[rows.to_owned()]), RepoPath::default(), MAX_CATALOG).unwrap();
    let ended = (0..100_000).find_map(|n| catalog.children(&path(&format!("/{n}")), 1).err());
    assert!(ended.unwrap().to_string().contains("interrupted"));
}

#[test]
fn entries_that_cannot_be() {
    let table = [
        (row("/a", -1, 4), "its entry /a has an absurd size"),
        (row("/a", i64::MAX, 4), "its entry /a has an absurd size"),
        (row("/a", 1, 4 | 7 << 8), "its entry /a has an unknown checksum algorithm"),
        (row("/a", 1, 4).replace(&"00".repeat(20), "00"), "its entry /a has no checksum"),
        (row("/a", 1, 4).replace("'a'", "'b'"), "its entry /b belongs somewhere else"),
        (row("/a", 1, 4).replace("'a'", "'..'"), "below / it has a name that is empty"),
        (row("/a", 1, 4).replace("'a'", "'a/b'"), "below / it has a name that is empty"),
        (row("/a", 1, 4).replace("'a'", "x'610062'"), "below / it has a name that is empty"),
        (row("/a", 1, 4).replace("'a'", "NULL"), "below / it has a name that is empty"),
        (
            row("/a", 0, 8).replace("'')", &format!("'{}')", "x".repeat(5_000))),
            "its entry /a has a link of absurd",
        ),
        (row("/a", 1, 4).replace("'a'", "'\x1b[2J'"), "its entry /\\u{1b}[2J belongs somewhere else"),
    ];
    for (sql, expected) in table {
        let catalog =
            Catalog::open(&with(std::slice::from_ref(&sql)), RepoPath::default(), MAX_CATALOG).unwrap();
        let said = catalog.children(&RepoPath::default(), 10).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{sql}: {said}");
    }
}

#[test]
fn a_directory_holds_so_many_bytes() {
    let deep = format!("/{}", vec!["d".repeat(250); 15].join("/"));
    let rows: Vec<_> = (0..17_500).map(|n| row(&format!("{deep}/{n}"), 0, 16)).collect();
    let catalog = Catalog::open(&with(&rows), RepoPath::default(), MAX_CATALOG).unwrap();
    assert!(rows.len() * deep.len() < MAX_DIRECTORY && rows.len() * (deep.len() + 100) > MAX_DIRECTORY);
    assert_eq!(catalog.children(&path(&deep), 20_000).unwrap(), None);
    let some = Catalog::open(&with(&rows[..100]), RepoPath::default(), MAX_CATALOG).unwrap();
    assert_eq!(some.children(&path(&deep), 20_000).unwrap().unwrap().len(), 100);
}

#[test]
fn a_directory_that_is_its_own_parent_leads_nowhere() {
    let (a, b) = RepoPath::default().key();
    let own = format!("UPDATE catalog SET parent_1 = {a}, parent_2 = {b};");
    let catalog = Catalog::open(&with(&[own]), RepoPath::default(), MAX_CATALOG).unwrap();
    let said = catalog.children(&RepoPath::default(), 10).unwrap_err().to_string();
    assert!(said.starts_with("below / it has a name that is empty"), "{said}");
}

#[test]
fn parts_make_up_the_file() {
    let (a, b) = path("/big").key();
    let part = |offset: i64, size: i64| {
        format!("INSERT INTO chunks VALUES ({a}, {b}, {offset}, {size}, x'{}');", "11".repeat(20))
    };
    let table = [
        (vec![part(6, 4), part(0, 6)], "2 parts"),
        (vec![part(0, 6)], "its entry /big has parts that are not as long as the file"),
        (vec![part(0, 6), part(7, 3)], "its entry /big has parts with a gap between them"),
        (vec![part(0, 6), part(0, 6)], "its entry /big has parts with a gap between them"),
        (vec![part(0, i64::MAX)], "its entry /big has a part of absurd size"),
        (vec![part(0, 10).replace(&"11".repeat(20), "")], "its entry /big has a part without a checksum"),
    ];
    for (mut rows, expected) in table {
        rows.push(row("/big", 10, 4 | 64));
        let catalog = Catalog::open(&with(&rows), RepoPath::default(), MAX_CATALOG).unwrap();
        let file = catalog.entry(&path("/big")).unwrap().unwrap();
        assert_eq!(file.kind, EntryKind::Chunked(Algorithm::Sha1));
        let said = match catalog.chunks(&file, Algorithm::Sha1, 10) {
            Ok(parts) => format!("{} parts", parts.unwrap().len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected);
    }
}
