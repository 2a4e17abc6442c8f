//! The rules as tables: each row cites the section it proves. `section | ... | expected`, fields apart by ` ; `.
//!
//! The functions under test are pure, so that a row is all there is to know about a case.

mod conditions;
mod fresh;
mod reuse;
mod storing;

use http::header::{HeaderMap, HeaderName};

/// A response without other word is dated `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// The same in seconds since 1970.
pub const SECONDS: u64 = 784_111_777;

/// The cells of each row, trimmed.
pub fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.split('|').map(str::trim).collect())
}

/// `name: value ; name: value`
pub fn fields(cell: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in cell.split(" ; ").filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once(':').unwrap();
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.trim().parse().unwrap());
    }
    headers
}

#[test]
fn there_are_enough_rows_and_each_cites_its_section() {
    let tables = [fresh::TABLES, reuse::TABLES, storing::TABLES, conditions::TABLES].concat();
    let sections: Vec<_> = tables.into_iter().flat_map(rows).map(|row| row[0]).collect();
    assert!(sections.len() >= 300, "{} rows", sections.len());
    for section in sections {
        let known = ["9110 §", "9111 §", "5861 §", "docs "].iter().any(|one| section.starts_with(one));
        assert!(known, "{section}");
    }
}
