//! `substratum explain`: what would become of a request, and why.
//!
//! The request is judged and routed by the code that serves, built from the configuration alone; no server is asked.
//! The running program, when it answers, adds how its tiers and servers do.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use http::{Method, Request};
use serde_json::Value;

use super::inquiry::{self, Inquiry};
use super::status::{room, server};
use crate::access::Access;
use crate::config::{Authority, Config, ConfigError, Environment};
use crate::layout;
use crate::layout::cvmfs::Mutable;
use crate::metrics::Metrics;
use crate::reason::Reason;
use crate::request::{self, Asked, Refusal, Target, Verb};
use crate::response::Heads;
use crate::upstream::{Candidate, Form, RouteQuery, UpstreamSetupError, Upstreams, Wanted};

/// Arguments of `substratum explain`.
#[derive(clap::Args)]
#[command(allow_missing_positional = true)]
pub struct Options {
    /// Method of the request, such as CONNECT or POST; default: GET
    #[arg(value_name = "METHOD", value_parser = method)]
    method: Option<Method>,
    /// URL as a client sends it to its proxy, a path as it sends it to a server, or a word that an answer, the access log or
    /// a metric gives as the reason; of a tunnel (CONNECT) the server and its port
    #[arg(value_name = "URL|REASON")]
    target: String,
    /// Address of the client
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client: IpAddr,
    #[command(flatten)]
    inquiry: inquiry::Target,
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No client could send this.
    #[error("this is no URL: {0}")]
    Target(#[from] http::Error),
    /// The part that knows the servers cannot be built.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
    /// `name` cannot stand in a header field.
    #[error("`name` in [listen] is not a token: {0}")]
    Name(#[from] http::header::InvalidHeaderValue),
    /// The metric registry refused a metric.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// What would become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would be answered, if anybody has it.
    Served,
    /// It would be turned away.
    Refused,
}

/// Explains to `out`.
pub fn run(options: &Options, config: Option<&Path>, out: &mut dyn Write) -> Result<Verdict, ExplainError> {
    if let (None, Some(reason)) = (&options.method, Reason::from_word(&options.target)) {
        say(out, "reason", reason.as_str())?;
        say(out, "means", reason.meaning())?;
        say(out, "to do", reason.action())?;
        return Ok(Verdict::Served);
    }
    let config = Config::obtain(config, &Environment::of_process())?.config;
    let case = Case::new(&config)?;
    let (lines, verdict, asked) = case.judge(options)?;
    for (label, text) in lines {
        say(out, label, &text)?;
    }
    let live = Inquiry::new(&options.inquiry, Some(&config)).and_then(|inquiry| inquiry.status());
    match live {
        Ok(status) => tell_live(out, &status, &asked)?,
        Err(error) => say(out, "running", &error.to_string())?,
    }
    out.flush()?;
    Ok(verdict)
}

/// Methods are written in capitals (RFC 9110 §9.1).
fn method(text: &str) -> Result<Method, String> {
    let method =
        text.parse().ok().filter(|_| !text.is_empty() && text.bytes().all(|c| c.is_ascii_uppercase()));
    method.ok_or_else(|| "methods are written in capitals, such as CONNECT".to_owned())
}

fn say(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{label:<10} {text}")
}

type Lines = Vec<(&'static str, String)>;

/// The parts that decide.
struct Case<'a> {
    config: &'a Config,
    access: Arc<Access>,
    upstreams: Upstreams,
    heads: Heads,
}

impl<'a> Case<'a> {
    fn new(config: &'a Config) -> Result<Self, ExplainError> {
        let own: Vec<_> = {
            let listen = &config.listen;
            listen.proxy.iter().chain(&listen.tls).copied().chain(listen.admin).collect()
        };
        let access = Access::new(&config.access, &config.mirrors, &config.parents, &own);
        let access = Arc::new(access.before(&config.registries));
        // Passwords are for the running program's eyes; the order does not depend on them.
        let mut parents = config.parents.clone();
        parents.iter_mut().for_each(|parent| parent.login = None);
        let metrics = Metrics::new()?.upstream;
        let upstreams =
            Upstreams::new(&config.mirrors, &parents, &config.upstream, Arc::clone(&access), metrics)?;
        Ok(Self { config, access, upstreams, heads: Heads::new(&config.listen.name)? })
    }

    /// What there is to say, and the URLs of those who would be asked.
    fn judge(&self, options: &Options) -> Result<(Lines, Verdict, Vec<String>), ExplainError> {
        let method = options.method.as_ref().unwrap_or(&Method::GET);
        let mut request = Request::builder().method(method).uri(&options.target).body(())?;
        // As every client sends it; a proxy's client repeats the host of the URL.
        let host = request.uri().authority().map_or("this-cache", |authority| authority.as_str());
        let host = http::HeaderValue::from_str(host).map_err(http::Error::from)?;
        request.headers_mut().insert(http::header::HOST, host);
        if ![Method::GET, Method::HEAD, Method::CONNECT].contains(method) {
            request.headers_mut().insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("0"));
        }
        let mut lines = vec![("request", format!("{method} {}", options.target))];
        if let Err(denial) = self.access.client(options.client) {
            return Ok(self.refused(lines, &denial.into()));
        }
        lines.push(("client", format!("{} may ask", options.client)));
        if *method == Method::CONNECT {
            return Ok(match request::tunnel(&request, &self.access, self.heads.mark()) {
                Ok(server) => self.tunnel(lines, &server),
                Err(refusal) => self.refused(lines, &refusal),
            });
        }
        let asked = match request::parse(&request, &self.access, self.heads.mark()) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(self.refused(lines, &refusal)),
        };
        lines.push(("access", "this kind of URL is served, and the host may be named".to_owned()));
        let (repository, wanted) = self.resource(&asked, &mut lines);
        let query = RouteQuery { named: asked.named.as_ref(), repository, wanted };
        let candidates = self.upstreams.route(query);
        if candidates.is_empty() {
            let why = match repository {
                Some(repository) => {
                    format!("no group of [[mirrors]] serves {repository}, and there is no parent")
                }
                None => "it names no server, and no group of [[mirrors]] or parent is configured".to_owned(),
            };
            let word = Reason::Forbidden.as_str();
            lines.push(("refused", format!("({word}) unless it is stored already: {why}")));
            return Ok((lines, Verdict::Refused, Vec::new()));
        }
        for (place, candidate) in (1..).zip(&candidates) {
            lines.push(("ask", format!("{place}. {}", way(candidate))));
        }
        let urls = candidates.iter().map(|candidate| candidate.upstream.url().to_string()).collect();
        Ok((lines, Verdict::Served, urls))
    }

    fn refused(&self, mut lines: Lines, refusal: &Refusal) -> (Lines, Verdict, Vec<String>) {
        let (response, _) = self.heads.refusal(refusal);
        let reason = refusal.reason();
        lines.push(("refused", format!("{} ({}): {refusal}", response.status(), reason.as_str())));
        lines.push(("to do", reason.action().to_owned()));
        (lines, Verdict::Refused, Vec::new())
    }

    /// A tunnel that may be opened.
    fn tunnel(&self, mut lines: Lines, server: &Authority) -> (Lines, Verdict, Vec<String>) {
        let host = &server.server().host;
        let literal = host.parse().ok().map(|ip| self.access.may_connect(server.server(), ip));
        if let Some(Err(denial)) = literal {
            return self.refused(lines, &denial.into());
        }
        lines.push(("access", "`connect` in [access] lists the server".to_owned()));
        let (listen, timeout) = (&self.config.listen, self.config.upstream.connect_timeout);
        lines.push((
            "limits",
            format!(
                "{} tunnels at the same time, {} of one client",
                listen.max_tunnels, listen.max_client_tunnels
            ),
        ));
        lines.push(("connect", format!("{server}, from here, within {timeout:?}; nothing of it is kept")));
        let address = match self.access.may_be_internal(server.server()) {
            true => {
                "judged when it is known: any but our own, since `internal_hosts` in [access] names the server"
            }
            false => "judged when it is known: none that is internal or our own",
        };
        lines.push(("address", address.to_owned()));
        (lines, Verdict::Served, Vec::new())
    }

    /// What is asked for, and where it would be looked for here.
    fn resource<'r>(&self, asked: &'r Asked<'r>, lines: &mut Lines) -> (Option<&'r str>, Wanted<'r>) {
        match &asked.target {
            Target::Object(object) => {
                lines.push(("object", format!("of {}, named by its checksum", object.repository)));
                lines.push(("key", format!("{}: one copy, whichever host is named", object.name)));
                let disk = match &self.config.disk {
                    Some(disk) => format!(", then on disk in {}", disk.path.display()),
                    None => String::new(),
                };
                lines.push(("look", format!("in memory{disk}, then among the downloads in progress")));
                (Some(object.repository), Wanted::Object(object.name.hash64()))
            }
            Target::Guarded(guarded) => {
                let name = guarded.content.name;
                lines.push(("object", format!("of {}, named by its checksum", guarded.image())));
                lines.push(("key", format!("{name}: one copy, for those whom the registry lets have it")));
                lines.push(("look", "first the registry is asked (HEAD) whether this client may".to_owned()));
                (None, Wanted::Object(name.hash64()))
            }
            Target::Document(mutable) => {
                lines.push(("document", kind(*mutable)));
                let host = asked.named.as_ref().map_or_else(String::new, ToString::to_string);
                lines.push(("key", format!("{host}{}: a copy for each host that is named", asked.path)));
                let look = match asked.verb {
                    Verb::Write(_) => "nowhere: it is passed on, and what is stored of it is forgotten",
                    _ => "among the documents in memory, while its lifetime lasts",
                };
                lines.push(("look", look.to_owned()));
                let repository = mutable.and_then(|mutable| mutable.repository());
                let repository = repository.or_else(|| match asked.named {
                    Some(_) => None,
                    None => layout::archive(asked.path.path()),
                });
                (repository, Wanted::Document(asked.path.as_str()))
            }
        }
    }
}

fn kind(mutable: Option<Mutable<'_>>) -> String {
    match mutable {
        Some(Mutable::Manifest { repository }) => {
            format!("the manifest of {repository}; never an older one than was seen before")
        }
        Some(Mutable::Meta { repository }) => format!("a file about {repository}"),
        Some(Mutable::Api { repository }) => format!("a question to a service of {repository}"),
        Some(Mutable::Data { repository }) => {
            format!("below data/ of {repository}, but not named by a checksum that is known")
        }
        Some(Mutable::Info) => "a list of repositories".to_owned(),
        None => "of no repository".to_owned(),
    }
}

/// `mirror http://a:8000`, `parent http://p:3128 for http://a:8000`
fn way(candidate: &Candidate) -> String {
    let upstream = &candidate.upstream;
    let way = format!("{} {}", upstream.role().as_str(), upstream.url());
    match &candidate.form {
        Form::Origin => way,
        Form::Absolute(target) => format!("{way} for {target}"),
    }
}

/// What the running program adds.
fn tell_live(out: &mut dyn Write, status: &Value, asked: &[String]) -> io::Result<()> {
    say(out, "running", status["ready"].as_str().unwrap_or("?"))?;
    say(out, "memory", &room(&status["memory"], "used_bytes"))?;
    if !status["disk"].is_null() {
        say(out, "disk", &room(&status["disk"], "stored_bytes"))?;
    }
    let known = status["upstreams"].as_array().map_or(&[][..], Vec::as_slice);
    for url in asked {
        match known.iter().find(|upstream| upstream["url"].as_str() == Some(url)) {
            Some(upstream) => say(out, "now", &server(upstream))?,
            None => say(out, "now", &format!("{url}: not configured there, so nothing is known of it"))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "/cvmfs/sw.example.org/data/49/bf00112233445566778899aabbccddeeff0a1bC";

    fn explained(text: &str, target: &str, client: &str) -> (String, Verdict) {
        let config = Config::parse(text, Path::new("site.toml")).unwrap();
        let (method, target) = match target.split_once(' ') {
            Some((word, target)) => (Some(method(word).unwrap()), target),
            None => (None, target),
        };
        let options = Options {
            method,
            target: target.to_owned(),
            client: client.parse().unwrap(),
            inquiry: inquiry::Target::default(),
        };
        let (lines, verdict, _) = Case::new(&config).unwrap().judge(&options).unwrap();
        (lines.iter().map(|(label, text)| format!("{label}: {text}\n")).collect(), verdict)
    }

    const SITE: &str = "[access]\nclients = [\"10.0.0.0/8\"]\n[[mirrors]]\nname = \"m\"\n\
                        urls = [\"http://a.example.org:8000\", \"http://b.example.org\"]\n\
                        serves = [\"*.example.org\"]\n";

    #[track_caller]
    fn check(text: &str, target: &str, client: &str, verdict: Verdict, expected: &[&str]) {
        let (said, found) = explained(text, target, client);
        assert_eq!(found, verdict, "{said}");
        let mut from = 0;
        for part in expected {
            let at = said[from..]
                .find(part)
                .unwrap_or_else(|| panic!("{part} is missing, or not in its place, in\n{said}"));
            from += at + part.len();
        }
    }

    #[test]
    fn an_object_goes_to_the_mirrors_in_their_order() {
        let url = format!("http://b.example.org{OBJECT}");
        let expected = [
            "client: 10.1.2.3 may ask",
            "object: of sw.example.org",
            "key: 49bf00112233445566778899aabbccddeeff0a1b:",
            "look: in memory",
            "ask: 1. mirror http://a.example.org:8000\n",
            "ask: 2. mirror http://b.example.org\n",
        ];
        check(SITE, &url, "10.1.2.3", Verdict::Served, &expected);
    }

    #[test]
    fn a_document_goes_to_the_named_mirror_first() {
        let url = "http://b.example.org/cvmfs/sw.example.org/.cvmfspublished";
        let expected = [
            "document: the manifest of sw.example.org",
            "key: http://b.example.org/cvmfs/sw.example.org/.cvmfspublished:",
            "1. mirror http://b.example.org\n",
            "2. mirror http://a.example.org:8000\n",
        ];
        check(SITE, url, "10.1.2.3", Verdict::Served, &expected);
    }

    #[test]
    fn parents_are_asked_for_the_strata() {
        let node = format!("{SITE}[[parents]]\nurl = \"http://site:3128\"\n");
        let url = format!("http://a.example.org:8000{OBJECT}");
        check(
            &node,
            &url,
            "10.1.2.3",
            Verdict::Served,
            &["1. parent http://site:3128 for http://a.example.org:8000"],
        );
    }

    #[test]
    fn tunnels_lead_to_the_servers_that_are_listed() {
        let connect = "connect = [\"hub.example.org:443\", \"127.0.0.1:8443\", \"10.0.0.9:443\"]\n";
        let text =
            SITE.replace("[[mirrors]]", &format!("{connect}internal_hosts = [\"10.0.0.9\"]\n[[mirrors]]"));
        let expected = [
            "request: CONNECT hub.example.org:443\n",
            "client: 10.1.2.3 may ask",
            "access: `connect` in [access] lists the server",
            "limits: 100 tunnels at the same time, 50 of one client",
            "connect: hub.example.org:443, from here, within 1s",
            "address: judged when it is known: none that is internal",
        ];
        check(&text, "CONNECT hub.example.org:443", "10.1.2.3", Verdict::Served, &expected);
        check(&text, "CONNECT 10.0.0.9:443", "10.1.2.3", Verdict::Served, &["any but our own"]);
        let table = [
            ("hub.example.org:443", "192.0.2.1", "403 Forbidden (client_not_allowed)"),
            (
                "hub.example.org:8443",
                "10.1.2.3",
                "403 Forbidden (tunnel_not_allowed): this proxy opens no tunnel to",
            ),
            ("127.0.0.1:8443", "10.1.2.3", "403 Forbidden (internal_address)"),
            ("https://hub.example.org/", "10.1.2.3", "400 Bad Request (malformed)"),
        ];
        for (target, client, expected) in table {
            check(&text, &format!("CONNECT {target}"), client, Verdict::Refused, &["refused: ", expected]);
        }
    }

    #[test]
    fn methods_that_change_something_are_passed_on_where_they_may() {
        let text = SITE.replace("[[mirrors]]", "methods = [\"POST\"]\n[[mirrors]]");
        let url = "http://b.example.org/cvmfs/sw.example.org/api/v1.0/geo/x/y";
        let post = format!("POST {url}");
        check(
            &text,
            &post,
            "10.1.2.3",
            Verdict::Served,
            &["POST", "look: nowhere", "1. mirror http://b.example.org"],
        );
        check(SITE, &post, "10.1.2.3", Verdict::Refused, &["refused: 405"]);
        for word in ["connect", "", "GE T"] {
            assert!(method(word).is_err(), "{word}");
        }
    }

    #[test]
    fn whoever_is_turned_away_learns_by_which_key() {
        let object = format!("http://a.example.org:8000{OBJECT}");
        let table = [
            (
                object.as_str(),
                "192.0.2.1",
                "403 Forbidden (client_not_allowed): clients at 192.0.2.1 may not",
            ),
            ("http://a.example.org:8000/index.html", "10.1.2.3", "`targets` in [access]"),
            ("ftp://a.example.org/cvmfs/x.y/.cvmfspublished", "10.1.2.3", "400 Bad Request (malformed)"),
            ("/cvmfs/other.test/.cvmfspublished", "10.1.2.3", "no group of [[mirrors]] serves other.test"),
        ];
        for (target, client, expected) in table {
            check(SITE, target, client, Verdict::Refused, &["refused: ", expected]);
        }
    }
}
