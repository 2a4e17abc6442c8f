//! One table of the document, key by key: types, ranges, and where each value came from.
//!
//! Each reading method checks the type, the text and the range that `keys.rs` declares; it answers `None` for a key that is
//! missing (a fault if it is required) or wrong (a fault).

use std::time::Duration;

use toml::de::{DeInteger, DeTable, DeValue};

use super::reader::{Found, Reader, entry, join, nearest, owners, position};
use super::text::Why;
use crate::config::error::Place;
use crate::config::keys::{Absent, Accepts, Key, Shape, Table};
use crate::config::origin::Origin;
use crate::config::quantity::{parse_duration, parse_size};
use crate::config::units::ByteSize;

/// One table while it is read.
pub(super) struct Section<'d, 'r> {
    pub(super) reader: &'r mut Reader<'d>,
    pub(super) table: &'static Table,
    /// Which of several `[[tables]]`, from 0.
    pub(super) index: usize,
    /// Where the table begins; meaningless when it is missing.
    pub(super) start: usize,
    pub(super) content: Option<&'d DeTable<'d>>,
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
        let found = self.value(key)?;
        let Some(elements) = found.value.get_ref().as_array() else {
            let why = match found.value.get_ref() {
                DeValue::String(_) => format!("is not a list (write [{}])", self.reader.quote(found)).into(),
                other => wrong_type(other),
            };
            self.refuse_value(key, found, &why, &key.accepts);
            return None;
        };
        let element_accepts = match &key.accepts {
            Accepts::NonEmptyList(_) if elements.is_empty() => {
                self.refuse_value(key, found, &"is empty".into(), &key.accepts);
                return None;
            }
            Accepts::NonEmptyList(element) | Accepts::List(element) => element,
            other => other,
        };
        let mut parsed = Vec::with_capacity(elements.len());
        for element in elements {
            match element.get_ref().as_str().ok_or_else(|| wrong_type(element.get_ref())).and_then(&parse) {
                Ok(item) => parsed.push(item),
                Err(why) => self.refuse_value(key, Found { value: element, ..found }, &why, element_accepts),
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
        let found = self.value(key)?;
        parse(found.value.get_ref()).map_err(|why| self.refuse_value(key, found, &why, &key.accepts)).ok()
    }

    fn value(&mut self, key: &'static Key) -> Option<Found<'d>> {
        let place = Place::nth(key, self.index);
        if let Some(given) = self.reader.given(key) {
            self.reader.origins.note(place, Origin::Variable(given.given.variable.clone()));
            return Some(Found { value: given.value, given: Some(given.given) });
        }
        let value = self.content.and_then(|content| entry(content, key.name));
        if let Some((start, _)) = value {
            let (line, _) = position(self.reader.text, start);
            self.reader.origins.note(place, Origin::File { line });
        }
        if let (None, Absent::Required) = (value, key.absent) {
            let message = format!("{place}: missing; expected {}", key.accepts);
            self.reader.refuse(self.start, message);
        }
        value.map(|(_, value)| Found { value, given: None })
    }

    fn refuse_value(&mut self, key: &'static Key, found: Found<'d>, why: &Why, expected: &Accepts) {
        let place = Place::nth(key, self.index);
        let message = format!("{place}: {} {why}; expected {expected}", self.reader.quote(found));
        match found.given {
            Some(given) => self.reader.refuse_variable(&given.variable, message),
            None => self.reader.refuse(found.value.span().start, message),
        }
    }

    pub(super) fn refuse_unknown_keys(&mut self) {
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
