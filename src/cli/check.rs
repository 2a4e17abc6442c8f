//! `substratum check`: is this configuration right, and what does it come to?
//!
//! Prints what would be used, every key written out, as a file that could be used instead, with where each value came from
//! (a line of the file, a variable, the default). Warnings stand above it as comments. Nothing is opened but the file, nothing is listened on, no server is asked.

use std::io::{self, Write};
use std::path::Path;

use crate::config::{Config, ConfigError, Environment};

/// Why `check` does not end well.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The configuration is wrong; the text has a line for each fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// Loads `config`, or takes what is used without a file, and writes its effective form to `out`.
pub fn run(config: Option<&Path>, out: &mut dyn Write) -> Result<(), CheckError> {
    let loaded = Config::obtain(config, &Environment::of_process())?;
    let origin =
        config.map_or("no file: the built-in defaults".to_owned(), |path| path.display().to_string());
    writeln!(out, "# Effective configuration ({origin})")?;
    for warning in loaded.config.warnings() {
        writeln!(out, "# warning: {warning}")?;
    }
    write!(out, "{loaded}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(text: &str) -> Result<String, CheckError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.toml");
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        run(Some(&file), &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_output_is_a_configuration_with_the_warnings_above_it() {
        let out = run_on("[memory]\ncapacity = 0").unwrap();
        let second = out.lines().nth(1).unwrap();
        assert!(second.starts_with("# warning: [memory] capacity: 0 without a [disk]"), "{second}");
        let again = Config::parse(&out, Path::new("out.toml")).unwrap();
        assert_eq!(again, Config::parse("[memory]\ncapacity = 0", Path::new("in.toml")).unwrap());
    }

    #[test]
    fn each_value_says_where_it_came_from() {
        let out =
            run_on("[memory]\n\ncapacity = \"1 GiB\"\n[[mirrors]]\nname = \"a\"\nurls = [\"http://a\"]\n")
                .unwrap();
        for line in [
            "capacity = \"1 GiB\" # line 3",
            "documents = \"64 MiB\" # default",
            "name = \"a\" # line 5",
            "serves = [\"*\"] # default",
        ] {
            assert!(out.lines().any(|found| found == line), "{line} in {out}");
        }
    }

    #[test]
    fn every_fault_is_a_line() {
        let error = run_on("[memory]\ncapacity = \"much\"\nmax = 1").unwrap_err().to_string();
        let lines: Vec<_> = error.lines().collect();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("site.toml:")), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = run(Some(Path::new("/nonexistent/site.toml")), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/site.toml: "), "{error}");
    }

    #[test]
    fn without_a_file_the_built_in_defaults_are_shown() {
        let mut out = Vec::new();
        run(None, &mut out).unwrap();
        assert!(out.starts_with(b"# Effective configuration (no file: the built-in defaults)\n"));
    }
}
