//! Which parts of a new configuration hold at once, and which wait for a restart. Pure.
//!
//! Whatever is not named here can change while the program runs.

use super::keys::{self, Key};
use super::{ByteSize, Config, Disk};

/// What a running program takes on of a new configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The new configuration, with what cannot change now as it was.
    pub config: Config,
    /// The keys whose new values wait for a restart.
    pub waiting: Vec<&'static Key>,
}

impl Change {
    /// From `running` to `wanted`. A disk tier cannot become smaller than `least_disk` while it runs.
    pub fn of(running: &Config, wanted: Config, least_disk: ByteSize) -> Self {
        let mut change = Self { config: wanted, waiting: Vec::new() };
        change.listen(running);
        change.admin(running);
        change.documents(running);
        change.disk(running, least_disk);
        change.waiting.extend(keep(&keys::warm::REPOSITORY, &running.warm, &mut change.config.warm));
        change
    }

    fn listen(&mut self, running: &Config) {
        use keys::listen::{ADMIN, PROXY, TLS, WORKERS};
        let (running, wanted) = (&running.listen, &mut self.config.listen);
        let waiting = [
            keep(&PROXY, &running.proxy, &mut wanted.proxy),
            keep(&TLS, &running.tls, &mut wanted.tls),
            keep(&ADMIN, &running.admin, &mut wanted.admin),
            keep(&WORKERS, &running.workers, &mut wanted.workers),
        ];
        if !wanted.tls.is_empty() && wanted.identity.is_none() {
            wanted.identity.clone_from(&running.identity);
        }
        self.waiting.extend(waiting.into_iter().flatten());
    }

    fn admin(&mut self, running: &Config) {
        use keys::admin::{SNMP, SNMP_COMMUNITY};
        let (running, wanted) = (&running.admin, &mut self.config.admin);
        let waiting = [
            keep(&SNMP, &running.snmp, &mut wanted.snmp),
            keep(&SNMP_COMMUNITY, &running.snmp_community, &mut wanted.snmp_community),
        ];
        self.waiting.extend(waiting.into_iter().flatten());
    }

    fn documents(&mut self, running: &Config) {
        let (running, wanted) = (&running.memory, &mut self.config.memory);
        self.waiting.extend(keep(&keys::memory::DOCUMENTS, &running.documents, &mut wanted.documents));
        wanted.max_document = wanted.max_document.min(wanted.documents);
    }

    fn disk(&mut self, running: &Config, least: ByteSize) {
        use keys::disk::{CAPACITY, DOCUMENTS, IO_THREADS, PATH, SEGMENT};
        match (&running.disk, &mut self.config.disk) {
            (Some(running), Some(wanted)) => {
                let capacity = match wanted.capacity {
                    wanted if wanted < least => running.capacity,
                    possible => possible,
                };
                // A share of the capacity that nobody gave does not have to follow it at once.
                if is_derived(running) && is_derived(wanted) {
                    wanted.documents = running.documents;
                }
                let waiting = [
                    keep(&DOCUMENTS, &running.documents, &mut wanted.documents),
                    keep(&PATH, &running.path, &mut wanted.path),
                    keep(&CAPACITY, &capacity, &mut wanted.capacity),
                    keep(&SEGMENT, &running.segment, &mut wanted.segment),
                    keep(&IO_THREADS, &running.io_threads, &mut wanted.io_threads),
                    keep(&keys::quotas::REPOSITORY, &running.quotas, &mut wanted.quotas),
                ];
                self.waiting.extend(waiting.into_iter().flatten());
            }
            (running, wanted) => self.waiting.extend(keep(&PATH, running, wanted)),
        }
    }
}

/// Whether `documents` is what it is without being given.
fn is_derived(disk: &Disk) -> bool {
    disk.documents == Disk::new(disk.path.clone(), disk.capacity).documents
}

/// Puts the running value in the place of another one, whose key is returned.
fn keep<T: Clone + PartialEq>(key: &'static Key, running: &T, wanted: &mut T) -> Option<&'static Key> {
    (running != wanted).then(|| {
        *wanted = running.clone();
        key
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Memory, ParentsChoice};

    fn running() -> Config {
        let disk = Disk::new(PathBuf::from("/cache"), ByteSize::gib(10));
        Config { disk: Some(disk), ..Config::default() }
    }

    fn check(change: impl FnOnce(&mut Config), expected: &[&str], accept: impl FnOnce(&mut Config)) {
        let (mut wanted, mut accepted) = (running(), running());
        change(&mut wanted);
        accept(&mut accepted);
        let found = Change::of(&running(), wanted, ByteSize::gib(1));
        let waiting: Vec<_> = found.waiting.iter().map(|key| format!("{} {}", key.table, key.name)).collect();
        assert_eq!(waiting, expected);
        assert_eq!(found.config, accepted, "{expected:?}");
    }

    #[test]
    fn what_waits_stays_as_it_was_and_is_named() {
        let nothing = |_: &mut Config| {};
        check(nothing, &[], nothing);
        let moved = |config: &mut Config| {
            config.listen.proxy = vec![SocketAddr::from(([127, 0, 0, 1], 1))];
            config.listen.admin = None;
            config.listen.workers += 1;
        };
        check(moved, &["listen proxy", "listen admin", "listen workers"], nothing);
        let documents = |config: &mut Config| {
            config.memory = Memory::default().with_documents(ByteSize::gib(1));
            config.memory.max_document = ByteSize::mib(100);
        };
        let clamped = |config: &mut Config| config.memory.max_document = ByteSize::mib(64);
        check(documents, &["memory documents"], clamped);
        check(|config| config.disk = None, &["disk path"], nothing);
        let elsewhere = |config: &mut Config| {
            let disk = config.disk.as_mut().unwrap();
            disk.path = PathBuf::from("/elsewhere");
            disk.segment = ByteSize::mib(1);
            disk.io_threads = 1;
            disk.capacity = ByteSize::mib(100);
            disk.documents = ByteSize::mib(7);
        };
        check(
            elsewhere,
            &["disk documents", "disk path", "disk capacity", "disk segment", "disk io_threads"],
            nothing,
        );
    }

    #[test]
    fn what_is_warmed_waits_for_a_restart() {
        let warm = |config: &mut Config| config.warm = vec![crate::config::Warm::new("a.b".parse().unwrap())];
        check(warm, &["warm repository"], |_| {});
    }

    #[test]
    fn a_share_of_the_capacity_for_documents_follows_with_the_next_start() {
        let larger = |config: &mut Config| {
            config.disk = Some(Disk::new(PathBuf::from("/cache"), ByteSize::gib(20)));
        };
        let as_before = |config: &mut Config| {
            larger(config);
            config.disk.as_mut().unwrap().documents = running().disk.unwrap().documents;
        };
        check(larger, &[], as_before);
    }

    #[test]
    fn everything_else_holds_at_once() {
        let change = |config: &mut Config| {
            config.listen.name = "other".to_owned();
            config.listen.max_connections = 1;
            config.access.clients.clear();
            config.memory = Memory::with_capacity(ByteSize::gib(1));
            config.upstream.parents_choice = ParentsChoice::Rendezvous;
            config.log.keep = 9;
            let disk = config.disk.as_mut().unwrap();
            disk.capacity = ByteSize::gib(1);
            disk.max_object = ByteSize::mib(7);
            disk.scrub_rate = ByteSize(0);
            disk.free_reserve = ByteSize(0);
        };
        check(change, &[], change);
    }
}
