//! What a client asks.

use std::net::SocketAddr;

/// One request. The target decides the form: a URL is a forward request, a path a reverse one.
#[derive(Clone, Debug)]
pub struct Ask {
    method: String,
    target: String,
    host: Option<String>,
    fields: Vec<(String, String)>,
    content: String,
}

impl Ask {
    /// `GET target`
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.into(),
            host: None,
            fields: Vec::new(),
            content: String::new(),
        }
    }

    /// `HEAD target`
    pub fn head(target: impl Into<String>) -> Self {
        Self::get(target).method("HEAD")
    }

    /// With another method.
    pub fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    /// With another `Host` than the one that follows from the target.
    pub fn host(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }

    /// With one more field.
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// With content and its length.
    pub fn content(self, content: &str) -> Self {
        Self { content: content.to_owned(), ..self }.field("Content-Length", content.len().to_string())
    }

    /// Bytes `first` to `last`, both included.
    pub fn range(self, first: u64, last: u64) -> Self {
        self.field("Range", format!("bytes={first}-{last}"))
    }

    /// As the client asks again after bytes that did not match.
    pub fn no_cache(self) -> Self {
        self.field("Pragma", "no-cache").field("Cache-Control", "no-cache")
    }

    pub(super) fn expects_no_body(&self) -> bool {
        self.method == "HEAD"
    }

    /// The request as libcurl would write it.
    pub fn render(&self, server: SocketAddr) -> String {
        let authority =
            self.target.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or(rest));
        let proxied = if authority.is_some() { "Proxy-Connection: Keep-Alive\r\n" } else { "" };
        let host = match (&self.host, authority) {
            (Some(host), _) => host.clone(),
            (None, Some(authority)) => authority.to_owned(),
            (None, None) => server.to_string(),
        };
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{proxied}Connection: Keep-Alive\r\n\
             User-Agent: cvmfs Fuse 2.12.0\r\n",
            self.method, self.target
        );
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n" + &self.content
    }
}

impl From<&str> for Ask {
    fn from(target: &str) -> Self {
        Self::get(target)
    }
}

impl From<String> for Ask {
    fn from(target: String) -> Self {
        Self::get(target)
    }
}

impl From<&String> for Ask {
    fn from(target: &String) -> Self {
        Self::get(target)
    }
}

impl From<&Ask> for Ask {
    fn from(ask: &Ask) -> Self {
        ask.clone()
    }
}
