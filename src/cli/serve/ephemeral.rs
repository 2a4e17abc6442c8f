//! A cache for the time of a job: free ports on this machine, a folder that is removed, an end when the parent ends.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tempfile::TempDir;

use crate::config::{AccessLogFormat, ByteSize, Config, Disk};

/// Disk tier where the configuration has none.
const CAPACITY: ByteSize = ByteSize::gib(2);

/// What such a cache has of its own. Its folder is removed with it.
pub struct Job(TempDir);

/// Begins: the end of the parent process will be ours.
pub fn begin() -> io::Result<Job> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before the system knew of our wish.
    if getppid() != parent {
        return Err(io::Error::other("the parent process has ended already"));
    }
    Ok(Job(tempfile::Builder::new().prefix("substratum-").tempdir()?))
}

impl Job {
    /// Turns a configuration into one that needs no root, no port and no folder of its own.
    pub fn adapt(&self, config: &mut Config) {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.listen.proxy = vec![any];
        config.listen.admin = Some(any);
        let path = self.0.path().join("cache");
        config.disk = Some(match config.disk.take() {
            Some(disk) => Disk { path, ..disk },
            None => Disk::new(path, CAPACITY),
        });
        if config.log.path.is_none() {
            // Standard output is for the settings.
            config.log.access = AccessLogFormat::Off;
        }
    }
}

/// What a CVMFS client is to be told, as its configuration files and shells have it.
pub fn announce(proxy: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "CVMFS_HTTP_PROXY=\"http://{proxy}\"")?;
    out.flush()
}
