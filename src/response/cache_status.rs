//! `Cache-Status` (RFC 9211): how this cache came by an answer, as a value that renders itself.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode};

use crate::reason::Reason;

/// One member of the `Cache-Status` list: ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    /// Hit or forwarded.
    pub handling: Handling,
    /// `ttl`: seconds of freshness left; negative for a stale answer, absent where freshness has no meaning.
    pub ttl: Option<i64>,
    /// `detail`: where it was found or why it was not, where the rest does not say it.
    pub detail: Option<Detail>,
}

/// A word of ours: a token of RFC 8941.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A hit in memory.
    Memory,
    /// A hit on disk.
    Disk,
    /// A stored object whose bytes were hashed anew, since the client asked for it.
    Rehashed,
    /// A range of a document of which only parts are here.
    Parts,
    /// No plain hit.
    Why(Reason),
}

impl Detail {
    /// The parameter's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Parts => "parts",
            Self::Rehashed => "rehashed",
            Self::Why(reason) => reason.as_str(),
        }
    }
}

/// Whether the request went upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// `hit`: answered from the stores.
    Hit,
    /// `fwd=`: forwarded, or joined to a request that was.
    Forwarded(Forwarded),
    /// Neither: turned away here.
    Refused,
}

/// The parameters of a forwarded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// `fwd`: why.
    pub reason: Forward,
    /// `fwd-status`: what the next hop answered, if it did.
    pub status: Option<StatusCode>,
    /// `stored`.
    pub kept: Kept,
    /// `collapsed`.
    pub sharing: Sharing,
}

/// Why a request was forwarded (`fwd`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// The cache is configured not to handle this request.
    Bypass,
    /// A method whose semantics require it.
    Method,
    /// Nothing is stored under this URL.
    UriMiss,
    /// Answers are stored, but none for these request fields.
    VaryMiss,
    /// Neither of the stores has it, without telling why.
    Miss,
    /// Fresh, but the request's own directives demand more.
    Request,
    /// The stored answer is stale.
    Stale,
    /// Only part of the answer is stored.
    Partial,
}

/// Whether the answer was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was, and can be found.
    Stored,
    /// It was not.
    NotStored,
}

/// Whether another request's upstream request was shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// This request caused the upstream request.
    Alone,
    /// It waited for another's.
    Collapsed,
}

impl Forward {
    /// The same in the words that operators read.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Bypass | Self::UriMiss | Self::Miss => Reason::Absent,
            Self::Method => Reason::Head,
            Self::VaryMiss => Reason::OtherVariant,
            Self::Request => Reason::Demanded,
            Self::Stale => Reason::Expired,
            Self::Partial => Reason::Range,
        }
    }

    /// The parameter's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl CacheStatus {
    /// A hit without further detail.
    pub const HIT: Self = Self { handling: Handling::Hit, ttl: None, detail: None };

    /// A hit with its remaining freshness in seconds.
    pub const fn hit(ttl: i64) -> Self {
        Self { handling: Handling::Hit, ttl: Some(ttl), detail: None }
    }

    /// A request that was forwarded alone, and whose answer was not stored.
    pub const fn forwarded(reason: Forward, status: Option<StatusCode>) -> Self {
        let forwarded = Forwarded { reason, status, kept: Kept::NotStored, sharing: Sharing::Alone };
        Self { handling: Handling::Forwarded(forwarded), ttl: None, detail: None }
    }

    /// A request that was turned away, and why.
    pub const fn refused(why: Reason) -> Self {
        Self { handling: Handling::Refused, ttl: None, detail: Some(Detail::Why(why)) }
    }

    /// A request that went upstream in vain, and why.
    pub const fn failed(reason: Forward, why: Reason) -> Self {
        Self::forwarded(reason, None).because(why)
    }

    /// The same, with the reason.
    pub const fn because(self, why: Reason) -> Self {
        Self { detail: Some(Detail::Why(why)), ..self }
    }

    /// Why it was no plain hit.
    pub const fn reason(&self) -> Option<Reason> {
        match (self.detail, self.handling) {
            (Some(Detail::Why(reason)), _) => Some(reason),
            (_, Handling::Forwarded(forwarded)) => Some(forwarded.reason.reason()),
            _ => None,
        }
    }

    /// The field value, for the cache called `name`.
    pub fn render(&self, name: &str) -> HeaderValue {
        let mut text = String::with_capacity(name.len() + 64);
        push_item(&mut text, name);
        match self.handling {
            Handling::Hit => text.push_str("; hit"),
            Handling::Forwarded(forwarded) => forwarded.push_to(&mut text),
            Handling::Refused => {}
        }
        // Writing to a String cannot fail.
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={ttl}");
        }
        if let Some(detail) = self.detail {
            text.push_str("; detail=");
            text.push_str(detail.as_str());
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("cache"))
    }
}

impl Forwarded {
    fn push_to(self, text: &mut String) {
        let _ = write!(text, "; fwd={}", self.reason.as_str());
        if let Some(status) = self.status {
            let _ = write!(text, "; fwd-status={}", status.as_u16());
        }
        if self.kept == Kept::Stored {
            text.push_str("; stored");
        }
        if self.sharing == Sharing::Collapsed {
            text.push_str("; collapsed");
        }
    }
}

/// A structured-field token where the text is one, else a string (RFC 8941 §3.3.3-4); unprintables are dropped.
fn push_item(text: &mut String, item: &str) {
    let token = item.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*')
        && item.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&c));
    if token {
        text.push_str(item);
        return;
    }
    text.push('"');
    for c in item.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: CacheStatus, name: &str, expected: &str) {
        assert_eq!(status.render(name), expected);
    }

    #[test]
    fn rendering() {
        check(CacheStatus::HIT, "node1.example", "node1.example; hit");
        check(CacheStatus::hit(-3), "a", "a; hit; ttl=-3");
        check(CacheStatus::HIT, "1st \"cache\"", "\"1st \\\"cache\\\"\"; hit");
        check(CacheStatus::HIT, "f\u{fc}r", "\"fr\"; hit");
        check(CacheStatus::forwarded(Forward::UriMiss, None), "a", "a; fwd=uri-miss");
        check(CacheStatus::refused(Reason::Method), "a", "a; detail=method");
        check(CacheStatus::failed(Forward::Miss, Reason::TooSlow), "a", "a; fwd=miss; detail=too_slow");
        let handling = Handling::Forwarded(Forwarded {
            reason: Forward::Stale,
            status: Some(StatusCode::NOT_MODIFIED),
            kept: Kept::Stored,
            sharing: Sharing::Collapsed,
        });
        check(
            CacheStatus { handling, ttl: Some(61), detail: Some(Detail::Why(Reason::OlderManifest)) },
            "a",
            "a; fwd=stale; fwd-status=304; stored; collapsed; ttl=61; detail=older_manifest",
        );
    }
}
