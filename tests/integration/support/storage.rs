//! What lies on the disk.

use std::fs;
use std::path::Path;

/// Bytes that the files below `folder` take up.
pub fn bytes_in(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).unwrap().map_while(Result::ok);
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len().max(metadata.blocks() * 512),
        // Removed since the folder was read.
        Err(_) => 0,
    });
    sizes.sum()
}
