//! The caches of the demo: one of a site, and one of each node that asks it. The real thing, as `serve` starts it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::image::Extent;
use super::stratum::url_of;
use crate::app::{App, StartError};
use crate::config::{
    Access, ByteSize, Config, Disk, Listen, Memory, MirrorGroup, Parent, ServerUrl, Upstream,
};
use crate::outcome::Outcome;
use crate::upstream::UpstreamOutcome;

/// How long answers in progress may take when the demo is broken off.
const DRAIN: Duration = Duration::from_secs(1);

/// How long [`Tier::settle`] waits at most.
const SETTLE: Duration = Duration::from_secs(10);

/// Pause between two looks at the caches.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What each cache may use: much less memory than the image has bytes, and enough disk for all revisions of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Memory of the site's cache.
    pub site_memory: ByteSize,
    /// Memory of a node's cache.
    pub node_memory: ByteSize,
    /// Disk of every cache.
    pub disk: ByteSize,
}

impl Sizes {
    /// For an image of this extent.
    pub fn for_image(image: Extent) -> Self {
        let share = |share: u64| ByteSize::mib((image.bytes / share).div_ceil(1 << 20).max(4));
        // A quarter must hold the largest object.
        let disk = (3 * image.bytes).max(4 * image.largest).div_ceil(1 << 20).max(64);
        Self { site_memory: share(4), node_memory: share(8), disk: ByteSize::mib(disk) }
    }
}

/// The running caches. Dropping it stops them, the nodes first.
pub struct Tier {
    nodes: Vec<App>,
    site: App,
    strata: Vec<ServerUrl>,
}

/// Why the caches cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum TierError {
    /// A cache refused to start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its configuration could not be written beside its folder.
    #[error("cannot write {0}: {1}")]
    Write(String, io::Error),
}

impl Tier {
    /// Starts the caches, with their folders and a copy of their configuration in `folder`.
    pub fn start(
        folder: &Path,
        strata: &[ServerUrl],
        nodes: usize,
        sizes: &Sizes,
    ) -> Result<Self, TierError> {
        let start = |name: &str, memory, parents: Vec<Parent>| {
            let config = cache(folder, name, strata, parents, memory, sizes.disk);
            let file = folder.join(format!("{name}.toml"));
            std::fs::write(&file, config.to_string())
                .map_err(|error| TierError::Write(file.display().to_string(), error))?;
            Ok::<_, TierError>(App::start(config)?)
        };
        let site = start("site", sizes.site_memory, Vec::new())?;
        let parent = Parent { url: url_of(site.proxy_addr()), login: None };
        let nodes = (1..=nodes)
            .map(|number| start(&format!("node-{number}"), sizes.node_memory, vec![parent.clone()]))
            .collect::<Result<_, _>>()?;
        Ok(Self { nodes, site, strata: strata.to_vec() })
    }

    /// Where the nodes' caches are asked.
    pub fn nodes(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().map(App::proxy_addr)
    }

    /// Waits, within a bound, until no cache is at work for anybody, and everything accepted for the disks is written.
    pub async fn settle(&self) {
        let until = Instant::now() + SETTLE;
        let apps = || self.nodes.iter().chain([&self.site]);
        let busy =
            |app: &App| app.metrics().request.in_flight() > 0 || app.cache().fills_in_progress() != (0, 0);
        while apps().any(busy) && Instant::now() < until {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        // Blocks, which nobody minds while nothing runs.
        apps().for_each(App::flush_disk);
    }

    /// What the caches have counted so far.
    pub fn counts(&self) -> Counts {
        let outcomes = |app: &App| Answers(app.metrics().request.ended());
        let upstream = &self.site.metrics().upstream;
        let ended = |url: &ServerUrl, outcome: UpstreamOutcome| {
            upstream.requests.with_label_values(&[url.to_string().as_str(), outcome.as_str()]).get()
        };
        Counts {
            nodes: self.nodes.iter().map(outcomes).fold(Answers::default(), Answers::plus),
            site: outcomes(&self.site),
            strata: self
                .strata
                .iter()
                .map(|url| Asked {
                    requests: UpstreamOutcome::ALL.iter().map(|&outcome| ended(url, outcome)).sum(),
                    received: upstream.received.with_label_values(&[url.to_string()]).get(),
                    caught: ended(url, UpstreamOutcome::BadDigest),
                })
                .collect(),
        }
    }
}

fn cache(
    folder: &Path,
    name: &str,
    strata: &[ServerUrl],
    parents: Vec<Parent>,
    memory: ByteSize,
    disk: ByteSize,
) -> Config {
    // A node has no way to the strata but through its site.
    let upstream = Upstream { direct: parents.is_empty(), ..Upstream::default() };
    Config {
        listen: Listen {
            proxy: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            admin: None,
            name: name.to_owned(),
            workers: 1,
            drain_timeout: DRAIN,
            ..Listen::default()
        },
        // Mirrors may be asked for, and nobody else.
        access: Access { hosts: Vec::new(), ..Access::default() },
        memory: Memory::with_capacity(memory),
        disk: Some(Disk::new(folder.join(name), disk)),
        mirrors: vec![MirrorGroup {
            name: "strata".to_owned(),
            urls: strata.to_vec(),
            serves: MirrorGroup::serves_all(),
        }],
        parents,
        upstream,
        ..Config::default()
    }
}

/// What all caches counted.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Answers of all nodes' caches.
    pub nodes: Answers,
    /// Answers of the site's cache.
    pub site: Answers,
    /// What the site asked of each stratum.
    pub strata: Vec<Asked>,
}

impl Counts {
    /// What came since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            nodes: self.nodes.since(before.nodes),
            site: self.site.since(before.site),
            strata: self.strata.iter().zip(&before.strata).map(|(now, then)| now.since(*then)).collect(),
        }
    }
}

/// Requests by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers([u64; Outcome::ALL.len()]);

impl Answers {
    /// Those with one of these outcomes.
    pub fn of(&self, outcomes: &[Outcome]) -> u64 {
        outcomes.iter().map(|&outcome| self.0[outcome as usize]).sum()
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    fn since(self, before: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - before.0[i]))
    }
}

/// What a cache asked of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests, whatever became of them.
    pub requests: u64,
    /// Bytes of bodies.
    pub received: u64,
    /// Answers whose bytes did not deserve their name.
    pub caught: u64,
}

impl Asked {
    fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            received: self.received - before.received,
            caught: self.caught - before.caught,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_make_configurations_without_contradictions() {
        let strata = [url_of(([127, 0, 0, 1], 8000).into())];
        for (objects, bytes, largest) in
            [(1, 1, 1), (200, 9_000_000, 8_388_608), (3_500, 80_000_000, 8_388_608)]
        {
            let sizes = Sizes::for_image(Extent { objects, bytes, largest });
            let parent = vec![Parent { url: url_of(([127, 0, 0, 1], 3128).into()), login: None }];
            for parents in [Vec::new(), parent] {
                let config = cache(Path::new("/x"), "site", &strata, parents, sizes.node_memory, sizes.disk);
                assert_eq!(crate::config::check::contradictions(&config), []);
            }
        }
    }
}
