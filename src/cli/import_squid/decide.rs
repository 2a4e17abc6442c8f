//! `http_access` -> the one set of clients, hosts, ports and kinds of URL that `[access]` can say.
//!
//! Squid takes the first line that matches; after the last one, the opposite of it holds. Here each *cell* (clients that no
//! list tells apart, a pattern of hosts, a range of ports, a kind of URL) is put to the lines with three answers: the line
//! matches all of the cell, nothing of it, or perhaps some. `allow` counts only where it matches all, `deny` wherever it
//! may match. So a cell that is allowed here was allowed by squid. The cells allowed rarely form one set: of those that
//! do, a large one is taken, and the rest is reported.

use std::cell::RefCell;
use std::collections::HashMap;

use ipnet::IpNet;

use super::acl::{Acls, Condition, Extent};
use super::cells::{Clients, client_groups, host_patterns, port_ranges};
use super::directive::{Directive, Scope};
use super::pattern::{Hosts, meet};
use crate::config::{Glob, PortRange, TargetShape};

/// Most lines that are looked at.
const MAX_RULES: usize = 256;

/// Strata that squid's rules are asked about one by one where all hosts but some are allowed, which patterns cannot say.
pub const STRATA: [&str; 14] = [
    "cvmfs-stratum-one.cern.ch",
    "cvmfs-stratum-one.ihep.ac.cn",
    "cvmfs-stratum-one.cc.kek.jp",
    "cernvmfs.gridpp.rl.ac.uk",
    "cvmfs-egi.gridpp.rl.ac.uk",
    "cvmfs-s1bnl.opensciencegrid.org",
    "cvmfs-s1fnal.opensciencegrid.org",
    "cvmfs-s1goc.opensciencegrid.org",
    "oasis-replica.opensciencegrid.org",
    "cvmfs.fnal.gov",
    "cvmfs.racf.bnl.gov",
    "klei.nikhef.nl",
    "cvmfs01.nikhef.nl",
    "cvmfsrep.grid.sinica.edu.tw",
];

/// What `[access]` is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// `clients`, never empty.
    pub clients: Vec<IpNet>,
    /// `hosts`.
    pub hosts: Vec<Glob>,
    /// `ports`, never empty.
    pub ports: Vec<PortRange>,
    /// `targets`, never empty.
    pub targets: Vec<TargetShape>,
    /// What squid allowed, or may have allowed, beyond that; in words.
    pub lost: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Maybe,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Allow,
    Deny,
}

struct Rule<'a> {
    verb: Verb,
    /// Each with what counts as met.
    conditions: Vec<(&'a Condition, Answer)>,
    text: String,
}

/// Reads the lines of `http_access`; `None` when nobody is certainly allowed anything.
pub fn decide(directives: &[Directive], acls: &Acls) -> Option<Decision> {
    let rules = rules(directives, acls);
    let mut lost = Vec::new();
    let uncertain =
        |rule: &&Rule<'_>| rule.conditions.iter().any(|(condition, _)| **condition == Condition::Unknown);
    lost.extend(rules.iter().filter(uncertain).map(|rule| match rule.verb {
        Verb::Allow => {
            format!("\"{}\" depends on what is not known here: taken as allowing nothing", rule.text)
        }
        Verb::Deny => {
            format!("\"{}\" depends on what is not known here: taken as refusing always", rule.text)
        }
    }));
    let groups = client_groups(acls)?;
    let ports = port_ranges(acls);
    let mut hosts = host_patterns(acls);
    hosts.push(Glob::new("*"));
    let grid = Grid { rules: &rules, groups: &groups, ports: &ports, by_host: RefCell::default() };
    let sets = [
        vec![TargetShape::Any],
        vec![TargetShape::Cvmfs, TargetShape::Frontier],
        vec![TargetShape::Cvmfs],
        vec![TargetShape::Frontier],
    ];
    let size = |found: &Rectangle| {
        if found.hosts.iter().any(|host| host.as_str() == "*") { usize::MAX } else { found.hosts.len() }
    };
    let mut best: Option<(Rectangle, Vec<TargetShape>)> = None;
    for shapes in sets {
        let Some(mut found) = grid.rectangle(&hosts, &shapes) else { continue };
        if size(&found) != usize::MAX && grid.all_but_some(&shapes) {
            let more: Vec<_> = hosts.iter().cloned().chain(STRATA.map(Glob::new)).collect();
            found = grid.rectangle(&more, &shapes).unwrap_or(found);
        }
        if best.as_ref().is_none_or(|(earlier, _)| size(&found) > size(earlier)) {
            best = Some((found, shapes));
        }
    }
    if best.is_none() {
        // Squid allowed everything but some hosts: only names can be put to it.
        let strata = STRATA.map(Glob::new);
        for shapes in [vec![TargetShape::Any], vec![TargetShape::Cvmfs]] {
            best = best.or_else(|| grid.rectangle(&strata, &shapes).map(|found| (found, shapes)));
        }
        if best.is_some() {
            lost.push("squid allowed all hosts but some, which `hosts` cannot say: well-known strata are listed; add yours".into());
        }
    }
    let (found, targets) = best?;
    if !targets.contains(&TargetShape::Any) {
        lost.push(
            "squid allowed every URL that its expressions match; here only those of the kinds in `targets`"
                .into(),
        );
    }
    lost.extend(grid.lost(&hosts, &found, &targets));
    let clients: Vec<IpNet> = found.clients.iter().flat_map(|&group| groups[group].iter().copied()).collect();
    Some(Decision {
        clients: IpNet::aggregate(&clients),
        hosts: without_subsumed(found.hosts),
        ports: joined(found.ports.iter().map(|&index| ports[index])),
        targets,
        lost,
    })
}

fn rules<'a>(directives: &[Directive], acls: &'a Acls) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    for directive in directives {
        // A file that was not read may refuse anything from here on.
        let hidden = directive.name == "include";
        if directive.name != "http_access" && !hidden {
            continue;
        }
        let verb = match directive.word(0) {
            Some("allow") if !hidden => Verb::Allow,
            _ => Verb::Deny,
        };
        let mut conditions: Vec<_> = directive
            .words
            .iter()
            .skip(1)
            .filter(|_| !hidden)
            .take_while(|word| !word.starts_with('#'))
            .map(|word| match word.strip_prefix('!') {
                Some(name) => (acls.get(name), Answer::No),
                None => (acls.get(word), Answer::Yes),
            })
            .collect();
        if hidden || directive.scope == Scope::Sometimes {
            conditions.push((&Condition::Unknown, Answer::Yes));
        }
        if rules.len() == MAX_RULES {
            // What is cut off may refuse.
            rules.push(Rule {
                verb: Verb::Deny,
                conditions: Vec::new(),
                text: "further lines of http_access".into(),
            });
            break;
        }
        rules.push(Rule { verb, conditions, text: directive.to_string() });
    }
    rules
}

/// One set of each kind, all combinations of which are allowed.
struct Rectangle {
    clients: Vec<usize>,
    ports: Vec<usize>,
    hosts: Vec<Glob>,
}

struct Grid<'a> {
    rules: &'a [Rule<'a>],
    groups: &'a [Clients],
    ports: &'a [PortRange],
    /// What was found out about a condition and a host: it is the same for all clients and ports, and costs the most.
    by_host: RefCell<HashMap<*const Condition, HashMap<Box<str>, Answer>>>,
}

impl Grid<'_> {
    fn allows(&self, client: usize, port: usize, host: &Glob, shape: TargetShape) -> bool {
        let mut last = Verb::Allow;
        for rule in self.rules {
            let mut met = Answer::Yes;
            for (condition, wanted) in &rule.conditions {
                let answer = match self.answer(condition, client, port, host, shape) {
                    Answer::Maybe => Answer::Maybe,
                    answer if answer == *wanted => continue,
                    _ => Answer::No,
                };
                met = if met == Answer::No { Answer::No } else { answer };
            }
            match (rule.verb, met) {
                (Verb::Allow, Answer::Yes) => return true,
                (Verb::Deny, Answer::Yes | Answer::Maybe) => return false,
                _ => last = rule.verb,
            }
        }
        // Without any line squid refuses everybody.
        last == Verb::Deny && !self.rules.is_empty()
    }

    fn answer(
        &self,
        condition: &Condition,
        client: usize,
        port: usize,
        host: &Glob,
        shape: TargetShape,
    ) -> Answer {
        let certain = |yes: bool| if yes { Answer::Yes } else { Answer::No };
        let perhaps = |yes: bool| if yes { Answer::Yes } else { Answer::Maybe };
        match condition {
            Condition::Always => Answer::Yes,
            Condition::Never | Condition::Internal => Answer::No,
            Condition::Unknown => Answer::Maybe,
            Condition::Clients(networks, extent) => {
                let inside = self.groups[client]
                    .first()
                    .is_some_and(|first| networks.iter().any(|network| network.contains(first)));
                if *extent == Extent::Whole { certain(inside) } else { perhaps(inside) }
            }
            Condition::Ports(ranges) => {
                certain(ranges.iter().any(|range| range.contains(self.ports[port].first())))
            }
            Condition::Shapes(shapes) => perhaps(shapes.contains(&shape)),
            Condition::Hosts(hosts) => {
                let mut known = self.by_host.borrow_mut();
                let known = known.entry(std::ptr::from_ref(condition)).or_default();
                if let Some(answer) = known.get(host.as_str()) {
                    return *answer;
                }
                let answer = Self::answer_for_host(hosts, host);
                known.insert(host.as_str().into(), answer);
                answer
            }
        }
    }

    fn answer_for_host(Hosts { inner, outer }: &Hosts, host: &Glob) -> Answer {
        // A `*` in the text is matched by nothing but a `*`: the whole pattern is covered.
        if inner.iter().any(|glob| glob.matches(host.as_str())) {
            Answer::Yes
        } else if outer.iter().any(|glob| meet(glob, host)) {
            Answer::Maybe
        } else {
            Answer::No
        }
    }

    /// Leaves out the client group or the range of ports with the fewest hosts until some host is common to the others.
    fn rectangle(&self, hosts: &[Glob], shapes: &[TargetShape]) -> Option<Rectangle> {
        let allows = |client, port, host: usize| {
            shapes.iter().all(|&shape| self.allows(client, port, &hosts[host], shape))
        };
        let allowed: Vec<Vec<Vec<bool>>> = (0..self.groups.len())
            .map(|client| {
                (0..self.ports.len())
                    .map(|port| (0..hosts.len()).map(|host| allows(client, port, host)).collect())
                    .collect()
            })
            .collect();
        let count = |client: usize, port: usize| allowed[client][port].iter().filter(|yes| **yes).count();
        let mut clients: Vec<usize> = (0..self.groups.len()).collect();
        let mut ports: Vec<usize> = (0..self.ports.len()).collect();
        clients.retain(|&client| ports.iter().any(|&port| count(client, port) > 0));
        ports.retain(|&port| clients.iter().any(|&client| count(client, port) > 0));
        while !clients.is_empty() && !ports.is_empty() {
            let common = |host: &usize| {
                clients.iter().all(|&client| ports.iter().all(|&port| allowed[client][port][*host]))
            };
            let found: Vec<Glob> = (0..hosts.len()).filter(common).map(|host| hosts[host].clone()).collect();
            if !found.is_empty() {
                return Some(Rectangle { clients, ports, hosts: found });
            }
            let of_client =
                |client: &usize| ports.iter().map(|&port| count(*client, port)).sum::<usize>() / ports.len();
            let of_port = |port: &usize| {
                clients.iter().map(|&client| count(client, *port)).sum::<usize>() / clients.len()
            };
            let (least_client, least_port) = (
                *clients.iter().min_by_key(|client| of_client(client))?,
                *ports.iter().min_by_key(|port| of_port(port))?,
            );
            if ports.len() > 1 && of_port(&least_port) <= of_client(&least_client) {
                ports.retain(|port| *port != least_port);
            } else {
                clients.retain(|client| *client != least_client);
            }
        }
        None
    }

    /// Whether somebody may ask hosts that no list names.
    fn all_but_some(&self, shapes: &[TargetShape]) -> bool {
        let unnamed = Glob::new("host.named.by.no.list.invalid");
        let allows = |client, port| shapes.iter().all(|&shape| self.allows(client, port, &unnamed, shape));
        (0..self.groups.len()).any(|client| (0..self.ports.len()).any(|port| allows(client, port)))
    }

    /// What is allowed beyond the rectangle, a line for each group of clients.
    fn lost(&self, hosts: &[Glob], found: &Rectangle, targets: &[TargetShape]) -> Vec<String> {
        let covered = |host: &Glob| found.hosts.iter().any(|glob| glob.matches(host.as_str()));
        let served = |shape: &TargetShape| targets.contains(shape) || targets.contains(&TargetShape::Any);
        let unnamed = Glob::new("host.named.by.no.list.invalid");
        let mut lines = Vec::new();
        for (client, group) in self.groups.iter().enumerate() {
            let mut words: Vec<String> = Vec::new();
            for host in hosts.iter().chain([&unnamed]) {
                for (port, range) in self.ports.iter().enumerate() {
                    let inside =
                        found.clients.contains(&client) && found.ports.contains(&port) && covered(host);
                    let shape = TargetShape::ALL
                        .iter()
                        .find(|shape| !(inside && served(shape)) && self.allows(client, port, host, **shape));
                    if let Some(shape) = shape {
                        let host = if *host == unnamed { "hosts in no list" } else { host.as_str() };
                        words.push(format!("{host} port {range} ({})", shape.as_str()));
                    }
                }
            }
            if let Some(first) = words.first() {
                let more =
                    if words.len() > 1 { format!(" and {} more", words.len() - 1) } else { String::new() };
                let network = group.first().map(ToString::to_string).unwrap_or_default();
                lines.push(format!("squid also allowed clients such as {network} to ask {first}{more}"));
            }
        }
        lines
    }
}

/// Neighbours put together.
fn joined(ranges: impl Iterator<Item = PortRange>) -> Vec<PortRange> {
    let mut all: Vec<PortRange> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.last().checked_add(1) == Some(range.first()) => {
                *last = PortRange::new(last.first(), range.last())
            }
            _ => all.push(range),
        }
    }
    all
}

fn without_subsumed(hosts: Vec<Glob>) -> Vec<Glob> {
    let wider = |host: &Glob| hosts.iter().any(|other| other != host && other.matches(host.as_str()));
    hosts.iter().filter(|host| !wider(host)).cloned().collect()
}

#[cfg(test)]
mod tests;
