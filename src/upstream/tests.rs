//! Plays with scripted servers on real loopback sockets.

mod answers;
mod faults;
mod flaws;
mod pooling;
mod reach;
mod routes;
mod server;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::resolve::Source;
use super::resolve::tests::Table;
use super::*;
use crate::access::Access;
use crate::config::{self, Glob, MirrorGroup, Parent};
use crate::metrics::{Metrics, UpstreamMetrics};

/// What a test is set up with; [`Setup::client`] makes it real.
struct Setup {
    mirrors: Vec<MirrorGroup>,
    parents: Vec<Parent>,
    config: config::Upstream,
    names: Table,
    internal_hosts: Vec<Glob>,
}

/// A client and what it leaves behind.
struct Tested {
    client: Client,
    upstreams: Arc<Upstreams>,
    metrics: UpstreamMetrics,
}

fn setup() -> Setup {
    Setup {
        mirrors: Vec::new(),
        parents: Vec::new(),
        config: limits(),
        names: Table::new(&[]),
        internal_hosts: Vec::new(),
    }
}

fn limits() -> config::Upstream {
    config::Upstream {
        connect_timeout: Duration::from_millis(1500),
        first_byte_timeout: Duration::from_millis(1500),
        head_deadline: Duration::from_secs(4),
        stall_timeout: Duration::from_secs(5),
        max_connections: 8,
        idle_connections: 4,
        idle_timeout: Duration::from_secs(4),
        ..config::Upstream::default()
    }
}

impl Setup {
    fn mirror(mut self, url: &str) -> Self {
        let urls = vec![url.parse().unwrap()];
        let name = format!("group {}", self.mirrors.len());
        self.mirrors.push(MirrorGroup { name, urls, serves: vec![Glob::new("*")] });
        self
    }

    fn parent(mut self, url: &str) -> Self {
        self.parents.push(Parent { url: url.parse().unwrap(), login: None });
        self
    }

    fn name(mut self, name: &str, addresses: &[&str]) -> Self {
        self.names = Table::new(&[(name, addresses)]);
        self
    }

    fn internal_host(mut self, glob: &str) -> Self {
        self.internal_hosts.push(Glob::new(glob));
        self
    }

    fn limits(mut self, change: impl FnOnce(&mut config::Upstream)) -> Self {
        change(&mut self.config);
        self
    }

    fn client(self) -> Tested {
        let rules = config::Access {
            clients: Vec::new(),
            targets: Vec::new(),
            hosts: vec![Glob::new("*")],
            ports: config::Access::default().ports,
            internal_hosts: self.internal_hosts,
            methods: Vec::new(),
            connect: Vec::new(),
        };
        let access = Arc::new(Access::new(&rules, &self.mirrors, &self.parents, &[]));
        let metrics = Metrics::new().unwrap().upstream;
        let source = Source::Table(self.names);
        let upstreams = Upstreams::with_source(
            &self.mirrors,
            &self.parents,
            &self.config,
            access,
            metrics.clone(),
            source,
        );
        let upstreams = Arc::new(upstreams.unwrap());
        Tested { client: Client::new(Arc::clone(&upstreams)), upstreams, metrics }
    }
}

impl Tested {
    /// The first candidate for a document of the host named.
    fn candidate(&self, named: &str) -> Candidate {
        let named = named.parse().unwrap();
        let query = RouteQuery { named: Some(&named), repository: None, wanted: Wanted::Document("/x") };
        self.upstreams.route(query).remove(0)
    }

    async fn send(
        &self,
        candidate: &Candidate,
        request: Outgoing,
    ) -> Result<Response<UpstreamBody>, Failure> {
        self.client.send(candidate, request, Instant::now() + self.upstreams.limits().head_deadline).await
    }

    async fn get(&self, named: &str) -> Result<Response<UpstreamBody>, Failure> {
        self.send(&self.candidate(named), get("/x")).await
    }

    /// GETs and reads to the end.
    async fn fetch(&self, named: &str) -> Result<String, Failure> {
        text(self.get(named).await?).await
    }
}

fn get(path: &str) -> Outgoing {
    Outgoing {
        method: Method::GET,
        path_and_query: path.parse().unwrap(),
        headers: HeaderMap::new(),
        redirects: 0,
    }
}

async fn text(answer: Response<UpstreamBody>) -> Result<String, Failure> {
    let body = answer.into_body().collect().await?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}
