//! Units and small types that exist only when valid: sizes, URLs of upstreams, globs.

use std::fmt;
use std::str::FromStr;

/// A size in bytes. Written `"512 MiB"`, `"10 GB"`, `"4096"` (bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// `n` kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` gibibytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let one = 1u64 << shift;
            if self.0 >= one {
                return if self.0.is_multiple_of(one) {
                    write!(f, "{} {unit}", self.0 >> shift)
                } else {
                    write!(f, "{:.1} {unit}", self.0 as f64 / one as f64)
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// Scheme of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The port when the URL names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `"http"` or `"https"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A server that can be asked: scheme, host (lower case, IPv6 without brackets), port. No path, no user info.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerUrl {
    /// Scheme.
    pub scheme: Scheme,
    /// Host name (lower case, no trailing dot) or address literal (no brackets, canonical form).
    pub host: Box<str>,
    /// Port, never 0.
    pub port: u16,
}

/// Why a text is not a [`ServerUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Neither `http://` nor `https://`.
    #[error("expected http:// or https://")]
    Scheme,
    /// No or a malformed host.
    #[error("the host is missing or malformed")]
    Host,
    /// Not a port number between 1 and 65535.
    #[error("the port must be a number between 1 and 65535")]
    Port,
    /// User name and password in a URL end up in logs.
    #[error("a user name or password may not stand in the URL")]
    UserInfo,
    /// Something behind the port.
    #[error("only scheme, host and port may be given, no path or query")]
    Path,
}

impl ServerUrl {
    /// Parses `host[:port]`, as it stands in an absolute-form request target or a `Host` field.
    pub fn from_authority(scheme: Scheme, authority: &str) -> Result<Self, ServerUrlError> {
        if authority.contains('@') {
            return Err(ServerUrlError::UserInfo);
        }
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(ServerUrlError::Host)?;
            let host: std::net::Ipv6Addr = host.parse().map_err(|_| ServerUrlError::Host)?;
            match rest.strip_prefix(':') {
                None if rest.is_empty() => (host.to_string(), None),
                Some(port) => (host.to_string(), Some(port)),
                None => return Err(ServerUrlError::Host),
            }
        } else {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let host = host.strip_suffix('.').unwrap_or(host);
            let well_formed = !host.is_empty()
                && host.len() <= 253
                && host.split('.').all(|label| {
                    !label.is_empty()
                        && label.len() <= 63
                        && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
                });
            if !well_formed || !is_name_or_plain_ipv4(host) {
                return Err(ServerUrlError::Host);
            }
            (host.to_ascii_lowercase(), port)
        };
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(text) if text.len() <= 5 && text.bytes().all(|c| c.is_ascii_digit()) => {
                text.parse().ok().filter(|&p| p != 0).ok_or(ServerUrlError::Port)?
            }
            Some(_) => return Err(ServerUrlError::Port),
        };
        Ok(Self { scheme, host: host.into(), port })
    }

    /// `host:port` as it stands in a request, with brackets around IPv6 and without a default port.
    pub fn authority(&self) -> String {
        let host: &str = &self.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

/// A resolver reads `2130706433`, `0x7f.1` or `127.1` as an address; a name whose last label starts with a digit
/// is therefore accepted only as a dotted quad (WHATWG URL, "ends in a number").
fn is_name_or_plain_ipv4(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let numeric = last.starts_with(|c: char| c.is_ascii_digit());
    !numeric || host.parse::<std::net::Ipv4Addr>().is_ok()
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((s, rest)) if s.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((s, rest)) if s.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            _ => return Err(ServerUrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(ServerUrlError::Path);
        }
        Self::from_authority(scheme, rest)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// Ports from the first to the last, both included. Written `"80"` or `"1024-65535"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a text is no [`PortRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a port from 1 to 65535, nor a range of them")]
pub struct PortRangeError;

impl PortRange {
    /// From `first` to `last`; in the other order there is nothing in it.
    pub const fn new(first: u16, last: u16) -> Self {
        Self { first, last }
    }

    /// The first port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether `port` is among them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let port = |text: &str| match text.bytes().all(|c| c.is_ascii_digit()) {
            true => text.parse().map_err(|_| PortRangeError),
            false => Err(PortRangeError),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if 0 < first && first <= last { Ok(Self { first, last }) } else { Err(PortRangeError) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// A pattern for host and repository names: `*` stands for any run of characters, everything else for itself,
/// without regard to letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// A pattern; any text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_ascii_lowercase().into())
    }

    /// The pattern as written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` matches. Linear in `text` for each `*`.
    pub fn matches(&self, text: &str) -> bool {
        glob_matches(&self.0, text, |pattern, c| pattern == c.to_ascii_lowercase())
    }
}

/// Whether `pattern`, in which `*` stands for any run of characters, matches the whole of `text`; `same` compares
/// all other characters. Linear in `text` for each `*`.
pub(super) fn glob_matches(pattern: &str, text: &str, same: impl Fn(u8, u8) -> bool) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to resume when the characters behind the latest `*` turn out not to match.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|&wanted| same(wanted, text[t])) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let table = [
            ("*", "", true),
            ("*", "x", true),
            ("*.cern.ch", "a.cern.ch", true),
            ("*.cern.ch", "A.CERN.CH", true),
            ("*.cern.ch", "cern.ch", false),
            ("*.cern.ch", "a.cern.ch.evil", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXb", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn server_urls() {
        let good = [
            ("http://S1.Cern.CH:8000", "http://s1.cern.ch:8000"),
            ("http://s1.cern.ch:80/", "http://s1.cern.ch"),
            ("https://s1.cern.ch.", "https://s1.cern.ch"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ];
        for (text, expected) in good {
            assert_eq!(text.parse::<ServerUrl>().unwrap().to_string(), expected);
        }
        let bad = [
            ("ftp://x", ServerUrlError::Scheme),
            ("x:80", ServerUrlError::Scheme),
            ("http://", ServerUrlError::Host),
            ("http://a b", ServerUrlError::Host),
            ("http://2130706433", ServerUrlError::Host),
            ("http://0x7f.0.0.1", ServerUrlError::Host),
            ("http://127.1", ServerUrlError::Host),
            ("http://0177.0.0.1", ServerUrlError::Host),
            ("http://x:0", ServerUrlError::Port),
            ("http://x:+80", ServerUrlError::Port),
            ("http://x:65536", ServerUrlError::Port),
            ("http://u:p@x", ServerUrlError::UserInfo),
            ("http://x/cvmfs", ServerUrlError::Path),
            ("http://x?y", ServerUrlError::Path),
        ];
        for (text, expected) in bad {
            assert_eq!(text.parse::<ServerUrl>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn ranges_of_ports() {
        for (text, expected) in
            [("80", Some((80, 80))), ("1-65535", Some((1, 65_535))), ("1024-1024", Some((1024, 1024)))]
        {
            assert_eq!(text.parse().ok(), expected.map(|(first, last)| PortRange::new(first, last)));
        }
        for text in ["", "0", "-1", "1-", "2-1", "1-65536", "+80", "80-+90", "a", "1-2-3"] {
            assert_eq!(text.parse::<PortRange>(), Err(PortRangeError), "{text}");
        }
    }

    #[test]
    fn sizes_read_as_written() {
        assert_eq!(ByteSize::mib(256).to_string(), "256 MiB");
        assert_eq!(ByteSize(10_000_000_000).to_string(), "9.3 GiB");
        assert_eq!(ByteSize(17).to_string(), "17 B");
    }
}
