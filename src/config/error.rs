//! What is wrong with a configuration, where it stands, and what would be right.
//!
//! A `Fault` is tied to a position in a file or to an environment variable; a `Finding` comes from looking at the finished `Config` and names keys,
//! for which `raw.rs` finds the position. Both read `[table] key: what is wrong; what is expected`.

use std::fmt;
use std::path::PathBuf;

use super::keys::{Key, Shape};

/// Why a file is not a configuration. The text has a line for each fault, in the order of the file:
/// `site.toml:12:1: [listen] porxy: unknown key; did you mean "proxy"?`
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing, not readable or not UTF-8.
    #[error("{}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says; part of the text, therefore not a `source`.
        error: std::io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{}: larger than {limit} bytes, which no configuration is", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The content is wrong.
    #[error("{}", Lines { file, faults })]
    Invalid {
        /// The file.
        file: PathBuf,
        /// At least one, in the order of the file.
        faults: Vec<Fault>,
    },
}

/// One thing that is wrong in a file or in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: Site,
    /// `[table] key: what is wrong; what is expected`.
    pub message: String,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// In the file.
    File {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In this environment variable.
    Variable(String),
}

struct Lines<'a> {
    file: &'a PathBuf,
    faults: &'a [Fault],
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            match &fault.at {
                Site::File { line, column } => {
                    write!(f, "{newline}{}:{line}:{column}: {}", self.file.display(), fault.message)?;
                }
                Site::Variable(name) => write!(f, "{newline}{name}: {}", fault.message)?,
            }
        }
        Ok(())
    }
}

/// A key as it stands in one table of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The key.
    pub key: &'static Key,
    /// Which of several `[[tables]]`, from 0; 0 where there is only one.
    pub index: usize,
}

impl Place {
    /// The key in the `index`th (from 0) of several `[[tables]]`.
    pub const fn nth(key: &'static Key, index: usize) -> Self {
        Self { key, index }
    }
}

impl From<&'static Key> for Place {
    fn from(key: &'static Key) -> Self {
        Self { key, index: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.shape {
            Shape::Once => write!(f, "[{}] {}", self.key.table, self.key.name),
            Shape::Many => write!(f, "[[{}]] #{} {}", self.key.table, self.index + 1, self.key.name),
        }
    }
}

/// Something about a finished [`Config`](super::Config): a contradiction or a warning.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The key to look at first.
    pub place: Place,
    /// Another key that is part of it, and that may be the one of the two that the file mentions.
    pub other: Option<Place>,
    /// What is wrong or suspicious, and what to do about it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
