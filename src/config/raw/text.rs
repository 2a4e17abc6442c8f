//! The strings of the file, each parsed into its type. Pure: no names are looked up, no files are opened.
//!
//! A refusal continues a sentence that begins with the text: `"localhost:3128" is not an address and a port`.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::Authority;
use crate::config::defaults::{MAX_NAME, is_name_char};
use crate::config::pattern::DocumentPatternError;
use crate::config::quantity::QuantityError;
use crate::config::repository::RepositoryUrl;
use crate::config::units::{Glob, PortRange, ServerUrl, ServerUrlError};

/// Why a value is refused: the rest of a sentence that begins with the value.
#[derive(Debug)]
pub(super) struct Why(Cow<'static, str>);

impl From<&'static str> for Why {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl From<QuantityError> for Why {
    fn from(error: QuantityError) -> Self {
        Self::from(error.to_string())
    }
}

impl From<DocumentPatternError> for Why {
    fn from(error: DocumentPatternError) -> Self {
        Self::from(error.to_string())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `address:port`.
pub(super) fn address(text: &str) -> Result<SocketAddr, Why> {
    text.parse().map_err(|_| {
        let why = match text.parse::<IpAddr>() {
            Ok(_) => "has no port",
            Err(_) => "is not an address and a port",
        };
        why.into()
    })
}

/// `address:port` or `off`.
pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, Why> {
    if text == "off" { Ok(None) } else { address(text).map(Some) }
}

/// The community of SNMP requests.
pub(super) fn community(text: &str) -> Result<String, Why> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|c| matches!(c, b' '..=b'~'));
    if fits { Ok(text.to_owned()) } else { Err("is too long, empty or has unprintable characters".into()) }
}

/// `address/bits`, or an address for itself alone.
pub(super) fn network(text: &str) -> Result<IpNet, Why> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| "is not a network")?;
    // A slip in the number of bits would otherwise let in too many or too few, silently.
    if network.addr() == network.network() {
        Ok(network)
    } else {
        Err(format!("has bits behind its prefix (write {})", network.trunc()).into())
    }
}

/// What `Via` calls this cache.
pub(super) fn cache_name(text: &str) -> Result<String, Why> {
    name(text, is_name_char)
}

/// The name of a mirror group, a label in metrics.
pub(super) fn group_name(text: &str) -> Result<String, Why> {
    name(text, |c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

/// What clients call a registry: a host, and a port if there is one.
pub(super) fn registry_name(text: &str) -> Result<String, Why> {
    if text.contains("://") {
        return Err("has a scheme".into());
    }
    Ok(name(text, |c| c.is_ascii_alphanumeric() || "-._:".contains(c))?.to_ascii_lowercase())
}

fn name(text: &str, admits: impl Fn(char) -> bool) -> Result<String, Why> {
    if text.is_empty() {
        Err("is empty".into())
    } else if text.len() > MAX_NAME {
        Err("is too long".into())
    } else if let Some(c) = text.chars().find(|&c| !admits(c)) {
        Err(format!("has a {c:?} in it").into())
    } else {
        Ok(text.to_owned())
    }
}

/// The user of an HTTP login (RFC 7617 §2).
pub(super) fn user_name(text: &str) -> Result<String, Why> {
    name(text, |c| c != ':' && !c.is_control())
}

/// A pattern for host names or addresses, as they stand in a URL but without brackets.
pub(super) fn host_pattern(text: &str) -> Result<Glob, Why> {
    if text.contains("://") {
        Err("has a scheme".into())
    } else if text.matches(':').count() == 1 {
        // An IPv6 address has at least two colons.
        Err("has a port".into())
    } else {
        pattern(text, |c| c.is_ascii_alphanumeric() || "-._:*".contains(c))
    }
}

/// A port or a range of them.
pub(super) fn ports(text: &str) -> Result<PortRange, Why> {
    text.parse().map_err(|_| "is neither a port nor a range of ports, from 1 to 65535".into())
}

/// A pattern for names of repositories, and of images (`registry.example.org:5000/library/*`).
pub(super) fn repository_pattern(text: &str) -> Result<Glob, Why> {
    pattern(text, |c| c.is_ascii_alphanumeric() || "-._*/:".contains(c))
}

fn pattern(text: &str, admits: impl Fn(char) -> bool) -> Result<Glob, Why> {
    match text.chars().find(|&c| !admits(c)) {
        Some(c) => Err(format!("has a {c:?} in it").into()),
        None if text.is_empty() => Err("is empty".into()),
        None => Ok(Glob::new(text)),
    }
}

/// A repository, or the URL of one.
pub(super) fn repository(text: &str) -> Result<RepositoryUrl, Why> {
    text.parse().map_err(|error| format!("names no repository: {error}").into())
}

/// A path in a repository, without tricks.
pub(super) fn repository_path(text: &str) -> Result<String, Why> {
    let inside = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    match text.strip_prefix('/') {
        None => Err("does not begin at the root (/)".into()),
        Some("") => Ok("/".to_owned()),
        Some(rest) if rest.len() < 4096 && rest.split('/').all(inside) => Ok(text.to_owned()),
        Some(_) => Err("has an empty name, \".\" or \"..\" in it, or is too long".into()),
    }
}

/// `http://host:port` or `https://host:port`.
pub(super) fn server(text: &str) -> Result<ServerUrl, Why> {
    text.parse().map_err(server_fault)
}

/// A server and a port, without a scheme.
pub(super) fn authority(text: &str) -> Result<Authority, Why> {
    if text.contains("://") {
        return Err("has a scheme; a server and its port are meant".into());
    }
    text.parse().map_err(|error| match error {
        ServerUrlError::Port => "has no port, or one that is not between 1 and 65535".into(),
        other => server_fault(other),
    })
}

fn server_fault(error: ServerUrlError) -> Why {
    let why = match error {
        ServerUrlError::Scheme => "does not begin with http:// or https://",
        ServerUrlError::Host => "has no host name or a malformed one",
        ServerUrlError::Port => "has a port that is not between 1 and 65535",
        ServerUrlError::UserInfo => "has a user name or password, which would end up in logs",
        ServerUrlError::Path => "has a path or query behind the host and port",
    };
    why.into()
}

/// A relative path would depend on the folder in which the program happens to be started.
pub(super) fn absolute_path(text: &str) -> Result<PathBuf, Why> {
    let path = PathBuf::from(text);
    if text.contains('\0') {
        Err("has a NUL in it".into())
    } else if path.is_absolute() {
        Ok(path)
    } else if text.starts_with('~') {
        Err("begins with ~, which only a shell understands".into())
    } else {
        Err("is not absolute".into())
    }
}

/// One of several names. The nearest one is suggested.
pub(super) fn choice<T: Copy, const N: usize>(
    text: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, Why> {
    let near = |&choice: &T| strsim::damerau_levenshtein(text, name(choice));
    match all.iter().find(|&&choice| name(choice) == text) {
        Some(&choice) => Ok(choice),
        None => match all.into_iter().min_by_key(near) {
            Some(choice) if near(&choice) <= 2 => {
                Err(format!("is not known (did you mean \"{}\"?)", name(choice)).into())
            }
            _ => Err("is not known".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = network(text).map(|network| network.to_string()).map_err(|why| why.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        };
        check("10.0.0.0/8", Ok("10.0.0.0/8"));
        check("::1", Ok("::1/128"));
        check("192.0.2.7", Ok("192.0.2.7/32"));
        check("0.0.0.0/0", Ok("0.0.0.0/0"));
        check("10.1.0.0/8", Err("has bits behind its prefix (write 10.0.0.0/8)"));
        check("10.0.0.0/33", Err("is not a network"));
        check("10/8", Err("is not a network"));
        check("all", Err("is not a network"));
    }

    #[test]
    fn host_patterns() {
        let check = |text: &str, expected: Result<(), &str>| {
            assert_eq!(
                host_pattern(text).map(|_| ()).map_err(|why| why.to_string()),
                expected.map_err(str::to_owned),
                "{text}"
            );
        };
        check("*", Ok(()));
        check("*.cern.ch", Ok(()));
        check("2001:db8::1", Ok(()));
        check("10.1.*", Ok(()));
        check("", Err("is empty"));
        check("http://s1.cern.ch", Err("has a scheme"));
        check("s1.cern.ch:8000", Err("has a port"));
        check("s1.cern.ch/cvmfs", Err("has a '/' in it"));
        check("[::1]", Err("has a '[' in it"));
    }

    #[test]
    fn paths() {
        let check = |text: &str, expected: Result<(), &str>| {
            assert_eq!(
                absolute_path(text).map(|_| ()).map_err(|why| why.to_string()),
                expected.map_err(str::to_owned),
                "{text}"
            );
        };
        check("/var/cache", Ok(()));
        check("cache", Err("is not absolute"));
        check("", Err("is not absolute"));
        check("~/cache", Err("begins with ~, which only a shell understands"));
        check("/a\0b", Err("has a NUL in it"));
    }
}
