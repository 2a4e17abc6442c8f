//! What `warm`, `ls` and `images` have in common: which repository, through which tier, and what is there already.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inquiry::{self, Inquiry, InquiryError};
use crate::catalog::trust::{Distrust, MAX_KEY, PublicKey};
use crate::catalog::walk::{Bounds, Walk, WalkError};
use crate::catalog::{BadPath, RepoPath};
use crate::config::units::ServerUrlError;
use crate::config::{Config, ConfigError, Environment, RepositoryUrl, Scheme, ServerUrl};
use crate::warm::{
    Lane, Pace, Presence, PresenceError, Repository, RepositoryError, Surveyor, Tier, Trouble, Trust, Way,
    within,
};

/// Which repository, and through whom.
#[derive(clap::Args)]
pub struct Place {
    /// The repository, such as `http://stratum.example.org:8000/cvmfs/images.example.org`; its name alone when the tier has
    /// mirrors for it
    #[arg(value_name = "URL")]
    repository: RepositoryUrl,
    /// The tier, as clients name it; default: the one that the configuration describes
    #[arg(long, value_name = "PROXY", value_parser = proxy)]
    via: Option<ServerUrl>,
    /// What is there already is asked of its admin port; with --via of none, unless --admin is given
    #[command(flatten)]
    inquiry: inquiry::Target,
    /// Public key of the repository (PEM), for its manifest to be checked with; may be given several times
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
}

/// Why a visit ends early.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody is where the tier should be.
    #[error("nothing answers at {tier}{whence}: {error}")]
    Silent {
        /// Where.
        tier: String,
        /// Who says so.
        whence: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// The configuration does not say where the tier is.
    #[error("the configuration names no port to ask: say --via")]
    NoTier,
    /// A key cannot be read.
    #[error("cannot read {0}: {1}")]
    KeyFile(PathBuf, #[source] io::Error),
    /// A key is none.
    #[error("{0}: {1}")]
    Key(PathBuf, #[source] Distrust),
    /// A path is none.
    #[error("{0:?} is no path in a repository: {1}")]
    Path(String, #[source] BadPath),
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Its catalogs cannot be walked through.
    #[error(transparent)]
    Walk(Box<WalkError<Trouble>>),
    /// The running program cannot be asked.
    #[error(transparent)]
    Inquiry(#[from] InquiryError),
    /// What is there is not known.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// The system gives no runtime, or nothing can be printed.
    #[error("cannot go on: {0}")]
    Io(#[from] io::Error),
}

/// A visit that has begun.
pub struct Visit {
    /// The way.
    pub way: Arc<Way>,
    /// Who knows what is there.
    pub presence: Presence,
    /// The same, for other questions.
    pub(super) inquiry: Option<Arc<Inquiry>>,
    /// The repository.
    pub repository: Repository,
    /// Brings catalogs.
    pub surveyor: Surveyor,
}

impl Place {
    /// A path as an operator writes it.
    pub fn path(&self, path: &str) -> Result<RepoPath, VisitError> {
        within(&self.repository, path).map_err(|why| VisitError::Path(path.to_owned(), why))
    }

    /// Reads what everything begins with.
    pub async fn begin(&self, config: Option<&Path>, pace: Arc<Pace>) -> Result<Visit, VisitError> {
        let keys = self.key.iter().map(|file| key(file)).collect::<Result<Vec<_>, _>>()?;
        let (tier, inquiry) = match &self.via {
            Some(proxy) => {
                let asked = self.inquiry.is_named().then(|| Inquiry::new(&self.inquiry, None)).transpose()?;
                (proxy.clone(), asked)
            }
            None => {
                let config = Config::obtain(config, &Environment::of_process())?.config;
                let proxy = config.listen.proxy.iter().find(|address| address.port() != 0);
                let proxy = inquiry::reachable(*proxy.ok_or(VisitError::NoTier)?);
                let host = proxy.ip().to_string().into();
                let tier = ServerUrl { scheme: Scheme::Http, host, port: proxy.port() };
                let asked = match Inquiry::new(&self.inquiry, Some(&config)) {
                    Err(InquiryError::Off) => None,
                    other => Some(other?),
                };
                (tier, asked)
            }
        };
        let inquiry = inquiry.map(Arc::new);
        let presence = inquiry.clone().map_or(Presence::Unknown, |inquiry| {
            Presence::Other(Arc::new(move |names| inquiry.missing(names).map_err(|error| error.to_string())))
        });
        let way = Arc::new(Way { tier: Tier::At(tier), repository: self.repository.clone() });
        let mut lane = Lane::new(Arc::clone(&way));
        let whence = match self.via {
            Some(_) => "",
            None => ", where the configuration has the tier (--config or --via name another)",
        };
        let repository = Repository::open(&mut lane, &way, &keys).await;
        let repository = repository.map_err(|error| match error {
            RepositoryError::Get(_, _, Trouble::Connect(tier, error)) => {
                VisitError::Silent { tier, whence, error }
            }
            error => error.into(),
        })?;
        let surveyor = Surveyor::new(lane, pace);
        Ok(Visit { way, presence, inquiry, repository, surveyor })
    }
}

impl From<WalkError<Trouble>> for VisitError {
    fn from(error: WalkError<Trouble>) -> Self {
        Self::Walk(Box::new(error))
    }
}

impl Visit {
    /// A walk through the catalogs.
    pub fn walk(&mut self) -> Walk<'_, Surveyor> {
        Walk::new(&mut self.surveyor, self.repository.manifest.root, Bounds::default())
    }

    /// `images.example.org, revision 3, published Sun, 22 Nov 2026 13:57:11 GMT; its signature is good`
    pub fn headline(&self) -> String {
        let revision = self.repository.manifest.revision;
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(revision.published);
        let trust = match self.repository.trust {
            Trust::Verified => "its signature is good",
            Trust::Unchecked => "its signature is not checked (no --key)",
        };
        let (name, number) = (&self.way.repository.name, revision.number);
        format!("{name}, revision {number}, published {}; {trust}", httpdate::fmt_http_date(at))
    }
}

impl VisitError {
    /// For the shell.
    pub const fn exit_code(&self) -> u8 {
        match self {
            // Or a command line.
            Self::Config(_) | Self::NoTier | Self::KeyFile(..) | Self::Key(..) | Self::Path(..) => {
                super::BAD_CONFIGURATION
            }
            _ => 1,
        }
    }
}

fn key(file: &Path) -> Result<PublicKey, VisitError> {
    let cannot = |error| VisitError::KeyFile(file.to_owned(), error);
    let mut text = Vec::new();
    let opened = std::fs::File::open(file).map_err(cannot)?;
    io::Read::read_to_end(&mut io::Read::take(opened, MAX_KEY as u64), &mut text).map_err(cannot)?;
    PublicKey::from_pem(&text).map_err(|error| VisitError::Key(file.to_owned(), error))
}

/// `http://proxy.example.org:3128` or `proxy.example.org:3128`.
fn proxy(text: &str) -> Result<ServerUrl, String> {
    let proxy = if text.contains("://") { text.parse() } else { format!("http://{text}").parse() };
    let proxy: ServerUrl = proxy.map_err(|error: ServerUrlError| error.to_string())?;
    match proxy.scheme {
        Scheme::Http => Ok(proxy),
        Scheme::Https => Err("it is asked over plain http only: name a port of it without TLS".to_owned()),
    }
}

/// Runs one of the commands.
pub fn block_on<T, E: From<io::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
