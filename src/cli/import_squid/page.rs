//! The file that is written: tables with keys, each below the lines of squid that it comes from.

use super::directive::Directive;

/// Characters of a line of squid that are repeated in a comment.
const MAX_QUOTED: usize = 160;

/// A file on its way.
#[derive(Debug, Default)]
pub struct Page {
    /// Name and lines of each table.
    tables: Vec<(String, Vec<String>)>,
}

impl Page {
    /// Begins another table of this name; `[name]` for one that may stand several times.
    pub fn another(&mut self, table: &str) {
        self.tables.push((table.to_owned(), Vec::new()));
    }

    /// A line for people.
    pub fn comment(&mut self, table: &str, text: &str) {
        let line = format!("# {}", printable(text));
        self.lines(table).push(line);
    }

    /// `key = value`, which comes from these lines of squid; from none: from squid's or our own defaults.
    pub fn set(&mut self, table: &str, key: &str, value: String, from: &[&Directive]) {
        let comments = from.iter().map(|directive| {
            format!("# {}: {}", printable(&directive.from), printable(&directive.to_string()))
        });
        let comments: Vec<String> = comments.collect();
        let lines = self.lines(table);
        match comments.is_empty() {
            true => lines.push("# default".to_owned()),
            false => lines.extend(comments),
        }
        lines.push(format!("{key} = {value}"));
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let table = |(name, lines): &(String, Vec<String>)| format!("\n[{name}]\n{}\n", lines.join("\n"));
        self.tables.iter().map(table).collect()
    }

    fn lines(&mut self, table: &str) -> &mut Vec<String> {
        let place = match self.tables.iter().rposition(|(name, _)| name == table) {
            Some(place) => place,
            None => {
                self.another(table);
                self.tables.len() - 1
            }
        };
        &mut self.tables[place].1
    }
}

/// On one line, whatever is in it, and not too long.
pub fn printable(text: &str) -> String {
    let mut short: String =
        text.chars().take(MAX_QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        short.push_str("...");
    }
    short
}
