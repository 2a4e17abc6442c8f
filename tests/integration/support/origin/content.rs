//! What a stratum has, and with which header fields it sends it.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use httpdate::fmt_http_date;

use crate::support::fixtures;

/// The answer to a GET of one path when nothing goes wrong.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Page {
    /// A 200 without any field about freshness.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { status: 200, fields: Vec::new(), body: body.into() }
    }

    /// With one more field.
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// With another status.
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// As a stratum 1 decorates it: type, `max-age` and `Expires`; no validators.
    fn stratum(body: Bytes, media: &str, lifetime: Duration) -> Self {
        Self::new(body)
            .field("Content-Type", media)
            .field("Cache-Control", format!("max-age={}", lifetime.as_secs()))
            .field("Expires", fmt_http_date(SystemTime::now() + lifetime))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Objects live three days on a stratum's word.
const OBJECT_LIFETIME: Duration = Duration::from_secs(259_200);

/// Pages laid over the fixture tree.
#[derive(Debug)]
pub(super) struct Content {
    pub overlay: HashMap<String, Page>,
    pub tree: Tree,
    /// What stands where nothing else does, in place of a 404.
    pub anywhere: Option<Page>,
    /// Lifetime of manifests and their like; 61 s on a real stratum.
    pub document_lifetime: Duration,
}

/// Whether the fixture repositories lie below the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Empty,
    Fixtures,
}

impl Content {
    pub(super) fn new() -> Self {
        let document_lifetime = Duration::from_secs(61);
        Self { overlay: HashMap::new(), tree: Tree::Empty, anywhere: None, document_lifetime }
    }

    /// What lies at `path` (with its query, as requested).
    pub(super) fn page(&self, path: &str) -> Page {
        self.overlay
            .get(path)
            .cloned()
            .or_else(|| self.file(path))
            .or_else(|| self.anywhere.clone())
            .unwrap_or_else(|| Page::new("no such file\n").status(404))
    }

    pub(super) fn object(&mut self, path: String, bytes: Bytes) {
        self.overlay.insert(path, Page::stratum(bytes, "application/octet-stream", OBJECT_LIFETIME));
    }

    pub(super) fn set_revision(&mut self, repository: &str, revision: u32) {
        let file = format!("{repository}/revisions/{revision}/.cvmfspublished");
        let body = std::fs::read(fixtures().join(file)).expect("a revision that the fixtures have");
        let page = Page::stratum(body.into(), "application/x-cvmfs", self.document_lifetime);
        self.overlay.insert(format!("/cvmfs/{repository}/.cvmfspublished"), page);
    }

    fn file(&self, path: &str) -> Option<Page> {
        if self.tree == Tree::Empty {
            return None;
        }
        let relative = unescape(path.strip_prefix("/cvmfs/")?)?;
        if relative.split('/').any(|segment| segment == "..") {
            return None;
        }
        let file = fixtures().join(&relative);
        let body: Bytes = std::fs::read(&file).ok()?.into();
        let name = relative.rsplit('/').next()?;
        Some(if name.ends_with(".json") {
            Page::stratum(body, "application/json", self.document_lifetime)
        } else if name.starts_with(".cvmfs") && !name.starts_with(".cvmfsalt-") {
            Page::stratum(body, "application/x-cvmfs", self.document_lifetime)
        } else if relative.starts_with("extdata/") {
            // Another web server than the stratum: validators instead of a lifetime.
            let etag = format!("\"{:x}-{}\"", body.len(), name.len());
            Page::new(body)
                .field("Content-Type", "application/octet-stream")
                .field("Last-Modified", "Sat, 21 Nov 2026 08:00:00 GMT")
                .field("ETag", etag)
                .field("Accept-Ranges", "bytes")
        } else {
            Page::stratum(body, "application/octet-stream", OBJECT_LIFETIME)
        })
    }
}

fn unescape(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}
