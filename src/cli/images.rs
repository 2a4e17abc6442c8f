//! `substratum images`: the container images of a repository, and how much of each is in the tier.
//!
//! As they stand in unpacked form: `/<owner>/<name>:<tag>`, perhaps below a registry's name; a directory, or a link to one.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::figures::plural;
use super::ls::{columns, here, summary};
use super::visit::{self, Visit, VisitError};
use crate::catalog::walk::Depth;
use crate::catalog::{EntryKind, RepoPath};
use crate::config::Glob;
use crate::warm::Pace;

/// Arguments of `substratum images`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    visit: visit::Place,
    /// Only images whose path matches: * stands for any characters
    #[arg(value_name = "PATTERN", default_value = "*")]
    pattern: String,
    /// Names alone; otherwise the catalogs of every image are read through the tier
    #[arg(long)]
    names: bool,
}

/// Names on the way to an image, itself included.
const DEPTH: usize = 4;

/// Directories looked into.
const MAX_DIRECTORIES: usize = 10_000;

/// Lists the images.
pub fn run(options: &Options, config: Option<&Path>, out: &mut dyn Write) -> Result<(), VisitError> {
    let pattern = Glob::new(&options.pattern);
    visit::block_on(async {
        let mut visit = options.visit.begin(config, Arc::new(Pace::new(None))).await?;
        let mut images = find(&mut visit).await?;
        let found = images.len() as u64;
        images.retain(|path| pattern.matches(&path.to_string()) || pattern.matches(&path.to_string()[1..]));
        if options.names {
            // And nothing else, for scripts.
            images.iter().try_for_each(|path| writeln!(out, "{path}"))?;
            return Ok(out.flush()?);
        }
        writeln!(out, "{}\n", visit.headline())?;
        match (found, images.len()) {
            (0, _) => writeln!(out, "no image: no name in the first {DEPTH} levels has a colon in it")?,
            (_, 0) => writeln!(out, "none of {} matches {}", plural(found, "image"), options.pattern)?,
            _ => table(&mut visit, &images, out).await?,
        }
        Ok(out.flush()?)
    })
}

/// Where images stand, in order.
async fn find(visit: &mut Visit) -> Result<Vec<RepoPath>, VisitError> {
    let mut images = Vec::new();
    let mut open = vec![RepoPath::default()];
    let mut directories = 0;
    while let Some(directory) = open.pop() {
        directories += 1;
        for entry in visit.walk().entries(&directory).await? {
            let is_hidden = entry.path.name().starts_with(b".");
            let depth = entry.path.names().count();
            let is_directory = matches!(entry.kind, EntryKind::Directory | EntryKind::Mountpoint);
            let may_be = is_directory || matches!(entry.kind, EntryKind::Link(_));
            match () {
                () if is_hidden || !may_be => {}
                () if entry.path.name().contains(&b':') => images.push(entry.path),
                () if is_directory && depth < DEPTH && directories + open.len() < MAX_DIRECTORIES => {
                    open.push(entry.path);
                }
                () => {}
            }
        }
    }
    images.sort();
    Ok(images)
}

async fn table(visit: &mut Visit, images: &[RepoPath], out: &mut dyn Write) -> Result<(), VisitError> {
    writeln!(out, "{:>9}  {:>9}  {:>9}  image", "size", "objects", "here")?;
    for path in images {
        let line = match visit.walk().tree(path, Depth::All).await {
            Ok(tree) => {
                let here = here(visit, &tree)?;
                let more = if tree.external > 0 { format!(" ({})", summary(&tree)) } else { String::new() };
                format!("{}  {path}{more}", columns(&tree, here))
            }
            // One image whose catalog is broken does not hide the others.
            Err(error) => format!("{:>31}  {path}: {error}", "?"),
        };
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    writeln!(out, "\n{}", plural(images.len() as u64, "image"))?;
    Ok(())
}
