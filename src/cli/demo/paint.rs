//! Emphasis on a terminal, and nothing elsewhere.

use std::fmt::Display;

/// Whether what is printed may carry escape sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text only.
    Plain,
    /// Colours of a terminal (ECMA-48, select graphic rendition).
    Terminal,
}

impl Paint {
    /// Titles.
    pub fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// What is less important.
    pub fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// What is as it should be.
    pub fn good(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    /// What is not.
    pub fn bad(self, text: impl Display) -> String {
        self.paint("1;31", text)
    }

    fn paint(self, code: &str, text: impl Display) -> String {
        match self {
            Self::Plain => text.to_string(),
            Self::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
