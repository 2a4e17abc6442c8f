//! Which servers may serve a request, and in which order.
//!
//! Parents come first, in the order written or by rendezvous, then the strata. Objects are the same everywhere, so the mirrors are asked in the
//! order of their group; a document is asked of the host that the client named first, since strata may differ
//! by a revision. Whoever is in trouble, or lacks the object, is asked behind the others.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::condition::UpstreamStatus;
use super::connect::Connector;
use super::outcome::Counters;
use super::parents::Parents;
use super::rendezvous;
use super::{Failure, Role, Upstream, choice};
use crate::access::Access;
use crate::config::{self, Glob, ServerUrl};
use crate::metrics::UpstreamMetrics;

/// The label of all servers that are not configured.
pub(super) const OTHER: &str = "other";

/// The servers and the way to them; shared by all workers.
pub struct Upstreams {
    pub(super) parents: Parents,
    pub(super) groups: Vec<Group>,
    /// Counters of servers that are not configured.
    pub(super) other: Arc<Counters>,
    pub(super) limits: config::Upstream,
    pub(super) metrics: UpstreamMetrics,
    pub(super) connector: Connector,
    pub(super) access: Arc<Access>,
}

pub(super) struct Group {
    /// As configured, behind a mark that no URL has.
    pub(super) name: Arc<str>,
    pub(super) mirrors: Vec<Arc<Upstream>>,
    pub(super) serves: Vec<Glob>,
}

/// What is to be asked for, as far as it decides whom to ask.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery<'a> {
    /// The server that an absolute-form request names; `None` for origin-form.
    pub named: Option<&'a ServerUrl>,
    /// The repository, where the path tells.
    pub repository: Option<&'a str>,
    /// Object or document.
    pub wanted: Wanted<'a>,
}

/// What is wanted, under the name by which it is shared out among parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Named by its checksum, of which these are 64 bits: the same everywhere.
    Object(u64),
    /// Anything else, by path and query.
    Document(&'a str),
}

impl Wanted<'_> {
    /// The same in every process and on every machine.
    fn hash64(&self) -> u64 {
        match self {
            Self::Object(hash) => *hash,
            Self::Document(path) => rendezvous::hash(path),
        }
    }
}

/// A server that may serve a request, and how to put the request to it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who is connected to.
    pub upstream: Arc<Upstream>,
    /// How the request is put.
    pub form: Form,
}

/// The form of a request target (RFC 9112 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Path and query, to the server that has the answer.
    Origin,
    /// The whole URL, to a cache that gets the answer from this server.
    Absolute(Arc<ServerUrl>),
}

impl Candidate {
    /// Whom the request is for: what stands in `Host`.
    pub fn target(&self) -> &ServerUrl {
        match &self.form {
            Form::Origin => &self.upstream.peer.url,
            Form::Absolute(target) => target,
        }
    }
}

impl Upstreams {
    /// The candidates for one request, best first. Empty only when nothing can serve it: an origin-form
    /// request for a repository that no group serves. The first one is to be asked: it may be in trouble, and
    /// this request the one by which its recovery is found out.
    pub fn route(&self, query: RouteQuery<'_>) -> Vec<Candidate> {
        let strata = self.strata(query);
        let target = match (query.named, strata.first()) {
            (Some(named), _) => Arc::new(named.clone()),
            (None, Some(first)) => Arc::clone(&first.peer.url),
            (None, None) => return Vec::new(),
        };
        let parents = self
            .parents
            .in_order(|| query.wanted.hash64())
            .into_iter()
            .map(|upstream| Candidate { upstream, form: Form::Absolute(Arc::clone(&target)) });
        let direct = self.limits.direct || self.parents.configured().is_empty();
        let strata = strata.into_iter().filter(|_| direct);
        let strata = strata.map(|upstream| Candidate { upstream, form: Form::Origin });
        let mut candidates: Vec<_> = parents.chain(strata).collect();
        choice::sort(&mut candidates, query.wanted, Instant::now());
        candidates
    }

    /// How each configured server is doing: parents, then mirrors, in the order written, each once.
    pub fn status(&self) -> Vec<UpstreamStatus> {
        let now = Instant::now();
        let status = |upstream: &Upstream| {
            let condition = upstream.condition.as_ref()?;
            Some(condition.status(upstream, now))
        };
        let members = self.parents.members();
        self.distinct(&members).into_iter().filter_map(|upstream| status(upstream)).collect()
    }

    /// Brings the gauges up to date that change by time alone. To be called before metrics are read.
    pub fn sample(&self) {
        let now = Instant::now();
        let members = self.parents.members();
        for condition in self.distinct(&members).iter().filter_map(|upstream| upstream.condition.as_ref()) {
            condition.sample(now);
        }
        // A name that stands for several caches is well while one of them is.
        for parent in self.parents.configured() {
            let mut behind = members.iter().filter(|member| member.peer.url == parent.peer.url);
            let well = behind.any(|member| member.standing(now).is_in_place());
            parent.condition.iter().for_each(|condition| condition.show(well.into()));
        }
    }

    /// Looks up again who is behind the parents' names, when it is time. To be called about once a second, on a worker.
    pub fn follow(&self) {
        self.parents.follow();
    }

    /// Parents, then mirrors, as written, each once.
    pub(super) fn configured(&self) -> Vec<&Arc<Upstream>> {
        self.distinct(self.parents.configured())
    }

    fn distinct<'a>(&'a self, parents: &'a [Arc<Upstream>]) -> Vec<&'a Arc<Upstream>> {
        let mut found: Vec<&Arc<Upstream>> = Vec::new();
        for upstream in parents.iter().chain(self.groups.iter().flat_map(|group| &group.mirrors)) {
            if !found.iter().any(|known| Arc::ptr_eq(known, upstream)) {
                found.push(upstream);
            }
        }
        found
    }

    /// Which servers' documents may stand for one another: the members of one mirror group, or a host alone. Two requests
    /// with equal scopes are for the same content, whichever server they name.
    pub fn scope(&self, named: Option<&ServerUrl>, repository: Option<&str>) -> Arc<str> {
        let group = match named {
            Some(named) => self.group_of(named, repository),
            None => self.groups.iter().find(|group| group.serves(repository)),
        };
        match (group, named) {
            (Some(group), _) => Arc::clone(&group.name),
            (None, Some(named)) => named.to_string().into(),
            (None, None) => "".into(),
        }
    }

    /// The strata that may serve the request, best first.
    fn strata(&self, query: RouteQuery<'_>) -> Vec<Arc<Upstream>> {
        let Some(named) = query.named else {
            let group = self.groups.iter().find(|group| group.serves(query.repository));
            return group.map(|group| group.mirrors.clone()).unwrap_or_default();
        };
        let Some(group) = self.group_of(named, query.repository) else {
            return vec![self.unconfigured(named)];
        };
        let mut strata = group.mirrors.clone();
        if let Wanted::Document(_) = query.wanted {
            // Stable: behind the named host the group's order stays.
            strata.sort_by_key(|mirror| mirror.url() != named);
        }
        strata
    }

    /// The group that `named` is in. Hosts may be in several, which then differ by what they serve.
    fn group_of(&self, named: &ServerUrl, repository: Option<&str>) -> Option<&Group> {
        let mut groups = self.groups.iter().filter(|group| group.mirrors.iter().any(|m| m.url() == named));
        let first = groups.clone().next()?;
        Some(groups.find(|group| group.serves(repository)).unwrap_or(first))
    }

    fn unconfigured(&self, named: &ServerUrl) -> Arc<Upstream> {
        Arc::new(Upstream {
            peer: Arc::new(named.clone()).into(),
            role: Role::Named,
            name: OTHER.into(),
            label: OTHER.into(),
            counters: Arc::clone(&self.other),
            authorization: None,
            condition: None,
        })
    }

    /// Who is asked when `from` redirects to `server`: the server itself, through the same parent if there is one.
    pub(super) fn redirected(&self, from: &Candidate, server: ServerUrl) -> Result<Candidate, Failure> {
        self.access.host(&server)?;
        let (upstream, form) = match &from.form {
            Form::Origin => {
                let mut mirrors = self.groups.iter().flat_map(|group| &group.mirrors);
                let known = mirrors.find(|mirror| *mirror.url() == server).cloned();
                (known.unwrap_or_else(|| self.unconfigured(&server)), Form::Origin)
            }
            Form::Absolute(_) => (Arc::clone(&from.upstream), Form::Absolute(Arc::new(server))),
        };
        Ok(Candidate { upstream, form })
    }

    /// A connection to `server` for whatever a client wants to say to it, opened within `connect_timeout`.
    pub async fn tunnel(&self, server: &ServerUrl) -> Result<TcpStream, Failure> {
        self.connector
            .open_tcp(&Arc::new(server.clone()).into(), Instant::now() + self.limits.connect_timeout)
            .await
    }

    pub(super) fn limits(&self) -> &config::Upstream {
        &self.limits
    }

    pub(super) fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }
}

impl Group {
    /// Whether the group is there for the repository; every group of mirrors is for a request without one.
    fn serves(&self, repository: Option<&str>) -> bool {
        match repository {
            Some(name) => self.serves.iter().any(|glob| glob.matches(name)),
            None => !self.serves.is_empty(),
        }
    }
}
