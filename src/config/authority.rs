//! A server and a port, as CONNECT names them.

use std::fmt;
use std::str::FromStr;

use super::units::{Scheme, ServerUrl, ServerUrlError};

/// `host:port` (RFC 9110 §9.3.6): the port is always written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(ServerUrl);

impl Authority {
    /// As the server of a URL, for whoever connects to it.
    pub fn server(&self) -> &ServerUrl {
        &self.0
    }
}

impl FromStr for Authority {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let port = text.rsplit_once(':').map(|(_, port)| port).ok_or(ServerUrlError::Port)?;
        if port.is_empty() || !port.bytes().all(|c| c.is_ascii_digit()) {
            return Err(ServerUrlError::Port);
        }
        ServerUrl::from_authority(Scheme::Https, text).map(Self)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerUrl { host, port, .. } = &self.0;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_written() {
        for (text, expected) in [
            ("a.example.org:443", Some("a.example.org:443")),
            ("A.Example.org.:8443", Some("a.example.org:8443")),
            ("192.0.2.1:443", Some("192.0.2.1:443")),
            ("[2001:DB8::1]:443", Some("[2001:db8::1]:443")),
            ("a.example.org", None),
            ("a.example.org:", None),
            ("a.example.org:0", None),
            ("a.example.org:70000", None),
            ("a.example.org:https", None),
            ("2001:db8::1", None),
            ("[2001:db8::1]", None),
            ("0x7f.1:443", None),
            ("2130706433:443", None),
            ("user@a.example.org:443", None),
            ("https://a.example.org:443", None),
            ("a.example.org:443/", None),
            ("*:443", None),
            (":443", None),
        ] {
            let found = text.parse::<Authority>().ok().map(|authority| authority.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
