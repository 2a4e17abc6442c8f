//! The contents of records: a stored response and whose it is, as bytes and back.
//!
//! ```text
//! document   authority, path and query, response
//! manifest   scope, repository, sequence (8), confirmed (8), response
//! response   status (2), received (8), age on arrival (8), varying fields, fields, body
//! ```
//! Texts are preceded by their length (4). Times are milliseconds since 1970. Fields: their number (4), then name and
//! value of each; a varying field has a byte between the two, which is 0 when the request lacked the field.
//! Nothing here trusts its input, although only what passed its checksum comes here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::record::{Fault, Kind, open, seal};
use crate::document::key::DocumentKey;
use crate::document::stored::Stored;
use crate::document::vary::Selection;
use crate::document::watermark::MarkKey;

/// A response as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The requests it may answer.
    pub selection: Selection,
    /// When its head came.
    pub received: SystemTime,
    /// Its age then.
    pub age: Duration,
}

/// The newest manifest of a repository as it was written.
#[derive(Clone, Debug)]
pub struct WrittenMark {
    /// Whose.
    pub key: MarkKey,
    /// The later of two records of one repository has the higher one.
    pub sequence: u64,
    /// When an upstream last sent or confirmed it.
    pub confirmed: SystemTime,
    /// The manifest.
    pub manifest: Written,
}

/// A record of a document; `None` if it is too long.
pub fn document(key: &DocumentKey, stored: &Stored) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(stored.weight() + key.as_str().len());
    put_text(&mut content, key.authority().as_bytes())?;
    put_text(&mut content, key.target().as_bytes())?;
    put_response(&mut content, stored)?;
    seal(Kind::Document, &content)
}

/// Reads the record that is all of `bytes`.
pub fn read_document(bytes: &Bytes) -> Result<(DocumentKey, Written), Fault> {
    let (content, []) = open(Kind::Document, bytes)? else { return Err(Fault::Damaged) };
    let mut reader = Reader { whole: bytes, rest: content };
    let read = |reader: &mut Reader<'_>| {
        let (authority, target) = (reader.text()?, reader.text()?);
        let well_formed = !authority.contains('/') && target.starts_with('/');
        let key = well_formed.then(|| DocumentKey::new(authority, target))?;
        Some((key, reader.response()?))
    };
    read(&mut reader).filter(|_| reader.rest.is_empty()).ok_or(Fault::Damaged)
}

/// A record of the newest manifest of a repository; `None` if it is too long.
pub fn mark(key: &MarkKey, sequence: u64, confirmed: SystemTime, manifest: &Stored) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    put_text(&mut content, key.scope.as_bytes())?;
    put_text(&mut content, key.repository.as_bytes())?;
    content.extend_from_slice(&sequence.to_le_bytes());
    content.extend_from_slice(&milliseconds(confirmed).to_le_bytes());
    put_response(&mut content, manifest)?;
    seal(Kind::Manifest, &content)
}

/// Reads the record that `bytes` begin with.
pub fn read_mark(bytes: &Bytes) -> Result<WrittenMark, Fault> {
    let (content, _) = open(Kind::Manifest, bytes)?;
    let mut reader = Reader { whole: bytes, rest: content };
    let read = |reader: &mut Reader<'_>| {
        let key = MarkKey { scope: reader.text()?.into(), repository: reader.text()?.into() };
        let (sequence, confirmed) = (reader.number()?, reader.time()?);
        Some(WrittenMark { key, sequence, confirmed, manifest: reader.response()? })
    };
    read(&mut reader).filter(|_| reader.rest.is_empty()).ok_or(Fault::Damaged)
}

/// What a response varies on, as it is written; also what its file is named by.
pub fn selection(selection: &Selection) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in selection.fields() {
        // Lengths beyond 32 bits do not occur in requests; a name that is cut short is still a name.
        let _ = put_text(&mut bytes, name.as_str().as_bytes());
        bytes.push(u8::from(value.is_some()));
        let _ = put_text(&mut bytes, value.unwrap_or_default());
    }
    bytes
}

fn put_response(bytes: &mut Vec<u8>, stored: &Stored) -> Option<()> {
    let (age, received) = stored.freshness().on_arrival();
    bytes.extend_from_slice(&stored.status().as_u16().to_le_bytes());
    bytes.extend_from_slice(&milliseconds(received).to_le_bytes());
    // Rounded up: nothing becomes younger by being written.
    let age = u64::try_from(age.as_nanos().div_ceil(1_000_000)).ok()?;
    bytes.extend_from_slice(&age.to_le_bytes());
    put_number(bytes, stored.selection().fields().count())?;
    bytes.extend_from_slice(&selection(stored.selection()));
    put_number(bytes, stored.headers().len())?;
    for (name, value) in stored.headers() {
        put_text(bytes, name.as_str().as_bytes())?;
        put_text(bytes, value.as_bytes())?;
    }
    put_text(bytes, stored.body())
}

fn put_text(bytes: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    put_number(bytes, text.len())?;
    bytes.extend_from_slice(text);
    Some(())
}

fn put_number(bytes: &mut Vec<u8>, number: usize) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    Some(())
}

/// Milliseconds since 1970.
pub fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

struct Reader<'a> {
    // The record, of which the body becomes a part without being copied.
    whole: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn response(&mut self) -> Option<Written> {
        let status = StatusCode::from_u16(u16::from_le_bytes(self.take()?)).ok()?;
        let (received, age) = (self.time()?, Duration::from_millis(self.number()?));
        let varying = (0..self.length()?).map(|_| {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            let [present] = self.take()?;
            let value = self.bytes()?;
            Some((name, (present != 0).then(|| value.into())))
        });
        let selection = Selection::of_fields(varying.collect::<Option<Vec<_>>>()?);
        let mut headers = HeaderMap::new();
        for _ in 0..self.length()? {
            let name = HeaderName::from_bytes(self.bytes()?).ok()?;
            headers.try_append(name, HeaderValue::from_bytes(self.bytes()?).ok()?).ok()?;
        }
        let body = self.bytes()?;
        let body = if body.is_empty() { Bytes::new() } else { self.whole.slice_ref(body) };
        Some(Written { status, headers, body, selection, received, age })
    }

    fn time(&mut self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.number()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.take()?)).ok()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take()?))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }
}
