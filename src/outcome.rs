//! How a request ended, in one word: shared by metrics, `Cache-Status` and the access log.

/// What the caches contributed to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An object from the memory tier.
    MemoryHit,
    /// An object from the disk tier.
    DiskHit,
    /// An object that another request was already fetching.
    Collapsed,
    /// An object that was fetched for this request.
    Miss,
    /// An object asked for with `no-cache` whose stored bytes proved good.
    Reload,
    /// An object whose stored bytes proved bad and were fetched anew.
    Repair,
    /// A fresh document from the store.
    DocumentHit,
    /// A stored document that the upstream confirmed (304).
    DocumentRevalidated,
    /// A document fetched and stored, or not storable.
    DocumentMiss,
    /// A document that another request was already fetching.
    DocumentCollapsed,
    /// A stale document, since no upstream could answer.
    DocumentStale,
    /// A request that may change a document, passed on; what it may have changed is forgotten.
    DocumentChange,
    /// Passed on without looking into or touching the stores (ranges of documents, too large, ...).
    Pass,
    /// A tunnel was opened for it.
    Tunnel,
    /// Not answered from upstream: every source failed.
    UpstreamError,
    /// Refused: the client, the target or the host is not allowed.
    Denied,
    /// Refused: malformed, or a method that is not served.
    BadRequest,
    /// Refused: more work than can be done in time.
    Overload,
}

impl Outcome {
    /// Every outcome, for tables of metrics.
    pub const ALL: [Self; 18] = [
        Self::MemoryHit,
        Self::DiskHit,
        Self::Collapsed,
        Self::Miss,
        Self::Reload,
        Self::Repair,
        Self::DocumentHit,
        Self::DocumentRevalidated,
        Self::DocumentMiss,
        Self::DocumentCollapsed,
        Self::DocumentStale,
        Self::DocumentChange,
        Self::Pass,
        Self::Tunnel,
        Self::UpstreamError,
        Self::Denied,
        Self::BadRequest,
        Self::Overload,
    ];

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MemoryHit => "memory_hit",
            Self::DiskHit => "disk_hit",
            Self::Collapsed => "collapsed",
            Self::Miss => "miss",
            Self::Reload => "reload",
            Self::Repair => "repair",
            Self::DocumentHit => "document_hit",
            Self::DocumentRevalidated => "document_revalidated",
            Self::DocumentMiss => "document_miss",
            Self::DocumentCollapsed => "document_collapsed",
            Self::DocumentStale => "document_stale",
            Self::DocumentChange => "document_change",
            Self::Pass => "pass",
            Self::Tunnel => "tunnel",
            Self::UpstreamError => "upstream_error",
            Self::Denied => "denied",
            Self::BadRequest => "bad_request",
            Self::Overload => "overload",
        }
    }

    /// Whether the bytes came from our own stores, without waiting for any upstream.
    pub const fn is_hit(self) -> bool {
        matches!(
            self,
            Self::MemoryHit | Self::DiskHit | Self::Reload | Self::DocumentHit | Self::DocumentStale
        )
    }
}
