//! A TOML document, read table by table and key by key, with the faults found on the way.
//!
//! Opening a section refuses the keys it does not know; what one key may be is in `section.rs`. A value from the
//! environment stands in the place of the file's, and its faults name the variable.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::Section;
use crate::config::environment::Given;
use crate::config::error::{Fault, Finding, Place, Site};
use crate::config::keys::{self, Key, Shape, Table};
use crate::config::origin::Origins;

/// Longest piece of the file that a message repeats, in characters.
const MAX_QUOTE: usize = 60;

/// The document and its faults so far.
pub(super) struct Reader<'d> {
    pub(super) text: &'d str,
    root: &'d DeTable<'d>,
    overrides: &'d [Override<'d>],
    /// Byte offset and message.
    faults: Vec<(usize, String)>,
    /// Environment variable and message.
    variable_faults: Vec<(String, String)>,
    pub(super) origins: Origins,
}

/// A value from the environment.
pub(super) struct Override<'d> {
    pub(super) given: &'d Given,
    pub(super) value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Override<'d> {
    pub(super) fn new((given, table): (&'d Given, &'d Spanned<DeTable<'d>>)) -> Option<Self> {
        Some(Self { given, value: entry(table.get_ref(), "value")?.1 })
    }
}

/// A value, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Found<'d> {
    pub(super) value: &'d Spanned<DeValue<'d>>,
    /// The variable it came from; otherwise it stands in the file.
    pub(super) given: Option<&'d Given>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(text: &'d str, root: &'d DeTable<'d>, overrides: &'d [Override<'d>]) -> Self {
        Self {
            text,
            root,
            overrides,
            faults: Vec::new(),
            variable_faults: Vec::new(),
            origins: Origins::default(),
        }
    }

    /// Where the values read so far came from.
    pub(super) fn origins(&mut self) -> Origins {
        std::mem::take(&mut self.origins)
    }

    /// A fault of a variable.
    pub(super) fn refuse_variable(&mut self, variable: &str, message: String) {
        self.variable_faults.push((variable.to_owned(), message));
    }

    /// All faults, if there are any: in the order of the file, and then of the environment.
    pub(super) fn check(&mut self) -> Result<(), Vec<Fault>> {
        if self.faults.is_empty() && self.variable_faults.is_empty() {
            return Ok(());
        }
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|(offset, _)| *offset);
        let located = faults.into_iter().map(|(offset, message)| {
            let (line, column) = position(self.text, offset);
            Fault { at: Site::File { line, column }, message }
        });
        let variables = std::mem::take(&mut self.variable_faults).into_iter();
        let variables = variables.map(|(name, message)| Fault { at: Site::Variable(name), message });
        Err(located.chain(variables).collect())
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

    /// The table, unless it is missing and no variable gives a key of it.
    pub(super) fn section_if_present(&mut self, table: &'static Table) -> Option<Section<'d, '_>> {
        let found = self.find(table);
        let given = self.overrides.iter().any(|given| given.given.key.table == table.name);
        (found.is_some() || given).then(|| self.open(table, 0, found))
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
        let variable = [Some(finding.place), finding.other]
            .into_iter()
            .flatten()
            .find_map(|place| self.given(place.key));
        if let Some(given) = variable {
            self.refuse_variable(&given.given.variable, finding.to_string());
            return;
        }
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

    pub(super) fn refuse(&mut self, offset: usize, message: String) {
        self.faults.push((offset, message));
    }

    pub(super) fn given(&self, key: &Key) -> Option<&'d Override<'d>> {
        self.overrides.iter().find(|given| given.given.key == key)
    }

    /// The value as it stands in the file, shortened to something that fits in a message.
    pub(super) fn quote(&self, found: Found<'d>) -> String {
        let text = found.given.map_or(self.text, |given| &given.toml);
        let source = text.get(found.value.span()).unwrap_or_default();
        let line = source.lines().next().unwrap_or_default();
        match line.char_indices().nth(MAX_QUOTE) {
            Some((end, _)) => format!("{}...", &line[..end]),
            None if line.len() < source.len() => format!("{line}..."),
            None => line.to_owned(),
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
pub(super) fn entry<'d>(table: &'d DeTable<'d>, name: &str) -> Option<(usize, &'d Spanned<DeValue<'d>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span().start, value))
}

/// The known name that `name` was most likely meant to be: at most a third of its letters differ.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let limit = (name.chars().count() / 3).max(1);
    let distances = known.map(|known| (strsim::damerau_levenshtein(name, known), known));
    distances.min().filter(|(distance, _)| *distance <= limit).map(|(_, known)| known)
}

/// The tables that have a key of this name.
pub(super) fn owners(name: &str) -> Vec<&'static Table> {
    keys::TABLES.into_iter().filter(|table| table.keys.iter().any(|key| key.name == name)).collect()
}

fn known_table(name: &str) -> String {
    keys::table(name).map_or_else(|| name.to_owned(), Table::to_string)
}

pub(super) fn join<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
