//! From a configuration to the servers: the first time, and each time it changes.
//!
//! What is known of a server (health, speed, what it lacks) belongs to its URL and passes on; what can fail is done
//! first, so that a failure leaves everything as it was.

use std::collections::HashMap;
use std::sync::Arc;

use super::condition::Condition;
use super::connect::Connector;
use super::login::{self, LoginError};
use super::outcome::Counters;
use super::parents::Parents;
use super::resolve::{Resolver, Source};
use super::route::{Group, OTHER, Upstreams};
use super::tls::{Tls, TlsSetupError};
use super::{Role, Upstream};
use crate::access::Access;
use crate::config::{self, MirrorGroup, Parent, Scheme, ServerUrl};
use crate::metrics::UpstreamMetrics;

/// What is known already, of servers and of names.
struct Known<'a> {
    servers: &'a [&'a Arc<Upstream>],
    parents: Option<&'a Parents>,
    resolver: Resolver,
}

impl Known<'_> {
    fn condition(&self, url: &ServerUrl, role: Role) -> Option<Arc<Condition>> {
        let known = self.servers.iter().find(|known| *known.peer.url == *url && known.role == role)?;
        known.condition.clone()
    }
}

/// Why the upstream part cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// An https upstream is configured, but no certificate can be checked.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// A parent's password cannot be used.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl Upstreams {
    /// Takes the servers in. Reads the certificate authorities when one of them is an https server.
    pub fn new(
        mirrors: &[MirrorGroup],
        parents: &[Parent],
        config: &config::Upstream,
        access: Arc<Access>,
        metrics: UpstreamMetrics,
    ) -> Result<Self, UpstreamSetupError> {
        Self::with_source(mirrors, parents, config, access, metrics, Source::System)
    }

    pub(super) fn with_source(
        mirrors: &[MirrorGroup],
        parents: &[Parent],
        config: &config::Upstream,
        access: Arc<Access>,
        metrics: UpstreamMetrics,
        source: Source,
    ) -> Result<Self, UpstreamSetupError> {
        let known = Known { servers: &[], parents: None, resolver: Resolver::new(source) };
        Self::build(mirrors, parents, config, access, metrics, known)
    }

    /// The same for another configuration: what is known of servers that stay is kept. Reads the certificate authorities
    /// and passwords again. A failure leaves everything as it was.
    pub fn renewed(
        &self,
        mirrors: &[MirrorGroup],
        parents: &[Parent],
        config: &config::Upstream,
        access: Arc<Access>,
    ) -> Result<Self, UpstreamSetupError> {
        let servers = self.configured();
        let known =
            Known { servers: &servers, parents: Some(&self.parents), resolver: self.connector.resolver() };
        Self::build(mirrors, parents, config, access, self.metrics.clone(), known)
    }

    fn build(
        mirrors: &[MirrorGroup],
        parents: &[Parent],
        config: &config::Upstream,
        access: Arc<Access>,
        metrics: UpstreamMetrics,
        known: Known<'_>,
    ) -> Result<Self, UpstreamSetupError> {
        let configured = mirrors.iter().flat_map(|group| &group.urls).chain(parents.iter().map(|p| &p.url));
        let mut configured = configured.chain(access.registries().iter().map(|registry| &registry.url));
        let mut tls = Tls::new(config.ca_files.clone());
        if configured.any(|url| url.scheme == Scheme::Https) {
            tls = tls.load_now()?;
        }
        let logins: Vec<_> = parents
            .iter()
            .map(|parent| parent.login.as_ref().map(login::authorization).transpose())
            .collect::<Result<_, LoginError>>()?;
        // Nothing fails from here on.
        let budgets = [
            ("connect", config.connect_timeout),
            ("first_byte", config.first_byte_timeout),
            ("head", config.head_deadline),
            ("stall", config.stall_timeout),
        ];
        for (budget, time) in budgets {
            metrics.budgets.with_label_values(&[budget]).set(time.as_secs_f64());
        }
        let upstream = |url: &ServerUrl, role, authorization| {
            let label = url.to_string();
            let condition = match known.condition(url, role) {
                Some(condition) => {
                    condition.adopt(config);
                    condition
                }
                None => Arc::new(Condition::new(&metrics, &label, config)),
            };
            Arc::new(Upstream {
                peer: Arc::new(url.clone()).into(),
                name: label.as_str().into(),
                role,
                authorization,
                counters: Arc::new(Counters::resolve(&metrics, &label)),
                condition: Some(condition),
                label: label.into(),
            })
        };
        // A server in several groups is one server: what is learnt about it holds for all of them.
        let mut taken: HashMap<&ServerUrl, Arc<Upstream>> = HashMap::new();
        let mut mirror =
            |url| Arc::clone(taken.entry(url).or_insert_with(|| upstream(url, Role::Mirror, None)));
        let mirrors = mirrors.iter().map(|group| Group {
            name: format!("group {}", group.name).into(),
            mirrors: group.urls.iter().map(&mut mirror).collect(),
            serves: group.serves.clone(),
        });
        // Who asks for one names it: they serve nothing to those who name nobody.
        let registries = access.registries().iter().map(|registry| Group {
            name: format!("registry {}", registry.url).into(),
            mirrors: vec![upstream(&registry.url, Role::Registry, None)],
            serves: Vec::new(),
        });
        Ok(Self {
            groups: mirrors.chain(registries).collect(),
            parents: Parents::new(
                parents
                    .iter()
                    .zip(logins)
                    .map(|(parent, login)| upstream(&parent.url, Role::Parent, login))
                    .collect(),
                known.parents,
                known.resolver.clone(),
                &metrics,
                config,
            ),
            other: Arc::new(Counters::resolve(&metrics, OTHER)),
            limits: config.clone(),
            connector: Connector::new(known.resolver, tls, Arc::clone(&access)),
            access,
            metrics,
        })
    }

    /// Takes the gauges of those away that were configured in `before` and are not any more.
    pub fn take_leave(&self, before: &Self) {
        let stay = self.configured();
        for gone in before.configured() {
            if stay.iter().all(|upstream| upstream.label != gone.label) {
                // An error means that there is none.
                let _ = self.metrics.healthy.remove_label_values(&[&gone.label]);
            }
        }
    }

    /// Whether a connection opened for `other` may be used here: to the same servers, under the same rules and limits.
    pub(super) fn shares_connections_with(&self, other: &Self) -> bool {
        self.limits == other.limits && self.access == other.access
    }
}
