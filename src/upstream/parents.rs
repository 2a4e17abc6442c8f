//! The caches further up, and which of them a name belongs to.
//!
//! With `parents_choice = "addresses"`, a parent's host name stands for as many caches as it has addresses: a service whose name server
//! knows who is there. The name is looked up again and again, and the share of a cache moves with its address: whoever asks
//! the same name server comes to the same answer. What is known of an address that stays is kept. While nothing is known of a
//! name, or nothing any more, it stands for a single cache.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Upstream;
use super::condition::Condition;
use super::peer::Peer;
use super::rendezvous::Rendezvous;
use super::resolve::Resolver;
use super::task::OwnedTask;
use crate::config::{self, ParentsChoice, ServerUrl};
use crate::metrics::UpstreamMetrics;

/// How often names are looked up. Whoever is gone by then refuses connections, and costs one more attempt.
const EVERY: Duration = Duration::from_secs(5);

/// Addresses of one name that are heeded.
const MAX_MEMBERS: usize = 256;

/// All parents.
pub(super) struct Parents {
    configured: Vec<Arc<Upstream>>,
    choice: Choice,
}

enum Choice {
    Ordered,
    Rendezvous(Rendezvous),
    Addresses(Arc<Members>),
}

/// The caches behind the parents' names.
pub(super) struct Members {
    configured: Vec<Arc<Upstream>>,
    resolver: Resolver,
    metrics: UpstreamMetrics,
    limits: config::Upstream,
    roster: ArcSwap<Roster>,
    following: Mutex<Following>,
}

struct Following {
    due: Instant,
    lookup: Option<OwnedTask>,
}

/// Who is there, as of the last look.
struct Roster {
    parents: Vec<Arc<Upstream>>,
    rendezvous: Rendezvous,
}

impl Parents {
    /// `known` are those of the configuration before.
    pub(super) fn new(
        configured: Vec<Arc<Upstream>>,
        known: Option<&Self>,
        resolver: Resolver,
        metrics: &UpstreamMetrics,
        limits: &config::Upstream,
    ) -> Self {
        let choice = match limits.parents_choice {
            ParentsChoice::Ordered => Choice::Ordered,
            ParentsChoice::Rendezvous => Choice::Rendezvous(rendezvous(&configured)),
            ParentsChoice::Addresses => {
                let known = known.map(Self::members).unwrap_or_default();
                Choice::Addresses(Arc::new(Members::new(&configured, &known, resolver, metrics, limits)))
            }
        };
        let parents = Self { configured, choice };
        metrics.parents.set(i64::try_from(parents.members().len()).unwrap_or(i64::MAX));
        parents
    }

    /// Those that are written in the configuration.
    pub(super) fn configured(&self) -> &[Arc<Upstream>] {
        &self.configured
    }

    /// Those that are asked.
    pub(super) fn members(&self) -> Vec<Arc<Upstream>> {
        match &self.choice {
            Choice::Addresses(members) => members.roster.load().parents.clone(),
            _ => self.configured.clone(),
        }
    }

    /// All that are asked, the one first that is responsible for the name that has this hash.
    pub(super) fn in_order(&self, name: impl FnOnce() -> u64) -> Vec<Arc<Upstream>> {
        let ordered = |parents: &[Arc<Upstream>], rendezvous: &Rendezvous| {
            rendezvous.order(name()).into_iter().map(|place| Arc::clone(&parents[place])).collect()
        };
        match &self.choice {
            Choice::Ordered => self.configured.clone(),
            Choice::Rendezvous(rendezvous) => ordered(&self.configured, rendezvous),
            Choice::Addresses(members) => {
                let roster = members.roster.load();
                ordered(&roster.parents, &roster.rendezvous)
            }
        }
    }

    /// Looks the names up again when it is time. To be called about once a second, on a worker.
    pub(super) fn follow(&self) {
        if let Choice::Addresses(members) = &self.choice {
            Members::follow(members);
        }
    }
}

impl Members {
    fn new(
        configured: &[Arc<Upstream>],
        known: &[Arc<Upstream>],
        resolver: Resolver,
        metrics: &UpstreamMetrics,
        limits: &config::Upstream,
    ) -> Self {
        let members = Self {
            configured: configured.to_vec(),
            resolver,
            metrics: metrics.clone(),
            limits: limits.clone(),
            roster: ArcSwap::from_pointee(Roster { parents: Vec::new(), rendezvous: rendezvous(&[]) }),
            following: Mutex::new(Following { due: Instant::now(), lookup: None }),
        };
        let found = configured.iter().map(|parent| addresses(known, &parent.peer.url)).collect();
        members.adopt(found, known);
        members
    }

    fn follow(members: &Arc<Self>) {
        let now = Instant::now();
        let mut following = members.following.lock();
        let looking = following.lookup.as_ref().is_some_and(|lookup| !lookup.is_finished());
        if now < following.due || looking {
            return;
        }
        following.due = now + EVERY;
        let weak = Arc::downgrade(members);
        following.lookup = Some(OwnedTask::spawn(Self::look_up(weak)));
    }

    async fn look_up(members: Weak<Self>) {
        let Some(members) = members.upgrade() else { return };
        let known = members.roster.load_full();
        let mut found = Vec::with_capacity(members.configured.len());
        for parent in &members.configured {
            let url = &parent.peer.url;
            found.push(match members.resolver.look_up_now(&url.host).await {
                Ok(all) => one_family(all),
                Err(reason) => {
                    tracing::debug!(host = %url.host, %reason, "a parent's name cannot be looked up; what was known holds");
                    addresses(&known.parents, url)
                }
            });
        }
        members.adopt(found, &known.parents);
    }

    /// Takes the addresses of each parent on.
    fn adopt(&self, found: Vec<Vec<IpAddr>>, known: &[Arc<Upstream>]) {
        let mut parents = Vec::new();
        for (parent, addresses) in self.configured.iter().zip(found) {
            if addresses.is_empty() {
                parents.push(Arc::clone(parent));
            }
            parents.extend(addresses.into_iter().map(|address| self.member(parent, address, known)));
        }
        let peers = |parents: &[Arc<Upstream>]| parents.iter().map(|p| p.peer.clone()).collect::<Vec<_>>();
        let before = self.roster.load();
        if peers(&before.parents) != peers(&parents) {
            if !before.parents.is_empty() {
                tracing::info!(
                    before = before.parents.len(),
                    now = parents.len(),
                    "the caches behind the parents' names changed"
                );
            }
            self.metrics.parents.set(i64::try_from(parents.len()).unwrap_or(i64::MAX));
            let rendezvous = rendezvous(&parents);
            self.roster.store(Arc::new(Roster { parents, rendezvous }));
        }
    }

    fn member(&self, parent: &Arc<Upstream>, address: IpAddr, known: &[Arc<Upstream>]) -> Arc<Upstream> {
        let peer = Peer { url: Arc::clone(&parent.peer.url), at: Some(address) };
        let condition =
            known.iter().find(|known| known.peer == peer).and_then(|known| known.condition.clone());
        Arc::new(Upstream {
            name: peer.to_string().into(),
            peer,
            role: parent.role,
            label: parent.label.clone(),
            counters: Arc::clone(&parent.counters),
            authorization: parent.authorization.clone(),
            condition: Some(condition.unwrap_or_else(|| {
                Arc::new(Condition::of_member(&self.metrics, &parent.label, &self.limits))
            })),
        })
    }
}

/// The shares go by where the caches are, in the same words on all machines.
fn rendezvous(parents: &[Arc<Upstream>]) -> Rendezvous {
    Rendezvous::new(parents.iter().map(|parent| match parent.peer.at {
        Some(address) => {
            ServerUrl { host: address.to_string().into(), ..(*parent.peer.url).clone() }.to_string()
        }
        None => parent.peer.url.to_string(),
    }))
}

fn addresses(parents: &[Arc<Upstream>], url: &ServerUrl) -> Vec<IpAddr> {
    parents.iter().filter(|parent| *parent.peer.url == *url).filter_map(|parent| parent.peer.at).collect()
}

/// In an order that is the same everywhere. A cache that is reached over both families is one cache.
fn one_family(all: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut all: Vec<_> = all.iter().map(IpAddr::to_canonical).collect();
    if all.iter().any(IpAddr::is_ipv4) {
        all.retain(IpAddr::is_ipv4);
    }
    all.sort_unstable();
    all.dedup();
    all.truncate(MAX_MEMBERS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cache_counts_once() {
        let table: [(&[&str], &[&str]); 4] = [
            (&["10.0.0.2", "10.0.0.1", "10.0.0.2"], &["10.0.0.1", "10.0.0.2"]),
            (&["fd00::1", "10.0.0.1", "fd00::2"], &["10.0.0.1"]),
            (&["fd00::2", "fd00::1"], &["fd00::1", "fd00::2"]),
            (&["::ffff:10.0.0.1", "10.0.0.1"], &["10.0.0.1"]),
        ];
        let ips = |texts: &[&str]| texts.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        for (all, expected) in table {
            assert_eq!(one_family(ips(all)), ips(expected), "{all:?}");
        }
    }
}
