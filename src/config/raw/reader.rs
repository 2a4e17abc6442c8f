//! A TOML document, read table by table and key by key, with the faults found on the way.
//!
//! Opening a section refuses the keys it does not know. Each reading method checks the type, the text and the range
//! that `keys.rs` declares; it answers `None` for a key that is missing (a fault if it is required) or wrong (a fault).

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::text::Why;
use crate::config::error::{Fault, Finding, Place};
use crate::config::keys::{self, Absent, Accepts, Key, Shape, Table};
use crate::config::quantity::{parse_duration, parse_size};
use crate::config::units::ByteSize;

/// Longest piece of the file that a message repeats, in characters.
const MAX_QUOTE: usize = 60;

/// The document and its faults so far.
pub(super) struct Reader<'d> {
    text: &'d str,
    root: &'d DeTable<'d>,
    /// Byte offset and message.
    faults: Vec<(usize, String)>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(text: &'d str, root: &'d DeTable<'d>) -> Self {
        Self { text, root, faults: Vec::new() }
    }

    /// All faults in the order of the file, if there are any.
    pub(super) fn check(&mut self) -> Result<(), Vec<Fault>> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|(offset, _)| *offset);
        let located = faults.into_iter().map(|(offset, message)| {
            let (line, column) = position(self.text, offset);
            Fault { line, column, message }
        });
        Err(located.collect())
    }

    /// Refuses what stands at the top of the file and is not a known table.
    pub(super) fn refuse_unknown_tables(&mut self) {
        for (name, _) in self.root.iter().filter(|(name, _)| keys::table(name.get_ref()).is_none()) {
            let message = match nearest(name.get_ref(), keys::TABLES.iter().map(|table| table.name)) {
                Some(near) => format!("did you mean {}?", known_table(near)),
                None => match owners(name.get_ref()) {
                    owners if owners.is_empty() => format!("known tables: {}", join(keys::TABLES)),
                    owners => format!("it belongs in {}", join(owners)),
                },
            };
            self.refuse(name.span().start, format!("[{}]: unknown table; {message}", name.get_ref()));
        }
    }

    /// The table, or an empty one when it is missing.
    pub(super) fn section(&mut self, table: &'static Table) -> Section<'d, '_> {
        let found = self.find(table);
        self.open(table, 0, found)
    }

    /// The table, unless it is missing.
    pub(super) fn section_if_present(&mut self, table: &'static Table) -> Option<Section<'d, '_>> {
        let found = self.find(table)?;
        Some(self.open(table, 0, Some(found)))
    }

    /// What `read` makes of each of the `[[tables]]`.
    pub(super) fn sections<T>(
        &mut self,
        table: &'static Table,
        read: impl Fn(&mut Section<'d, '_>) -> Option<T>,
    ) -> Vec<T> {
        let Some((start, value)) = entry(self.root, table.name) else {
            return Vec::new();
        };
        let Some(elements) = value.get_ref().as_array() else {
            self.refuse(start, format!("{table}: may stand several times; write {table}"));
            return Vec::new();
        };
        let mut results = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            match element.get_ref().as_table() {
                Some(content) => {
                    let start = element.span().start;
                    results.extend(read(&mut self.open(table, index, Some((start, content)))));
                }
                None => self.refuse(
                    element.span().start,
                    format!("{table}: not a table; write {table} above its keys"),
                ),
            }
        }
        results
    }

    /// Refuses what [`check`](crate::config::check) found, at the first of its keys that the file mentions.
    pub(super) fn refuse_finding(&mut self, finding: &Finding) {
        let offset = |place: Place| {
            let value = entry(self.root, place.key.table)?.1.get_ref();
            let table = match place.key.shape {
                Shape::Once => value.as_table()?,
                Shape::Many => value.as_array()?.get(place.index)?.get_ref().as_table()?,
            };
            Some(entry(table, place.key.name)?.0)
        };
        let offset = offset(finding.place).or_else(|| offset(finding.other?)).unwrap_or(0);
        self.refuse(offset, finding.to_string());
    }

    fn find(&mut self, table: &'static Table) -> Option<(usize, &'d DeTable<'d>)> {
        let (start, value) = entry(self.root, table.name)?;
        match value.get_ref().as_table() {
            Some(content) => Some((start, content)),
            None => {
                self.refuse(start, format!("{table}: not a table; write {table} above its keys, once"));
                None
            }
        }
    }

    fn open(
        &mut self,
        table: &'static Table,
        index: usize,
        found: Option<(usize, &'d DeTable<'d>)>,
    ) -> Section<'d, '_> {
        let (start, content) = found.unzip();
        let mut section = Section { reader: self, table, index, start: start.unwrap_or(0), content };
        section.refuse_unknown_keys();
        section
    }

    fn refuse(&mut self, offset: usize, message: String) {
        self.faults.push((offset, message));
    }

    /// The value as it stands in the file, shortened to something that fits in a message.
    fn quote(&self, value: &Spanned<DeValue<'d>>) -> String {
        let source = self.text.get(value.span()).unwrap_or_default();
        let line = source.lines().next().unwrap_or_default();
        match line.char_indices().nth(MAX_QUOTE) {
            Some((end, _)) => format!("{}...", &line[..end]),
            None if line.len() < source.len() => format!("{line}..."),
            None => line.to_owned(),
        }
    }
}

/// One table while it is read.
pub(super) struct Section<'d, 'r> {
    reader: &'r mut Reader<'d>,
    table: &'static Table,
    /// Which of several `[[tables]]`, from 0.
    index: usize,
    /// Where the table begins; meaningless when it is missing.
    start: usize,
    content: Option<&'d DeTable<'d>>,
}

impl<'d> Section<'d, '_> {
    /// A size: a string, or a number of bytes.
    pub(super) fn size(&mut self, key: &'static Key) -> Option<ByteSize> {
        self.read(key, |value| {
            let size = match value {
                DeValue::String(text) => parse_size(text)?,
                DeValue::Integer(number) => ByteSize(whole(number)?),
                other => return Err(wrong_type(other)),
            };
            in_range(size, &key.accepts, Accepts::admits_size)
        })
    }

    /// A duration: a string with a unit.
    pub(super) fn duration(&mut self, key: &'static Key) -> Option<Duration> {
        self.read(key, |value| {
            let duration = match value {
                DeValue::String(text) => parse_duration(text)?,
                DeValue::Integer(_) | DeValue::Float(_) => return Err("has no unit".into()),
                other => return Err(wrong_type(other)),
            };
            in_range(duration, &key.accepts, Accepts::admits_duration)
        })
    }

    /// A whole number.
    pub(super) fn count(&mut self, key: &'static Key) -> Option<usize> {
        self.read(key, |value| match value {
            DeValue::Integer(number) => {
                let count = usize::try_from(whole(number)?).map_err(|_| "is too large")?;
                in_range(count, &key.accepts, Accepts::admits_count)
            }
            other => Err(wrong_type(other)),
        })
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, key: &'static Key) -> Option<bool> {
        self.read(key, |value| value.as_bool().ok_or_else(|| wrong_type(value)))
    }

    /// A string that `parse` understands.
    pub(super) fn text<T>(&mut self, key: &'static Key, parse: impl Fn(&str) -> Result<T, Why>) -> Option<T> {
        self.read(key, |value| parse(value.as_str().ok_or_else(|| wrong_type(value))?))
    }

    /// A list of strings, each of which `parse` understands. Every wrong element is a fault of its own.
    pub(super) fn list<T>(
        &mut self,
        key: &'static Key,
        parse: impl Fn(&str) -> Result<T, Why>,
    ) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let Some(elements) = value.get_ref().as_array() else {
            let why = match value.get_ref() {
                DeValue::String(_) => format!("is not a list (write [{}])", self.reader.quote(value)).into(),
                other => wrong_type(other),
            };
            self.refuse_value(key, value, &why, &key.accepts);
            return None;
        };
        let element_accepts = match &key.accepts {
            Accepts::NonEmptyList(_) if elements.is_empty() => {
                self.refuse_value(key, value, &"is empty".into(), &key.accepts);
                return None;
            }
            Accepts::NonEmptyList(element) | Accepts::List(element) => element,
            other => other,
        };
        let mut parsed = Vec::with_capacity(elements.len());
        for element in elements {
            match element.get_ref().as_str().ok_or_else(|| wrong_type(element.get_ref())).and_then(&parse) {
                Ok(item) => parsed.push(item),
                Err(why) => self.refuse_value(key, element, &why, element_accepts),
            }
        }
        (parsed.len() == elements.len()).then_some(parsed)
    }

    /// Two keys of which neither is of use without the other.
    pub(super) fn refuse_lone(&mut self, one: &'static Key, other: &'static Key) {
        let Some(content) = self.content else { return };
        let (key, start, missing) = match (entry(content, one.name), entry(content, other.name)) {
            (Some((start, _)), None) => (one, start, other),
            (None, Some((start, _))) => (other, start, one),
            _ => return,
        };
        let message = format!("{}: needs {} beside it", Place::nth(key, self.index), missing.name);
        self.reader.refuse(start, message);
    }

    fn read<T>(
        &mut self,
        key: &'static Key,
        parse: impl FnOnce(&DeValue<'d>) -> Result<T, Why>,
    ) -> Option<T> {
        let value = self.value(key)?;
        parse(value.get_ref()).map_err(|why| self.refuse_value(key, value, &why, &key.accepts)).ok()
    }

    fn value(&mut self, key: &'static Key) -> Option<&'d Spanned<DeValue<'d>>> {
        let value = self.content.and_then(|content| entry(content, key.name)).map(|(_, value)| value);
        if let (None, Absent::Required) = (value, key.absent) {
            let place = Place::nth(key, self.index);
            let message = format!("{place}: missing; expected {}", key.accepts);
            self.reader.refuse(self.start, message);
        }
        value
    }

    fn refuse_value(
        &mut self,
        key: &'static Key,
        value: &Spanned<DeValue<'d>>,
        why: &Why,
        expected: &Accepts,
    ) {
        let place = Place::nth(key, self.index);
        let message = format!("{place}: {} {why}; expected {expected}", self.reader.quote(value));
        self.reader.refuse(value.span().start, message);
    }

    fn refuse_unknown_keys(&mut self) {
        let known = || self.table.keys.iter().map(|key| key.name);
        for (name, _) in self.content.into_iter().flatten() {
            let (span, name) = (name.span(), name.get_ref());
            if known().any(|key| key == name) {
                continue;
            }
            let advice = match (nearest(name, known()), owners(name)) {
                (Some(near), _) => format!("did you mean \"{near}\"?"),
                (None, owners) if owners.is_empty() => format!("known here: {}", join(known())),
                (None, owners) => format!("it belongs in {}", join(owners)),
            };
            let number = match self.table.shape {
                Shape::Once => String::new(),
                Shape::Many => format!(" #{}", self.index + 1),
            };
            let message = format!("{}{number} {name}: unknown key; {advice}", self.table);
            self.reader.refuse(span.start, message);
        }
    }
}

/// Line and column (in characters) of a byte offset, both from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Where the key begins, and its value.
fn entry<'d>(table: &'d DeTable<'d>, name: &str) -> Option<(usize, &'d Spanned<DeValue<'d>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span().start, value))
}

fn whole(number: &DeInteger<'_>) -> Result<u64, Why> {
    u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| "is out of range".into())
}

fn in_range<T: Copy>(value: T, accepts: &Accepts, admits: fn(&Accepts, T) -> bool) -> Result<T, Why> {
    if admits(accepts, value) { Ok(value) } else { Err("is out of range".into()) }
}

fn wrong_type(value: &DeValue<'_>) -> Why {
    let kind = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("is {kind}").into()
}

/// The known name that `name` was most likely meant to be: at most a third of its letters differ.
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let limit = (name.chars().count() / 3).max(1);
    let distances = known.map(|known| (strsim::damerau_levenshtein(name, known), known));
    distances.min().filter(|(distance, _)| *distance <= limit).map(|(_, known)| known)
}

/// The tables that have a key of this name.
fn owners(name: &str) -> Vec<&'static Table> {
    keys::TABLES.into_iter().filter(|table| table.keys.iter().any(|key| key.name == name)).collect()
}

fn known_table(name: &str) -> String {
    keys::table(name).map_or_else(|| name.to_owned(), Table::to_string)
}

fn join<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
