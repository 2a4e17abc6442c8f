//! `substratum ls`: what is in a directory of a repository, and how much of it is in the tier.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::figures::{bytes, count, percent, plural};
use super::visit::{self, Visit, VisitError};
use crate::catalog::walk::Depth;
use crate::catalog::{Entry, EntryKind, Tree, printable};
use crate::warm::{Pace, Presence, shown};

/// Arguments of `substratum ls`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    visit: visit::Place,
    /// The directory, from the root of the repository or as it is mounted
    #[arg(value_name = "PATH", default_value = "/")]
    path: String,
    /// Goes into the catalogs below the directory, too; for a large repository that may be very many
    #[arg(long)]
    deep: bool,
}

/// Lists a directory.
pub fn run(options: &Options, config: Option<&Path>, out: &mut dyn Write) -> Result<(), VisitError> {
    let path = options.visit.path(&options.path)?;
    let depth = if options.deep { Depth::All } else { Depth::OneCatalog };
    visit::block_on(async {
        let mut visit = options.visit.begin(config, Arc::new(Pace::new(None))).await?;
        let listed = visit.walk().list(&path, depth).await?;
        writeln!(out, "{}\n", visit.headline())?;
        writeln!(
            out,
            "{:>9}  {:>9}  {:>9}  {}",
            "size",
            "objects",
            "here",
            shown(&visit.way.repository, &path)
        )?;
        let mut all = Tree::default();
        for (entry, tree) in &listed {
            let here = here(&visit, tree)?;
            writeln!(out, "{}  {}", columns(tree, here), name(entry, tree))?;
            all.merge(tree);
        }
        let here = here(&visit, &all)?;
        writeln!(out, "{}  in all: {}", columns(&all, here), summary(&all))?;
        out.flush()?;
        Ok(())
    })
}

/// How many of the objects are in the tier, if anybody knows.
pub(super) fn here(visit: &Visit, tree: &Tree) -> Result<Option<u64>, VisitError> {
    if let Presence::Unknown = visit.presence {
        return Ok(None);
    }
    let missing = visit.presence.missing(&tree.objects)?;
    Ok(Some((tree.objects.len() - missing.len()) as u64))
}

/// `  12.3 MB        298       100 %`
pub(super) fn columns(tree: &Tree, here: Option<u64>) -> String {
    let objects = tree.objects.len() as u64;
    let here = match here {
        _ if objects == 0 => String::new(),
        None => "?".to_owned(),
        Some(here) if here < objects => format!("{} %", percent(here, objects).min(99)),
        Some(_) => "all".to_owned(),
    };
    let size = if tree.files == 0 { String::new() } else { bytes(tree.file_bytes) };
    let objects = if objects == 0 { String::new() } else { count(objects) };
    format!("{size:>9}  {objects:>9}  {here:>9}")
}

/// What cannot be told in columns.
pub(super) fn summary(tree: &Tree) -> String {
    let mut text = plural(tree.files, "file");
    if tree.external > 0 {
        let size = bytes(tree.external_bytes);
        text +=
            &format!("; {} with {size} beside the repository, never warmed", plural(tree.external, "more"));
    }
    if tree.unopened > 0 {
        text += &format!("; {} not looked into (--deep)", plural(tree.unopened, "catalog"));
    }
    text
}

fn name(entry: &Entry, tree: &Tree) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = printable(entry.path.name(), &mut text);
    match &entry.kind {
        EntryKind::Directory | EntryKind::Mountpoint => text.push('/'),
        EntryKind::Link(target) => {
            text.push_str(" -> ");
            let _ = printable(target, &mut text);
        }
        EntryKind::External => text.push_str(" (external)"),
        EntryKind::File(_) | EntryKind::Chunked(_) | EntryKind::Special => {}
    }
    if tree.unopened > 0 {
        text.push_str(" ...");
    }
    text
}
