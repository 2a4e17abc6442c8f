//! `substratum import-squid`: a configuration of squid or frontier-squid -> the configuration that comes closest.
//!
//! What is allowed by the result was allowed by squid; where squid's rules say more than `[access]` can, the result is
//! narrower, and says so. Every value is below the line it comes from, and what has no equivalent is listed with the reason.
//! [`import`] is pure; the command reads the files and writes the result.
//!
//! Codemap: `directive` reads `squid.conf`, `frontier` lets `customize.sh` edit one; `acl` and `pattern` turn lists into
//! conditions, `decide` turns `http_access` into `[access]`; `settings` does the rest, `absent` says what is missing.

mod absent;
mod acl;
mod cells;
mod decide;
mod directive;
mod frontier;
mod page;
mod pattern;
mod settings;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use acl::Acls;
use decide::{Decision, decide};
pub use directive::Files;
use directive::{Directive, Scope};
use page::{Page, printable};
use settings::{Use, list};

use super::output::Output;
use crate::config::{Config, ConfigError, Glob};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Files that one `include` may bring in.
const MAX_FILES: usize = 256;

/// Most remarks that are kept.
const MAX_NOTES: usize = 1_000;

/// Arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// frontier-squid's /etc/squid/customize.sh; edits --squid-conf, or a built-in default of that package
    #[arg(long, value_name = "FILE")]
    customize: Option<PathBuf>,
    /// squid.conf
    #[arg(long, value_name = "FILE", required_unless_present = "customize")]
    squid_conf: Option<PathBuf>,
    /// Where the result is written, which must not exist yet; default: standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source<'t> {
    /// Name and text of a `squid.conf`.
    pub squid_conf: Option<(&'t str, &'t str)>,
    /// Name and text of a `customize.sh`.
    pub customize: Option<(&'t str, &'t str)>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The configuration, which is good.
    pub toml: String,
    /// What is missing or different.
    pub notes: Vec<Note>,
    /// The `squid.conf` that was taken into account, with everything in its place.
    pub effective: String,
}

impl Imported {
    /// Whether exactly those requests are allowed that squid allowed, as far as methods and kinds of URL served here go.
    pub fn is_exact(&self) -> bool {
        !self.notes.iter().any(|note| note.kind == Kind::Narrower)
    }
}

/// What a remark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something without an equivalent.
    Absent,
    /// Something that squid allowed and the result does not.
    Narrower,
}

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub kind: Kind,
    /// Place and text of the line, and why.
    pub text: String,
}

impl Note {
    fn new(kind: Kind, from: &str, line: &str, why: &str) -> Self {
        Self { kind, text: format!("{}: {}: {}", printable(from), printable(line), printable(why)) }
    }

    fn absent(directive: &Directive, why: &str) -> Self {
        Self::new(Kind::Absent, &directive.from, &directive.to_string(), why)
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// A file is too large to be one.
    #[error("{0} is larger than {MAX_FILE} bytes")]
    TooLarge(PathBuf),
    /// Nobody would be allowed anything.
    #[error("squid's rules allow nobody anything that can be known here; nothing is written{}", reasons(.0))]
    NothingAllowed(Vec<Note>),
    /// Squid's values do not go together here.
    #[error("the result would contradict itself: {0}")]
    Contradiction(ConfigError),
    /// The result cannot be written.
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, #[source] io::Error),
}

fn reasons(notes: &[Note]) -> String {
    notes.iter().map(|note| format!("\n  {}", note.text)).collect()
}

/// Reads the files, writes the result, and lists on standard error what is missing.
pub fn run(options: &Options) -> Result<(), ImportError> {
    let read =
        |path: &Option<PathBuf>| path.as_deref().map(|path| Ok((name(path), content(path)?))).transpose();
    let (squid_conf, customize) = (read(&options.squid_conf)?, read(&options.customize)?);
    let source = Source {
        squid_conf: squid_conf.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
        customize: customize.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
    };
    let imported = import(source, &files)?;
    match &options.output {
        // Never over a configuration that somebody has written.
        Some(path) => File::create_new(path).and_then(|mut file| file.write_all(imported.toml.as_bytes())),
        None => Output.write_all(imported.toml.as_bytes()),
    }
    .map_err(|error| {
        ImportError::Write(options.output.clone().unwrap_or_else(|| "standard output".into()), error)
    })?;
    for note in &imported.notes {
        eprintln!("{}: {}", if note.kind == Kind::Narrower { "narrower" } else { "not imported" }, note.text);
    }
    Ok(())
}

/// Imports. Hostile text costs bounded time and memory, and never opens what squid does not.
pub fn import(source: Source<'_>, files: Files<'_>) -> Result<Imported, ImportError> {
    let mut notes = Vec::new();
    let base = source.squid_conf.map(|(name, text)| directive::read(text, name, files));
    let directives = match source.customize {
        Some((name, script)) => frontier::customized(base.as_deref(), script, name, &mut notes),
        None => base.unwrap_or_default(),
    };
    let mut directives = directives;
    if let Some(directive) = directives.iter().find(|directive| absent::restricts(&directive.name)) {
        // May refuse anything, so that it counts as a file which was not read.
        let barrier = Directive { name: "include".into(), scope: Scope::Always, ..directive.clone() };
        directives.insert(0, barrier);
    }
    for directive in directives.iter().filter(|directive| directive.name == "include") {
        notes.push(Note::new(
            Kind::Narrower,
            &directive.from,
            &directive.to_string(),
            "not read; it may refuse anything, so nothing behind it counts as allowed",
        ));
    }
    let acls = Acls::read(&directives, files);
    let Some(decision) = decide(&directives, &acls) else { return Err(ImportError::NothingAllowed(notes)) };
    for line in &decision.lost {
        notes.push(Note { kind: Kind::Narrower, text: printable(line) });
    }
    let mut page = Page::default();
    let ipv6 = decision.clients.iter().any(|network| settings::beyond_loopback(network.addr()));
    let used = settings::write(&directives, ipv6, &mut page, &mut notes);
    access(&decision, &directives, used, &mut page);
    for directive in &directives {
        if let Some(why) = absent::reason(&directive.name) {
            notes.push(Note::absent(directive, why));
        }
    }
    notes.truncate(MAX_NOTES);
    let toml = document(&page, &notes);
    Config::parse(&toml, Path::new("the result")).map_err(ImportError::Contradiction)?;
    let effective = directives.iter().map(|directive| format!("{directive}\n")).collect();
    Ok(Imported { toml, notes, effective })
}

fn access(decision: &Decision, directives: &[Directive], used: Use, page: &mut Page) {
    let rules: Vec<&Directive> =
        directives.iter().filter(|directive| directive.name == "http_access").collect();
    page.set("access", "clients", list(&decision.clients), &rules);
    page.comment(
        "access",
        "Squid has no kinds of URL. [\"cvmfs\", \"frontier\"] is enough for most sites, and closes the rest.",
    );
    page.set("access", "targets", list(decision.targets.iter().map(|shape| shape.as_str())), &[]);
    let hosts: Vec<&str> = match used {
        Use::Proxy => decision.hosts.iter().map(|host| host.as_str()).collect(),
        // Whatever was named, squid asked its own server.
        Use::Server => Vec::new(),
    };
    page.comment("access", "From the same lines.");
    page.set("access", "hosts", list(hosts), &[]);
    page.set("access", "ports", list(&decision.ports), &[]);
    page.comment("access", "Servers inside your own networks that clients may ask: squid let them, unless a list said otherwise.");
    page.comment("access", "internal_hosts = [\"stratum.site.example.org\"]");
}

fn document(page: &Page, notes: &[Note]) -> String {
    let mut text = "# Imported from squid. Look at it, then: substratum check --config FILE\n".to_owned();
    text += &page.text();
    for (kind, title) in [
        (Kind::Narrower, "Allowed by squid, but not here, because it cannot be said exactly:"),
        (Kind::Absent, "Without an equivalent:"),
    ] {
        let lines: Vec<_> = notes.iter().filter(|note| note.kind == kind).collect();
        if !lines.is_empty() {
            text += &format!("\n# {title}\n");
            text.extend(lines.iter().map(|note| format!("#   {}\n", note.text)));
        }
    }
    text
}

/// The last part of the path, for comments.
fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn content(path: &Path) -> Result<String, ImportError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| ImportError::Read(path.to_owned(), error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ImportError::TooLarge(path.to_owned()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The files of a pattern with `*` in its last part, in the order of their names.
fn files(pattern: &str) -> Option<Vec<(String, String)>> {
    let path = Path::new(pattern);
    if !pattern.contains('*') {
        return content(path).ok().map(|text| vec![(name(path), text)]);
    }
    let glob = Glob::new(&name(path));
    let entries = fs::read_dir(path.parent()?).ok()?.take(MAX_FILES).collect::<Result<Vec<_>, _>>().ok()?;
    let mut paths: Vec<PathBuf> =
        entries.iter().map(fs::DirEntry::path).filter(|path| glob.matches(&name(path))).collect();
    paths.sort();
    paths.iter().map(|path| content(path).ok().map(|text| (name(path), text))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conf(text: &str) -> Result<Imported, ImportError> {
        import(Source { squid_conf: Some(("squid.conf", text)), customize: None }, &|_| None)
    }

    #[test]
    fn values_stand_below_their_lines() {
        let imported = conf("cache_mem 2 GB\nacl N src 10.0.0.0/8\nhttp_access allow N\nhttp_access deny all\nsnmp_port 3401\n").unwrap();
        assert!(
            imported.toml.contains("# squid.conf:1: cache_mem 2 GB\ncapacity = \"2 GiB\"\n"),
            "{}",
            imported.toml
        );
        assert!(imported.toml.contains("#   squid.conf:5: snmp_port 3401: "), "{}", imported.toml);
        assert!(imported.is_exact());
    }

    #[test]
    fn nothing_allowed_is_no_configuration() {
        for text in [
            "",
            "http_access deny all",
            "include /etc/squid/more.conf\nhttp_access allow all",
            "miss_access deny all\nhttp_access allow all",
        ] {
            assert!(matches!(conf(text), Err(ImportError::NothingAllowed(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_good_configuration_or_none(
            lines in proptest::collection::vec("(acl [AB] (src|port|dstdomain|dstdom_regex|url_regex|time)|http_access (allow|deny) !?[AB]?|http_port|cache_dir ufs /x|cache_mem|cache_peer h parent|access_log|workers|shutdown_lifetime|visible_hostname)( (all|[ -~]{1,8}|[0-9]{1,6}|10\\.0\\.0\\.0/8)){0,3}", 0..12),
            text: String,
        ) {
            let _ = conf(&text);
            let _ = conf(&lines.join("\n"));
            let script = format!("setoption(\"{}\")\n{}", lines.join("\", \""), lines.join(";"));
            let _ = import(Source { squid_conf: None, customize: Some(("c", &script)) }, &|_| None);
        }
    }
}
