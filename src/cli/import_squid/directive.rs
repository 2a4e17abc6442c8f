//! The text of a `squid.conf` -> its directives, each with the place it came from.
//!
//! Squid's rules: a `\` at the end continues a line, a word that begins with `#` begins a comment, `include` and quoted
//! file names bring in other files, `if` begins a part that only some processes read. Every amount is bounded.

use std::fmt;

/// Most directives of all files together.
const MAX_DIRECTIVES: usize = 20_000;

/// Most words of one directive; further ones are cut off, and the directive marked.
const MAX_WORDS: usize = 4_096;

/// Files within files.
const MAX_DEPTH: usize = 8;

/// Other files that a configuration names: a pattern -> names and contents. `None`: it cannot be read.
pub type Files<'f> = &'f dyn Fn(&str) -> Option<Vec<(String, String)>>;

/// Whether all processes read a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every one.
    Always,
    /// Within `if`: some.
    Sometimes,
}

/// One line of squid's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its first word.
    pub name: String,
    /// The others.
    pub words: Vec<String>,
    /// Where it stands: `squid.conf:12`.
    pub from: String,
    /// Who reads it.
    pub scope: Scope,
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.words.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

impl Directive {
    /// The directive that a single line says; `None` for an empty one or a comment.
    pub fn parse(line: &str, from: &str, scope: Scope) -> Option<Self> {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let name = words.next()?.to_owned();
        let words = words.take(MAX_WORDS).map(str::to_owned).collect();
        Some(Self { name, words, from: from.to_owned(), scope })
    }

    /// A word by its position behind the name, from 0.
    pub fn word(&self, position: usize) -> Option<&str> {
        self.words.get(position).map(String::as_str)
    }
}

/// Every directive of `text`, those of files it includes in their place. What cannot be read remains as an `include`.
pub fn read(text: &str, file: &str, files: Files<'_>) -> Vec<Directive> {
    let mut all = Vec::new();
    include(text, file, files, 0, &mut all);
    all
}

fn include(text: &str, file: &str, files: Files<'_>, depth: usize, all: &mut Vec<Directive>) {
    let mut nested = 0usize;
    for (number, line) in joined(text) {
        let scope = if nested > 0 { Scope::Sometimes } else { Scope::Always };
        let Some(directive) = Directive::parse(&line, &format!("{file}:{number}"), scope) else { continue };
        if all.len() >= MAX_DIRECTIVES {
            return;
        }
        match directive.name.as_str() {
            "if" => nested += 1,
            "endif" => nested = nested.saturating_sub(1),
            "else" => {}
            "include" => {
                for pattern in directive.words.clone() {
                    match files(pattern.trim_matches('"')).filter(|_| depth < MAX_DEPTH) {
                        Some(found) => {
                            for (name, text) in found {
                                include(&text, &name, files, depth + 1, all);
                            }
                        }
                        None => all.push(Directive { words: vec![pattern], ..directive.clone() }),
                    }
                }
            }
            _ => all.push(directive),
        }
    }
}

/// Lines with their numbers, from 1; continued ones are put together.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let (start, before) = open.take().unwrap_or((number, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => open = Some((start, format!("{before}{part} "))),
            None => lines.push((start, before + line)),
        }
    }
    lines.extend(open);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<Vec<(String, String)>> {
        None
    }

    #[test]
    fn lines_comments_and_conditions() {
        let text =
            "# all\nacl A src \\\n 10.0.0.0/8 # mine\nif ${process_number} = 1\nworkers 2\nendif\n\nvia off";
        let read: Vec<_> =
            read(text, "f", &none).iter().map(|d| (d.to_string(), d.from.clone(), d.scope)).collect();
        let expected = [
            ("acl A src 10.0.0.0/8", "f:2", Scope::Always),
            ("workers 2", "f:5", Scope::Sometimes),
            ("via off", "f:8", Scope::Always),
        ];
        assert_eq!(read, expected.map(|(text, from, scope)| (text.to_owned(), from.to_owned(), scope)));
    }

    #[test]
    fn files_stand_in_their_place_and_in_bounds() {
        let files = |name: &str| match name {
            "a" => Some(vec![("a".to_owned(), "include a\nvia on".to_owned())]),
            _ => None,
        };
        let read = read("include a\ninclude b\nvia off", "f", &files);
        assert_eq!(read.iter().filter(|d| d.to_string() == "via on").count(), MAX_DEPTH);
        assert!(read.iter().any(|d| d.to_string() == "include b"));
        assert_eq!(read.last().unwrap().to_string(), "via off");
    }
}
