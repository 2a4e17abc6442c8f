//! Host name -> addresses: the system's resolver behind a small, bounded memory shared by all workers.
//!
//! A name is looked up by one task at a time, however many ask. An answer is good for [`FRESH`]; after that
//! it is still given out for [`STALE`] while a new one is being fetched, so that a slow or failing name
//! server is felt by nobody whose name was known. Where nobody could be connected to, the answer is in doubt: the next one who
//! asks waits for a new one. A failed lookup is not repeated for [`NEGATIVE`]. The system resolver does not tell the records'
//! own times to live, hence the fixed ones.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::task::OwnedTask;

const FRESH: Duration = Duration::from_secs(60);
const STALE: Duration = Duration::from_secs(600);
const NEGATIVE: Duration = Duration::from_secs(2);
/// An answer is not in doubt before this age: a server that is down is no reason to ask for its name again and again.
const CERTAIN: Duration = Duration::from_secs(2);
/// Names remembered. Clients choose names where `hosts` allows it.
const MAX_NAMES: usize = 1024;
/// Lookups in progress; each occupies a thread for as long as the name server takes.
const MAX_LOOKUPS: usize = 16;
/// Addresses of one name that are ever tried.
const MAX_ADDRESSES: usize = 16;

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

/// The memory and the way to ask. Clones share it.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Names>);

/// Where addresses come from: a test seam.
pub(super) enum Source {
    /// The system's resolver.
    System,
    /// A table, with a count of the lookups and a gate that holds them while it is closed.
    #[cfg(test)]
    Table(tests::Table),
}

struct Names {
    source: Source,
    table: Mutex<HashMap<Arc<str>, Name>>,
    lookups: Semaphore,
}

#[derive(Default)]
struct Name {
    good: Option<Good>,
    failed: Option<Failed>,
    lookup: Option<Lookup>,
}

struct Good {
    addresses: Arc<[IpAddr]>,
    since: Instant,
    trust: Trust,
}

/// Whether the addresses of a name still lead anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Good,
    /// None of them could be connected to.
    InDoubt,
}

struct Failed {
    reason: Arc<str>,
    since: Instant,
}

struct Lookup {
    answer: watch::Receiver<Option<Answer>>,
    task: OwnedTask,
}

impl Resolver {
    pub(super) fn new(source: Source) -> Self {
        Self(Arc::new(Names {
            source,
            table: Mutex::new(HashMap::new()),
            lookups: Semaphore::new(MAX_LOOKUPS),
        }))
    }

    /// The addresses of `host`, in the order to try them; never empty. Takes as long as the name server:
    /// bound it.
    pub(super) async fn addresses(&self, host: &str) -> Answer {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(Arc::new([literal]));
        }
        let mut answer = match self.known_or_lookup(host) {
            Ok(answer) => return answer,
            Err(lookup) => lookup,
        };
        match answer.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(addresses))) => Ok(Arc::clone(addresses)),
            // What was in doubt is better than nothing.
            Ok(Some(Err(reason))) => self.still_known(host).ok_or_else(|| Arc::clone(reason)),
            // The worker whose task it was has stopped.
            _ => Err("the lookup was given up".into()),
        }
    }

    /// All addresses of `host` as of now, whatever is remembered; in no order.
    pub(super) async fn look_up_now(&self, host: &str) -> Result<Vec<IpAddr>, Arc<str>> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(vec![literal]);
        }
        let _permit = self.0.lookups.acquire().await.map_err(|error| error.to_string())?;
        let found = self.0.source.look_up(host).await.map_err(|error| error.to_string())?;
        if found.is_empty() { Err("it has no addresses".into()) } else { Ok(found) }
    }

    /// Nobody could be connected to at the addresses that were given out for `host`.
    pub(super) fn doubt(&self, host: &str) {
        let now = Instant::now();
        let mut table = self.0.table.lock();
        let good = table.get_mut(host).and_then(|name| name.good.as_mut());
        if let Some(good) = good.filter(|good| now >= good.since + CERTAIN) {
            good.trust = Trust::InDoubt;
        }
    }

    fn still_known(&self, host: &str) -> Option<Arc<[IpAddr]>> {
        let table = self.0.table.lock();
        let good = table.get(host)?.good.as_ref()?;
        (Instant::now() < good.since + STALE).then(|| Arc::clone(&good.addresses))
    }

    /// What is known, or the lookup to wait for. Starts one where what is known is missing or old.
    fn known_or_lookup(&self, host: &str) -> Result<Answer, watch::Receiver<Option<Answer>>> {
        let now = Instant::now();
        let mut table = self.0.table.lock();
        if !table.contains_key(host) {
            make_room(&mut table, now);
        }
        let name = table.entry(host.into()).or_default();
        let in_doubt = name.good.as_ref().is_some_and(|good| good.trust == Trust::InDoubt);
        if let Some(good) = name.good.as_ref().filter(|good| !in_doubt && now < good.since + FRESH) {
            return Ok(Ok(Arc::clone(&good.addresses)));
        }
        let stale = name.good.as_ref().filter(|good| now < good.since + STALE);
        let stale = stale.map(|good| Arc::clone(&good.addresses));
        if let Some(failed) = name.failed.as_ref().filter(|failed| now < failed.since + NEGATIVE) {
            return Ok(stale.ok_or_else(|| Arc::clone(&failed.reason)));
        }
        let lookup = match name.lookup.take().filter(|lookup| !lookup.task.is_finished()) {
            Some(lookup) => lookup,
            None => Names::start(&self.0, host.into()),
        };
        let answer = lookup.answer.clone();
        name.lookup = Some(lookup);
        stale.filter(|_| !in_doubt).map(Ok).ok_or(answer)
    }
}

impl Names {
    fn start(names: &Arc<Self>, host: Arc<str>) -> Lookup {
        let (sender, answer) = watch::channel(None);
        let names = Arc::downgrade(names);
        let task = OwnedTask::spawn(async move {
            let found = Self::look_up(&names, &host).await;
            if let Some(names) = names.upgrade() {
                names.remember(&host, &found);
            }
            sender.send_replace(Some(found));
        });
        Lookup { answer, task }
    }

    async fn look_up(names: &Weak<Self>, host: &str) -> Answer {
        let Some(names) = names.upgrade() else { return Err("the resolver has stopped".into()) };
        let _permit = names.lookups.acquire().await.map_err(|error| error.to_string())?;
        let found = names.source.look_up(host).await.map_err(|error| error.to_string())?;
        if found.is_empty() { Err("it has no addresses".into()) } else { Ok(interleave(&found)) }
    }

    fn remember(&self, host: &str, found: &Answer) {
        let since = Instant::now();
        let mut table = self.table.lock();
        let Some(name) = table.get_mut(host) else { return };
        match found {
            Ok(addresses) => {
                name.good = Some(Good { addresses: Arc::clone(addresses), since, trust: Trust::Good });
                name.failed = None;
            }
            Err(reason) => name.failed = Some(Failed { reason: Arc::clone(reason), since }),
        }
    }
}

impl Source {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match self {
            Self::System => {
                // The port is added back by whoever connects.
                let found = tokio::net::lookup_host((host, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            }
            #[cfg(test)]
            Self::Table(table) => table.look_up(host).await,
        }
    }
}

/// Drops what is of no use any more; if everything is, drops what is not being looked up.
fn make_room(table: &mut HashMap<Arc<str>, Name>, now: Instant) {
    if table.len() < MAX_NAMES {
        return;
    }
    let asked = |name: &Name| name.lookup.as_ref().is_some_and(|lookup| !lookup.task.is_finished());
    table.retain(|_, name| asked(name) || name.good.as_ref().is_some_and(|good| now < good.since + FRESH));
    if table.len() >= MAX_NAMES {
        table.retain(|_, name| asked(name));
    }
}

/// The families in turn, beginning with the first address: where one family leads nowhere, the second try is
/// of the other (RFC 8305 §4).
fn interleave(found: &[IpAddr]) -> Arc<[IpAddr]> {
    let mut seen = Vec::with_capacity(found.len().min(MAX_ADDRESSES));
    for ip in found.iter().map(IpAddr::to_canonical) {
        if !seen.contains(&ip) && seen.len() < MAX_ADDRESSES {
            seen.push(ip);
        }
    }
    let first_is_v6 = seen.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) =
        seen.into_iter().partition(|ip| ip.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        let (a, b) = (first.next(), second.next());
        if a.is_none() && b.is_none() {
            return mixed.into();
        }
        mixed.extend(a.into_iter().chain(b));
    }
}

#[cfg(test)]
pub(super) mod tests;
