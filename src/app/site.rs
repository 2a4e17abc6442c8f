//! What one configuration comes to: the parts that a reload replaces, all at once.
//!
//! A site never changes. What is asked under one is answered under it, also when another one has taken its place
//! meanwhile; caches, downloads, connections and what is known of servers pass from one to the next.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::StartError;
use crate::access::Access;
use crate::admin::{Guard, Token};
use crate::cache::{Cache, FillError};
use crate::config::Config;
use crate::document::{self, Documents};
use crate::fetch::HedgeBudget;
use crate::metrics::Metrics;
use crate::response::Heads;
use crate::server::tls;
use crate::service::{Consents, Rechecks, Tokens, Tunnels, Turns, Worker};
use crate::tally::Recorder;
use crate::upstream::{Client, Upstreams};

/// The parts that follow from a configuration.
pub struct Site {
    /// What holds: where a reload wanted what needs a restart, the old values.
    pub config: Config,
    /// Documents, under the rules of this configuration.
    pub documents: Documents<FillError>,
    /// Whom to ask.
    pub upstreams: Arc<Upstreams>,
    generation: u64,
    access: Arc<Access>,
    tls: Option<TlsAcceptor>,
    heads: Arc<Heads>,
    hedges: Arc<HedgeBudget>,
    turns: Arc<Turns>,
}

/// What every site of a process has in common.
#[derive(Clone)]
pub struct Ground {
    /// Objects.
    pub cache: Arc<Cache>,
    /// Rechecks of stored objects, of all workers.
    pub rechecks: Arc<Rechecks>,
    /// Tunnels, of all workers.
    pub tunnels: Arc<Tunnels>,
    /// Whom registries let have what, for all workers.
    pub consents: Arc<Consents>,
    /// Tokens that registries give to everybody, for all workers.
    pub tokens: Arc<Tokens>,
}

impl Site {
    /// The first one. `own` are the addresses that are listened on, `place` is where documents are kept on disk.
    pub fn new(
        config: Config,
        own: &[SocketAddr],
        place: Option<document::disk::Place>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let access = Access::new(&config.access, &config.mirrors, &config.parents, own);
        let access = Arc::new(access.before(&config.registries));
        let upstreams = Upstreams::new(
            &config.mirrors,
            &config.parents,
            &config.upstream,
            Arc::clone(&access),
            metrics.upstream.clone(),
        )?;
        Ok(Self {
            documents: Documents::new(&config.memory, &config.documents, place, metrics.document.clone())?,
            upstreams: Arc::new(upstreams),
            generation: 1,
            access,
            tls: config.listen.identity.as_ref().map(tls::load).transpose()?,
            heads: Arc::new(Heads::new(&config.listen.name)?.allowing(&config.access.methods)?),
            hedges: Arc::new(HedgeBudget::new(config.upstream.hedge_percent)),
            turns: Turns::new(config.objects.max_client_fills, metrics.cache.fills_waiting.clone()),
            config,
        })
    }

    /// The next one. A failure leaves everything as it was.
    pub fn renewed(&self, config: Config, own: &[SocketAddr]) -> Result<Self, StartError> {
        let access = Access::new(&config.access, &config.mirrors, &config.parents, own);
        let access = Arc::new(access.before(&config.registries));
        let same = config.listen.name == self.config.listen.name
            && config.access.methods == self.config.access.methods;
        let heads = match same {
            true => Arc::clone(&self.heads),
            false => Arc::new(Heads::new(&config.listen.name)?.allowing(&config.access.methods)?),
        };
        let hedges = match config.upstream.hedge_percent == self.config.upstream.hedge_percent {
            true => Arc::clone(&self.hedges),
            false => Arc::new(HedgeBudget::new(config.upstream.hedge_percent)),
        };
        let turns = self.turns.under(config.objects.max_client_fills);
        let tls = config.listen.identity.as_ref().map(tls::load).transpose()?;
        let upstreams = self.upstreams.renewed(
            &config.mirrors,
            &config.parents,
            &config.upstream,
            Arc::clone(&access),
        )?;
        Ok(Self {
            documents: self.documents.under(&config.memory, &config.documents),
            upstreams: Arc::new(upstreams),
            generation: self.generation + 1,
            access,
            tls,
            heads,
            hedges,
            turns,
            config,
        })
    }

    /// What guards the admin port. Reads the token.
    pub fn guard(&self) -> Result<Guard, StartError> {
        let admin = &self.config.admin;
        let token = admin.token_file.as_deref().map(Token::read).transpose()?;
        Ok(Guard { tls: self.tls.clone().filter(|_| admin.tls), token })
    }

    /// This site for one worker thread, which keeps `client` and `recorder` to itself.
    pub fn worker(&self, ground: &Ground, client: Client, recorder: Arc<Recorder>) -> Arc<Worker> {
        Arc::new(Worker {
            generation: self.generation,
            listen: self.config.listen.clone(),
            tls: self.tls.clone(),
            cache: Arc::clone(&ground.cache),
            documents: self.documents.clone(),
            access: Arc::clone(&self.access),
            upstreams: Arc::clone(&self.upstreams),
            client,
            heads: Arc::clone(&self.heads),
            recorder,
            objects: self.config.objects.clone(),
            upstream: self.config.upstream.clone(),
            hedges: Arc::clone(&self.hedges),
            turns: Arc::clone(&self.turns),
            rechecks: Arc::clone(&ground.rechecks),
            tunnels: Arc::clone(&ground.tunnels),
            consents: Arc::clone(&ground.consents),
            tokens: Arc::clone(&ground.tokens),
        })
    }
}
