//! Keys whose values are one of several words.

/// A class of URLs in `[access] targets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetShape {
    /// `"cvmfs"`: `/cvmfs/<fqrn>/{data/,.cvmfs*,api/}` and `/cvmfs/info/v1/*.json`.
    Cvmfs,
    /// `"frontier"`: conditions data queries, `/<servlet path>/Frontier/...`.
    Frontier,
    /// `"any"`: any http URL, for external data and general use.
    Any,
    /// `"debian"`: Debian archives, `/<archive>/dists/...` and packages in `/<archive>/pool/...`.
    Debian,
    /// `"bazel"`: Bazel's remote cache, `/<instance>/{cas,ac}/<SHA-256>`.
    Bazel,
}

impl TargetShape {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cvmfs, Self::Frontier, Self::Any, Self::Debian, Self::Bazel];

    /// As written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cvmfs => "cvmfs",
            Self::Frontier => "frontier",
            Self::Any => "any",
            Self::Debian => "debian",
            Self::Bazel => "bazel",
        }
    }
}

/// Which parent is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentsChoice {
    /// `"ordered"`: the first one written, the others in its absence.
    Ordered,
    /// `"rendezvous"`: the one whose share the name falls into, by a hash that is the same on all machines.
    Rendezvous,
    /// `"addresses"`: the same among all addresses that the parents' names have at the time.
    Addresses,
}

impl ParentsChoice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ordered, Self::Rendezvous, Self::Addresses];

    /// As written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Rendezvous => "rendezvous",
            Self::Addresses => "addresses",
        }
    }
}

/// What is fetched when a repository has a new revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRevision {
    /// `"catalogs"`: its catalogs.
    Catalogs,
    /// `"all"`: these, and the objects of all files.
    All,
}

impl OnRevision {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Catalogs, Self::All];

    /// As written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalogs => "catalogs",
            Self::All => "all",
        }
    }
}

/// Form of an access log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// No access log.
    Off,
    /// Squid's native form.
    Squid,
    /// frontier-squid's form.
    Frontier,
    /// One JSON object a line.
    Json,
    /// The web servers' combined form.
    Combined,
}

impl AccessLogFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Off, Self::Squid, Self::Frontier, Self::Json, Self::Combined];

    /// As written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Squid => "squid",
            Self::Frontier => "frontier",
            Self::Json => "json",
            Self::Combined => "combined",
        }
    }
}
