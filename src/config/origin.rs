//! Where each value of a configuration came from.

use std::collections::HashMap;
use std::fmt;

use super::error::Place;
use super::keys::Key;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file, in this line.
    File {
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// Nobody gave it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { line } => write!(f, "line {line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The origins of all values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(HashMap<(&'static str, &'static str, usize), Origin>);

impl Origins {
    pub(super) fn note(&mut self, place: Place, origin: Origin) {
        self.0.insert((place.key.table, place.key.name, place.index), origin);
    }

    /// Of one value; `index` as in [`Place`].
    pub fn of(&self, key: &Key, index: usize) -> &Origin {
        self.0.get(&(key.table, key.name, index)).unwrap_or(&Origin::Default)
    }
}
