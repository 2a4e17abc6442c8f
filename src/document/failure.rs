//! Why a document could not be had.

use http::StatusCode;

use crate::reason::Reason;

/// `E`: the upstream's own error. Cheap to clone, since all who wait for one fetch share its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure<E> {
    /// No upstream answered, or the one that did broke off.
    #[error("upstream failed: {0}")]
    Upstream(E),
    /// The body ended cleanly, but is not as long as announced.
    #[error("upstream announced {expected} bytes and sent {received}")]
    Length {
        /// `Content-Length`
        expected: u64,
        /// Bytes that came.
        received: u64,
    },
    /// A server error, with a stored copy at hand that may stand in. Without one, the answer itself is passed on.
    #[error("upstream answered {0}")]
    Status(StatusCode),
    /// 304 to a request without conditions, or with validators that are not the stored ones.
    #[error("upstream answered 304 about something that is not stored")]
    ForeignNotModified,
    /// A manifest or whitelist that is damaged, with a stored one at hand.
    #[error("upstream sent a damaged manifest or whitelist")]
    BadManifest,
    /// A manifest did not arrive whole in time, or a body took longer than [`super::Policy::longest_fetch`].
    #[error("upstream sent the body too slowly")]
    TooSlow,
    /// The request said `only-if-cached`: 504 (RFC 9111 §5.2.1.7), and nobody's fault.
    #[error("not stored, and the request forbids to fetch it")]
    OnlyIfCached,
    /// Too many requests wait for this document already: our own trouble.
    #[error("too many requests wait for this document")]
    Overload,
    /// The fetch was given up without a result, as at shutdown: our own trouble.
    #[error("the fetch was interrupted")]
    Interrupted,
}

impl<E> Failure<E> {
    /// Whether the upstream did answer, with something that is passed on when no stored copy can stand in for it.
    pub const fn has_answer(&self) -> bool {
        matches!(self, Self::Status(_) | Self::BadManifest)
    }

    /// Why, in the words that operators read.
    ///
    /// # Errors
    /// The upstream's own error, which knows.
    pub const fn reason(&self) -> Result<Reason, &E> {
        Ok(match self {
            Self::Upstream(error) => return Err(error),
            Self::Length { .. } => Reason::WrongLength,
            Self::Status(_) => Reason::ServerError,
            Self::ForeignNotModified => Reason::ForeignNotModified,
            Self::BadManifest => Reason::BadManifest,
            Self::TooSlow => Reason::TooSlow,
            Self::OnlyIfCached => Reason::OnlyIfCached,
            Self::Overload => Reason::Overload,
            Self::Interrupted => Reason::Interrupted,
        })
    }
}
